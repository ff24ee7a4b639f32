// Words split into byte planes (SPEC 3.3): plane j holds byte j of every word, lowest first.
#pragma once
#include "kernels.hpp"

namespace dcz {
namespace DCZ_TIER {

template <class W, bool Rotate>
static void split_words(const u8* words, usize n, u8* planes, usize stride) {
  for (usize i = 0; i < n; ++i) {
    W w = load<W>(words + i * sizeof(W));
    if constexpr (Rotate) w = rotate_left(w);
    for (usize j = 0; j < sizeof(W); ++j) planes[j * stride + i] = static_cast<u8>(w >> (8 * j));
  }
}

static void split(const u8* words, usize n, usize word, bool rotate, u8* planes, usize stride) {
  switch (word) {
    case 1:
      std::memcpy(planes, words, n);
      return;
    case 2:
      rotate ? split_words<u16, true>(words, n, planes, stride) : split_words<u16, false>(words, n, planes, stride);
      return;
    case 4:
      rotate ? split_words<u32, true>(words, n, planes, stride) : split_words<u32, false>(words, n, planes, stride);
      return;
    default:
      rotate ? split_words<u64, true>(words, n, planes, stride) : split_words<u64, false>(words, n, planes, stride);
  }
}

}  // namespace DCZ_TIER
}  // namespace dcz
