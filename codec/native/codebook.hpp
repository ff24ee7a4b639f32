// Codebooks (SPEC 6.2): ascending words, stored as the differences of neighbours in byte planes.
#pragma once
#include "chunk.hpp"

namespace dcz {
namespace DCZ_TIER {

template <class W>
static Status sum_steps(const u8* planes, usize stride, usize books, usize entries, bool rotate, u8* out) {
  for (usize b = 0; b < books; ++b) {
    W sum = 0;
    for (usize e = 0; e < entries; ++e) {
      const usize i = b * entries + e;
      W step = 0;
      for (usize j = 0; j < sizeof(W); ++j)
        step = static_cast<W>(step | static_cast<W>(planes[j * stride + i]) << (8 * j));
      const W next = static_cast<W>(sum + step);
      if (e > 0 && next < sum) return Status::order;
      sum = next;
      store(out + i * sizeof(W), rotate ? rotate_right(sum) : sum);
    }
  }
  return Status::ok;
}

// `lengths` are those of the byte planes in `data`, `tables` and `kinds` their codes; `planes` is scratch.
static Status decode_codebook(usize word, bool rotate, usize books, usize entries, const Table* const* tables,
                              const u8* kinds, const i64* lengths, const u8* data, const u8* end, u8* planes, u8* out) {
  const usize n = books * entries, stride = aligned(n + kSlack);
  for (usize j = 0; j < word; ++j) {
    const usize size = static_cast<usize>(lengths[j]);
    u8* const plane = planes + j * stride;
    Status s = Status::ok;
    if (kinds[j] == kRaw) {
      if (size != n) return Status::length;
      std::memcpy(plane, data, n);
    } else if (kinds[j] < kHuffman) {
      s = packed_decode(kinds[j], data, size, plane, n);
    } else {
      s = huffman_decode(*tables[j], data, size, end, plane, n, Nothing{});
    }
    if (s != Status::ok) return s;
    data += size;
  }
  switch (word) {
    case 2:
      return sum_steps<u16>(planes, stride, books, entries, rotate, out);
    case 4:
      return sum_steps<u32>(planes, stride, books, entries, rotate, out);
    case 8:
      return sum_steps<u64>(planes, stride, books, entries, rotate, out);
    default:
      return Status::argument;
  }
}

}  // namespace DCZ_TIER
}  // namespace dcz
