// Where the nonzeros are: words to a bitmap (bit j of byte i is weight 8i + j), nonzero words in order.
#pragma once
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

// The bits of 64 words, fewer at the end of a tensor.
template <class W>
static DCZ_INLINE u64 nonzero_bits(const u8* p, usize n) {
#if defined(__AVX512BW__)
  if (n == 64) {
    const auto at = [&](usize i) { return _mm512_loadu_si512(p + 64 * i); };
    if constexpr (sizeof(W) == 1) {
      return _mm512_test_epi8_mask(at(0), at(0));
    } else if constexpr (sizeof(W) == 2) {
      return u64{_mm512_test_epi16_mask(at(0), at(0))} | u64{_mm512_test_epi16_mask(at(1), at(1))} << 32;
    } else if constexpr (sizeof(W) == 4) {
      u64 bits = 0;
      for (usize i = 0; i < 4; ++i) bits |= u64{_mm512_test_epi32_mask(at(i), at(i))} << (16 * i);
      return bits;
    } else {
      u64 bits = 0;
      for (usize i = 0; i < 8; ++i) bits |= u64{_mm512_test_epi64_mask(at(i), at(i))} << (8 * i);
      return bits;
    }
  }
#elif defined(__SSE2__)
  if (n == 64) {
    const __m128i zero = _mm_setzero_si128();
    const auto at = [&](usize i) {
      const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + i);
      if constexpr (sizeof(W) == 1) return _mm_cmpeq_epi8(x, zero);
      if constexpr (sizeof(W) == 2) return _mm_cmpeq_epi16(x, zero);
      if constexpr (sizeof(W) == 4) return _mm_cmpeq_epi32(x, zero);
#if defined(__SSE4_1__)
      if constexpr (sizeof(W) == 8) return _mm_cmpeq_epi64(x, zero);
#endif
      const __m128i y = _mm_cmpeq_epi32(x, zero);
      return _mm_and_si128(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(2, 3, 0, 1)));
    };
    u64 zeros = 0;  // sixteen words at a time, narrowed to one byte each
    for (usize i = 0; i < 4; ++i) {
      __m128i x;
      if constexpr (sizeof(W) == 1) {
        x = at(i);
      } else if constexpr (sizeof(W) == 2) {
        x = _mm_packs_epi16(at(2 * i), at(2 * i + 1));
      } else if constexpr (sizeof(W) == 4) {
        x = _mm_packs_epi16(_mm_packs_epi32(at(4 * i), at(4 * i + 1)), _mm_packs_epi32(at(4 * i + 2), at(4 * i + 3)));
      } else {
        const auto pair = [&](usize j) {
          return _mm_packs_epi16(_mm_packs_epi32(at(8 * i + j), at(8 * i + j + 1)),
                                 _mm_packs_epi32(at(8 * i + j + 2), at(8 * i + j + 3)));
        };  // each word gives two equal bytes; keep one
        x = _mm_packus_epi16(_mm_and_si128(pair(0), _mm_set1_epi16(255)), _mm_and_si128(pair(4), _mm_set1_epi16(255)));
      }
      zeros |= static_cast<u64>(static_cast<u32>(_mm_movemask_epi8(x))) << (16 * i);
    }
    return ~zeros;
  }
#endif
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
  usize i = 0;
#if defined(__AVX512F__)
  if constexpr (sizeof(W) == 4) {
    for (; i + 16 <= n; i += 16) {
      const __m512i x = _mm512_loadu_si512(words + i * sizeof(W));
      const __mmask16 m = _mm512_test_epi32_mask(x, x);
      _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(m, x));  // compressing stores are microcode
      found += static_cast<usize>(popcount(m));
    }
  }
#endif
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
