// Rows of symbols: counted, given the best code, encoded, and decoded to what they were.
#include "target.hpp"

using namespace dcz;

static void record_of(const Exact<u8>& lengths, u8 kind, u8* record) {
  std::memset(record, 0, kCodeRecord);
  record[0] = kind;
  if (kind != kHuffman) return;
  for (usize i = 0; i < kSymbols; ++i)
    record[1 + i / 2] = static_cast<u8>(record[1 + i / 2] | lengths.data()[i] << 4 * (i % 2));
}

static usize total(const Exact<i64>& lanes, usize row, usize n, u8 kind, bool single) {
  if (kind == kRaw) return n;
  if (kind < kHuffman) return ceil_div(n * kind, 8);
  if (n == 0 || single) return 0;
  usize bytes = n < kLaneThreshold ? 0 : 2 * (kLanes - 1);
  for (usize i = 0; i < kLanes; ++i) bytes += static_cast<usize>(lanes.data()[row * kLanes + i]);
  return bytes;
}

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  Input in(data, size);
  const usize rows = usize{in.byte()} % 4 + 1;
  const int limit = 8 + in.byte() % 5;
  const u8 kind = in.byte() % 9, mask = in.byte();
  Exact<i64> bounds(rows + 1);
  const usize repeat = usize{in.byte()} % 8 + 1;  // short inputs make long rows
  Exact<u8> symbols(in.left() * repeat);
  for (usize i = 0; i < symbols.size(); ++i) symbols[i] = static_cast<u8>(in.rest()[i % in.left()] & mask);
  for (usize r = 0; r <= rows; ++r) bounds[r] = static_cast<i64>(symbols.size() * r / rows);
  const Exact<u8> use(rows);
  std::vector<Exact<u8>> first;
  for (const Kernels* k : sets()) {
    Exact<u32> counts(rows * kSymbols);
    k->histograms(symbols.data(), bounds.data(), rows, counts.data());
    Exact<u64> sum(kSymbols);
    for (usize i = 0; i < counts.size(); ++i) sum[i % kSymbols] += counts[i];
    Exact<u8> lengths(kSymbols), code(kCodeRecord);
    must(k->code_lengths(sum.data(), limit, lengths.data()) == Status::ok, "code_lengths fails");
    usize present = 0;
    for (usize i = 0; i < kSymbols; ++i) {
      must(lengths[i] <= limit && (lengths[i] > 0) == (sum[i] > 0), "code_lengths leaves its limit");
      present += lengths[i] > 0;
    }
    if (kind == kHuffman && present == 0) return 0;
    record_of(lengths, kind, code.data());
    must(k->check_codes(code.data(), 1) == 1, "check_codes refuses what code_lengths makes");
    Exact<i64> lanes(rows * kLanes);
    usize failed = 0;
    Status s = k->lane_sizes(symbols.data(), bounds.data(), rows, use.data(), code.data(), 1, lanes.data(), &failed);
    bool fits = kind == kRaw || kind == kHuffman;
    if (!fits) {
      fits = true;
      for (usize i = 0; i < symbols.size(); ++i) fits &= symbols[i] >> kind == 0;
    }
    if (s != Status::ok) continue;
    Exact<i64> offsets(rows);
    usize size_ = 0;
    for (usize r = 0; r < rows; ++r) {
      offsets[r] = static_cast<i64>(size_);
      size_ += total(lanes, r, static_cast<usize>(bounds[r + 1] - bounds[r]), kind, present == 1);
    }
    Exact<u8> out(size_);
    s = k->encode(symbols.data(), bounds.data(), rows, use.data(), code.data(), 1, lanes.data(), out.data(), size_,
                  offsets.data(), &failed);
    if (!fits) continue;  // packed bits that are too few: refused, or cut off within the memory
    must(s == Status::ok, "encode fails");
    if (k == sets().list[0]) {
      first.push_back(out);
    }
    must(out == first[0], "encode: other bytes");
    void* table = std::aligned_alloc(64, (k->table_size + 63) / 64 * 64);
    for (usize r = 0; r < rows; ++r) {
      const usize n = static_cast<usize>(bounds[r + 1] - bounds[r]);
      const usize end = r + 1 < rows ? static_cast<usize>(offsets[r + 1]) : size_;
      const Exact<u8> row(out.data() + offsets[r], end - static_cast<usize>(offsets[r]));
      const Exact<u8> expected(symbols.data() + bounds[r], n);
      Exact<u8> decoded(n);
      s = k->decode(code.data(), row.data(), row.size(), decoded.data(), n, static_cast<u8*>(table));
      must(s == Status::ok && decoded == expected, "what was encoded does not decode");
    }
    std::free(table);
  }
  return 0;
}
