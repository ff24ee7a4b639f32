// What the kernel sets of x86-64 without AVX-512 share: SSE4.2, which all of them have.
#pragma once
#include "crc_tables.hpp"
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

// A bit for each of 64 words that is not zero.
template <class W>
static DCZ_INLINE u64 nonzero_64(const u8* p) {
  const __m128i zero = _mm_setzero_si128();
  const auto at = [&](usize i) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + i);
    if constexpr (sizeof(W) == 1) return _mm_cmpeq_epi8(x, zero);
    if constexpr (sizeof(W) == 2) return _mm_cmpeq_epi16(x, zero);
    if constexpr (sizeof(W) == 4) return _mm_cmpeq_epi32(x, zero);
    if constexpr (sizeof(W) == 8) return _mm_cmpeq_epi64(x, zero);
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

// The lowest bits of 64 bytes.
static DCZ_INLINE u64 flags_to_bits(const u8* f) {
  u64 bits = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i x = _mm_slli_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(f) + i), 7);
    bits |= static_cast<u64>(static_cast<u32>(_mm_movemask_epi8(x))) << (16 * i);
  }
  return bits;
}

static DCZ_INLINE u32 crc_word(u32 crc, u64 x) { return static_cast<u32>(_mm_crc32_u64(crc, x)); }

// The register behind one word more.
template <class W>
static DCZ_INLINE u32 crc_one(u32 crc, W w) {
  if constexpr (sizeof(W) == 1) return _mm_crc32_u8(crc, w);
  if constexpr (sizeof(W) == 2) return _mm_crc32_u16(crc, w);
  if constexpr (sizeof(W) == 4) return _mm_crc32_u32(crc, w);
  if constexpr (sizeof(W) == 8) return crc_word(crc, w);
}

}  // namespace DCZ_TIER
}  // namespace dcz
