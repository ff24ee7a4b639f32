// Huffman decoding (SPEC 5.3): six independent bit streams in flight, several symbols per table lookup.
#pragma once
#include <utility>

#include "huffman_table.hpp"

namespace dcz {
namespace DCZ_TIER {

template <usize... I, class F>
static DCZ_INLINE void each_(std::index_sequence<I...>, F&& f) {
  (f(std::integral_constant<usize, I>{}), ...);
}

// Calls f with the constants 0 to N-1, unrolled: arrays indexed by them stay in registers, which
// gcc does not manage for a loop under `#pragma unroll`.
template <usize N, class F>
static DCZ_INLINE void each(F&& f) {
  each_(std::make_index_sequence<N>{}, f);
}

// Something to do between rounds of decoding: other work that waits for memory meanwhile.
struct Nothing {
  DCZ_INLINE usize rounds() const { return ~usize{0}; }
  DCZ_INLINE void operator()() const {}
};

// The rest of one lane: [begin, o) is still to be written, `at` is the next bit. Returns the bit
// behind the last symbol; a lane that runs past `end` reads zeros there and is caught by its length.
static u64 decode_tail(const Table& table, const u8* p, u64 at, const u8* end, u8* begin, u8* o) {
  const u64 mask = (u64{1} << table.bits) - 1;
  while (o > begin) {
    const u8* q = p + (at >> 3);
    u64 window = (q < end ? load_clipped(q, end) : 0) >> (at & 7);
    for (int round = 0; round < 4 && o > begin; ++round) {  // 4 * 12 bits are there at least
      const u64 e = table.entry[window & mask];
      const usize n = e >> 8 & 255;
      u32 used = e & 255;
      if (DCZ_LIKELY(static_cast<usize>(o - begin) >= 8)) {
        store(o - 8, e);
        o -= n;
      } else if (static_cast<usize>(o - begin) >= n) {
        for (usize i = 0; i < n; ++i) *--o = static_cast<u8>(e >> (56 - 8 * i));
      } else {  // the entry holds more symbols than are left: take the first alone
        *--o = static_cast<u8>(e >> 56);
        used = table.code.length[e >> 56];
      }
      window >>= used;
      at += used;
    }
  }
  return at;
}

// All lanes at once. The fast rounds read eight bytes at each lane's pointer and write eight bytes
// below each lane's output, so they stop while every lane still has that much room on both sides.
template <usize N, usize Lookups, class F>
static DCZ_INLINE void decode_lanes(const Table& table, const u8* const (&start)[N], const u8* end,
                                    u8* const (&begin)[N], u8* const (&finish)[N], u64 (&at)[N], F&& between) {
  const usize most_written = Lookups * table.most;  // in a round
  const u64 mask = (u64{1} << table.bits) - 1;
  const u64* const entry = table.entry;
  const u8* p[N];
  Window window[N];
  u8* o[N];
  each<N>([&](auto i) {
    p[i] = start[i];
    o[i] = finish[i];
  });
  for (;;) {
    usize room = ~usize{0}, left = ~usize{0};
    each<N>([&](auto i) {
      room = least(room, static_cast<usize>(o[i] - begin[i]));
      left = least(left, p[i] < end ? static_cast<usize>(end - p[i]) : 0);
    });
    if (room < most_written + 8 || left < 16) break;
    usize rounds = least(least((room - 8) / most_written, (left - 8) / 8), between.rounds());
    do {
      each<N>([&](auto i) { window[i].refill(p[i]); });
      each<Lookups>([&](auto) {
        each<N>([&](auto i) {
          const u64 e = entry[window[i].next(mask)];
          store(o[i] - 8, e);
          window[i].consume(e);
          o[i] -= e >> 8 & 255;
        });
      });
    } while (--rounds);
    between();
  }
  each<N>([&](auto i) {
    const u64 done = static_cast<u64>(p[i] - start[i]) * 8 + window[i].used();
    at[i] = decode_tail(table, start[i], done, end, begin[i], o[i]);
  });
}

template <usize N, class F>
static DCZ_NOINLINE void decode_lanes_of(const Table& table, const u8* const (&start)[N], const u8* end,
                                         u8* const (&begin)[N], u8* const (&finish)[N], u64 (&at)[N], F& between) {
  // A refilled window is good for 57 bits.
  table.bits <= kTableBits ? decode_lanes<N, 57 / kTableBits>(table, start, end, begin, finish, at, between)
                           : decode_lanes<N, 57 / kMaxCodeLength>(table, start, end, begin, finish, at, between);
}

// A lane of `size` bytes ends in the byte that holds its last bit, and the bits behind are zero.
static Status check_end(const u8* p, usize size, u64 at) {
  if (ceil_div(at, 8) != size) return Status::length;
  return (at & 7) != 0 && p[size - 1] >> (at & 7) != 0 ? Status::padding : Status::ok;
}

// Decodes n symbols from `size` bytes; bytes up to `end` may be read.
template <class F>
static Status huffman_decode(const Table& table, const u8* data, usize size, const u8* end, u8* out, usize n,
                             F&& between) {
  if (n == 0) return size == 0 ? Status::ok : Status::length;
  if (table.code.present == 1) {
    std::memset(out, static_cast<int>(table.code.alphabet - 1), n);
    return size == 0 ? Status::ok : Status::length;
  }
  if (n > kMaxRow) return Status::length;
  if (n < kLaneThreshold) {
    const u8* const start[1] = {data};
    u8* const begin[1] = {out};
    u8* const finish[1] = {out + n};
    u64 at[1];
    decode_lanes_of<1>(table, start, end, begin, finish, at, between);
    return check_end(data, size, at[0]);
  }
  constexpr usize kHead = 2 * (kLanes - 1);
  if (size < kHead) return Status::length;
  const usize span = ceil_div(n, kLanes);
  const u8* start[kLanes];
  u8* begin[kLanes];
  u8* finish[kLanes];
  usize bytes[kLanes];
  usize offset = kHead;
  for (usize i = 0; i < kLanes; ++i) {
    bytes[i] = i + 1 < kLanes ? load<u16>(data + 2 * i) : size - offset;
    if (bytes[i] > size - offset) return Status::length;
    start[i] = data + offset;
    begin[i] = out + i * span;
    finish[i] = out + least(n, (i + 1) * span);
    offset += bytes[i];
  }
  u64 at[kLanes];
  decode_lanes_of<kLanes>(table, start, end, begin, finish, at, between);
  for (usize i = 0; i < kLanes; ++i)
    if (const Status status = check_end(start[i], bytes[i], at[i]); status != Status::ok) return status;
  return Status::ok;
}

}  // namespace DCZ_TIER
}  // namespace dcz
