// The portable kernel set on other processors than x86-64: plain C++, and Arm's instructions for CRC-32C.
#pragma once
#include "crc_tables.hpp"
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

// A bit for each of 64 words that is not zero.
template <class W>
static DCZ_INLINE u64 nonzero_64(const u8* p) {
  u64 bits = 0;
  for (usize i = 0; i < 64; ++i) bits |= static_cast<u64>(load<W>(p + i * sizeof(W)) != 0) << i;
  return bits;
}

// The lowest bits of 64 bytes.
static DCZ_INLINE u64 flags_to_bits(const u8* f) {
  u64 bits = 0;  // gathers the lowest bit of eight bytes by one multiplication
  for (int i = 0; i < 8; ++i)
    bits |= ((load<u64>(f + 8 * i) & 0x0101010101010101u) * 0x0102040810204080u >> 56) << (8 * i);
  return bits;
}

#if defined(__ARM_FEATURE_CRC32)
static DCZ_INLINE u32 crc_word(u32 crc, u64 x) { return __crc32cd(crc, x); }

// The register behind one word more.
template <class W>
static DCZ_INLINE u32 crc_one(u32 crc, W w) {
  if constexpr (sizeof(W) == 1) return __crc32cb(crc, w);
  if constexpr (sizeof(W) == 2) return __crc32ch(crc, w);
  if constexpr (sizeof(W) == 4) return __crc32cw(crc, w);
  if constexpr (sizeof(W) == 8) return crc_word(crc, w);
}
#else
static DCZ_INLINE u32 crc_word(u32 crc, u64 x) {
  x ^= crc;
  for (int i = 0; i < 8; ++i) x = kCrcTables.byte[x & 255] ^ x >> 8;
  return static_cast<u32>(x);
}

// The register behind one word more.
template <class W>
static DCZ_INLINE u32 crc_one(u32 crc, W w) {
  u64 x = w;
  for (usize i = 0; i < sizeof(W); ++i, x >>= 8) crc = kCrcTables.byte[(crc ^ x) & 255] ^ crc >> 8;
  return crc;
}
#endif

static DCZ_INLINE usize stream_window(u8*, u8*, usize) { return 0; }

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
