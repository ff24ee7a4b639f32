// Distinct bit patterns of a tensor, found by hashing in one pass that gives up at a limit.
#pragma once
#include "bitmap.hpp"

namespace dcz {
namespace DCZ_TIER {

// Open addressing; a slot holds 1 + the number of its key in order of first appearance, 0 is free.
struct KeySet {
  u64* keys;
  usize count;
  usize limit;
  u32* slots;
  usize mask;

  // The key's number, or `limit` when it is new and there is no room for it.
  DCZ_INLINE usize number(u64 key) {
    usize i = (key ^ key >> 32) * 0x9E3779B97F4A7C15u >> 32 & mask;  // doubles may differ in their upper half alone
    for (;; i = (i + 1) & mask) {
      const u32 s = slots[i];
      if (DCZ_LIKELY(s != 0 && keys[s - 1] == key)) return s - 1;
      if (s != 0) continue;
      if (count == limit) return limit;
      keys[count] = key;
      slots[i] = static_cast<u32>(++count);
      return count - 1;
    }
  }
};

constexpr usize kScanBlock = 2048;  // words at a time: their nonzeros stay in the first-level cache

template <class W, class Id>
static Status scan_words(const u8* words, usize n, KeySet& set, u8* bitmap, Id* ids, usize capacity, usize* nonzeros) {
  W block[kScanBlock + kTakeSlack];
  usize total = 0;
  for (usize at = 0; at < n; at += kScanBlock) {
    const usize m = least(kScanBlock, n - at);
    const u8* const p = words + at * sizeof(W);
    bitmap_words<W>(p, m, bitmap + at / 8);
    const usize found = take_nonzeros<W>(p, m, block);
    if (found > capacity - total) return Status::argument;
    for (usize i = 0; i < found; ++i) {
      const usize number = set.number(block[i]);
      if (DCZ_UNLIKELY(number == set.limit)) return Status::full;
      ids[total + i] = static_cast<Id>(number);
    }
    total += found;
  }
  *nonzeros = total;
  return Status::ok;
}

static Status scan(const u8* words, usize n, usize word, usize limit, u64* keys, usize* key_count, u32* slots,
                   usize slot_count, u8* bitmap, u8* ids, usize id_bytes, usize id_capacity, usize* nonzeros) {
  if (limit == 0 || slot_count < 2 * limit || (slot_count & (slot_count - 1)) != 0) return Status::argument;
  if ((id_bytes == 1 && limit > 256) || (id_bytes == 2 && limit > 65536)) return Status::argument;
  std::memset(slots, 0, slot_count * sizeof *slots);
  KeySet set{keys, 0, limit, slots, slot_count - 1};
  Status status = Status::argument;
  u16* const wide = reinterpret_cast<u16*>(ids);
  if (id_bytes == 1) {
    if (word == 2) status = scan_words<u16>(words, n, set, bitmap, ids, id_capacity, nonzeros);
    if (word == 4) status = scan_words<u32>(words, n, set, bitmap, ids, id_capacity, nonzeros);
    if (word == 8) status = scan_words<u64>(words, n, set, bitmap, ids, id_capacity, nonzeros);
  } else if (id_bytes == 2) {
    if (word == 4) status = scan_words<u32>(words, n, set, bitmap, wide, id_capacity, nonzeros);
    if (word == 8) status = scan_words<u64>(words, n, set, bitmap, wide, id_capacity, nonzeros);
  }
  *key_count = set.count;
  return status;
}

}  // namespace DCZ_TIER
}  // namespace dcz
