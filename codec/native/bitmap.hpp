// Where the nonzeros are: words to a bitmap (bit j of byte i is weight 8i + j), nonzero words in order.
#pragma once
#include DCZ_TRAITS

namespace dcz {
namespace DCZ_TIER {

// The bits of 64 words, fewer at the end of a tensor.
template <class W>
static DCZ_INLINE u64 nonzero_bits(const u8* p, usize n) {
  if (n == 64) return nonzero_64<W>(p);
  u64 bits = 0;
  for (usize i = 0; i < n; ++i) bits |= static_cast<u64>(load<W>(p + i * sizeof(W)) != 0) << i;
  return bits;
}

// Writes ceil(n / 8) bytes and returns how many bits are set.
template <class W>
static usize bitmap_words(const u8* words, usize n, u8* bitmap) {
  usize count = 0;
  for (usize i = 0; i < n; i += 64) {
    const usize m = least<usize>(64, n - i);
    const u64 bits = nonzero_bits<W>(words + i * sizeof(W), m);
    count += static_cast<usize>(popcount(bits));
    std::memcpy(bitmap + i / 8, &bits, ceil_div(m, 8));
  }
  return count;
}

constexpr usize kTakeSlack = 16;

// The nonzero words, one after another. `out` has room for n words and kTakeSlack more.
template <class W>
static usize take_nonzeros(const u8* words, usize n, W* out) {
  usize found = 0;
  usize i = take_vectors<W>(words, n, out, &found);
  for (; i < n; ++i) {  // without a branch: whether a weight is zero is a coin toss
    const W w = load<W>(words + i * sizeof(W));
    out[found] = w;
    found += w != 0;
  }
  return found;
}

static usize bitmap(const u8* words, usize n, usize word, u8* out) {
  switch (word) {
    case 1:
      return bitmap_words<u8>(words, n, out);
    case 2:
      return bitmap_words<u16>(words, n, out);
    case 4:
      return bitmap_words<u32>(words, n, out);
    default:
      return bitmap_words<u64>(words, n, out);
  }
}

template <class W>
static usize nonzeros_of(const u8* words, usize n, u8* out, usize capacity) {
  constexpr usize kBlock = 1024;
  W block[kBlock + kTakeSlack];  // what is written beyond the nonzeros stays out of the caller's memory
  usize total = 0;
  for (usize i = 0; i < n; i += kBlock) {
    const usize found = take_nonzeros<W>(words + i * sizeof(W), least(kBlock, n - i), block);
    if (found > capacity - total) return ~usize{0};
    std::memcpy(out + total * sizeof(W), block, found * sizeof(W));
    total += found;
  }
  return total;
}

// Returns how many there are, or all ones where `capacity` (in words) is too small.
static usize nonzeros(const u8* words, usize n, usize word, u8* out, usize capacity) {
  switch (word) {
    case 1:
      return nonzeros_of<u8>(words, n, out, capacity);
    case 2:
      return nonzeros_of<u16>(words, n, out, capacity);
    case 4:
      return nonzeros_of<u32>(words, n, out, capacity);
    default:
      return nonzeros_of<u64>(words, n, out, capacity);
  }
}

}  // namespace DCZ_TIER
}  // namespace dcz
