// The scratch memory that the binding lends to kernels, which allocate nothing.
#pragma once
#include <memory>

#include "bits.hpp"

namespace dcz {

// Scratch memory of this thread, kept from call to call: fresh pages would cost more than the work.
static inline u8* scratch(usize size) {
#if defined(__SANITIZE_ADDRESS__)
  constexpr usize kKeep = 0;  // exactly what is asked for, every time, so that going beyond it shows
#else
  constexpr usize kKeep = usize{16} << 20;
#endif
  thread_local std::unique_ptr<u8[]> memory;
  thread_local usize held = 0;
  if (size > held || held > kKeep) {
    memory.reset();
    held = 0;
    memory.reset(new u8[size]);
    held = size;
  }
  return memory.get();
}

}  // namespace dcz
