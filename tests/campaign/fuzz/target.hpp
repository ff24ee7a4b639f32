// What the fuzz targets share: the input taken apart, buffers of exactly their size, and all kernel sets that run here.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../../../codec/native/dispatch.hpp"

extern "C" int LLVMFuzzerTestOneInput(const dcz::u8* data, dcz::usize size);

namespace dcz {

// Reads an input front to back; behind its end are zeros.
class Input {
 public:
  Input(const u8* data, usize size) : at_(data), left_(size) {}

  template <class T>
  T take() {
    T value{};
    const usize n = least(sizeof value, left_);
    std::memcpy(&value, at_, n);
    at_ += n;
    left_ -= n;
    return value;
  }
  u8 byte() { return take<u8>(); }
  u16 pair() { return take<u16>(); }

  // All that is left.
  const u8* rest() const { return at_; }
  usize left() const { return left_; }

 private:
  const u8* at_;
  usize left_;
};

// Heap memory of exactly so many elements: the sanitizer sees the first byte beyond it. Filled with `fill`, so that
// what a kernel leaves unwritten is alike for all kernel sets.
template <class T>
class Exact {
 public:
  explicit Exact(usize n, u8 fill = 0) : n_(n), data_(static_cast<T*>(std::malloc(n * sizeof(T)))) {
    if (n > 0) std::memset(data_, fill, n * sizeof(T));
  }
  Exact(const T* from, usize n) : Exact(n) {
    if (n > 0) std::memcpy(data_, from, n * sizeof(T));
  }
  Exact(const Exact& other) : Exact(other.data_, other.n_) {}
  Exact(Exact&& other) noexcept : n_(other.n_), data_(other.data_) {
    other.n_ = 0;
    other.data_ = nullptr;
  }
  Exact& operator=(const Exact&) = delete;
  ~Exact() { std::free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  usize size() const { return n_; }
  T& operator[](usize i) { return data_[i]; }
  bool operator==(const Exact& other) const {
    return n_ == other.n_ && (n_ == 0 || std::memcmp(data_, other.data_, n_ * sizeof(T)) == 0);
  }

 private:
  usize n_;
  T* data_;
};

// Ends the program where kernel sets differ, or a kernel breaks its promise.
inline void must(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct Sets {
  const Kernels* list[4];
  usize count;
  Sets() : count(kernel_sets(list)) {}
  const Kernels** begin() { return list; }
  const Kernels** end() { return list + count; }
};

inline Sets& sets() {
  static Sets all;
  return all;
}

inline usize word_of(u8 choice) { return usize{1} << (choice & 3); }

// A code record: raw, packed, a Huffman code that fits a histogram, or any lengths at all.
inline Exact<u8> take_record(Input& in) {
  Exact<u8> record(kCodeRecord);
  const u8 kind = in.byte();
  record[0] = kind % 10 > kHuffman ? kHuffman : kind % 10;
  if (record[0] != kHuffman) return record;
  const usize symbols = usize{in.byte()} + 1;
  if (kind % 10 == 9) {  // as it comes
    for (usize i = 0; i < (symbols + 1) / 2; ++i) record[1 + i] = in.byte();
    return record;
  }
  u64 counts[kSymbols] = {};
  u8 lengths[kSymbols] = {};
  for (usize i = 0; i < symbols; ++i) {
    const u8 level = in.byte();
    counts[i] = level == 0 ? 0 : u64{1} << (level % 24);
  }
  portable::kernels.code_lengths(counts, kMaxCodeLength, lengths);
  for (usize i = 0; i < kSymbols; ++i)
    record[1 + i / 2] = static_cast<u8>(record[1 + i / 2] | lengths[i] << 4 * (i % 2));
  return record;
}

}  // namespace dcz
