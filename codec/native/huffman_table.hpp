// Decode tables (SPEC 5.3): what the next bits of a Huffman stream say, up to six symbols at once.
#pragma once
#include "huffman_code.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr u32 kTableSymbols = 6;       // symbols of one entry at most
constexpr int kTableBits = 11;         // 16 KiB: half of a first-level cache. Longer codes take 12
constexpr usize kWorthJoining = 6000;  // symbols
constexpr usize kTableEntries = usize{1} << kMaxCodeLength;

// entry: byte 0 bits consumed, byte 1 symbols decoded, byte 7 the first symbol, byte 6 the second, ...
// A lane is stored last symbol first, so an entry is written as it is, ending at the output pointer.
struct Table {
  u64 entry[kTableEntries];
  Code code;
  int bits;
  u32 most;  // symbols of an entry
};

// One entry for each number of `bits` bits: the symbol whose code it begins with. Codes of one length more halve
// what the shorter ones left open, so the table doubles and theirs overwrite the copies.
static void fill_table(const Code& code, u32 bits, u64* entry) {
  const u8* next = code.order;
  for (u32 l = 1; l <= bits; ++l) {
    const usize half = usize{1} << (l - 1);
    std::memcpy(entry + half, entry, half * sizeof *entry);
    for (u32 n = code.count[l]; n > 0; --n) {
      const u32 s = *next++;
      entry[code.bits[s]] = u64{s} << 56 | 1u << 8 | l;
    }
  }
}

// Entries for each number of `bits` bits: a symbol, and behind it what the table of the bits that are left says,
// out of `shorter`, where the table of l bits begins at 2^l. Where not even one symbol fits, an entry is zero.
template <bool Full>
static DCZ_INLINE void join_table(const Code& code, u32 bits, const u64* shorter, u64* entry) {
  if (code.longest > static_cast<int>(bits)) std::memset(entry, 0, sizeof(u64) << bits);
  const u8* next = code.order;
  for (u32 l = 1; l <= bits; ++l) {
    const u64* const tail = shorter + (usize{1} << (bits - l));
    for (u32 n = code.count[l]; n > 0; --n) {
      const u32 s = *next++;
      const u64 head = u64{s} << 56 | 1u << 8 | l;
      u64* const out = entry + code.bits[s];
      for (usize i = 0; i < usize{1} << (bits - l); ++i) {
        u64 e = tail[i];
        if (Full && (e >> 8 & 255) == kTableSymbols) e -= 1u << 8 | code.length[e >> 16 & 255];  // leaves the last out
        out[i << l] = head + ((e & ~u64{0xFFFF}) >> 8 & ~u64{0xFFFF}) + (e & 0xFFFF);
      }
    }
  }
}

// Only with a code of one bit can an entry be full; then there is a shorter table of twice the size as well.
template <bool Full>
static void join_tables(const Code& code, u32 bits, u32 shortest, u64* entry) {
  u64 shorter[2 * kTableEntries >> (Full ? 1 : 2)];
  shorter[1] = 0;
  for (u32 l = 1; l <= bits - shortest; ++l) join_table<Full>(code, l, shorter, shorter + (usize{1} << l));
  join_table<Full>(code, bits, shorter, entry);
}

// `symbols` is how many will be decoded: a table for few of them need not be wider than the code.
static void build_table(const Code& code, usize symbols, Table& table) {
  table.code = code;
  table.bits = symbols < kLaneThreshold ? code.longest : code.longest > kTableBits ? kMaxCodeLength : kTableBits;
  table.most = 1;
  if (code.present < 2) return;
  const u32 bits = static_cast<u32>(table.bits);
  u32 expected = 0;  // bits a symbol, in units of 2^-12, where symbols are as likely as their codes say
  u32 shortest = kMaxCodeLength;
  for (u32 l = kMaxCodeLength; l > 0; --l) {
    if (code.count[l] == 0) continue;
    expected += code.count[l] * l << (kMaxCodeLength - l);
    shortest = l;
  }
  // Joining symbols takes longer than it saves where there are few of them, or hardly two fit an entry.
  if (symbols < kWorthJoining || 2 * shortest > bits || 3 * expected > 2 * bits << kMaxCodeLength) {
    fill_table(code, bits, table.entry);
    return;
  }
  table.most = least(bits / shortest, kTableSymbols);
  if (shortest == 1) {
    join_tables<true>(code, bits, shortest, table.entry);
  } else {
    join_tables<false>(code, bits, shortest, table.entry);
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
