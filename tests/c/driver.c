/* Runs libdcz over many files in one process. Standard input has files: 4 bytes of length, then the bytes. For each, a
 * line of output: "ok" and for each tensor its name in hexadecimal, dtype, shape and the CRC-32C of its words; or the
 * kind of error and its message.
 *
 *     driver memory | read | window     from memory, by a callback, holding as few bytes as possible
 *     driver failing                    with each allocation and each read failing in turn; then as `read`
 *     driver applying                   differences to zeros, applied and taken back with each call failing in turn:
 * the next call finishes the work driver peak                       as `window`; prints the most bytes that were
 * allocated by dcz_open and beside it */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../codec/c/dcz.h"
#include "../../codec/c/dcz_zstd.h"

typedef struct state {
  const uint8_t* data;
  size_t size;
  long calls, fail_at; /* of allocations and reads together; none fails where fail_at is below zero */
  dcz_status expected; /* of the call that failed */
  size_t held, most;   /* bytes allocated */
} state;

static void* allocate(void* context, size_t size) {
  state* s = context;
  if (s->calls++ == s->fail_at) {
    s->expected = DCZ_MEMORY;
    return NULL;
  }
  s->held += size;
  if (s->held > s->most) s->most = s->held;
  return malloc(size);
}

static void release(void* context, void* block, size_t size) {
  state* s = context;
  s->held -= size;
  free(block);
}

static int read_at(void* context, uint64_t offset, void* to, size_t size) {
  state* s = context;
  if (s->calls++ == s->fail_at) {
    s->expected = DCZ_IO;
    return 1;
  }
  if (offset > s->size || size > s->size - offset) abort(); /* never asked for what is not there */
  memcpy(to, s->data + offset, size);
  return 0;
}

typedef struct line {
  char* text;
  size_t size, capacity;
} line;

static void append(line* out, const char* format, unsigned long long value) {
  if (out->capacity - out->size < 64) {
    out->capacity = 2 * out->capacity + 64;
    out->text = realloc(out->text, out->capacity);
    if (!out->text) abort();
  }
  out->size += (size_t)snprintf(out->text + out->size, 64, format, value);
}

static void describe(line* out, const dcz_tensor* t, uint32_t crc) {
  append(out, " ", 0);
  for (size_t i = 0; i < t->name.size; i++) append(out, "%02llx", (unsigned char)t->name.data[i]);
  append(out, "/", 0);
  for (size_t i = 0; i < t->dtype.size; i++) append(out, "%c", (unsigned char)t->dtype.data[i]);
  append(out, "/", 0);
  for (size_t i = 0; i < t->rank; i++) append(out, i ? ",%llu" : "%llu", t->shape[i]);
  append(out, "/%llu", crc);
}

static dcz_status decode_all(const dcz_file* file, line* out, dcz_error* error) {
  dcz_status status = DCZ_OK;
  for (size_t i = 0; i < dcz_count(file) && !status; i++) {
    dcz_tensor t;
    status = dcz_describe(file, i, &t, error);
    if (!status && t.size > (size_t)1 << 26) return DCZ_LIMIT;
    void* words = malloc(t.size ? (size_t)t.size : 1); /* exactly, for the address sanitizer */
    if (!status) status = dcz_decode(file, i, words, (size_t)t.size, error);
    if (!status) describe(out, &t, dcz_crc32c(file, 0, words, (size_t)t.size));
    /* Any one chunk is the same as in the whole. */
    uint64_t chunk = t.chunks ? t.chunks - 1 : 0, first = chunk * t.chunk * t.word_size;
    if (!status && t.chunks && t.same_as == i) {
      size_t size = (size_t)(t.size - first);
      void* last = malloc(size ? size : 1);
      status = dcz_decode_chunks(file, i, chunk, 1, last, size, error);
      if (!status && memcmp(last, (uint8_t*)words + first, size)) abort();
      free(last);
    }
    free(words);
  }
  return status;
}

static dcz_status run(state* s, const char* mode, line* out, dcz_error* error) {
  dcz_options options = {{allocate, release, s}, dcz_zstd, NULL, 0, (uint64_t)1 << 26, 0};
  dcz_source source = {read_at, s, s->size};
  dcz_file* file;
  dcz_status status;
  out->size = 0;
  append(out, "ok", 0);
  if (!strcmp(mode, "window") || !strcmp(mode, "peak")) options.window = 1;
  if (!strcmp(mode, "memory"))
    status = dcz_open_memory(&file, s->data, s->size, &options, error);
  else
    status = dcz_open(&file, &source, &options, error);
  if (status) return status;
  size_t opened = s->held;
  s->most = s->held;
  status = decode_all(file, out, error);
  size_t beside = s->most - opened;
  if (!status) status = dcz_verify(file, error);
  if (!strcmp(mode, "peak")) printf("%zu %zu ", opened, beside);
  dcz_close(file);
  return status;
}

/* Does a tensor's words from `from` become `to` after each call that fails, by one more that does not? */
static int finishes(const dcz_file* file, state* s, size_t tensor, const uint8_t* from, const uint8_t* to,
                    uint8_t* words, size_t size, dcz_direction direction) {
  size_t held = s->held;
  for (long i = 0;; i++) {
    dcz_error error = {DCZ_OK, ""};
    memcpy(words, from, size);
    s->calls = 0, s->fail_at = i;
    dcz_status status = dcz_apply(file, tensor, words, size, direction, &error);
    s->fail_at = -1;
    if (s->held != held) return 0;
    if (!status) return i > 2 && !memcmp(words, to, size);
    if (status != s->expected || !error.message[0]) return 0;
    if (dcz_apply(file, tensor, words, size, direction, &error) || memcmp(words, to, size)) return 0;
  }
}

static dcz_status applying(state* s, line* out, dcz_error* error) {
  dcz_options options = {{allocate, release, s}, dcz_zstd, NULL, 0, 0, 0};
  dcz_source source = {read_at, s, s->size};
  dcz_file* file;
  dcz_status status = dcz_open(&file, &source, &options, error);
  if (status) return status;
  out->size = 0;
  append(out, "ok", 0);
  for (size_t i = 0; i < dcz_count(file) && !status; i++) {
    dcz_tensor t;
    if (dcz_describe(file, i, &t, error) || !t.transform || !t.chunks) continue;
    size_t size = (size_t)t.size;
    uint8_t *zeros = calloc(1, size), *result = calloc(1, size), *words = malloc(size);
    status = dcz_apply(file, i, result, size, DCZ_FORWARD, error);
    if (!status && !finishes(file, s, i, zeros, result, words, size, DCZ_FORWARD)) abort();
    if (!status && t.transform != 4 && !finishes(file, s, i, result, zeros, words, size, DCZ_BACK)) abort();
    if (!status) describe(out, &t, dcz_crc32c(file, 0, result, size));
    free(zeros);
    free(result);
    free(words);
  }
  dcz_close(file);
  return status;
}

int main(int arguments, char** words) {
  uint8_t head[4];
  const char* mode = arguments > 1 ? words[1] : "memory";
  line out = {NULL, 0, 0};
  while (fread(head, 1, 4, stdin) == 4) {
    size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    uint8_t* data = malloc(size ? size : 1);
    dcz_error error = {DCZ_OK, ""};
    if (fread(data, 1, size, stdin) != size) return 2;
    state s = {data, size, 0, -1, DCZ_OK, 0, 0};
    dcz_status status = strcmp(mode, "applying") ? run(&s, mode, &out, &error) : applying(&s, &out, &error);
    if (s.held) return 3; /* something was not released */
    long calls = s.calls;
    for (long i = 0; i < calls && !strcmp(mode, "failing"); i++) {
      state failing = {data, size, 0, i, DCZ_OK, 0, 0};
      dcz_error ignored = {DCZ_OK, ""};
      dcz_status found = run(&failing, mode, &out, &ignored);
      if (failing.held || found == DCZ_OK || found != failing.expected || !ignored.message[0]) {
        fprintf(stderr, "call %ld of %ld: %s instead of %s\n", i, calls, dcz_status_name(found),
                dcz_status_name(failing.expected));
        return 4;
      }
    }
    if (!status && !strcmp(mode, "failing")) status = run(&s, mode, &out, &error);
    if (status)
      printf("%s %s\n", dcz_status_name(status), error.message);
    else
      puts(out.text);
    free(data);
  }
  free(out.text);
  return 0;
}
