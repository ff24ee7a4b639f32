// Words against those of a base in one pass: where they differ, and what a transform stores there (SPEC, Deltas).
#pragma once
#include "bitmap.hpp"
#include "order.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr usize kCompareBlock = 1024;  // words; a multiple of 64
constexpr usize kCompareSlack = 64;    // words that a compressing store may write behind those that differ

// Bits of the words that differ among 64, or the last of them, from `out` on what is stored of each; returns how many.
template <class W, class T>
static DCZ_INLINE usize compare_64(T transform, const u8* now, const u8* base, usize n, W* out, u64* bits) {
  if (kCompares && n == 64) return compare_vectors<W>(transform, now, base, out, bits);
  alignas(64) W differ[64];
  for (usize i = 0; i < n; ++i)
    differ[i] = static_cast<W>(load<W>(now + i * sizeof(W)) ^ load<W>(base + i * sizeof(W)));
  *bits = nonzero_bits<W>(reinterpret_cast<const u8*>(differ), n);
  usize found = 0;
  for (u64 left = *bits; left != 0; left &= left - 1) {
    const usize at = static_cast<usize>(trailing_zeros(left)) * sizeof(W);
    out[found++] = transform.stored(load<W>(now + at), load<W>(base + at));
  }
  return found;
}

template <class W, class T>
static Status compare_words(T transform, const u8* now, const u8* base, usize n, u8* bitmap, u8* out, usize capacity,
                            usize* count) {
  alignas(64) W block[kCompareBlock + kCompareSlack];  // what is written too much stays out of the caller's memory
  usize total = 0;
  for (usize first = 0; first < n; first += kCompareBlock) {
    const usize last = least(n, first + kCompareBlock);
    usize found = 0;
    for (usize at = first; at < last; at += 64) {
      const usize m = least<usize>(64, last - at);
      u64 bits = 0;
      found += compare_64<W>(transform, now + at * sizeof(W), base + at * sizeof(W), m, block + found, &bits);
      std::memcpy(bitmap + at / 8, &bits, ceil_div(m, 8));
    }
    if (found > capacity - total) return Status::full;
    if (found > 0) std::memcpy(out + total * sizeof(W), block, found * sizeof(W));
    total += found;
  }
  *count = total;
  return Status::ok;
}

// `bitmap` has a bit for each of the n words, `out` place for `capacity` of them.
static Status compare(const u8* now, const u8* base, usize n, usize word, Transform transform, bool magnitude,
                      u8* bitmap, u8* out, usize capacity, usize* count) {
  const auto run = [&](auto w) {
    using W = decltype(w);
    return with_transform<W>(transform, magnitude,
                             [&](auto t) { return compare_words<W>(t, now, base, n, bitmap, out, capacity, count); });
  };
  switch (word) {
    case 1:
      return run(u8{});
    case 2:
      return run(u16{});
    case 4:
      return run(u32{});
    case 8:
      return run(u64{});
    default:
      return Status::argument;
  }
}

}  // namespace DCZ_TIER
}  // namespace dcz
