// The words that a chunk stores and their places, for those who do not want it whole (SPEC, Deltas): chunk after chunk.
#pragma once
#include "jobs.hpp"

namespace dcz {
namespace DCZ_TIER {

// `count` words of a chunk, the first is word `first` of its tensor; `places` in it ascend, null: all of the chunk.
template <class W>
struct Stored {
  usize first, weights, count;
  const u32* places;
  const W* words;
};

// Where each part of the scratch memory of a chunk's stored words begins; `fresh` is for whoever takes them.
struct StoredScratch {
  usize symbols, places, planes, stride, words, fresh, size;
};

static StoredScratch lay_out_stored(const DecodePlan& plan, const i64* rows, usize columns, usize count) {
  const usize values = most_symbols(plan, rows, columns, count, position_streams(plan));
  StoredScratch s{};
  Arena arena;
  s.symbols = arena.take(position_streams(plan) * aligned(most_symbols(plan, rows, columns, count, 0) + kSlack));
  s.places = arena.take(sparse(plan) ? (values + 1) * sizeof(u32) : 0);
  s.stride = aligned(values + kSlack) + 64;
  s.planes = arena.take(plan.values == Values::bytes ? 0 : plan.planes * s.stride);
  s.words = arena.take(values * plan.word + kSlack);
  s.fresh = arena.take(values * plan.word + kSlack);
  s.size = arena.size();
  return s;
}

// Places of a chunk's relative indices, which stay within its n words.
template <class W>
static Status relative_places(Chunk<W>& c, usize n, usize count, u8* buffer, u32* places) {
  const usize entries = count + static_cast<usize>(c.row[1]);
  if (c.plan.positions == Positions::relative16) {
    const u8 *low = nullptr, *high = nullptr;
    if (const Status s = wide_gaps<W>(c, entries, buffer, &low, &high); s != Status::ok) return s;
    return each_wide_gap(low, high, entries, count, n, [&](usize at) { *places++ = static_cast<u32>(at); });
  }
  const int bits = static_cast<int>(c.plan.positions);
  const u8 filler = static_cast<u8>((1 << bits) - 1);
  const u8* symbols = nullptr;
  usize alphabet = 0, fillers = 0;
  if (const Status s = c.symbols(entries, buffer, &symbols, &alphabet); s != Status::ok) return s;
  if (alphabet > usize{1} << bits && !all_below(symbols, entries, usize{1} << bits)) return Status::count;
  if (const Status s = check_gaps(symbols, entries, count, bits, n, &fillers); s != Status::ok) return s;
  usize found = 0;
  u32 behind = 0;
  for (usize i = 0; i < entries; ++i) {  // a filler's own place is overwritten by the next
    const u32 real = symbols[i] != filler;
    behind += symbols[i] + real;
    places[found] = behind - 1;
    found += real;
  }
  return Status::ok;
}

template <class W>
static Status bitmap_places(Chunk<W>& c, usize n, usize count, u8* buffer, u32* places) {
  const usize bytes = ceil_div(n, 8);
  const u8* bitmap = nullptr;
  usize alphabet = 0, found = 0;
  if (const Status s = c.symbols(bytes, buffer, &bitmap, &alphabet); s != Status::ok) return s;
  const u8* const end = bitmap + bytes;
  if (n % 8 != 0 && bitmap[bytes - 1] >> (n % 8) != 0) return Status::padding;
  for (usize at = 0; at < n; at += 64) found += static_cast<usize>(popcount(load_clipped(bitmap + at / 8, end)));
  if (found != count) return Status::count;
  for (usize at = 0; at < n; at += 64)
    for (u64 bits = load_clipped(bitmap + at / 8, end); bits != 0; bits &= bits - 1)
      *places++ = static_cast<u32>(at + static_cast<usize>(trailing_zeros(bits)));
  return Status::ok;
}

// The words of a chunk's clusters.
template <class W>
static Status cluster_words(Chunk<W>& c, const Stored<W>& s, u8* planes, usize stride, W* words) {
  const DecodePlan& plan = c.plan;
  const u8 *low = nullptr, *high = nullptr;
  usize alphabet = 0;
  if (const Status e = c.symbols(s.count, planes, &low, &alphabet); e != Status::ok) return e;
  if (plan.planes == 2) {
    if (const Status e = c.symbols(s.count, planes + stride, &high, &alphabet); e != Status::ok) return e;
    if (!all_below_wide(low, high, s.count, plan.entries)) return Status::index;
  } else if (!all_below(low, s.count, plan.entries)) {
    return Status::index;
  }
  const bool single = one_codebook(plan);
  for (usize i = 0; i < s.count; ++i) {
    const usize book = single ? 0 : (s.first + (s.places == nullptr ? i : s.places[i])) / plan.group;
    const usize entry = high == nullptr ? low[i] : static_cast<usize>(high[i]) << 8 | low[i];
    words[i] = load<W>(plan.codebook + (book * plan.entries + entry) * sizeof(W));
  }
  return Status::ok;
}

template <class W>
static Status plane_words(Chunk<W>& c, usize count, u8* planes, usize stride, W* words) {
  Writing<W> merged;
  for (usize j = 0; j < sizeof(W); ++j) {
    usize alphabet = 0;
    if (const Status s = c.symbols(count, planes + j * stride, &merged.plane[j], &alphabet); s != Status::ok) return s;
  }
  merged.kind = Writing<W>::Kind::merge;
  merged.rotate = c.plan.rotate;
  merged.out = reinterpret_cast<u8*>(words);
  merged.n = count;
  merged.finish();
  return Status::ok;
}

// Everything a chunk stores; nothing is left to be checked.
template <class W>
static Status stored_words(Chunk<W>& c, const StoredScratch& layout, u8* scratch, Stored<W>& s) {
  const DecodePlan& plan = c.plan;
  u32* const places = reinterpret_cast<u32*>(scratch + layout.places);
  W* const words = reinterpret_cast<W*>(scratch + layout.words);
  s.count = s.weights;
  s.places = nullptr;
  s.words = words;
  if (sparse(plan)) {
    s.count = static_cast<usize>(c.row[0]);
    s.places = places;
    u8* const buffer = scratch + layout.symbols;
    const Status e = plan.positions == Positions::bitmap ? bitmap_places<W>(c, s.weights, s.count, buffer, places)
                                                         : relative_places<W>(c, s.weights, s.count, buffer, places);
    if (e != Status::ok) return e;
  }
  u8* const planes = scratch + layout.planes;
  if (plan.values == Values::codebook) return cluster_words<W>(c, s, planes, layout.stride, words);
  if (plan.values == Values::planes) return plane_words<W>(c, s.count, planes, layout.stride, words);
  const u8* bytes = nullptr;
  usize alphabet = 0;
  u8* const to = reinterpret_cast<u8*>(words);
  if (const Status e = c.symbols(s.count * sizeof(W), to, &bytes, &alphabet); e != Status::ok) return e;
  if (bytes != to) std::memcpy(to, bytes, s.count * sizeof(W));
  return Status::ok;
}

// `body` on what each chunk of a job stores, in order; it says whether to go on.
template <class W, class F>
static Status each_stored(const DecodePlan& plan, const i64* rows, usize columns, usize first, usize count,
                          const u8* data, usize size, u8* scratch, usize* failed, F&& body) {
  const StoredScratch layout = lay_out_stored(plan, rows, columns, count);
  const Scratch unused{};
  Writing<W> nothing;
  const u8* const end = data + size;
  for (usize k = 0; k < count; ++k) {
    *failed = first + k;
    const i64* const row = rows + k * columns;
    usize bytes = 0;
    for (usize s = 0; s < stream_count(plan); ++s) {
      const i64 length = row[kRowHead + 2 * s + 1];
      if (length < 0 || static_cast<usize>(length) > static_cast<usize>(end - data) - bytes) return Status::length;
      bytes += static_cast<usize>(length);
    }
    if (static_cast<i64>(crc32c(data, bytes, 0)) != row[2]) return Status::checksum;
    Stored<W> s{};
    s.first = (first + k) * plan.chunk;
    s.weights = least(plan.chunk, plan.weights - s.first);
    Chunk<W> chunk{plan, unused, scratch, scratch, row, data, end, Meanwhile<W>{&nothing, 256}, 0, 0};
    if (const Status e = stored_words<W>(chunk, layout, scratch, s); e != Status::ok) return e;
    if (const Status e = body(s, reinterpret_cast<W*>(scratch + layout.fresh)); e != Status::ok) return e;
    data += bytes;
  }
  return Status::ok;
}

}  // namespace DCZ_TIER
}  // namespace dcz
