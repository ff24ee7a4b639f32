// The CRC-32C of a run from that of another that differs from it in few words. Without its initial and final values a
// CRC is linear over GF(2): what the differences change is their own, and zeros between them are powers of x.
#pragma once
#include "crc32c.hpp"

namespace dcz {
namespace DCZ_TIER {

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

// The register behind n zero bytes. What it is multiplied with does not wait for it, and no branch depends on n.
static DCZ_INLINE u32 crc_skip(u32 crc, usize n) {
  usize far = n >> 10;
  for (; DCZ_UNLIKELY(far > 1023); far -= 1023) crc = crc_times(crc, kCrcPowers.far[1023]);
  return crc_times(crc, crc_times(kCrcPowers.near[n & 1023], kCrcPowers.far[far]));
}

}  // namespace DCZ_TIER
}  // namespace dcz
