// A job taken from an input: numbers that mostly make sense, columns and bytes of exactly their size, checksums that
// fit.
//
// Bytes: flags; positions, values, word, rotate; weights (2), chunk / 64 (2), entries (2), group / 64 (2); first,
// count; how many codes, and these; of each stream how many codes it has, and which; of each chunk nonzeros (2),
// fillers (2), of each stream code and length (2); of each row of the codebook code and length (2); all that is left is
// the data.
#pragma once
#include "target.hpp"

namespace dcz {

enum : u8 { kGivenBook = 1, kShortOut = 2, kWrongCrc = 4, kOddNumber = 8, kLongOut = 16 };

struct JobInput {
  Job job{};
  Exact<u8> records, words, data;
  Exact<i64> counts, numbers, rows, books;
  usize out_size = 0;

  Columns columns() const {
    return {records.data(), records.size() / kCodeRecord,
            counts.data(),  counts.size(),
            numbers.data(), numbers.size(),
            rows.data(),    rows.size(),
            books.data(),   books.size(),
            words.data(),   words.size()};
  }
};

inline usize streams_of(const Job& job) {
  return static_cast<usize>(job.planes + (job.positions != 0) + (job.positions == 16));
}

// Makes the checksums of codebook and chunks those of the bytes that they stand for; returns false where those end
// early.
inline void fix_checksums(const Job& job, Exact<i64>& rows, Exact<i64>& books, const Exact<u8>& data) {
  const auto crc = [&](usize at, usize n) {
    return static_cast<i64>(portable::kernels.crc32c(data.data() + at, n, 0));
  };
  usize at = 0, end = 0;
  for (usize i = 2; i < books.size(); i += 2) end = least(end + static_cast<usize>(books[i]), data.size());
  if (books.size() > 0) books[0] = crc(0, end);
  const usize width = kRowHead + 2 * streams_of(job);
  for (usize r = 0; r + width <= rows.size(); r += width) {
    at = end;
    for (usize s = 0; s < streams_of(job); ++s)
      end = least(end + static_cast<usize>(rows[r + kRowHead + 2 * s + 1]), data.size());
    rows[r + 2] = crc(at, end - at);
  }
}

inline JobInput take_job(Input& in) {
  constexpr i64 kPositions[] = {0, 1, 4, 5, 8, 16};
  const u8 flags = in.byte();
  Job job{};
  job.positions = kPositions[in.byte() % 6];
  job.values = in.byte() % 3;
  job.word = static_cast<i64>(word_of(in.byte()));
  job.rotate = in.byte() % 2;
  job.weights = in.pair() % 8192;
  job.chunk = 64 * (i64{in.pair()} % 16385);
  job.entries = in.pair();
  job.group = 64 * i64{in.pair()};
  job.planes = job.values == 0 ? 1 : job.values == 1 ? job.word : job.entries > 256 ? 2 : 1;
  job.stream = flags >> 5 & 1;
  const i64 chunks = job.chunk > 0 ? (job.weights + job.chunk - 1) / job.chunk : 0;
  job.first = in.byte();
  job.count = in.byte();
  if (job.first + job.count > chunks && !(flags & kOddNumber)) {
    job.first = 0;
    job.count = least<i64>(chunks, 64);
  }
  const usize codes = usize{in.byte()} % 8 + 1, streams = streams_of(job);
  Exact<u8> records(codes * kCodeRecord);
  for (usize i = 0; i < codes; ++i) {
    const Exact<u8> record = take_record(in);
    std::memcpy(records.data() + i * kCodeRecord, record.data(), kCodeRecord);
  }
  std::vector<i64> numbers;
  Exact<i64> counts(streams);
  for (usize s = 0; s < streams; ++s) {
    counts[s] = in.byte() % 4 + 1;
    for (i64 i = 0; i < counts[s]; ++i) numbers.push_back(in.byte() % static_cast<i64>(codes));
  }
  Exact<i64> rows(static_cast<usize>(job.count) * (kRowHead + 2 * streams));
  for (usize i = 0; i < rows.size();) {
    rows[i] = in.pair();
    rows[i + 1] = in.pair();
    i += kRowHead;
    for (usize s = 0; s < streams; ++s, i += 2) {
      rows[i] = in.byte() % counts[s];
      rows[i + 1] = in.pair();
    }
  }
  const usize group = job.group == 0 ? static_cast<usize>(job.weights) : static_cast<usize>(job.group);
  job.group = static_cast<i64>(group);
  const usize all = (group > 0 ? most<usize>(ceil_div(static_cast<usize>(job.weights), group), 1) : 1) *
                    static_cast<usize>(job.entries);
  const bool given = job.values != 2 || flags & kGivenBook;
  const usize pieces = given ? 0 : static_cast<usize>(job.word) * ceil_div(all, kMaxRow);
  Exact<i64> books(given ? 0 : least<usize>(1 + 2 * pieces, 64));
  for (usize i = 1; i + 1 < books.size(); i += 2) {
    books[i] = in.byte() % static_cast<i64>(codes);
    books[i + 1] = in.pair();
  }
  job.book = given ? -1 : 0;
  Exact<u8> words(given ? least<usize>(all * static_cast<usize>(job.word), 1 << 16) : 0, 0x5A);
  Exact<u8> data(in.rest(), in.left());
  job.size = static_cast<i64>(data.size());
  if (!(flags & kWrongCrc)) fix_checksums(job, rows, books, data);
  const usize n = static_cast<usize>(
      job.chunk > 0 ? least(job.weights - least(job.weights, job.first * job.chunk), job.count * job.chunk) : 0);
  usize out = n * static_cast<usize>(job.word);
  if (flags & kShortOut) out -= out / 3;
  if (flags & kLongOut) out += 100;
  if (flags & kOddNumber && data.size() > 8) {  // any number of the job is anything
    i64 value = 0;
    std::memcpy(&value, data.data(), sizeof value);
    reinterpret_cast<i64*>(&job)[data[0] % (kJobFields - 2)] = value;  // but data and size, which the binding checks
    job.data = 0;
    job.size = static_cast<i64>(data.size());
  }
  Exact<i64> list(numbers.data(), numbers.size());
  return {job,
          std::move(records),
          std::move(words),
          std::move(data),
          std::move(counts),
          std::move(list),
          std::move(rows),
          std::move(books),
          out};
}

constexpr usize kMostScratch = usize{1} << 24;  // what takes more is refused by the reader's limits, or not of interest

}  // namespace dcz
