// CRC-32C of long runs with AVX-512: polynomials of 128 bits multiplied without carries and folded together, as in
// Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ (Intel, 2009), four lines at a time.
#pragma once
#include "crc_tables.hpp"
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr usize kCrcFolds = 512;  // bytes from which on it is quicker

// x^n modulo the polynomial, as a carry-less product of reflected numbers wants it.
static constexpr u64 crc_power(usize n) {
  u32 r = 0x80000000;  // x^0: reflected, the highest bit is the lowest power
  for (; n > 0; --n) r = r & 1 ? r >> 1 ^ kCrcPolynomial : r >> 1;
  return u64{r} << 1;
}

// What moves 128 bits forward by so many: their low half is 64 bits ahead of the high one, and a product comes out
// 32 bits too low.
static DCZ_INLINE __m512i crc_fold(__m512i x, __m512i by, __m512i onto) {
  const __m512i low = _mm512_clmulepi64_epi128(x, by, 0x00), high = _mm512_clmulepi64_epi128(x, by, 0x11);
  return _mm512_ternarylogic_epi64(low, high, onto, 0x96);  // the sum of all three
}

template <usize Bits>
static DCZ_INLINE __m512i crc_forward() {
  constexpr i64 kLow = static_cast<i64>(crc_power(Bits + 32)), kHigh = static_cast<i64>(crc_power(Bits - 32));
  return _mm512_broadcast_i32x4(_mm_set_epi64x(kHigh, kLow));
}

// Sixteen bytes that have the register's value after n bytes, a multiple of 256 and no less than 512, which began
// with it at `crc`.
static DCZ_INLINE __m128i crc_folded(const u8* p, usize n, u32 crc) {
  __m512i x[4];
  for (usize i = 0; i < 4; ++i) x[i] = _mm512_loadu_si512(p + 64 * i);
  x[0] = _mm512_xor_si512(x[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(crc))));
  const __m512i far = crc_forward<4 * 512>();
  for (usize at = 256; at < n; at += 256)
    for (usize i = 0; i < 4; ++i) x[i] = crc_fold(x[i], far, _mm512_loadu_si512(p + at + 64 * i));
  const __m512i line = crc_forward<512>();
  __m512i sum = x[0];
  for (usize i = 1; i < 4; ++i) sum = crc_fold(sum, line, x[i]);
  // Its first three parts move to the place of the last.
  const __m512i parts =
      _mm512_set_epi64(0, 0, static_cast<i64>(crc_power(128 - 32)), static_cast<i64>(crc_power(128 + 32)),
                       static_cast<i64>(crc_power(256 - 32)), static_cast<i64>(crc_power(256 + 32)),
                       static_cast<i64>(crc_power(384 - 32)), static_cast<i64>(crc_power(384 + 32)));
  const __m512i last = _mm512_maskz_mov_epi64(0xC0, sum);
  sum = crc_fold(sum, parts, last);
  const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

}  // namespace DCZ_TIER
}  // namespace dcz
