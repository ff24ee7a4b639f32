// Decode tables (SPEC 5.4): what the next bits of a Huffman stream say, up to four symbols at once.
#pragma once
#include "huffman_code.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr usize kTableSymbols = 4;  // symbols of one entry at most
constexpr int kTableBits = 11;      // 16 KiB: half of a first-level cache. Longer codes take 12
constexpr usize kWorthJoining = 6000;  // symbols
constexpr usize kTableEntries = usize{1} << kMaxCodeLength;

// entry: byte 0 bits consumed, byte 1 symbols decoded, byte 7 the first symbol, byte 6 the second, ...
// A lane is stored last symbol first, so an entry is written as it is, ending at the output pointer.
struct Table {
  u64 entry[kTableEntries];
  Code code;
  int bits;
};

// One entry for each number of `bits` bits, made from the symbol whose code it begins with. Codes of one length
// more halve what the shorter ones left open, so the table doubles and theirs overwrite the copies.
template <class E, class F>
static DCZ_INLINE void fill_table(const Code& code, u32 bits, E* entry, F&& make) {
  const u8* next = code.order;
  for (u32 l = 1; l <= bits; ++l) {
    const usize half = usize{1} << (l - 1);
    std::memcpy(entry + half, entry, half * sizeof(E));
    for (u32 n = code.count[l]; n > 0; --n) {
      const u32 s = *next++;
      entry[code.bits[s]] = make(s, l);
    }
  }
}

// `symbols` is how many will be decoded: a table for few of them need not be wider than the code.
static void build_table(const Code& code, usize symbols, Table& table) {
  table.code = code;
  table.bits = symbols < kLaneThreshold ? code.longest : code.longest > kTableBits ? kMaxCodeLength : kTableBits;
  if (code.present < 2) return;
  const u32 size = u32{1} << table.bits;
  const u32 bits = static_cast<u32>(table.bits);
  u64* const entry = table.entry;
  u32 expected = 0;  // bits a symbol, in units of 2^-12, where symbols are as likely as their codes say
  u32 shortest = kMaxCodeLength;
  for (u32 l = kMaxCodeLength; l > 0; --l) {
    if (code.count[l] == 0) continue;
    expected += code.count[l] * l << (kMaxCodeLength - l);
    shortest = l;
  }
  // Joining symbols takes longer than it saves where there are few of them, or hardly two fit an entry.
  const bool few = symbols < kWorthJoining;
  if (few || 2 * shortest > bits || 3 * expected > 2 * bits << kMaxCodeLength) {
    fill_table(code, bits, entry, [](u32 s, u32 l) { return u64{s} << 56 | 1u << 8 | l; });
    return;
  }
  u16 single[kTableEntries];  // symbol, and its length above
  fill_table(code, bits, single, [](u32 s, u32 l) { return static_cast<u16>(s | l << 8); });
  const auto first = [&](u32 i) { return u64{single[i] & 255u} << 56 | 1u << 8 | single[i] >> 8; };
  const auto join = [](u64 a, u64 b) {  // b's symbols go below a's; lengths and counts add
    return (a & ~u64{0xFFFF}) | (b & ~u64{0xFFFF}) >> (8 * (a >> 8 & 255)) | ((a & 0xFFFF) + (b & 0xFFFF));
  };
  for (u32 i = 0; i < size; ++i) {  // two symbols where both fit
    const u64 a = first(i), b = first(i >> (a & 255));
    entry[i] = (a & 255) + (b & 255) <= bits ? join(a, b) : a;
  }
  if (3 * shortest > bits) return;
  for (u32 i = size; i-- > 0;) {  // and two such pairs, or one and a half; the pairs below i are still there
    const u64 a = entry[i];
    const u32 rest = i >> (a & 255), left = bits - static_cast<u32>(a & 255);
    const u64 b = entry[rest], c = first(rest);
    if ((b & 255) <= left) {
      entry[i] = join(a, b);
    } else if ((c & 255) <= left) {
      entry[i] = join(a, c);
    }
  }
}

constexpr usize kTableSize = sizeof(Table);

// Tables of `count` codes; those that are not Huffman's are left alone.
static Status build_tables(const u8* codes, usize count, usize symbols, u8* out) {
  Table* const tables = reinterpret_cast<Table*>(out);
  for (usize i = 0; i < count; ++i) {
    const u8* const record = codes + i * kCodeRecord;
    if (record[0] < kHuffman) continue;
    Code code;
    if (const Status s = read_code(record, code); s != Status::ok) return s;
    build_table(code, symbols, tables[i]);
  }
  return Status::ok;
}

}  // namespace DCZ_TIER
}  // namespace dcz
