// Jobs: ranges of chunks of tensors, described by the columns of a file's index. Every number of a job is
// checked here against what it points into, before a chunk is touched.
#pragma once
#include "chunks.hpp"
#include "codebook.hpp"

namespace dcz {
namespace DCZ_TIER {

static usize code_total(const Columns& c, const Job& job, usize streams) {
  usize n = 0;
  for (usize s = 0; s < streams; ++s) n += static_cast<usize>(c.counts[static_cast<usize>(job.streams) + s]);
  return n;
}

// The plan of a job, or why there is none.
static Status make_plan(const Columns& c, const Job& job, DecodePlan& p) {
  const i64 all[] = {job.word,  job.planes, job.weights, job.chunk,   job.entries, job.group, job.rows,
                     job.first, job.count,  job.streams, job.numbers, job.data,    job.size};
  for (const i64 x : all)
    if (x < 0 || x >> 56 != 0) return Status::argument;
  p.positions = static_cast<Positions>(job.positions);
  p.values = static_cast<Values>(job.values);
  p.word = static_cast<usize>(job.word);
  p.rotate = job.rotate != 0;
  p.planes = static_cast<usize>(job.planes);
  p.weights = static_cast<usize>(job.weights);
  p.chunk = static_cast<usize>(job.chunk);
  p.entries = static_cast<usize>(job.entries);
  p.group = static_cast<usize>(job.group);
  p.stream = job.stream != 0;
  if (const Status s = check_plan(p); s != Status::ok) return s;
  const usize streams = stream_count(p), columns = kRowHead + 2 * streams;
  const usize at = static_cast<usize>(job.streams), numbers = static_cast<usize>(job.numbers);
  if (at > c.stream_count || streams > c.stream_count - at) return Status::argument;
  for (usize s = 0; s < streams; ++s) {
    const i64 n = c.counts[at + s];
    if (n < 1 || n > static_cast<i64>(kMaxCodes)) return Status::argument;
    p.code_count[s] = static_cast<u32>(n);
  }
  const usize codes = code_total(c, job, streams);
  if (numbers > c.number_count || codes > c.number_count - numbers) return Status::argument;
  for (usize i = 0; i < codes; ++i)
    if (c.numbers[numbers + i] < 0 || c.numbers[numbers + i] >= static_cast<i64>(c.code_count)) return Status::argument;
  const usize first = static_cast<usize>(job.rows), rows = static_cast<usize>(job.count);
  if (first > c.row_count || rows > (c.row_count - first) / columns) return Status::argument;
  return check_rows(p, c.rows + first, columns, static_cast<usize>(job.first), rows);
}

// Number of codebooks of a plan that has any; whether a job's bytes begin with them.
static DCZ_INLINE usize book_count(const DecodePlan& p) { return most<usize>(ceil_div(p.weights, p.group), 1); }
static DCZ_INLINE bool has_book(const DecodePlan& p, const Job& job) {
  return p.values == Values::codebook && job.book >= 0;
}

// Where a job's tables, its codebook and the rest of its scratch memory begin.
struct JobScratch {
  usize tables, words, planes, chunks, size;
};

static JobScratch lay_out(const Columns& c, const Job& job, const DecodePlan& p) {
  const usize streams = stream_count(p);
  const bool book = has_book(p, job);
  const usize n = book ? book_count(p) * p.entries : 0;
  JobScratch s{};
  Arena arena;
  s.tables = arena.take((code_total(c, job, streams) + (book ? p.word : 0)) * sizeof(Table));
  s.words = arena.take(n * p.word + kSlack);
  s.planes = arena.take(book ? p.word * aligned(n + kSlack) : 0);
  s.chunks = arena.take(lay_out(p, c.rows + job.rows, kRowHead + 2 * streams, static_cast<usize>(job.count)).size);
  s.size = arena.size();
  return s;
}

// The plan of a job and the bytes of scratch memory it needs.
static Status plan_job(const Columns& c, const Job& job, DecodePlan* plan, usize* size) {
  if (const Status s = make_plan(c, job, *plan); s != Status::ok) return s;
  const DecodePlan& p = *plan;
  const usize weights = most<usize>(p.weights, 1);
  if (has_book(p, job) && p.entries > 0 && book_count(p) > (2 * weights + 65536) / p.entries) return Status::argument;
  *size = lay_out(c, job, p).size + kAlignment;
  return Status::ok;
}

// A code that a job uses: its kind, and its table where it has one.
static Status ready_code(const Columns& c, i64 number, usize symbols, Table* table, u8* kind) {
  const u8* const record = c.records + static_cast<usize>(number) * kCodeRecord;
  *kind = record[0];
  return build_tables(record, 1, symbols, reinterpret_cast<u8*>(table));
}

// A bit for each of a stream's codes that some chunk of the job uses.
static u32 used_codes(const Columns& c, const Job& job, usize columns, usize stream) {
  const i64* const first = c.rows + job.rows + kRowHead + 2 * stream;
  u32 used = 0;
  for (usize r = 0; r < static_cast<usize>(job.count); ++r) used |= u32{1} << (first[r * columns] & (kMaxCodes - 1));
  return used;
}

// `books` codebooks of `entries` words from the head of `data`, of which `used` bytes are theirs. Their record has a
// code and a length for each row of each byte plane. `table` is scratch, `planes` too.
static Status read_codebook(const Columns& c, i64 where, usize word, bool rotate, usize books, usize entries,
                            const u8* data, usize size, Table* table, u8* planes, u8* words, usize* used) {
  const usize at = static_cast<usize>(where), n = books * entries, pieces = ceil_div(n, kMaxRow);
  if (at > c.book_count || 1 + 2 * word * pieces > c.book_count - at) return Status::argument;
  const i64* const book = c.books + at;
  usize total = 0;
  for (usize r = 0; r < word * pieces; ++r) {
    const i64 number = book[1 + 2 * r], length = book[2 + 2 * r];
    if (number < 0 || number >= static_cast<i64>(c.code_count) || length < 0) return Status::argument;
    if (static_cast<usize>(length) > size - total) return Status::length;
    total += static_cast<usize>(length);
  }
  if (static_cast<i64>(crc32c(data, total, 0)) != book[0]) return Status::book_checksum;
  *used = total;
  const usize stride = aligned(n + kSlack);
  const u8* from = data;
  for (usize r = 0; r < word * pieces; ++r) {
    const usize first = r % pieces * kMaxRow, m = least(kMaxRow, n - first);
    const usize length = static_cast<usize>(book[2 + 2 * r]);
    u8 kind = 0;
    if (const Status s = ready_code(c, book[1 + 2 * r], m, table, &kind); s != Status::ok) return s;
    u8* const out = planes + r / pieces * stride + first;
    if (decode_book_row(kind, *table, from, length, data + size, out, m) != Status::ok) return Status::book;
    from += length;
  }
  return join_planes(word, rotate, books, entries, planes, stride, words);
}

// The codebook of a job: decoded from the head of its bytes, or handed in decoded.
static Status job_codebook(const Columns& c, const Job& job, DecodePlan& p, const u8*& data, usize& size, Table* tables,
                           u8* planes, u8* words) {
  const usize books = book_count(p);
  if (job.book < 0) {
    if (job.words < 0 || static_cast<usize>(job.words) > c.word_bytes) return Status::argument;
    p.codebook = c.words + job.words;
    p.codebook_bytes = c.word_bytes - static_cast<usize>(job.words);
    return p.entries > 0 && p.codebook_bytes / p.word / p.entries < books ? Status::argument : Status::ok;
  }
  usize used = 0;
  const Status s =
      read_codebook(c, job.book, p.word, p.rotate, books, p.entries, data, size, tables, planes, words, &used);
  p.codebook = words;
  p.codebook_bytes = books * p.entries * p.word;
  data += used;
  size -= used;
  return s;
}

static usize codebook_scratch(usize word, usize n) {
  return kAlignment + aligned(word * sizeof(Table)) + word * aligned(n + kSlack) + aligned(n * word + kSlack);
}

// Codebooks on their own: for tensors whose chunks are decoded by several jobs.
static Status codebook(const Columns& c, i64 where, usize word, bool rotate, usize books, usize entries, const u8* data,
                       usize size, u8* out, u8* scratch) {
  if (where < 0 || (word != 2 && word != 4 && word != 8)) return Status::argument;
  scratch = align_up(scratch);
  u8* const planes = scratch + aligned(word * sizeof(Table));
  u8* const words = planes + word * aligned(books * entries + kSlack);
  usize used = 0;
  const Status s = read_codebook(c, where, word, rotate, books, entries, data, size, reinterpret_cast<Table*>(scratch),
                                 planes, words, &used);
  if (s != Status::ok) return s;
  std::memcpy(out, words, books * entries * word);
  return used == size ? Status::ok : Status::book;
}

// The codes' kinds and tables, and the codebook, of a job whose plan and memory are checked; `data` moves on behind the
// codebook, `rest` is the memory for its chunks.
static Status ready_job(const Columns& c, const Job& job, DecodePlan& p, u8* kinds, const u8*& data, usize& size,
                        u8* scratch, u8** rest) {
  const JobScratch layout = lay_out(c, job, p);
  scratch = align_up(scratch);
  Table* const tables = reinterpret_cast<Table*>(scratch + layout.tables);
  const usize streams = stream_count(p), codes = code_total(c, job, streams);
  const i64* number = c.numbers + job.numbers;
  for (usize stream = 0, i = 0; stream < streams; ++stream) {
    const usize symbols =
        most_symbols(p, c.rows + job.rows, kRowHead + 2 * streams, static_cast<usize>(job.count), stream);
    const u32 used = used_codes(c, job, kRowHead + 2 * streams, stream);
    for (u32 k = 0; k < p.code_count[stream]; ++k, ++i, ++number) {
      if ((used >> k & 1) == 0) continue;
      if (const Status s = ready_code(c, *number, symbols, tables + i, &kinds[i]); s != Status::ok) return s;
    }
  }
  p.kinds = kinds;
  p.tables = reinterpret_cast<const u8*>(tables);
  *rest = scratch + layout.chunks;
  if (p.values != Values::codebook) return Status::ok;
  return job_codebook(c, job, p, data, size, tables + codes, scratch + layout.planes, scratch + layout.words);
}

// Decodes a job's bytes, its codebook first if it has one, to `out`. `plan` and `scratch_size` are those of `plan_job`.
static Status run_job(const Columns& c, const Job& job, DecodePlan& plan, const u8* data, usize size, u8* out,
                      usize out_size, u8* scratch, usize scratch_size, usize* failed) {
  *failed = static_cast<usize>(job.first);
  if (scratch_size < lay_out(c, job, plan).size + kAlignment) return Status::argument;
  u8 kinds[kMaxStreams * kMaxCodes];
  u8* rest = nullptr;
  if (const Status s = ready_job(c, job, plan, kinds, data, size, scratch, &rest); s != Status::ok) return s;
  return decode_chunks(plan, c.rows + job.rows, kRowHead + 2 * stream_count(plan), static_cast<usize>(job.first),
                       static_cast<usize>(job.count), data, size, out, out_size, rest, failed);
}

}  // namespace DCZ_TIER
}  // namespace dcz
