// CRC-32C (Castagnoli, RFC 3720): by table, or by the CPU's instruction in three interleaved streams, or folded.
#pragma once
#include "crc_tables.hpp"
#include DCZ_TRAITS

namespace dcz {
namespace DCZ_TIER {

static DCZ_INLINE u32 crc_shift(u32 crc) {
  const auto& s = kCrcTables.shift;
  return s[0][crc & 255] ^ s[1][crc >> 8 & 255] ^ s[2][crc >> 16 & 255] ^ s[3][crc >> 24];
}

static u32 crc32c(const u8* p, usize n, u32 crc) {
  crc = ~crc;
  const usize folded = crc_fold_all(p, n, crc);
  p += folded;
  n -= folded;
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
