// The tables of CRC-32C (Castagnoli, RFC 3720): one byte further, and kCrcBlock zero bytes further.
#pragma once
#include "bits.hpp"
#include "kernels.hpp"

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

// Polynomials modulo that of the CRC, reflected: times x, over x, and a product.
static constexpr u32 crc_times_x(u32 r) { return r & 1 ? r >> 1 ^ kCrcPolynomial : r >> 1; }
static constexpr u32 crc_over_x(u32 r) { return r >> 31 ? (r ^ kCrcPolynomial) << 1 | 1 : r << 1; }

static constexpr u32 crc_product(u32 a, u32 b) {
  u32 product = 0;
  for (int i = 0; i < 32; ++i, a <<= 1, b = crc_times_x(b)) product ^= b & (0 - (a >> 31));
  return product;
}

}  // namespace DCZ_TIER
}  // namespace dcz
