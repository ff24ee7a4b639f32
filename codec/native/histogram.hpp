// Counts of byte symbols, row by row. Four tables in turn, since equal neighbours would wait for each other.
#pragma once
#include "kernels.hpp"

namespace dcz {
namespace DCZ_TIER {

static void histogram(const u8* s, usize n, u32* out) {
  u32 part[4][kSymbols];
  std::memset(part, 0, sizeof part);
  usize i = 0;
  for (; i + 8 <= n; i += 8) {
    const u64 x = load<u64>(s + i);
    ++part[0][x & 255];
    ++part[1][x >> 8 & 255];
    ++part[2][x >> 16 & 255];
    ++part[3][x >> 24 & 255];
    ++part[0][x >> 32 & 255];
    ++part[1][x >> 40 & 255];
    ++part[2][x >> 48 & 255];
    ++part[3][x >> 56];
  }
  for (; i < n; ++i) ++part[0][s[i]];
  for (usize k = 0; k < kSymbols; ++k) out[k] = part[0][k] + part[1][k] + part[2][k] + part[3][k];
}

// A short row is counted in place: clearing and adding four tables would cost more than the row.
static void histograms(const u8* symbols, const i64* bounds, usize rows, u32* out) {
  for (usize r = 0; r < rows; ++r, out += kSymbols) {
    const usize n = static_cast<usize>(bounds[r + 1] - bounds[r]);
    if (n >= 2 * kSymbols) {
      histogram(symbols + bounds[r], n, out);
    } else {
      std::memset(out, 0, kSymbols * sizeof *out);
      for (usize i = 0; i < n; ++i) ++out[symbols[bounds[r] + static_cast<i64>(i)]];
    }
  }
}

}  // namespace DCZ_TIER
}  // namespace dcz
