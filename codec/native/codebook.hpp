// Codebooks (SPEC 3.2): ascending words, stored as the differences of neighbours in byte planes.
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

// One row of symbols of a byte plane; `table` is the code's, if it has one.
static Status decode_book_row(u8 kind, const Table& table, const u8* data, usize size, const u8* end, u8* out,
                              usize n) {
  if (kind == kRaw) {
    if (size != n) return Status::length;
    std::memcpy(out, data, n);
    return Status::ok;
  }
  if (kind < kHuffman) return packed_decode(kind, data, size, out, n);
  return huffman_decode(table, data, size, end, out, n, Nothing{});
}

// Codebooks from their byte planes, `stride` apart.
static Status join_planes(usize word, bool rotate, usize books, usize entries, const u8* planes, usize stride,
                          u8* out) {
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
