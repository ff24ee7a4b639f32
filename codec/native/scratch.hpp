// Scratch memory in parts. The caller lends it; a kernel says where its parts are and how much that is.
#pragma once
#include "bits.hpp"

namespace dcz {

constexpr usize kAlignment = 64;  // a cache line: of the memory, and of each part

static constexpr usize aligned(usize n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// The first whole line of a memory, which has kAlignment bytes more than its parts take.
static inline u8* align_up(u8* memory) {
  return memory + (kAlignment - reinterpret_cast<std::uintptr_t>(memory) % kAlignment) % kAlignment;
}

// Hands out parts as offsets from an aligned beginning, one behind the other.
class Arena {
 public:
  usize take(usize bytes) {
    const usize here = size_;
    size_ += aligned(bytes);
    return here;
  }
  usize size() const { return size_; }

 private:
  usize size_ = 0;
};

}  // namespace dcz
