// The vector intrinsics of the CPU that a kernel set is compiled for.
#pragma once
#include "kernels.hpp"
#if defined(__x86_64__)
// gcc 12 finds its own header's undefined values "maybe uninitialized" (its bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__aarch64__)
#include <arm_acle.h>
#endif
