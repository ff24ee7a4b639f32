// The Python binding of the kernels: checks shapes and sizes, lends scratch memory, releases the GIL.
// This file and constants.hpp alone know of Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "constants.hpp"
#include "dispatch.hpp"
#include "lent.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace dcz;

namespace {
template <class T>
using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using In2 = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out2 = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

bool is_word(usize word) { return word == 1 || word == 2 || word == 4 || word == 8; }

void check_bounds(const In<i64>& bounds, usize limit) {
  require(bounds.size() >= 1, "bounds: needs at least one entry");
  for (usize i = 0; i < bounds.size(); ++i)
    require(bounds(i) >= 0 && static_cast<usize>(bounds(i)) <= limit && (i == 0 || bounds(i) >= bounds(i - 1)),
            "bounds: must ascend within the buffer");
}

struct KernelSet {
  const Kernels* k;

  u32 crc32c(In<u8> data, u32 crc) const {
    nb::gil_scoped_release release;
    return k->crc32c(data.data(), data.size(), crc);
  }

  void crc32c_rows(In<u8> data, In<i64> bounds, Out<u32> out) const {
    check_bounds(bounds, data.size());
    require(out.size() + 1 == bounds.size(), "out: one entry per row");
    nb::gil_scoped_release release;
    for (usize r = 0; r < out.size(); ++r)
      out.data()[r] = k->crc32c(data.data() + bounds(r), static_cast<usize>(bounds(r + 1) - bounds(r)), 0);
  }

  void histograms(In<u8> symbols, In<i64> bounds, Out2<u32> out) const {
    check_bounds(bounds, symbols.size());
    require(out.shape(0) + 1 == bounds.size() && out.shape(1) == kSymbols, "out: shape (rows, 256)");
    nb::gil_scoped_release release;
    k->histograms(symbols.data(), bounds.data(), out.shape(0), out.data());
  }

  int code_lengths(In<u64> histogram, int limit, Out<u8> out) const {
    require(histogram.size() == kSymbols && out.size() == kSymbols, "histogram, out: 256 entries");
    return static_cast<int>(k->code_lengths(histogram.data(), limit, out.data()));
  }

  usize check_codes(In<u8> records) const {
    require(records.size() % kCodeRecord == 0, "records: whole records");
    return k->check_codes(records.data(), records.size() / kCodeRecord);
  }

  std::pair<int, usize> lane_sizes(In<u8> symbols, In<i64> bounds, In<u8> use, In<u8> codes, Out2<i64> out) const {
    const usize rows = use.size();
    check_bounds(bounds, symbols.size());
    require(bounds.size() == rows + 1, "bounds: one entry per row");
    require(out.shape(0) == rows && out.shape(1) == kLanes, "out: shape (rows, 6)");
    require(codes.size() % kCodeRecord == 0, "codes: whole records");
    nb::gil_scoped_release release;
    usize failed = 0;
    const Status s = k->lane_sizes(symbols.data(), bounds.data(), rows, use.data(), codes.data(),
                                   codes.size() / kCodeRecord, out.data(), &failed);
    return {static_cast<int>(s), failed};
  }

  std::pair<int, usize> encode(In<u8> symbols, In<i64> bounds, In<u8> use, In<u8> codes, In2<i64> lanes, Out<u8> out,
                               In<i64> offsets) const {
    const usize rows = use.size();
    check_bounds(bounds, symbols.size());
    require(bounds.size() == rows + 1 && offsets.size() == rows, "bounds, offsets: one entry per row");
    require(lanes.shape(0) == rows && lanes.shape(1) == kLanes, "lanes: shape (rows, 6)");
    require(codes.size() % kCodeRecord == 0, "codes: whole records");
    nb::gil_scoped_release release;
    usize failed = 0;
    const Status s =
        k->encode(symbols.data(), bounds.data(), rows, use.data(), codes.data(), codes.size() / kCodeRecord,
                  lanes.data(), out.data(), out.size(), offsets.data(), &failed);
    return {static_cast<int>(s), failed};
  }

  int decode(In<u8> record, In<u8> data, Out<u8> out) const {
    require(record.size() == kCodeRecord, "record: 129 bytes");
    nb::gil_scoped_release release;
    u8* const memory = scratch(k->table_size + 64);
    u8* const table = memory + (64 - reinterpret_cast<std::uintptr_t>(memory) % 64) % 64;
    return static_cast<int>(k->decode(record.data(), data.data(), data.size(), out.data(), out.size(), table));
  }

  std::tuple<int, usize, usize> scan(In<u8> words, usize word, usize limit, Out<u64> keys, Out<u32> slots,
                                     Out<u8> bitmap, Out<u8> ids, usize id_bytes) const {
    require(is_word(word) && words.size() % word == 0, "words: whole words of 1, 2, 4 or 8 bytes");
    const usize n = words.size() / word;
    require(keys.size() >= limit, "keys: `limit` entries");
    require(bitmap.size() >= ceil_div(n, 8), "bitmap: one bit per word");
    require(id_bytes == 1 || id_bytes == 2, "id_bytes: 1 or 2");
    nb::gil_scoped_release release;
    usize key_count = 0, nonzeros = 0;
    const Status s = k->scan(words.data(), n, word, limit, keys.data(), &key_count, slots.data(), slots.size(),
                             bitmap.data(), ids.data(), id_bytes, ids.size() / id_bytes, &nonzeros);
    return {static_cast<int>(s), key_count, nonzeros};
  }

  usize bitmap(In<u8> words, usize word, Out<u8> out) const {
    require(is_word(word) && words.size() % word == 0, "words: whole words of 1, 2, 4 or 8 bytes");
    require(out.size() >= ceil_div(words.size() / word, 8), "out: one bit per word");
    nb::gil_scoped_release release;
    return k->bitmap(words.data(), words.size() / word, word, out.data());
  }

  void nonzeros(In<u8> words, usize word, Out<u8> out) const {
    require(is_word(word) && words.size() % word == 0, "words: whole words of 1, 2, 4 or 8 bytes");
    usize found = 0;
    {
      nb::gil_scoped_release release;
      found = k->nonzeros(words.data(), words.size() / word, word, out.data(), out.size() / word);
    }
    require(found * word == out.size(), "out: exactly the nonzero words");
  }

  void split(In<u8> words, usize word, bool rotate, Out2<u8> out) const {
    require(is_word(word) && words.size() % word == 0, "words: whole words of 1, 2, 4 or 8 bytes");
    require(out.shape(0) == word && out.shape(1) == words.size() / word, "out: shape (word, words)");
    nb::gil_scoped_release release;
    k->split(words.data(), words.size() / word, word, rotate, out.data(), out.shape(1));
  }

  void merge(In2<u8> planes, bool rotate, Out<u8> out) const {
    const usize word = planes.shape(0);
    require(is_word(word) && out.size() == planes.size(), "planes: shape (word, words)");
    nb::gil_scoped_release release;
    k->merge(planes.data(), planes.shape(1), planes.shape(1), word, rotate, out.data());
  }

  std::pair<int, usize> gaps(In<u8> bitmap, usize weights, usize chunk, int bits, Out<u8> out, Out<i64> entries) const {
    require(chunk > 0 && entries.size() == ceil_div(weights, chunk), "entries: one per chunk");
    require(bitmap.size() >= ceil_div(weights, 8), "bitmap: one bit per weight");
    nb::gil_scoped_release release;
    usize written = 0;
    const Status s = k->gaps(bitmap.data(), weights, chunk, bits, out.data(), out.size(), entries.data(), &written);
    return {static_cast<int>(s), written};
  }

  int codebook(In<u8> records, In<i64> books, i64 at, bool rotate, usize count, usize entries, In<u8> data, Out<u8> out,
               usize word) const {
    require(records.size() % kCodeRecord == 0, "records: whole records");
    require(is_word(word) && count < (usize{1} << 32) && entries <= 65536 && out.size() == count * entries * word,
            "out: the words of all codebooks");
    Columns columns{};
    columns.records = records.data();
    columns.code_count = records.size() / kCodeRecord;
    columns.books = books.data();
    columns.book_count = books.size();
    nb::gil_scoped_release release;
    u8* const memory = scratch(k->codebook_scratch(word, count * entries));
    return static_cast<int>(
        k->codebook(columns, at, word, rotate, count, entries, data.data(), data.size(), out.data(), memory));
  }

  // Decodes each row of `jobs` to its array of `out`. Returns (status, job, chunk) of what failed.
  std::tuple<int, usize, usize> run_jobs(In2<i64> jobs, In<u8> records, In<i64> counts, In<i64> numbers, In<i64> rows,
                                         In<i64> books, In<u8> words, In<u8> data, nb::list out) const {
    require(jobs.shape(1) == kJobFields && out.size() == jobs.shape(0), "jobs: 19 columns and an array each");
    require(records.size() % kCodeRecord == 0, "records: whole records");
    const Columns columns{records.data(), records.size() / kCodeRecord,
                          counts.data(),  counts.size(),
                          numbers.data(), numbers.size(),
                          rows.data(),    rows.size(),
                          books.data(),   books.size(),
                          words.data(),   words.size()};
    std::vector<Out<u8>> outs;
    outs.reserve(out.size());
    for (nb::handle h : out) outs.push_back(nb::cast<Out<u8>>(h));
    nb::gil_scoped_release release;
    for (usize j = 0; j < outs.size(); ++j) {
      const Job job = load<Job>(jobs.data() + j * kJobFields);
      usize size = 0, failed = 0;
      DecodePlan plan{};
      Status s = k->plan_job(columns, job, &plan, &size);
      if (s == Status::ok && (job.data < 0 || job.size < 0 || static_cast<usize>(job.data) > data.size() ||
                              static_cast<usize>(job.size) > data.size() - static_cast<usize>(job.data)))
        s = Status::argument;
      if (s == Status::ok)
        s = k->run_job(columns, job, plan, data.data() + job.data, static_cast<usize>(job.size), outs[j].data(),
                       outs[j].size(), scratch(size), size, &failed);
      if (s != Status::ok) return {static_cast<int>(s), j, failed};
    }
    return {0, 0, 0};
  }

  // Returns (status, how many words differ).
  std::pair<int, usize> compare(In<u8> now, In<u8> base, usize word, int transform, bool magnitude, Out<u8> bitmap,
                                Out<u8> out) const {
    require(is_word(word) && now.size() % word == 0, "now: whole words of 1, 2, 4 or 8 bytes");
    require(base.size() == now.size(), "base: as many words");
    const usize n = now.size() / word;
    require(bitmap.size() >= ceil_div(n, 8), "bitmap: one bit per word");
    nb::gil_scoped_release release;
    usize count = 0;
    const Status s = k->compare(now.data(), base.data(), n, word, static_cast<Transform>(transform), magnitude,
                                bitmap.data(), out.data(), out.size() / word, &count);
    return {static_cast<int>(s), count};
  }

  // Applies each row of `jobs` to its array of `out`. Returns (status, job, chunk) of what failed: what comes before it
  // is changed.
  std::tuple<int, usize, usize> change_jobs(In2<i64> jobs, In2<i64> changes, In<i64> crcs, In<u8> records,
                                            In<i64> counts, In<i64> numbers, In<i64> rows, In<i64> books, In<u8> words,
                                            In<u8> data, nb::list out) const {
    require(jobs.shape(1) == kJobFields && out.size() == jobs.shape(0), "jobs: 19 columns and an array each");
    require(changes.shape(1) == kChangeFields && changes.shape(0) == jobs.shape(0), "changes: 4 columns, one per job");
    require(records.size() % kCodeRecord == 0, "records: whole records");
    const Columns columns = columns_of(records, counts, numbers, rows, books, words);
    std::vector<Out<u8>> outs;
    outs.reserve(out.size());
    for (nb::handle h : out) outs.push_back(nb::cast<Out<u8>>(h));
    nb::gil_scoped_release release;
    for (usize j = 0; j < outs.size(); ++j) {
      const Job job = load<Job>(jobs.data() + j * kJobFields);
      usize size = 0, failed = static_cast<usize>(most<i64>(job.first, 0));
      Status s = k->stored_scratch(columns, job, &size);
      if (s == Status::ok && !within(job, data.size())) s = Status::argument;
      if (s == Status::ok)
        s = k->change_job(columns, job, load<Change>(changes.data() + j * kChangeFields), crcs.data(), crcs.size(),
                          data.data() + job.data, static_cast<usize>(job.size), outs[j].data(), outs[j].size(),
                          scratch(size), size, &failed);
      if (s != Status::ok) return {static_cast<int>(s), j, failed};
    }
    return {0, 0, 0};
  }

  // Places and words that one job stores. Returns (status, chunk) of what failed.
  std::pair<int, usize> list_job(In<i64> job_row, In<u8> records, In<i64> counts, In<i64> numbers, In<i64> rows,
                                 In<i64> books, In<u8> words, In<u8> data, Out<i64> indices, Out<u8> out) const {
    require(job_row.size() == kJobFields, "job: 19 numbers");
    require(records.size() % kCodeRecord == 0, "records: whole records");
    const Job job = load<Job>(job_row.data());
    require(is_word(static_cast<usize>(job.word)) && out.size() == indices.size() * static_cast<usize>(job.word),
            "out: a word for each of `indices`");
    const Columns columns = columns_of(records, counts, numbers, rows, books, words);
    nb::gil_scoped_release release;
    usize size = 0, failed = static_cast<usize>(most<i64>(job.first, 0));
    Status s = k->stored_scratch(columns, job, &size);
    if (s == Status::ok && !within(job, data.size())) s = Status::argument;
    if (s == Status::ok)
      s = k->list_job(columns, job, data.data() + job.data, static_cast<usize>(job.size), indices.data(), out.data(),
                      indices.size(), scratch(size), size, &failed);
    return {static_cast<int>(s), failed};
  }

  static Columns columns_of(const In<u8>& records, const In<i64>& counts, const In<i64>& numbers, const In<i64>& rows,
                            const In<i64>& books, const In<u8>& words) {
    return {records.data(), records.size() / kCodeRecord,
            counts.data(),  counts.size(),
            numbers.data(), numbers.size(),
            rows.data(),    rows.size(),
            books.data(),   books.size(),
            words.data(),   words.size()};
  }

  static bool within(const Job& job, usize size) {
    return job.data >= 0 && job.size >= 0 && static_cast<usize>(job.data) <= size &&
           static_cast<usize>(job.size) <= size - static_cast<usize>(job.data);
  }
};

}  // namespace

NB_MODULE(_native, m) {
  m.doc() = "Kernels of dcz: loops over bits, nothing else. Use them through dcz.kernels.";
  nb::class_<KernelSet>(m, "KernelSet", "The kernels compiled for one instruction set.")
      .def_prop_ro("name", [](const KernelSet& s) { return std::string(s.k->name); })
      .def("crc32c", &KernelSet::crc32c, "data"_a, "crc"_a = 0)
      .def("crc32c_rows", &KernelSet::crc32c_rows, "data"_a, "bounds"_a, "out"_a)
      .def("histograms", &KernelSet::histograms, "symbols"_a, "bounds"_a, "out"_a)
      .def("code_lengths", &KernelSet::code_lengths, "histogram"_a, "limit"_a, "out"_a)
      .def("check_codes", &KernelSet::check_codes, "records"_a)
      .def("lane_sizes", &KernelSet::lane_sizes, "symbols"_a, "bounds"_a, "use"_a, "codes"_a, "out"_a)
      .def("encode", &KernelSet::encode, "symbols"_a, "bounds"_a, "use"_a, "codes"_a, "lanes"_a, "out"_a, "offsets"_a)
      .def("decode", &KernelSet::decode, "record"_a, "data"_a, "out"_a)
      .def("scan", &KernelSet::scan, "words"_a, "word"_a, "limit"_a, "keys"_a, "slots"_a, "bitmap"_a, "ids"_a,
           "id_bytes"_a)
      .def("bitmap", &KernelSet::bitmap, "words"_a, "word"_a, "out"_a)
      .def("nonzeros", &KernelSet::nonzeros, "words"_a, "word"_a, "out"_a)
      .def("split", &KernelSet::split, "words"_a, "word"_a, "rotate"_a, "out"_a)
      .def("merge", &KernelSet::merge, "planes"_a, "rotate"_a, "out"_a)
      .def("gaps", &KernelSet::gaps, "bitmap"_a, "weights"_a, "chunk"_a, "bits"_a, "out"_a, "entries"_a)
      .def("codebook", &KernelSet::codebook, "records"_a, "books"_a, "at"_a, "rotate"_a, "count"_a, "entries"_a,
           "data"_a, "out"_a, "word"_a)
      .def("run_jobs", &KernelSet::run_jobs, "jobs"_a, "records"_a, "counts"_a, "numbers"_a, "rows"_a, "books"_a,
           "words"_a, "data"_a, "out"_a)
      .def("compare", &KernelSet::compare, "now"_a, "base"_a, "word"_a, "transform"_a, "magnitude"_a, "bitmap"_a,
           "out"_a)
      .def("change_jobs", &KernelSet::change_jobs, "jobs"_a, "changes"_a, "crcs"_a, "records"_a, "counts"_a,
           "numbers"_a, "rows"_a, "books"_a, "words"_a, "data"_a, "out"_a)
      .def("list_job", &KernelSet::list_job, "job"_a, "records"_a, "counts"_a, "numbers"_a, "rows"_a, "books"_a,
           "words"_a, "data"_a, "indices"_a, "out"_a);
  m.def(
      "kernel_sets",
      [] {
        const Kernels* sets[4];
        const usize n = kernel_sets(sets);
        nb::list out;
        for (usize i = 0; i < n; ++i) out.append(KernelSet{sets[i]});
        return out;
      },
      "The kernel sets this CPU runs, the fastest last.");
  bind_constants(m);
}
