// Jobs of files that have a base (SPEC, Deltas): a chunk is decoded, checked, and then the words of the base that it
// changes are changed where they are. Lines of the cache without a change are not read.
#pragma once
#include <type_traits>

#include "crc_skip.hpp"
#include "order.hpp"
#include "stored.hpp"

namespace dcz {
namespace DCZ_TIER {

constexpr usize kAhead = 24;  // changes that a line is asked for before it is needed
constexpr usize kChangedBlock = 4096;
// Bytes that are copied and added to a CRC in the time that one change takes without its neighbours.
constexpr usize kSkipBytes = kMultiplies ? 32 : 512;

// The CRC-32C of a chunk as it will be, given that of what it is.
template <class W>
static u32 changed_crc(const u8* out, const Stored<W>& s, const W* fresh, u32 crc) {
  const usize size = s.weights * sizeof(W);
  if (s.places == nullptr) return crc32c(reinterpret_cast<const u8*>(fresh), size, 0);
  if (s.count * kSkipBytes < size) {
    u32 change = 0;
    usize behind = 0;
    for (usize i = 0; i < s.count; ++i) {
      const usize at = s.places[i] * sizeof(W);
      change = crc_one<W>(crc_skip(change, at - behind), static_cast<W>(load<W>(out + at) ^ fresh[i]));
      behind = at + sizeof(W);
    }
    return crc ^ crc_skip(change, size - behind);
  }
  constexpr usize kWords = kChangedBlock / sizeof(W);
  u8 block[kChangedBlock];
  u32 sum = 0;
  for (usize at = 0, i = 0; at < s.weights; at += kWords) {
    const usize n = least(kWords, s.weights - at);
    std::memcpy(block, out + at * sizeof(W), n * sizeof(W));
    for (; i < s.count && s.places[i] < at + n; ++i) store(block + (s.places[i] - at) * sizeof(W), fresh[i]);
    sum = crc32c(block, n * sizeof(W), sum);
  }
  return sum;
}

// Changes a chunk at `out`; not, if its CRC-32C would not be the second of `crcs` afterwards. Null: whatever it is.
template <class W, class F>
static Status change_chunk(F&& value, const Stored<W>& s, u8* out, W* fresh, const i64* crcs) {
  if (s.places == nullptr) {
    for (usize i = 0; i < s.count; ++i) fresh[i] = value(load<W>(out + i * sizeof(W)), s.words[i]);
  } else {
    for (usize i = 0; i < s.count; ++i) {
      __builtin_prefetch(out + usize{s.places[least(i + kAhead, s.count - 1)]} * sizeof(W), 1);
      fresh[i] = value(load<W>(out + usize{s.places[i]} * sizeof(W)), s.words[i]);
    }
  }
  if (crcs != nullptr && static_cast<i64>(changed_crc<W>(out, s, fresh, static_cast<u32>(crcs[0]))) != crcs[1])
    return Status::result;
  if (s.places == nullptr) {
    if (s.count > 0) std::memcpy(out, fresh, s.count * sizeof(W));
  } else {
    for (usize i = 0; i < s.count; ++i) store(out + usize{s.places[i]} * sizeof(W), fresh[i]);
  }
  return Status::ok;
}

template <class W>
static Status change_range(const DecodePlan& plan, const Change& change, const i64* crcs, const i64* rows,
                           usize columns, usize first, usize count, const u8* data, usize size, u8* out, usize out_size,
                           u8* scratch, usize* failed) {
  return with_transform<W>(static_cast<Transform>(change.transform), change.magnitude != 0, [&](auto t) {
    const auto run = [&](auto value) {
      return each_stored<W>(plan, rows, columns, first, count, data, size, scratch, failed,
                            [&](const Stored<W>& s, W* fresh) {
                              const usize bytes = s.weights * sizeof(W);
                              if (bytes > out_size) return Status::argument;
                              const Status e = change_chunk<W>(value, s, out, fresh, crcs);
                              out += bytes;
                              out_size -= bytes;
                              crcs = crcs == nullptr ? nullptr : crcs + 2;
                              return e;
                            });
    };
    if (change.backward == 0) return run([](W base, W stored) { return decltype(t)::forward(base, stored); });
    if constexpr (std::is_same_v<decltype(t), Replace<W>>) {
      return Status::argument;  // what was there before is not known
    } else {
      return run([](W word, W stored) { return decltype(t)::backward(word, stored); });
    }
  });
}

// Everything that a job of this kind needs before its chunks: plan, codes, codebook, and the rest of its memory.
struct Ready {
  DecodePlan plan;
  u8 kinds[kMaxStreams * kMaxCodes];
  const u8* data;
  usize size;
  u8* scratch;
};

static Status plan_stored(const Columns& c, const Job& job, DecodePlan* plan, usize* size) {
  usize whole = 0;
  if (const Status s = plan_job(c, job, plan, &whole); s != Status::ok) return s;
  const usize columns = kRowHead + 2 * stream_count(*plan);
  *size = whole + lay_out_stored(*plan, c.rows + job.rows, columns, static_cast<usize>(job.count)).size;
  return Status::ok;
}

static Status stored_scratch(const Columns& c, const Job& job, usize* size) {
  DecodePlan plan{};
  return plan_stored(c, job, &plan, size);
}

static Status make_ready(const Columns& c, const Job& job, const u8* data, usize size, u8* scratch, usize scratch_size,
                         Ready& r) {
  usize needed = 0;
  if (const Status s = plan_stored(c, job, &r.plan, &needed); s != Status::ok) return s;
  if (scratch_size < needed) return Status::argument;
  r.data = data;
  r.size = size;
  return ready_job(c, job, r.plan, r.kinds, r.data, r.size, scratch, &r.scratch);
}

// Applies a job's chunks to their words of the base at `out`. A chunk that is refused, and all behind it, are as they
// were; those before it, up to `failed`, are changed.
static Status change_job(const Columns& c, const Job& job, const Change& change, const i64* crcs, usize crc_count,
                         const u8* data, usize size, u8* out, usize out_size, u8* scratch, usize scratch_size,
                         usize* failed) {
  *failed = static_cast<usize>(job.first);
  Ready r{};
  if (const Status s = make_ready(c, job, data, size, scratch, scratch_size, r); s != Status::ok) return s;
  const i64* pairs = nullptr;
  const usize count = static_cast<usize>(job.count);
  if (change.crcs >= 0) {
    const usize at = static_cast<usize>(change.crcs);
    if (at > crc_count || count > (crc_count - at) / 2) return Status::argument;
    pairs = crcs + at;
  }
  const auto run = [&](auto word) {
    return change_range<decltype(word)>(r.plan, change, pairs, c.rows + job.rows, kRowHead + 2 * stream_count(r.plan),
                                        static_cast<usize>(job.first), count, r.data, r.size, out, out_size, r.scratch,
                                        failed);
  };
  switch (r.plan.word) {
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

// The places in the tensor, and the words, of all that a job's chunks store; there must be `capacity` of them.
static Status list_job(const Columns& c, const Job& job, const u8* data, usize size, i64* indices, u8* words,
                       usize capacity, u8* scratch, usize scratch_size, usize* failed) {
  *failed = static_cast<usize>(job.first);
  Ready r{};
  if (const Status s = make_ready(c, job, data, size, scratch, scratch_size, r); s != Status::ok) return s;
  const auto run = [&](auto word) {
    using W = decltype(word);
    usize found = 0;
    const Status status = each_stored<W>(
        r.plan, c.rows + job.rows, kRowHead + 2 * stream_count(r.plan), static_cast<usize>(job.first),
        static_cast<usize>(job.count), r.data, r.size, r.scratch, failed, [&](const Stored<W>& s, W*) {
          if (s.count > capacity - found) return Status::argument;
          for (usize i = 0; i < s.count; ++i)
            indices[found + i] = static_cast<i64>(s.first + (s.places == nullptr ? i : usize{s.places[i]}));
          if (s.count > 0) std::memcpy(words + found * sizeof(W), s.words, s.count * sizeof(W));
          found += s.count;
          return Status::ok;
        });
    return status == Status::ok && found != capacity ? Status::argument : status;
  };
  switch (r.plan.word) {
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

}  // namespace DCZ_TIER
}  // namespace dcz
