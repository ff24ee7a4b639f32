/* What this machine's memory can do at most, one thread. Every function returns seconds. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Writes of non-zero data past the cache; `size` is a multiple of 64 and `out` begins on a line. */
double nontemporal(uint8_t* out, size_t size) {
  double start = now();
#if defined(__AVX512F__)
  __m512i v = _mm512_set1_epi32(0x3f9d70a4);
  for (size_t i = 0; i < size; i += 64) _mm512_stream_si512((__m512i*)(out + i), v);
  _mm_sfence();
#elif defined(__AVX__)
  __m256i v = _mm256_set1_epi32(0x3f9d70a4);
  for (size_t i = 0; i < size; i += 32) _mm256_stream_si256((__m256i*)(out + i), v);
  _mm_sfence();
#elif defined(__x86_64__)
  __m128i v = _mm_set1_epi32(0x3f9d70a4);
  for (size_t i = 0; i < size; i += 16) _mm_stream_si128((__m128i*)(out + i), v);
  _mm_sfence();
#else
  memset(out, 0x3f, size); /* the C library writes past the cache where that pays */
#endif
  return now() - start;
}

double copy(uint8_t* out, const uint8_t* in, size_t size) {
  double start = now();
  memcpy(out, in, size);
  return now() - start;
}

/* Writes into pages that do not exist yet: small ones, or huge ones where the system gives them. */
double first_touch(size_t size, int huge) {
  const size_t page = (size_t)2 << 20;
  uint8_t* memory = mmap(0, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -1;
  uint8_t* out = memory + (-(uintptr_t)memory & (page - 1));
#if defined(MADV_HUGEPAGE)
  madvise(out, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#endif
  double start = now();
  memset(out, 0x3f, size);
  double seconds = now() - start;
  munmap(memory, size + page);
  return seconds;
}
