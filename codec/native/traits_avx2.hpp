// What the AVX2 kernel set is made of; see traits_portable.hpp.
#pragma once
#include "expand_avx2.hpp"
#include "vectors_sse.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr bool kBlocks = true;
constexpr bool kScatters = true;

constexpr bool kCompares = false;  // words with those of a base, in vectors
template <class W, class T>
static DCZ_INLINE usize compare_vectors(T, const u8*, const u8*, W*, u64*) {
  return 0;
}

constexpr bool kMultiplies = false;  // polynomials by an instruction
static DCZ_INLINE u32 crc_times(u32 crc, u32 power) { return crc_product(crc, power); }

static DCZ_INLINE usize crc_fold_all(const u8*, usize, u32) { return 0; }

template <class W>
static DCZ_INLINE usize take_vectors(const u8*, usize, W*, usize*) {
  return 0;
}

template <int Bits>
static DCZ_INLINE usize unpack_vectors(const u8*, u8*, usize) {
  return 0;
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
