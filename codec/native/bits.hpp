// Small helpers over bits and bytes. Everything is little-endian and unaligned.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernels are written for little-endian machines; big-endian ones take the pure path"
#endif

#if defined(__GNUC__)
#define DCZ_INLINE inline __attribute__((always_inline))
#define DCZ_NOINLINE __attribute__((noinline))
#define DCZ_LIKELY(x) __builtin_expect(!!(x), 1)
#define DCZ_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#error "the kernels need gcc or clang; without one the install takes the pure path"
#endif

namespace dcz {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;
using usize = std::size_t;

template <class T>
static DCZ_INLINE T load(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
static DCZ_INLINE void store(void* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

// Eight bytes at p, of which only those before `end` exist; the missing ones read as zero.
static DCZ_INLINE u64 load_clipped(const u8* p, const u8* end) {
  if (DCZ_LIKELY(end - p >= 8)) return load<u64>(p);
  u64 v = 0;
  if (p < end) std::memcpy(&v, p, static_cast<usize>(end - p));
  return v;
}

static DCZ_INLINE int popcount(u64 x) { return __builtin_popcountll(x); }
static DCZ_INLINE int trailing_zeros(u64 x) { return __builtin_ctzll(x); }
static DCZ_INLINE int leading_zeros(u64 x) { return __builtin_clzll(x); }

template <class T>
static DCZ_INLINE T least(T a, T b) {
  return a < b ? a : b;
}

template <class T>
static DCZ_INLINE T most(T a, T b) {
  return a < b ? b : a;
}

static DCZ_INLINE usize ceil_div(usize a, usize b) { return a / b + (a % b != 0); }

// Rotation of a word by one bit: floats are stored with the exponent in the top byte (SPEC 3.3).
template <class T>
static DCZ_INLINE T rotate_left(T x) {
  return static_cast<T>((x << 1) | (x >> (8 * sizeof(T) - 1)));
}

template <class T>
static DCZ_INLINE T rotate_right(T x) {
  return static_cast<T>((x >> 1) | (x << (8 * sizeof(T) - 1)));
}

}  // namespace dcz
