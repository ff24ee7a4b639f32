// The CRC-32C of a run from that of another that differs from it in few words. Without its initial and final values a
// CRC is linear over GF(2): what the differences change is their own, and zeros between them are powers of x.
#pragma once
#include "crc32c.hpp"

namespace dcz {
namespace DCZ_TIER {

static constexpr u32 crc_times_x(u32 r) { return r & 1 ? r >> 1 ^ kCrcPolynomial : r >> 1; }
static constexpr u32 crc_over_x(u32 r) { return r >> 31 ? (r ^ kCrcPolynomial) << 1 | 1 : r << 1; }

static constexpr u32 crc_product(u32 a, u32 b) {
  u32 product = 0;
  for (int i = 0; i < 32; ++i, a <<= 1, b = crc_times_x(b)) product ^= b & (0 - (a >> 31));
  return product;
}

#if defined(__PCLMUL__) && defined(__SSE4_2__)
constexpr bool kMultiplies = true;
#else
constexpr bool kMultiplies = false;
#endif

// x to the power of 8 n for n below 1024, and of 8192 n.
struct CrcPowers {
  u32 near[1024], far[1024];
};

static constexpr CrcPowers make_crc_powers() {
  CrcPowers t{};
  u32 one = 0x80000000;  // x^0: reflected, the highest bit is the lowest power
  // A product by the instruction, reduced by that of the CRC, comes out 33 bits too far.
  for (int i = 0; i < (kMultiplies ? 33 : 0); ++i) one = crc_over_x(one);
  u32 byte = 0x80000000, step = 0x80000000;
  for (int i = 0; i < 8; ++i) byte = crc_times_x(byte);
  for (int i = 0; i < 8192; ++i) step = crc_times_x(step);
  t.near[0] = t.far[0] = one;
  for (usize n = 1; n < 1024; ++n) {
    t.near[n] = crc_product(t.near[n - 1], byte);
    t.far[n] = crc_product(t.far[n - 1], step);
  }
  return t;
}

static constexpr CrcPowers kCrcPowers = make_crc_powers();

static DCZ_INLINE u32 crc_times(u32 crc, u32 power) {
#if defined(__PCLMUL__) && defined(__SSE4_2__)
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(crc)), _mm_cvtsi32_si128(static_cast<int>(power)), 0);
  return static_cast<u32>(_mm_crc32_u64(0, static_cast<u64>(_mm_cvtsi128_si64(product))));
#else
  return crc_product(crc, power);
#endif
}

// The register behind n zero bytes. What it is multiplied with does not wait for it, and no branch depends on n.
static DCZ_INLINE u32 crc_skip(u32 crc, usize n) {
  usize far = n >> 10;
  for (; DCZ_UNLIKELY(far > 1023); far -= 1023) crc = crc_times(crc, kCrcPowers.far[1023]);
  return crc_times(crc, crc_times(kCrcPowers.near[n & 1023], kCrcPowers.far[far]));
}

// The register behind one word more.
template <class W>
static DCZ_INLINE u32 crc_one(u32 crc, W w) {
#if defined(__SSE4_2__) && defined(__x86_64__)
  if constexpr (sizeof(W) == 1) return _mm_crc32_u8(crc, w);
  if constexpr (sizeof(W) == 2) return _mm_crc32_u16(crc, w);
  if constexpr (sizeof(W) == 4) return _mm_crc32_u32(crc, w);
#elif defined(__ARM_FEATURE_CRC32)
  if constexpr (sizeof(W) == 1) return __crc32cb(crc, w);
  if constexpr (sizeof(W) == 2) return __crc32ch(crc, w);
  if constexpr (sizeof(W) == 4) return __crc32cw(crc, w);
#endif
  if constexpr (sizeof(W) == 8) return crc_word(crc, w);
  u64 x = w;
  for (usize i = 0; i < sizeof(W); ++i, x >>= 8) crc = kCrcTables.byte[(crc ^ x) & 255] ^ crc >> 8;
  return crc;
}

}  // namespace DCZ_TIER
}  // namespace dcz
