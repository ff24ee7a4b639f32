// Codebooks on their own, from any rows and bytes.
#include "target.hpp"

using namespace dcz;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  Input in(data, size);
  const usize word = word_of(in.byte());
  const u8 flags = in.byte();
  const usize books = usize{in.byte()} + 1, entries = in.pair();
  if (books * entries * word > usize{1} << 20) return 0;
  const usize codes = usize{in.byte()} % 4 + 1;
  Exact<u8> records(codes * kCodeRecord);
  for (usize i = 0; i < codes; ++i) {
    const Exact<u8> record = take_record(in);
    std::memcpy(records.data() + i * kCodeRecord, record.data(), kCodeRecord);
  }
  const usize pieces = word * ceil_div(books * entries, kMaxRow);
  Exact<i64> book(flags & 1 ? 2 * pieces : 1 + 2 * pieces);  // one number too few
  for (usize i = 1; i < book.size(); ++i)
    book[i] = i % 2 ? in.byte() % static_cast<i64>(codes + (flags >> 1 & 1)) : in.pair();
  const Exact<u8> bytes(in.rest(), in.left());
  usize total = 0;
  for (usize i = 2; i < book.size(); i += 2) total = least(total + static_cast<usize>(book[i]), bytes.size());
  if (!(flags & 4) && book.size() > 0) book[0] = portable::kernels.crc32c(bytes.data(), total, 0);
  const Exact<u8> used(bytes.data(), flags & 8 ? bytes.size() : total);
  Columns columns{};
  columns.records = records.data();
  columns.code_count = codes;
  columns.books = book.data();
  columns.book_count = book.size();
  Exact<u8> first(books * entries * word);
  Status expected = Status::ok;
  for (const Kernels* k : sets()) {
    Exact<u8> out(first.size()), scratch(k->codebook_scratch(word, books * entries), 0xA5);
    const Status s = k->codebook(columns, 0, word, flags >> 4 & 1, books, entries, used.data(), used.size(), out.data(),
                                 scratch.data());
    if (k == sets().list[0]) {
      expected = s;
      if (out.size() > 0) std::memcpy(first.data(), out.data(), out.size());
    }
    must(s == expected, "codebook: another status");
    must(s != Status::ok || out == first, "codebook: other words");
  }
  return 0;
}
