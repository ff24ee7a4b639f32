// A job applied to the words of a base, and listed: by all kernel sets alike; a chunk that is refused is as it was.
#include "job_input.hpp"

using namespace dcz;

static void list(const Kernels* k, const JobInput& input, usize needed, std::vector<Exact<u8>>& out) {
  usize count = 0;
  const Job& job = input.job;
  const usize width = kRowHead + 2 * streams_of(job);
  for (usize r = 0; r + width <= input.rows.size(); r += width) count += static_cast<usize>(input.rows.data()[r]);
  if (job.positions == 0) count = input.out_size / static_cast<usize>(job.word);
  if (count > kMostScratch / 16) return;
  Exact<i64> places(count);
  Exact<u8> words(count * static_cast<usize>(job.word)), scratch(needed, 0xA5);
  usize failed = 0;
  const Status s = k->list_job(input.columns(), job, input.data.data(), input.data.size(), places.data(), words.data(),
                               count, scratch.data(), needed, &failed);
  out.emplace_back(1, static_cast<u8>(s));
  if (s != Status::ok) return;
  for (usize i = 0; i < count; ++i)
    must(places[i] >= 0 && places[i] < job.weights && (i == 0 || places[i] > places[i - 1]), "list_job: odd places");
  out.emplace_back(reinterpret_cast<const u8*>(places.data()), count * sizeof(i64));
  out.push_back(words);
}

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  Input in(data, size);
  const u8 how = in.byte();
  const Change change{how % 6, how / 8 % 2, how / 16 % 2, how & 32 ? 0 : -1};
  const JobInput input = take_job(in);
  if (input.job.word != 1 && input.job.word != 2 && input.job.word != 4 && input.job.word != 8) return 0;
  Exact<i64> crcs(how & 64 ? 2 * static_cast<usize>(most<i64>(least<i64>(input.job.count, 300), 0)) : 0);
  std::vector<Exact<u8>> first;
  for (const Kernels* k : sets()) {
    std::vector<Exact<u8>> found;
    usize needed = 0, failed = 0;
    Status s = k->stored_scratch(input.columns(), input.job, &needed);
    if (s == Status::ok) {
      if (needed > kMostScratch) return 0;
      Exact<u8> out(input.out_size, 0x3C), scratch(needed, 0xA5);
      s = k->change_job(input.columns(), input.job, change, crcs.data(), crcs.size(), input.data.data(),
                        input.data.size(), out.data(), out.size(), scratch.data(), needed, &failed);
      found.push_back(out);  // also where it is refused: what comes before is changed, the rest is not
      found.emplace_back(reinterpret_cast<const u8*>(&failed), sizeof failed);
      list(k, input, needed, found);
    }
    found.emplace_back(1, static_cast<u8>(s));
    if (first.empty())
      first.swap(found);
    else
      must(found == first, "kernel sets differ");
  }
  return 0;
}
