// 64 words against those of a base with AVX-512: vectors without a difference, nearly all, cost a comparison.
#pragma once
#include "order.hpp"
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

// What vectors of words of each size are made of.
template <class W>
struct Lanes;

template <>
struct Lanes<u8> {
  static DCZ_INLINE u64 differ(__m512i a, __m512i b) { return _mm512_cmpneq_epi8_mask(a, b); }
  static DCZ_INLINE __m512i compress(u64 m, __m512i x) { return _mm512_maskz_compress_epi8(m, x); }
  static DCZ_INLINE __m512i sign(__m512i x) { return _mm512_movm_epi8(_mm512_movepi8_mask(x)); }
  static DCZ_INLINE __m512i below_sign() { return _mm512_set1_epi8(0x7F); }
  static DCZ_INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi8(a, b); }
  static DCZ_INLINE __m512i subtract(__m512i a, __m512i b) { return _mm512_sub_epi8(a, b); }
};

template <>
struct Lanes<u16> {
  static DCZ_INLINE u64 differ(__m512i a, __m512i b) { return _mm512_cmpneq_epi16_mask(a, b); }
  static DCZ_INLINE __m512i compress(u64 m, __m512i x) {
    return _mm512_maskz_compress_epi16(static_cast<__mmask32>(m), x);
  }
  static DCZ_INLINE __m512i sign(__m512i x) { return _mm512_srai_epi16(x, 15); }
  static DCZ_INLINE __m512i below_sign() { return _mm512_set1_epi16(0x7FFF); }
  static DCZ_INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi16(a, b); }
  static DCZ_INLINE __m512i subtract(__m512i a, __m512i b) { return _mm512_sub_epi16(a, b); }
};

template <>
struct Lanes<u32> {
  static DCZ_INLINE u64 differ(__m512i a, __m512i b) { return _mm512_cmpneq_epi32_mask(a, b); }
  static DCZ_INLINE __m512i compress(u64 m, __m512i x) {
    return _mm512_maskz_compress_epi32(static_cast<__mmask16>(m), x);
  }
  static DCZ_INLINE __m512i sign(__m512i x) { return _mm512_srai_epi32(x, 31); }
  static DCZ_INLINE __m512i below_sign() { return _mm512_set1_epi32(0x7FFFFFFF); }
  static DCZ_INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
  static DCZ_INLINE __m512i subtract(__m512i a, __m512i b) { return _mm512_sub_epi32(a, b); }
};

template <>
struct Lanes<u64> {
  static DCZ_INLINE u64 differ(__m512i a, __m512i b) { return _mm512_cmpneq_epi64_mask(a, b); }
  static DCZ_INLINE __m512i compress(u64 m, __m512i x) {
    return _mm512_maskz_compress_epi64(static_cast<__mmask8>(m), x);
  }
  static DCZ_INLINE __m512i sign(__m512i x) { return _mm512_srai_epi64(x, 63); }
  static DCZ_INLINE __m512i below_sign() { return _mm512_set1_epi64(0x7FFFFFFFFFFFFFFF); }
  static DCZ_INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi64(a, b); }
  static DCZ_INLINE __m512i subtract(__m512i a, __m512i b) { return _mm512_sub_epi64(a, b); }
};

template <class W>
static DCZ_INLINE __m512i order(__m512i x) {
  return _mm512_xor_si512(x, _mm512_and_si512(Lanes<W>::sign(x), Lanes<W>::below_sign()));
}

template <class W, bool Magnitude>
static DCZ_INLINE __m512i stored(Step<W, Magnitude>, __m512i now, __m512i base) {
  using L = Lanes<W>;
  const __m512i step = Magnitude ? L::subtract(order<W>(now), order<W>(base)) : L::subtract(now, base);
  return _mm512_xor_si512(L::add(step, step), L::sign(step));
}

template <class W>
static DCZ_INLINE __m512i stored(Xor<W>, __m512i now, __m512i base) {
  return _mm512_xor_si512(now, base);
}

template <class W>
static DCZ_INLINE __m512i stored(Replace<W>, __m512i now, __m512i) {
  return now;
}

// As `compare_64` has it, for 64 words; up to a vector behind those that differ is written.
template <class W, class T>
static DCZ_INLINE usize compare_vectors(T transform, const u8* now, const u8* base, W* out, u64* bits) {
  usize found = 0;
  u64 all = 0;
  for (usize i = 0; i < sizeof(W); ++i) {
    const __m512i a = _mm512_loadu_si512(now + 64 * i), b = _mm512_loadu_si512(base + 64 * i);
    const u64 differ = Lanes<W>::differ(a, b);
    if (differ == 0) continue;
    all |= differ << (64 / sizeof(W) * i);
    _mm512_storeu_si512(out + found, Lanes<W>::compress(differ, stored(transform, a, b)));
    found += static_cast<usize>(popcount(differ));
  }
  *bits = all;
  return found;
}

}  // namespace DCZ_TIER
}  // namespace dcz
