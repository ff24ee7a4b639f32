// Numbers that Python states too (`dcz/kernels/interface.py`): a test compares them.
#pragma once
#include <nanobind/nanobind.h>

#include <cstddef>

#include "kernels.hpp"

namespace dcz {

struct Constant {
  const char* name;
  usize value;
};

constexpr Constant kConstants[] = {
    {"SYMBOLS", kSymbols},
    {"LANES", kLanes},
    {"LANE_THRESHOLD", kLaneThreshold},
    {"MAX_CODE_LENGTH", kMaxCodeLength},
    {"MAX_ROW", kMaxRow},
    {"MAX_CODES", kMaxCodes},
    {"CODE_RECORD", kCodeRecord},
    {"ROW_HEAD", kRowHead},
    {"RAW", kRaw},
    {"HUFFMAN", kHuffman},
    {"STEP", static_cast<usize>(Transform::step)},
    {"XOR", static_cast<usize>(Transform::exclusive)},
    {"REPLACE", static_cast<usize>(Transform::replace)},
};

constexpr Constant status_constant(const char* name, Status status) { return {name, static_cast<usize>(status)}; }

constexpr Constant kStatuses[] = {
    status_constant("OK", Status::ok),           status_constant("ARGUMENT", Status::argument),
    status_constant("CODE", Status::code),       status_constant("LENGTH", Status::length),
    status_constant("PADDING", Status::padding), status_constant("COUNT", Status::count),
    status_constant("INDEX", Status::index),     status_constant("CHECKSUM", Status::checksum),
    status_constant("FULL", Status::full),       status_constant("BOOK", Status::book),
    status_constant("ORDER", Status::order),     status_constant("BOOK_CHECKSUM", Status::book_checksum),
    status_constant("RESULT", Status::result),
};

// Where each field of a row of numbers stands in it.
#define DCZ_FIELD(row, field) {#field, offsetof(row, field) / sizeof(i64)}
constexpr Constant kJobPlaces[] = {
    DCZ_FIELD(Job, positions), DCZ_FIELD(Job, values),  DCZ_FIELD(Job, word),   DCZ_FIELD(Job, rotate),
    DCZ_FIELD(Job, planes),    DCZ_FIELD(Job, weights), DCZ_FIELD(Job, chunk),  DCZ_FIELD(Job, entries),
    DCZ_FIELD(Job, group),     DCZ_FIELD(Job, rows),    DCZ_FIELD(Job, first),  DCZ_FIELD(Job, count),
    DCZ_FIELD(Job, streams),   DCZ_FIELD(Job, numbers), DCZ_FIELD(Job, book),   DCZ_FIELD(Job, words),
    DCZ_FIELD(Job, data),      DCZ_FIELD(Job, size),    DCZ_FIELD(Job, stream),
};
constexpr Constant kChangePlaces[] = {
    DCZ_FIELD(Change, transform),
    DCZ_FIELD(Change, magnitude),
    DCZ_FIELD(Change, backward),
    DCZ_FIELD(Change, crcs),
};
#undef DCZ_FIELD
static_assert(sizeof(kJobPlaces) / sizeof(Constant) == kJobFields, "every field of a job has a place");
static_assert(sizeof(kChangePlaces) / sizeof(Constant) == kChangeFields, "every field of a change has a place");

template <usize N>
nanobind::dict by_name(const Constant (&constants)[N]) {
  nanobind::dict out;
  for (const Constant& c : constants) out[c.name] = c.value;
  return out;
}

inline void bind_constants(nanobind::module_& m) {
  m.def(
      "constants",
      [] {
        nanobind::dict out;
        out["numbers"] = by_name(kConstants);
        out["statuses"] = by_name(kStatuses);
        out["job"] = by_name(kJobPlaces);
        out["change"] = by_name(kChangePlaces);
        return out;
      },
      "Numbers that `dcz.kernels.interface` states too, by kind and name.");
}

}  // namespace dcz
