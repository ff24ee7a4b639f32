// What the AVX-512 kernel set is made of; see traits_portable.hpp.
#pragma once
#include "compare_avx512.hpp"
#include "crc32c_avx512.hpp"
#include "expand_avx512.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr bool kBlocks = true;
constexpr bool kScatters = false;
constexpr bool kCompares = true;
constexpr bool kMultiplies = true;

// A bit for each of 64 words that is not zero.
template <class W>
static DCZ_INLINE u64 nonzero_64(const u8* p) {
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

// Nonzero words of whole vectors, one after another from `out[*found]` on; returns how many words were seen.
template <class W>
static DCZ_INLINE usize take_vectors(const u8* words, usize n, W* out, usize* found) {
  usize i = 0;
  if constexpr (sizeof(W) == 4) {
    for (; i + 16 <= n; i += 16) {
      const __m512i x = _mm512_loadu_si512(words + i * sizeof(W));
      const __mmask16 m = _mm512_test_epi32_mask(x, x);
      _mm512_storeu_si512(out + *found, _mm512_maskz_compress_epi32(m, x));  // compressing stores are microcode
      *found += static_cast<usize>(popcount(m));
    }
  }
  return i;
}

// The lowest bits of 64 bytes.
static DCZ_INLINE u64 flags_to_bits(const u8* f) {
  const __m512i x = _mm512_loadu_si512(f);
  return _mm512_test_epi8_mask(x, x);
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

// Moves the register over as many bytes as folding is quicker for; returns how many.
static DCZ_INLINE usize crc_fold_all(const u8* p, usize n, u32& crc) {
  if (n < kCrcFolds) return 0;
  const usize folded = n / 256 * 256;
  const __m128i x = crc_folded(p, folded, crc);
  crc = crc_word(crc_word(0, static_cast<u64>(_mm_cvtsi128_si64(x))), static_cast<u64>(_mm_extract_epi64(x, 1)));
  return folded;
}

// A product of polynomials, modulo that of the CRC.
static DCZ_INLINE u32 crc_times(u32 crc, u32 power) {
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(crc)), _mm_cvtsi32_si128(static_cast<int>(power)), 0);
  return static_cast<u32>(_mm_crc32_u64(0, static_cast<u64>(_mm_cvtsi128_si64(product))));
}

// Which bytes the eight symbols of each 64 bits lie in, and at which bits.
template <int Bits>
struct PackedPlaces {
  alignas(64) u8 byte[64];
  alignas(64) u8 bit[64];
  constexpr PackedPlaces() : byte{}, bit{} {
    for (int i = 0; i < 64; ++i) {
      byte[i] = static_cast<u8>(i / 8 * Bits + i % 8);
      bit[i] = static_cast<u8>(i % 8 * Bits);
    }
  }
};

// As many as whole vectors hold; returns how many.
template <int Bits>
static usize unpack_vectors(const u8* data, u8* out, usize n) {
  static constexpr PackedPlaces<Bits> places;
  const __m512i byte = _mm512_load_si512(places.byte), bit = _mm512_load_si512(places.bit);
  const __m512i mask = _mm512_set1_epi8((1 << Bits) - 1);
  usize i = 0;
  for (; i + 64 <= n; i += 64, data += 8 * Bits) {
    const __m512i x = _mm512_permutexvar_epi8(byte, _mm512_maskz_loadu_epi8((u64{1} << 8 * Bits) - 1, data));
    _mm512_storeu_si512(out + i, _mm512_and_si512(_mm512_multishift_epi64_epi8(bit, x), mask));
  }
  return i;
}

// `window` to `out` past the cache, as far as vectors go; what has been moved is zero again.
static DCZ_INLINE usize stream_window(u8* out, u8* window, usize size) {
  usize i = 0;
  if (reinterpret_cast<std::uintptr_t>(out) % 32 == 0)
    for (; i + 32 <= size; i += 32) {
      __m256i* const from = reinterpret_cast<__m256i*>(window + i);
      _mm256_stream_si256(reinterpret_cast<__m256i*>(out + i), _mm256_load_si256(from));
      _mm256_store_si256(from, _mm256_setzero_si256());
    }
  return i;
}

// The bits of a lane that are not consumed, above them a one that counts the consumed.
struct Window {
  u64 bits = u64{1} << 63;

  DCZ_INLINE u64 used() const { return static_cast<u64>(leading_zeros(bits)); }
  DCZ_INLINE u64 next(u64 mask) const { return bits & mask; }
  DCZ_INLINE void consume(u64 entry) { bits >>= entry & 63; }
  DCZ_INLINE void refill(const u8*& p) {
    const u64 count = used();
    p += count >> 3;
    bits = (load<u64>(p) | u64{1} << 63) >> (count & 7);
  }
};

}  // namespace DCZ_TIER
}  // namespace dcz
