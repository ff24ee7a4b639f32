// CRC-32C (Castagnoli, RFC 3720): by table, or by the CPU's instruction in three interleaved streams, or folded.
#pragma once
#include "crc32c_avx512.hpp"
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

struct CrcTables {
  u32 byte[256];      // one byte into the register
  u32 shift[4][256];  // the register over kCrcBlock zero bytes, by byte of the register
};

constexpr usize kCrcBlock = 1024;

static constexpr CrcTables make_crc_tables() {
  CrcTables t{};
  for (u32 i = 0; i < 256; ++i) {
    u32 c = i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ kCrcPolynomial : c >> 1;
    t.byte[i] = c;
  }
  // The register is linear over GF(2): shift each single bit, then combine.
  u32 bit[32] = {};
  for (int b = 0; b < 32; ++b) {
    u32 c = u32{1} << b;
    for (usize k = 0; k < kCrcBlock; ++k) c = t.byte[c & 255] ^ c >> 8;
    bit[b] = c;
  }
  for (int j = 0; j < 4; ++j)
    for (u32 i = 0; i < 256; ++i)
      for (int b = 0; b < 8; ++b)
        if (i >> b & 1) t.shift[j][i] ^= bit[8 * j + b];
  return t;
}

static constexpr CrcTables kCrcTables = make_crc_tables();

static DCZ_INLINE u32 crc_word(u32 crc, u64 x) {
#if defined(__SSE4_2__) && defined(__x86_64__)
  return static_cast<u32>(_mm_crc32_u64(crc, x));
#elif defined(__ARM_FEATURE_CRC32)
  return __crc32cd(crc, x);
#else
  x ^= crc;
  for (int i = 0; i < 8; ++i) x = kCrcTables.byte[x & 255] ^ x >> 8;
  return static_cast<u32>(x);
#endif
}

static DCZ_INLINE u32 crc_shift(u32 crc) {
  const auto& s = kCrcTables.shift;
  return s[0][crc & 255] ^ s[1][crc >> 8 & 255] ^ s[2][crc >> 16 & 255] ^ s[3][crc >> 24];
}

static u32 crc32c(const u8* p, usize n, u32 crc) {
  crc = ~crc;
#if defined(DCZ_CRC_FOLDS)
  if (n >= kCrcFolds) {
    const usize folded = n / 256 * 256;
    const __m128i x = crc_folded(p, folded, crc);
    crc = crc_word(crc_word(0, static_cast<u64>(_mm_cvtsi128_si64(x))), static_cast<u64>(_mm_extract_epi64(x, 1)));
    n -= folded;
    p += folded;
  }
#endif
  for (; n >= 3 * kCrcBlock; n -= 3 * kCrcBlock, p += 3 * kCrcBlock) {
    u32 a = crc, b = 0, c = 0;  // three streams hide the instruction's latency of three cycles
    for (usize i = 0; i < kCrcBlock; i += 8) {
      a = crc_word(a, load<u64>(p + i));
      b = crc_word(b, load<u64>(p + kCrcBlock + i));
      c = crc_word(c, load<u64>(p + 2 * kCrcBlock + i));
    }
    crc = crc_shift(crc_shift(a) ^ b) ^ c;
  }
  for (; n >= 8; n -= 8, p += 8) crc = crc_word(crc, load<u64>(p));
  for (; n > 0; --n, ++p) crc = kCrcTables.byte[(crc ^ *p) & 255] ^ crc >> 8;
  return ~crc;
}

}  // namespace DCZ_TIER
}  // namespace dcz
