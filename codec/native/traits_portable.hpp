// What the portable kernel set is made of. Every traits header defines the same names: the constants `kBlocks`,
// `kScatters`, `kCompares` and `kMultiplies`, and the functions and types below. The kernels themselves ask for no
// instruction set.
#pragma once
#if defined(__x86_64__)
#include "vectors_sse.hpp"
#else
#include "vectors_plain.hpp"
#endif

namespace dcz {
namespace DCZ_TIER {

constexpr bool kBlocks = false;   // writes blocks of 64 words
constexpr bool kScatters = true;  // relative indices straight to places, for nothing expands a bitmap quickly

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

// A codebook of up to 256 entries, padded to 256 so that no index can leave it.
template <class W>
struct Palette {
  alignas(64) W words[kSymbols];
  static constexpr bool masked = false;
  static constexpr u8 absent = 0;

  void fill(const u8* codebook, usize entries, bool) {
    std::memset(words, 0, sizeof words);
    std::memcpy(words, codebook, entries * sizeof(W));
  }

  template <class F>
  DCZ_INLINE void with_book(F&&) const {}
  template <class F>
  DCZ_INLINE void for_expanding(F&&) const {}
};

template <class W, bool Stream, class B>
static DCZ_INLINE void lookup_blocks(const B&, usize&, usize, const u8*, u8*) {}
template <class W, bool Stream, bool Masked, class B>
static DCZ_INLINE void expand_blocks(const B&, u8, const u8*, usize&, usize, const u8*&, u8*) {}
template <class W, bool Stream>
static DCZ_INLINE void expand_word_blocks(const u8*, usize&, usize, const u8*&, u8*) {}
template <class W, bool Rotate, bool Stream>
static DCZ_INLINE void merge_blocks(const u8* const*, usize&, usize, u8*) {}

#if defined(__x86_64__)
// `window` to `out` past the cache, as far as vectors go; what has been moved is zero again.
static DCZ_INLINE usize stream_window(u8* out, u8* window, usize size) {
  usize i = 0;
  if (reinterpret_cast<std::uintptr_t>(out) % 16 == 0)
    for (; i + 16 <= size; i += 16) {
      __m128i* const from = reinterpret_cast<__m128i*>(window + i);
      _mm_stream_si128(reinterpret_cast<__m128i*>(out + i), _mm_load_si128(from));
      _mm_store_si128(from, _mm_setzero_si128());
    }
  return i;
}

// Eight bytes of a lane and how many of their bits are consumed. Where counting leading zeros takes several operations
// (`bsr` is eight on Zen 3), this is a third faster than the marked window below, elsewhere as fast or slower.
struct Window {
  u64 bits = 0;
  u64 count = 0;  // in the lowest byte; entries are added as they are

  DCZ_INLINE u64 used() const { return count & 255; }
  DCZ_INLINE u64 next(u64 mask) const { return bits >> (count & 63) & mask; }
  DCZ_INLINE void consume(u64 entry) { count += entry; }
  DCZ_INLINE void refill(const u8*& p) {
    p += used() >> 3;
    count &= 7;
    bits = load<u64>(p);
  }
};
#endif

}  // namespace DCZ_TIER
}  // namespace dcz
