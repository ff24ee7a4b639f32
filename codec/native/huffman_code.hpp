// Canonical, length-limited Huffman codes (SPEC 5.2): package-merge, canonical numbering, decode table.
#pragma once
#include <initializer_list>

#include "kernels.hpp"

namespace dcz {
namespace DCZ_TIER {

// Package-merge (Larmore and Hirschberg 1990). Ties: a symbol before a package, a lower symbol first,
// so that every implementation finds the same lengths. One symbol gets length 1.
static Status code_lengths(const u64* histogram, int limit, u8* lengths) {
  std::memset(lengths, 0, kSymbols);
  u16 symbol[kSymbols];
  u64 leaf[kSymbols];
  usize m = 0;
  for (usize s = 0; s < kSymbols; ++s) {
    if (histogram[s] == 0) continue;
    usize i = m++;  // insertion by (count, symbol): later symbols go behind equal ones
    for (; i > 0 && leaf[i - 1] > histogram[s]; --i) {
      leaf[i] = leaf[i - 1];
      symbol[i] = symbol[i - 1];
    }
    leaf[i] = histogram[s];
    symbol[i] = static_cast<u16>(s);
  }
  if (m == 0) return Status::ok;
  if (m == 1) {
    lengths[symbol[0]] = 1;
    return Status::ok;
  }
  if (limit < 1 || limit > kMaxCodeLength || (usize{1} << limit) < m) return Status::argument;

  // row[l] lists level l in order of weight; a package is a pair of the level before.
  bool package[kMaxCodeLength][2 * kSymbols];
  u64 weight[2][2 * kSymbols];
  usize size[kMaxCodeLength];
  for (usize i = 0; i < m; ++i) {
    weight[0][i] = leaf[i];
    package[0][i] = false;
  }
  size[0] = m;
  for (int l = 1; l < limit; ++l) {
    const u64* before = weight[(l - 1) & 1];
    u64* now = weight[l & 1];
    const usize pairs = size[l - 1] / 2;
    usize i = 0, j = 0, n = 0;
    while (i < m || j < pairs) {
      const bool take_leaf = j >= pairs || (i < m && leaf[i] <= before[2 * j] + before[2 * j + 1]);
      package[l][n] = !take_leaf;
      now[n++] = take_leaf ? leaf[i] : before[2 * j] + before[2 * j + 1];
      take_leaf ? ++i : ++j;
    }
    size[l] = n;
  }
  usize take = 2 * m - 2;
  for (int l = limit - 1; l >= 0; --l) {
    usize packages = 0;
    for (usize i = 0; i < take; ++i) packages += package[l][i];
    for (usize i = 0; i < take - packages; ++i) ++lengths[symbol[i]];
    take = 2 * packages;
  }
  return Status::ok;
}

struct Code {
  u8 length[kSymbols];
  u16 bits[kSymbols];  // the code with its first bit lowest, as it lies in the stream
  u8 order[kSymbols];  // the symbols that have codes, shorter ones first
  u32 count[16];       // codes of each length
  int longest;         // 0: no symbol
  int present;
  usize alphabet;  // one more than the highest symbol
};

// The lengths of a code record. A single symbol has length 1 and takes no bits; all other codes are complete,
// so that every bit string decodes and the decode table has no holes.
static Status read_lengths(const u8* record, Code& code) {
  if (record[0] != kHuffman) return Status::code;
  u32 count[2][16] = {};
  for (usize i = 0; i < kSymbols / 2; ++i) {
    const u8 pair = record[1 + i];
    code.length[2 * i] = pair & 15;
    code.length[2 * i + 1] = pair >> 4;
    ++count[0][pair & 15];
    ++count[1][pair >> 4];
  }
  code.longest = 0;
  u32 kraft = 0;  // in units of 2^-12
  for (int l = 1; l < 16; ++l) {
    code.count[l] = count[0][l] + count[1][l];
    if (code.count[l] == 0) continue;
    if (l > kMaxCodeLength) return Status::code;
    code.longest = l;
    kraft += code.count[l] << (kMaxCodeLength - l);
  }
  code.count[0] = 0;
  code.present = static_cast<int>(kSymbols - count[0][0] - count[1][0]);
  if (code.present == 0) return Status::code;
  if (code.present == 1) return code.longest == 1 ? Status::ok : Status::code;
  // The sum of 2^-length is exactly one: no two codes overlap and no bit string is left over.
  return kraft == u32{1} << kMaxCodeLength ? Status::ok : Status::code;
}

// Reads a code record: lengths, and the canonical code they stand for.
static Status read_code(const u8* record, Code& code) {
  if (const Status s = read_lengths(record, code); s != Status::ok) return s;
  u32 next[16];  // of each length, the next code, aligned to the top of 16 bits
  u8 place[16];  // and its place in the order
  u32 first = 0, before = 0;
  for (int l = 1; l <= kMaxCodeLength; ++l) {
    next[l] = first;
    place[l] = static_cast<u8>(before);
    first += code.count[l] << (16 - l);
    before += code.count[l];
  }
  code.alphabet = 0;
  for (usize s = 0; s < kSymbols; ++s) {
    const u32 l = code.length[s];
    if (l == 0) continue;
    u32 x = next[l];
    next[l] += u32{1} << (16 - l);
    x = (x & 0x5555) << 1 | (x >> 1 & 0x5555);  // reversed: pairs of ever larger groups change places
    x = (x & 0x3333) << 2 | (x >> 2 & 0x3333);
    x = (x & 0x0F0F) << 4 | (x >> 4 & 0x0F0F);
    code.bits[s] = static_cast<u16>(x << 8 | x >> 8);
    code.order[place[l]++] = static_cast<u8>(s);
    code.alphabet = s + 1;
  }
  return Status::ok;
}

// What a pair of code lengths adds up to: Kraft's sum in units of 2^-12, from bit 20 on the symbols of lengths that
// are too long, from bit 32 on all symbols.
struct PairSums {
  u64 of[256];
  constexpr PairSums() : of{} {
    for (u32 pair = 0; pair < 256; ++pair)
      for (const u32 l : {pair & 15, pair >> 4})
        if (l > 0) of[pair] += u64{1} << 32 | (l > kMaxCodeLength ? u64{1} << 20 : u64{1} << (kMaxCodeLength - l));
  }
};

// The number of the first record that is not a code, or `count`: as `read_lengths` would say.
static usize check_codes(const u8* records, usize count) {
  static constexpr PairSums kSums;
  for (usize i = 0; i < count; ++i) {
    const u8* const record = records + i * kCodeRecord;
    if (record[0] < kHuffman) continue;
    u64 sum = 0;
    for (usize k = 1; k < kCodeRecord; ++k) sum += kSums.of[record[k]];
    const u64 symbols = sum >> 32, kraft = sum & 0xFFFFFFFF;
    if (record[0] != kHuffman || kraft != (symbols == 1 ? u64{1} << (kMaxCodeLength - 1) : u64{1} << kMaxCodeLength))
      return i;
  }
  return count;
}

}  // namespace DCZ_TIER
}  // namespace dcz
