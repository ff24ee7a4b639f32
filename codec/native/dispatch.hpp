// Which kernel sets this build holds and this CPU can run.
#pragma once
#include "kernels.hpp"

namespace dcz {

static inline bool runs_avx2() {
#if defined(DCZ_X86)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("fma") && __builtin_cpu_supports("pclmul");
#else
  return false;
#endif
}

static inline bool runs_avx512() {
#if defined(DCZ_X86)
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("vpclmulqdq");
#else
  return false;
#endif
}

// The sets in order of speed, slowest first; returns how many there are.
static inline usize kernel_sets(const Kernels** out) {
  usize n = 0;
  out[n++] = &portable::kernels;
#if defined(DCZ_X86)
  if (runs_avx2()) out[n++] = &avx2::kernels;
  if (runs_avx512()) out[n++] = &avx512::kernels;
#endif
  return n;
}

}  // namespace dcz
