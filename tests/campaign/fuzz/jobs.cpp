// A job decoded by all kernel sets alike, within exactly the memory that it asks for.
#include "job_input.hpp"

using namespace dcz;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  Input in(data, size);
  const JobInput input = take_job(in);
  const Columns columns = input.columns();
  Exact<u8> first(input.out_size);
  Status expected = Status::ok;
  usize where = 0;
  for (const Kernels* k : sets()) {
    DecodePlan plan{};
    usize needed = 0, failed = 0;
    Exact<u8> out(input.out_size);
    Status s = k->plan_job(columns, input.job, &plan, &needed);
    if (s == Status::ok) {
      if (needed > kMostScratch) return 0;
      Exact<u8> scratch(needed, 0xA5);
      s = k->run_job(columns, input.job, plan, input.data.data(), input.data.size(), out.data(), out.size(),
                     scratch.data(), needed, &failed);
    }
    if (k == sets().list[0]) {
      expected = s;
      where = failed;
      if (out.size() > 0) std::memcpy(first.data(), out.data(), out.size());
    }
    must(s == expected && failed == where, "run_job: another status");
    must(s != Status::ok || out == first, "run_job: other words");
  }
  return 0;
}
