/* A libFuzzer target: opens any bytes by memory and by a callback, decodes, verifies and applies everything. Checksums
 * are not compared in a fuzzing build, so that changed bytes reach the decoders.
 *
 *     clang -g -O1 -std=c11 -fsanitize=fuzzer,address,undefined -DDCZ_FUZZING -o fuzz fuzz.c ../dcz.c ../dcz_zstd.c
 * -lzstd PYTHONPATH=../../../tests python seeds.py corpus && ./fuzz corpus */

#include <stdlib.h>
#include <string.h>

#include "../dcz.h"
#include "../dcz_zstd.h"

enum { MOST = 1 << 24 }; /* bytes of a tensor that is decoded */

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

typedef struct bytes {
  const uint8_t* data;
  size_t size;
} bytes;

static int read_at(void* context, uint64_t offset, void* to, size_t size) {
  const bytes* all = context;
  if (offset > all->size || size > all->size - offset) abort();
  memcpy(to, all->data + offset, size);
  return 0;
}

static void change(const dcz_file* file, size_t tensor, const dcz_tensor* t, uint8_t* words) {
  dcz_error error;
  memset(words, 0x55, (size_t)t->size);
  if (dcz_check(file, tensor, words, (size_t)t->size, DCZ_FORWARD, &error)) return;
  /* In a fuzzing build any words are the base's, so that what works forward works back, and gives the same words. */
  if (dcz_apply(file, tensor, words, (size_t)t->size, DCZ_FORWARD, &error)) abort();
  if (t->transform != 2 && t->transform != 3) return;
  if (dcz_apply(file, tensor, words, (size_t)t->size, DCZ_BACK, &error)) return; /* bits above narrow elements */
  for (uint64_t i = 0; i < t->size; i++)
    if (words[i] != 0x55) abort();
}

/* All of a tensor, then its last chunk, which must be the same. */
static void decode(const dcz_file* file, size_t tensor) {
  dcz_tensor t;
  dcz_error error;
  if (dcz_describe(file, tensor, &t, &error)) abort();
  if (t.size > MOST) return;
  uint8_t* words = malloc(t.size ? (size_t)t.size : 1);
  uint64_t first = t.chunks ? (t.chunks - 1) * t.chunk * t.word_size : 0;
  dcz_status status = dcz_decode(file, tensor, words, (size_t)t.size, &error);
  if (status && !error.message[0]) abort();
  if (!status && t.chunks && t.same_as == tensor) {
    size_t size = (size_t)(t.size - first);
    uint8_t* last = malloc(size);
    if (dcz_decode_chunks(file, tensor, t.chunks - 1, 1, last, size, &error)) abort();
    if (memcmp(last, words + first, size)) abort();
    free(last);
  }
  if (t.transform) change(file, tensor, &t, words);
  free(words);
}

static void run(const uint8_t* data, size_t size, int by_callback) {
  dcz_options options = {{NULL, NULL, NULL}, dcz_zstd, NULL, 1 << 22, 1 << 26, (size_t)by_callback};
  bytes all = {data, size};
  dcz_source source = {read_at, &all, size};
  dcz_error error;
  dcz_file* file;
  dcz_status status =
      by_callback ? dcz_open(&file, &source, &options, &error) : dcz_open_memory(&file, data, size, &options, &error);
  if (status) return;
  for (size_t i = 0; i < dcz_count(file); i++) {
    dcz_tensor t;
    decode(file, i);
    if (dcz_describe(file, i, &t, &error) || dcz_find(file, t.name.data, t.name.size) != i) abort();
    if (t.size <= MOST) (void)dcz_verify_tensor(file, i, &error);
  }
  dcz_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  run(data, size, 0);
  run(data, size, 1);
  return 0;
}
