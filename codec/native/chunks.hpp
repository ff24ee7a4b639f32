// A range of a tensor's chunks back to words (SPEC 4): checksum, decode, and write while the next is decoded.
#pragma once
#include "chunk.hpp"
#include "crc32c.hpp"

namespace dcz {
namespace DCZ_TIER {

// What the kernels' memory safety rests on, whoever filled in the plan.
static Status check_plan(const DecodePlan& p) {
  const bool word = p.word == 1 || p.word == 2 || p.word == 4 || p.word == 8;
  const bool relative = p.positions == Positions::relative4 || p.positions == Positions::relative5 ||
                        p.positions == Positions::relative8 || p.positions == Positions::relative16;
  if (!word || p.chunk == 0 || p.chunk % 64 != 0 || p.chunk > (usize{1} << 32)) return Status::argument;
  if (p.positions != Positions::all && p.positions != Positions::bitmap && !relative) return Status::argument;
  switch (p.values) {
    case Values::codebook:
      if (p.word == 1 || p.planes < 1 || p.planes > 2 || p.entries > (usize{1} << (8 * p.planes)))
        return Status::argument;
      return p.group == 0 || (p.group < p.weights && p.group % 64 != 0) ? Status::argument : Status::ok;
    case Values::planes:
      return p.planes == p.word ? Status::ok : Status::argument;
    case Values::bytes:
      return p.planes == 1 && !sparse(p) ? Status::ok : Status::argument;
  }
  return Status::argument;
}

// A row's counts fit its chunk: sizes are computed from them.
static Status check_rows(const DecodePlan& plan, const i64* rows, usize columns, usize first, usize count) {
  const usize chunks = ceil_div(plan.weights, plan.chunk);
  if (first > chunks || count > chunks - first) return Status::argument;
  for (usize k = 0; k < count; ++k) {
    const i64* const row = rows + k * columns;
    const i64 n = static_cast<i64>(least(plan.chunk, plan.weights - (first + k) * plan.chunk));
    if (row[0] < 0 || row[0] > n || row[1] < 0 || row[1] > n) return Status::count;
  }
  return Status::ok;
}

constexpr usize kHugePage = usize{2} << 20;

// Touches the pages of [from, to) that no one has written yet, each at its last byte within `limit`. Linux clears
// a huge page in such an order that the byte that was asked for comes last: downwards for its first byte, upwards,
// which takes half as long, for its last. Returns where the next page begins.
static u8* touch_pages(u8* from, const u8* to, u8* limit) {
  while (from < to) {
    const usize rest = kHugePage - reinterpret_cast<std::uintptr_t>(from) % kHugePage;
    from += least(rest, static_cast<usize>(limit - from));
    *static_cast<volatile u8*>(from - 1) = 0;
  }
  return from;
}

template <class W>
static Status decode_range(const DecodePlan& plan, const Scratch& layout, const i64* rows, usize columns, usize first,
                           usize count, const u8* data, usize size, u8* out, usize out_size, u8* scratch,
                           usize* failed) {
  Palette<W> palette;
  if (plan.values == Values::codebook && plan.planes == 1 && one_codebook(plan))
    palette.fill(plan.codebook, plan.entries, sparse(plan));
  const u8* const end = data + size;
  const usize streams = stream_count(plan);
  u8* const limit = out + out_size;
  u8* touched = out_size < kHugePage ? limit : out;
  alignas(64) u8 window[kWindowBytes] = {};
  Writing<W> writing[2];  // what this chunk leaves to be written, and what the one before did
  for (usize k = 0; k < count; ++k) {
    *failed = first + k;
    const i64* const row = rows + k * columns;
    const usize from = (first + k) * plan.chunk;
    const usize n = least(plan.chunk, plan.weights - from);
    if (n * sizeof(W) > out_size) return Status::argument;
    usize bytes = 0;
    for (usize s = 0; s < streams; ++s) {
      const i64 length = row[kRowHead + 2 * s + 1];
      if (length < 0 || static_cast<usize>(length) > static_cast<usize>(end - data) - bytes) return Status::length;
      bytes += static_cast<usize>(length);
    }
    if (static_cast<i64>(crc32c(data, bytes, 0)) != row[2]) return Status::checksum;
    touched = touch_pages(touched, out + n * sizeof(W), limit);
    Writing<W>& before = writing[(k + 1) % 2];
    Writing<W>& now = writing[k % 2] = Writing<W>{};
    now.stream = plan.stream;
    now.window = window;
    now.out = out;
    now.n = n;
    Chunk<W> chunk{plan, layout, scratch, scratch + (k % 2) * layout.copy,
                   row,  data,   end,     Meanwhile<W>::during(decoding_rounds(plan, row), before),
                   0,    0};
    if (const Status s = decode_chunk<W>(chunk, from, n, palette, now); s != Status::ok) return s;
    before.finish();
    data += bytes;
    out += n * sizeof(W);
    out_size -= n * sizeof(W);
  }
  if (count > 0) writing[(count - 1) % 2].finish();
  return Status::ok;
}

// Chunks [first, first + count) from `data`, which begins with the first of them, to `out`, likewise. Plan and
// rows are checked, `scratch` is as `lay_out` wants it.
static Status decode_chunks(const DecodePlan& plan, const i64* rows, usize columns, usize first, usize count,
                            const u8* data, usize size, u8* out, usize out_size, u8* scratch, usize* failed) {
  const Scratch layout = lay_out(plan, rows, columns, count);
  const auto run = [&](auto word) {
    return decode_range<decltype(word)>(plan, layout, rows, columns, first, count, data, size, out, out_size, scratch,
                                        failed);
  };
  switch (plan.word) {
    case 1:
      return run(u8{});
    case 2:
      return run(u16{});
    case 4:
      return run(u32{});
    default:
      return run(u64{});
  }
}

// One stream on its own: codebooks, and whoever wants symbols rather than weights. `scratch` holds a table.
static Status decode(const u8* record, const u8* data, usize size, u8* out, usize n, u8* scratch) {
  if (record[0] == kRaw) {
    if (size != n) return Status::length;
    std::memcpy(out, data, n);
    return Status::ok;
  }
  if (record[0] < kHuffman) return packed_decode(record[0], data, size, out, n);
  if (const Status s = build_tables(record, 1, n, scratch); s != Status::ok) return s;
  return huffman_decode(*reinterpret_cast<const Table*>(scratch), data, size, data + size, out, n, Nothing{});
}

}  // namespace DCZ_TIER
}  // namespace dcz
