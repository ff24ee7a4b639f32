// Encoding of symbol streams (SPEC 5): raw, packed and Huffman, into places of exactly known size.
#pragma once
#include "huffman_code.hpp"
#include "packed.hpp"

namespace dcz {
namespace DCZ_TIER {

// One lane, last symbol first, into exactly [o, end). Four codes of 12 bits fit over seven old ones.
static Status encode_lane(const u32* cell, const u8* first, const u8* last, u8* o, u8* const end) {
  u64 window = 0;
  u32 held = 0;
  const auto put = [&](u32 c) {
    window |= static_cast<u64>(c >> 8) << held;
    held += c & 255;
  };
  while (last - first >= 4 && end - o >= 8) {
    put(cell[*--last]);
    put(cell[*--last]);
    put(cell[*--last]);
    put(cell[*--last]);
    store(o, window);
    o += held >> 3;
    window >>= held & ~7u;
    held &= 7;
  }
  while (last > first) {
    put(cell[*--last]);
    for (; held >= 8; held -= 8, window >>= 8) {
      if (o == end) return Status::length;
      *o++ = static_cast<u8>(window);
    }
  }
  if (held > 0) {
    if (o == end) return Status::length;
    *o++ = static_cast<u8>(window);
  }
  return o == end ? Status::ok : Status::length;
}

// `lanes` holds the bytes of each lane; their sum, and the head of a long stream, make the size.
static Status huffman_encode(const Code& code, const u32* cell, const u8* symbols, usize n, const i64* lanes, u8* out,
                             usize room) {
  if (n == 0 || code.present == 1) return Status::ok;
  const usize count = n < kLaneThreshold ? 1 : kLanes;
  const usize span = ceil_div(n, count);
  usize offset = count > 1 ? 2 * (count - 1) : 0;
  for (usize i = 0; i < count; ++i) {
    if (lanes[i] < 0 || offset > room || static_cast<usize>(lanes[i]) > room - offset) return Status::argument;
    if (i + 1 < count) {
      if (lanes[i] > 0xFFFF) return Status::argument;
      store(out + 2 * i, static_cast<u16>(lanes[i]));
    }
    const usize bytes = static_cast<usize>(lanes[i]);
    const Status status =
        encode_lane(cell, symbols + i * span, symbols + least(n, (i + 1) * span), out + offset, out + offset + bytes);
    if (status != Status::ok) return status;
    offset += bytes;
  }
  return Status::ok;
}

// Bytes of each lane of each row, zeros where the row's code is not Huffman's.
static Status lane_sizes(const u8* symbols, const i64* bounds, usize rows, const u8* use, const u8* codes,
                         usize code_count, i64* out, usize* failed) {
  Code code;
  usize current = ~usize{0};
  for (usize r = 0; r < rows; ++r, out += kLanes) {
    *failed = r;
    std::memset(out, 0, kLanes * sizeof *out);
    if (use[r] >= code_count) return Status::argument;
    const u8* const record = codes + use[r] * kCodeRecord;
    if (record[0] < kHuffman) continue;
    if (current != use[r]) {
      if (const Status s = read_code(record, code); s != Status::ok) return s;
      current = use[r];
    }
    const usize n = static_cast<usize>(bounds[r + 1] - bounds[r]);
    if (n == 0 || code.present == 1) continue;
    const usize count = n < kLaneThreshold ? 1 : kLanes;
    const usize span = ceil_div(n, count);
    for (usize i = 0; i < count; ++i) {
      const u8* s = symbols + bounds[r] + i * span;
      const u8* const last = symbols + bounds[r] + least(n, (i + 1) * span);
      u64 a = 0, b = 0;
      for (; last - s >= 4; s += 4) {
        a += u64{code.length[s[0]]} + code.length[s[1]];
        b += u64{code.length[s[2]]} + code.length[s[3]];
      }
      for (; s < last; ++s) a += code.length[*s];
      out[i] = static_cast<i64>(ceil_div(a + b, 8));
    }
  }
  return Status::ok;
}

// Rows of symbols, each with the code it names, each to its own offset in `out`.
static Status encode(const u8* symbols, const i64* bounds, usize rows, const u8* use, const u8* codes, usize code_count,
                     const i64* lanes, u8* out, usize out_size, const i64* offsets, usize* failed) {
  Code code;
  u32 cell[kSymbols];
  usize current = ~usize{0};
  for (usize r = 0; r < rows; ++r) {
    *failed = r;
    if (use[r] >= code_count || bounds[r] < 0 || bounds[r + 1] < bounds[r]) return Status::argument;
    if (offsets[r] < 0 || static_cast<usize>(offsets[r]) > out_size) return Status::argument;
    const u8* const record = codes + use[r] * kCodeRecord;
    const u8* const s = symbols + bounds[r];
    const usize n = static_cast<usize>(bounds[r + 1] - bounds[r]);
    const usize room = out_size - static_cast<usize>(offsets[r]);
    u8* const o = out + offsets[r];
    Status status = Status::ok;
    if (record[0] == kRaw) {
      if (room < n) return Status::argument;
      std::memcpy(o, s, n);
    } else if (record[0] < kHuffman) {
      status = packed_encode(record[0], s, n, o, room);
    } else {
      if (current != use[r]) {
        status = read_code(record, code);
        if (status != Status::ok) return status;
        for (usize i = 0; i < kSymbols; ++i)
          cell[i] = code.length[i] ? static_cast<u32>(code.bits[i]) << 8 | code.length[i] : 0;
        current = use[r];
      }
      status = huffman_encode(code, cell, s, n, lanes + r * kLanes, o, room);
    }
    if (status != Status::ok) return status;
  }
  return Status::ok;
}

}  // namespace DCZ_TIER
}  // namespace dcz
