// One chunk while it is decoded (SPEC 4): its streams in turn, its positions, its values.
#pragma once
#include "expand.hpp"
#include "gaps.hpp"
#include "huffman_decode.hpp"
#include "packed.hpp"
#include "scratch.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr usize kSlack = 128;  // readable behind every list of symbols or words

static DCZ_INLINE bool sparse(const DecodePlan& plan) { return plan.positions != Positions::all; }

static DCZ_INLINE bool one_codebook(const DecodePlan& plan) { return plan.group >= plan.weights; }

// Whether relative indices are turned into places only when values are written.
static DCZ_INLINE bool scattered(const DecodePlan& plan) {
  return kScatters && sparse(plan) && plan.positions != Positions::bitmap && plan.positions != Positions::relative16 &&
         one_codebook(plan);
}

// Relative indices of 16 bits are two streams: their low bytes and their high bytes.
static DCZ_INLINE usize position_streams(const DecodePlan& plan) {
  return plan.positions == Positions::relative16 ? 2 : sparse(plan);
}

static DCZ_INLINE usize stream_count(const DecodePlan& plan) { return plan.planes + position_streams(plan); }

// Where each part of the scratch memory begins. What a chunk leaves to be written is stored twice, so that
// the next one can be decoded meanwhile.
struct Scratch {
  usize flags, symbols, bitmap, gaps, values, words, size;
  usize value_stride, copy;  // from one plane to the next; from one copy of the doubled parts to the other
};

// Symbols of a stream in the chunk that has most of them.
static usize most_symbols(const DecodePlan& plan, const i64* rows, usize columns, usize count, usize stream) {
  const usize span = least(plan.chunk, plan.weights);
  if (!sparse(plan)) return span;
  if (stream == 0 && plan.positions == Positions::bitmap) return ceil_div(span, 8);
  const bool position = stream < position_streams(plan);
  usize n = 0;
  for (usize r = 0; r < count; ++r)
    n = most(n, static_cast<usize>(rows[r * columns]) + (position ? static_cast<usize>(rows[r * columns + 1]) : 0));
  return n;
}

static Scratch lay_out(const DecodePlan& plan, const i64* rows, usize columns, usize count) {
  const usize span = least(plan.chunk, plan.weights);
  usize entries = 0, values = sparse(plan) ? 0 : span;
  for (usize r = 0; r < count && sparse(plan); ++r) {
    const i64* const row = rows + r * columns;
    values = most(values, static_cast<usize>(row[0]));
    entries = most(entries, static_cast<usize>(row[0]) + static_cast<usize>(row[1]));
  }
  Scratch s{};
  Arena arena;
  const bool places = sparse(plan) && !scattered(plan);
  s.flags = arena.take(places ? kGapScratch : 0);
  s.symbols = arena.take(places ? position_streams(plan) * aligned(entries + kSlack) : 0);
  const usize doubled = arena.size();
  s.bitmap = arena.take(places ? span / 8 + kSlack : 0);
  s.gaps = arena.take(scattered(plan) ? entries + kSlack : 0);
  s.value_stride = aligned(values + kSlack) + 64;
  if (s.value_stride % 4096 == 0) s.value_stride += 64;  // where planes would alias in the cache
  s.values = arena.take(plan.values == Values::bytes ? 0 : plan.planes * s.value_stride);
  s.words = arena.take(sparse(plan) ? values * plan.word + kSlack : 0);
  s.copy = arena.size() - doubled;
  s.size = arena.size() + s.copy;
  return s;
}

// Rounds of decoding that a chunk's streams take together: of the bits that a lookup sees it uses about ten.
static usize decoding_rounds(const DecodePlan& plan, const i64* row) {
  usize bytes = 0;
  const u8* kinds = plan.kinds;
  for (usize s = 0; s < stream_count(plan); kinds += plan.code_count[s++]) {
    const i64* const stream = row + kRowHead + 2 * s;
    if (stream[0] < 0 || stream[0] >= static_cast<i64>(plan.code_count[s])) continue;  // refused when its turn comes
    if (kinds[stream[0]] >= kHuffman) bytes += static_cast<usize>(stream[1]);
  }
  return bytes * 8 / (kLanes * 5 * 10);
}

// While a chunk is decoded, the one before is written: in steps of as many words as make both end together.
template <class W>
struct Meanwhile {
  static constexpr usize kRounds = 16;  // from step to step: a call costs as much as half of one
  Writing<W>* writing;
  usize step;

  DCZ_INLINE usize rounds() const { return kRounds; }
  DCZ_INLINE void operator()() const { writing->advance(step); }

  static Meanwhile during(usize rounds, Writing<W>& writing) {
    return {&writing, most<usize>(aligned((writing.n - writing.at) / (rounds / kRounds + 1)), 256)};
  }
};

template <class W>
struct Chunk {
  const DecodePlan& plan;
  const Scratch& layout;
  u8* scratch;  // the parts that are there once
  u8* doubled;  // this chunk's copy of the others
  const i64* row;
  const u8* data;  // next stream
  const u8* end;   // of everything readable
  Meanwhile<W> meanwhile;
  usize stream;     // number of the next stream
  usize code_base;  // codes of the streams before

  // The next stream's n symbols, in `buffer` or where they lie raw, and one more than the highest that its
  // code can say. kSlack bytes behind them are readable.
  Status symbols(usize n, u8* buffer, const u8** out, usize* alphabet) {
    const i64 which = row[kRowHead + 2 * stream];
    const usize size = static_cast<usize>(row[kRowHead + 2 * stream + 1]);
    if (which < 0 || which >= static_cast<i64>(plan.code_count[stream])) return Status::argument;
    const usize number = code_base + static_cast<usize>(which);
    const u8 kind = plan.kinds[number];
    const u8* const from = data;
    data += size;
    code_base += plan.code_count[stream++];
    *out = buffer;
    if (kind == kRaw) {
      *alphabet = kSymbols;
      if (size != n) return Status::length;
      if (static_cast<usize>(end - from) >= n + kSlack) {
        *out = from;
      } else {
        std::memcpy(buffer, from, n);
      }
      return Status::ok;
    }
    if (kind < kHuffman) {
      *alphabet = usize{1} << kind;
      return packed_decode(kind, from, size, buffer, n);
    }
    const Table& table = reinterpret_cast<const Table*>(plan.tables)[number];
    *alphabet = table.code.alphabet;
    return huffman_decode(table, from, size, end, buffer, n, meanwhile);
  }
};

static DCZ_INLINE bool all_below(const u8* index, usize n, usize limit) {
  u8 top = 0;
  for (usize i = 0; i < n; ++i) top = most(top, index[i]);
  return n == 0 || top < limit;
}

static bool all_below_wide(const u8* low, const u8* high, usize n, usize limit) {
  u32 top = 0;
  for (usize i = 0; i < n; ++i) top = most(top, static_cast<u32>(high[i]) << 8 | low[i]);
  return n == 0 || top < limit;
}

static usize count_bits(const u8* bitmap, usize from, usize to) {  // multiples of 64, but for the last
  usize n = 0;
  for (usize at = from; at < to; at += 64) n += static_cast<usize>(popcount(load<u64>(bitmap + at / 8)));
  return n;
}

// The next two streams: relative indices of 16 bits, in `buffer` or where they lie raw.
template <class W>
static Status wide_gaps(Chunk<W>& c, usize entries, u8* buffer, const u8** low, const u8** high) {
  usize alphabet = 0;
  if (const Status s = c.symbols(entries, buffer, low, &alphabet); s != Status::ok) return s;
  return c.symbols(entries, buffer + aligned(entries + kSlack), high, &alphabet);
}

// Positions of a sparse chunk as a bitmap, its bits counted against the directory.
template <class W>
static Status positions(Chunk<W>& c, usize n, usize nonzeros, u8* bitmap) {
  const u8* symbols = nullptr;
  usize alphabet = 0;
  if (c.plan.positions == Positions::bitmap) {
    const usize bytes = ceil_div(n, 8);
    if (const Status s = c.symbols(bytes, bitmap, &symbols, &alphabet); s != Status::ok) return s;
    if (symbols != bitmap) std::memcpy(bitmap, symbols, bytes);
    std::memset(bitmap + bytes, 0, 16);
    if (n % 8 != 0 && bitmap[bytes - 1] >> (n % 8) != 0) return Status::padding;
    return count_bits(bitmap, 0, n) == nonzeros ? Status::ok : Status::count;
  }
  const usize entries = nonzeros + static_cast<usize>(c.row[1]);
  if (c.plan.positions == Positions::relative16) {
    const u8 *low = nullptr, *high = nullptr;
    if (const Status s = wide_gaps<W>(c, entries, c.scratch + c.layout.symbols, &low, &high); s != Status::ok) return s;
    return wide_gaps_to_bitmap(low, high, entries, nonzeros, n, bitmap);
  }
  const int bits = static_cast<int>(c.plan.positions);
  if (const Status s = c.symbols(entries, c.scratch + c.layout.symbols, &symbols, &alphabet); s != Status::ok) return s;
  if (alphabet > usize{1} << bits && !all_below(symbols, entries, usize{1} << bits)) return Status::count;
  u8* const flags = c.scratch + c.layout.flags;
  return gaps_to_bitmap(symbols, entries, nonzeros, bits, n, bitmap, flags, c.meanwhile);
}

// Positions of a sparse chunk as they are, if they are sound.
template <class W>
static Status relative_positions(Chunk<W>& c, usize n, usize nonzeros, Gaps& gaps) {
  const usize entries = nonzeros + static_cast<usize>(c.row[1]);
  const int bits = static_cast<int>(c.plan.positions);
  usize alphabet = 0, fillers = 0;
  if (const Status s = c.symbols(entries, c.doubled + c.layout.gaps, &gaps.next, &alphabet); s != Status::ok) return s;
  if (alphabet > usize{1} << bits && !all_below(gaps.next, entries, usize{1} << bits)) return Status::count;
  if (const Status s = check_gaps(gaps.next, entries, nonzeros, bits, n, &fillers); s != Status::ok) return s;
  gaps.left = entries;
  gaps.filler = fillers > 0 ? (1 << bits) - 1 : -1;
  return Status::ok;
}

// Runs `body(from, to, codebook)` over the parts of [first, first + n) that share a codebook.
template <class F>
static DCZ_INLINE void each_group(const DecodePlan& plan, usize first, usize n, F&& body) {
  for (usize at = 0; at < n;) {
    const usize g = (first + at) / plan.group;
    const usize to = least(n, (g + 1) * plan.group - first);
    body(at, to, plan.codebook + g * plan.entries * plan.word);
    at = to;
  }
}

template <class W>
static Status narrow_clusters(Chunk<W>& c, usize first, usize n, usize values, const u8* bitmap, Palette<W>& palette,
                              Writing<W>& writing) {
  using Kind = typename Writing<W>::Kind;
  const DecodePlan& plan = c.plan;
  const u8* index = nullptr;
  usize alphabet = 0;
  if (const Status s = c.symbols(values, c.doubled + c.layout.values, &index, &alphabet); s != Status::ok) return s;
  if (alphabet > plan.entries && !all_below(index, values, plan.entries)) return Status::index;
  writing.kind = sparse(plan) ? Kind::expand : Kind::lookup;
  writing.palette = &palette;
  writing.bitmap = bitmap;
  writing.next = index;
  if (one_codebook(plan)) return Status::ok;
  c.meanwhile.writing->finish();  // it may use the palette
  u8* const out = writing.out;
  each_group(plan, first, n, [&](usize from, usize to, const u8* codebook) {
    palette.fill(codebook, plan.entries, sparse(plan));
    writing.bitmap = bitmap == nullptr ? nullptr : bitmap + from / 8;
    writing.next = bitmap == nullptr ? index + from : index;
    writing.out = out + from * sizeof(W);
    writing.at = 0;
    writing.n = to - from;
    writing.finish();
    if (bitmap != nullptr) index += count_bits(bitmap, from, to);
  });
  return Status::ok;
}

template <class W>
static Status wide_clusters(Chunk<W>& c, usize first, usize n, usize values, const u8* bitmap, Writing<W>& writing) {
  const DecodePlan& plan = c.plan;
  u8* const buffer = c.doubled + c.layout.values;
  const u8 *low = nullptr, *high = nullptr;
  usize alphabet = 0;
  if (const Status s = c.symbols(values, buffer, &low, &alphabet); s != Status::ok) return s;
  if (const Status s = c.symbols(values, buffer + c.layout.value_stride, &high, &alphabet); s != Status::ok) return s;
  if (!all_below_wide(low, high, values, plan.entries)) return Status::index;
  u8* const words = c.doubled + c.layout.words;
  usize rank = 0;
  each_group(plan, first, n, [&](usize from, usize to, const u8* codebook) {
    if (!sparse(plan)) {
      lookup_wide<W>(low + from, high + from, to - from, codebook, writing.out + from * sizeof(W));
    } else {
      const usize m = one_codebook(plan) ? values : count_bits(bitmap, from, to);
      lookup_wide<W>(low + rank, high + rank, m, codebook, words + rank * sizeof(W));
      rank += m;
    }
  });
  writing.kind = sparse(plan) ? Writing<W>::Kind::words : Writing<W>::Kind::nothing;
  writing.bitmap = bitmap;
  writing.next = words;
  if (!sparse(plan)) writing.at = writing.n;
  return Status::ok;
}

template <class W>
static Status plain(Chunk<W>& c, usize values, const u8* bitmap, Writing<W>& writing) {
  using Kind = typename Writing<W>::Kind;
  for (usize j = 0; j < c.plan.planes; ++j) {
    u8* const buffer = c.doubled + c.layout.values + j * c.layout.value_stride;
    usize alphabet = 0;
    if (const Status s = c.symbols(values, buffer, &writing.plane[j], &alphabet); s != Status::ok) return s;
  }
  writing.rotate = c.plan.rotate;
  writing.kind = Kind::merge;
  if (!sparse(c.plan)) return Status::ok;
  Writing<W> merged = writing;
  merged.stream = false;
  merged.out = c.doubled + c.layout.words;
  merged.n = values;
  merged.finish();
  writing.kind = Kind::words;
  writing.bitmap = bitmap;
  writing.next = c.doubled + c.layout.words;
  return Status::ok;
}

// Decodes a chunk up to what is left in `writing`, whose `out` and `n` are set.
template <class W>
static Status decode_chunk(Chunk<W>& c, usize first, usize n, Palette<W>& palette, Writing<W>& writing) {
  const DecodePlan& plan = c.plan;
  usize values = n;
  u8* bitmap = nullptr;
  if (sparse(plan)) values = static_cast<usize>(c.row[0]);
  if (scattered(plan)) {
    if (const Status s = relative_positions<W>(c, n, values, writing.gaps); s != Status::ok) return s;
  } else if (sparse(plan)) {
    bitmap = c.doubled + c.layout.bitmap;
    if (const Status s = positions<W>(c, n, values, bitmap); s != Status::ok) return s;
  }
  if (plan.values == Values::planes) return plain<W>(c, values, bitmap, writing);
  if (plan.values == Values::codebook)
    return plan.planes == 1 ? narrow_clusters<W>(c, first, n, values, bitmap, palette, writing)
                            : wide_clusters<W>(c, first, n, values, bitmap, writing);
  const u8* bytes = nullptr;
  usize alphabet = 0;
  if (const Status s = c.symbols(n * sizeof(W), writing.out, &bytes, &alphabet); s != Status::ok) return s;
  if (bytes != writing.out) std::memcpy(writing.out, bytes, n * sizeof(W));
  writing.at = writing.n;
  return Status::ok;
}

}  // namespace DCZ_TIER
}  // namespace dcz
