// A row of symbols decoded under any code, by all kernel sets alike.
#include "target.hpp"

using namespace dcz;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  Input in(data, size);
  const Exact<u8> record = take_record(in);
  const usize n = in.pair() % 16384;
  const Exact<u8> row(in.rest(), in.left());
  const usize valid = portable::kernels.check_codes(record.data(), 1);
  Exact<u8> first(n);
  Status expected = Status::ok;
  for (const Kernels* k : sets()) {
    must(k->check_codes(record.data(), 1) == valid, "check_codes differs");
    Exact<u8> out(n);
    void* table = std::aligned_alloc(64, (k->table_size + 63) / 64 * 64);
    const Status s = k->decode(record.data(), row.data(), row.size(), out.data(), n, static_cast<u8*>(table));
    std::free(table);
    if (k == sets().list[0]) {
      expected = s;
      std::memcpy(first.data(), out.data(), n);
    }
    must(s == expected, "decode: another status");
    must(s != Status::ok || out == first, "decode: other symbols");
    must(s != Status::ok || valid == 1 || record.data()[0] != kHuffman, "decode takes a code that check_codes refuses");
  }
  return 0;
}
