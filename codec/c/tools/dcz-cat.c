/* dcz-cat: lists, verifies and extracts the tensors of a dcz file. The bytes that it writes are words in C order,
 * little-endian.
 *
 *     dcz-cat FILE                  a table of the tensors
 *     dcz-cat FILE NAME             the words of one, to standard output
 *     dcz-cat --verify FILE         checks everything that can be checked
 *     dcz-cat --json FILE           a line of JSON for each tensor, with the CRC-32C of its words: see spec/README.md
 *     --base FILE                   the words of the base, where the file is differences to one
 *     --window BYTES, --read        how many stored bytes to hold at a time; through read_at instead of memory */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dcz.h"
#include "../dcz_zstd.h"

#define MOST (1ull << 34) /* bytes of a tensor that is decoded */

typedef struct input {
  FILE* stream;
  void* memory;
  size_t size;
  dcz_file* file;
} input;

typedef struct arguments {
  const char *path, *base, *name;
  int json, verify, read;
  size_t window;
} arguments;

static int read_stream(void* context, uint64_t offset, void* to, size_t size) {
  FILE* stream = context;
  if (offset > INT64_MAX / 2 || fseeko(stream, (off_t)offset, SEEK_SET)) return 1;
  return fread(to, 1, size, stream) != size;
}

/* Says on standard output (as JSON) or standard error what is wrong. */
static int report(const arguments* a, const dcz_error* error) {
  if (!a->json) {
    fprintf(stderr, "dcz-cat: %s: %s\n", a->path, error->message);
    return 1;
  }
  printf("{\"error\": \"%s\", \"message\": \"", dcz_status_name(error->status));
  for (const char* c = error->message; *c; c++) printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
  printf("\"}\n");
  return 1;
}

static dcz_status open_input(const arguments* a, const char* path, input* in, dcz_error* error) {
  dcz_options options;
  int64_t size;
  memset(&options, 0, sizeof options);
  options.zstd = dcz_zstd;
  options.window = a->window;
  error->status = DCZ_IO;
  snprintf(error->message, sizeof error->message, "the file cannot be read");
  in->stream = fopen(path, "rb");
  if (!in->stream || fseeko(in->stream, 0, SEEK_END) || (size = ftello(in->stream)) < 0) return DCZ_IO;
  if (a->read) {
    dcz_source source = {read_stream, in->stream, (uint64_t)size};
    return dcz_open(&in->file, &source, &options, error);
  }
  in->size = (size_t)size;
  in->memory = malloc(in->size ? in->size : 1);
  if (!in->memory || read_stream(in->stream, 0, in->memory, in->size)) return DCZ_IO;
  return dcz_open_memory(&in->file, in->memory, in->size, &options, error);
}

static void close_input(input* in) {
  dcz_close(in->file);
  free(in->memory);
  if (in->stream) fclose(in->stream);
}

/* The words of a tensor, from its base's if it needs them; to be freed. */
static dcz_status decode(const dcz_file* file, const dcz_file* base, size_t tensor, void** out, size_t* size,
                         dcz_error* error) {
  dcz_tensor t, source, old;
  dcz_status status = dcz_describe(file, tensor, &t, error);
  if (!status) status = dcz_describe(file, t.same_as, &source, error);
  if (status) return status;
  if (t.size > MOST) {
    error->status = DCZ_LIMIT;
    snprintf(error->message, sizeof error->message, "a tensor has %" PRIu64 " bytes; the limit is %llu", t.size, MOST);
    return DCZ_LIMIT;
  }
  *size = (size_t)t.size;
  *out = malloc(t.size ? (size_t)t.size : 1);
  if (!*out) {
    error->status = DCZ_MEMORY;
    snprintf(error->message, sizeof error->message, "no memory for %" PRIu64 " bytes", t.size);
    return DCZ_MEMORY;
  }
  if (!source.transform || t.unknown || !base) return dcz_decode(file, tensor, *out, *size, error);
  size_t number = dcz_find(base, source.base_name.data, source.base_name.size);
  if (number == DCZ_NONE || dcz_describe(base, number, &old, NULL) || old.size != t.size ||
      old.dtype.size != t.dtype.size || memcmp(old.dtype.data, t.dtype.data, t.dtype.size)) {
    error->status = DCZ_BASE;
    snprintf(error->message, sizeof error->message, "the base lacks a tensor, or has it with another dtype or size");
    return DCZ_BASE;
  }
  status = dcz_decode(base, number, *out, *size, error);
  return status ? status : dcz_apply(file, t.same_as, *out, *size, DCZ_FORWARD, error);
}

static void print_text(dcz_text text) {
  putchar('"');
  for (size_t i = 0; i < text.size; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if (c == '"' || c == '\\')
      printf("\\%c", c);
    else if (c < 0x20 || c == 0x7F)
      printf("\\u%04x", c);
    else
      putchar(c);
  }
  putchar('"');
}

static void print_shape(const dcz_tensor* t) {
  putchar('[');
  for (size_t i = 0; i < t->rank; i++) printf(i ? ", %" PRIu64 : "%" PRIu64, t->shape[i]);
  putchar(']');
}

/* A line of the conformance protocol (spec/README.md). */
static dcz_status print_json(const dcz_file* file, const dcz_file* base, dcz_text name, size_t tensor,
                             dcz_error* error) {
  dcz_tensor t;
  void* words = NULL;
  size_t size;
  dcz_status status = dcz_describe(file, tensor, &t, error);
  if (!status) status = decode(file, base, tensor, &words, &size, error);
  if (!status || status == DCZ_UNSUPPORTED || (status == DCZ_BASE && !base)) {
    printf("{\"name\": ");
    print_text(name);
    if (status) {
      dcz_text message = {error->message, strlen(error->message)};
      printf(", \"unsupported\": ");
      print_text(message);
      printf("}\n");
    } else {
      printf(", \"dtype\": ");
      print_text(t.dtype);
      printf(", \"shape\": ");
      print_shape(&t);
      printf(", \"content_crc32c\": \"%08" PRIx32 "\"}\n", dcz_crc32c(file, 0, words, size));
    }
    status = DCZ_OK;
  }
  free(words);
  return status;
}

/* All tensors, then all aliases; but of a file that is refused, nothing. */
static dcz_status print_all_json(const dcz_file* file, const dcz_file* base, dcz_error* error) {
  dcz_status status = DCZ_OK;
  for (size_t i = 0; i < dcz_count(file) && !status; i++) {
    dcz_tensor t;
    status = dcz_describe(file, i, &t, error);
    if (!status && t.size > MOST && !t.unknown) {
      status = error->status = DCZ_LIMIT;
      snprintf(error->message, sizeof error->message, "a tensor has %" PRIu64 " bytes; the limit is %llu", t.size,
               MOST);
    }
  }
  if (!status) status = dcz_verify(file, error);
  for (size_t i = 0; i < dcz_count(file) && base && !status; i++) { /* what dcz_verify cannot find without the base */
    void* words = NULL;
    size_t size;
    status = decode(file, base, i, &words, &size, error);
    if (status == DCZ_UNSUPPORTED) status = DCZ_OK;
    free(words);
  }
  for (size_t i = 0; i < dcz_count(file) && !status; i++) {
    dcz_tensor t;
    status = dcz_describe(file, i, &t, error);
    if (!status) status = print_json(file, base, t.name, i, error);
  }
  for (size_t i = 0; i < dcz_alias_count(file) && !status; i++) {
    dcz_text name;
    size_t tensor;
    status = dcz_alias(file, i, &name, &tensor, error);
    if (!status) status = print_json(file, base, name, tensor, error);
  }
  return status;
}

static dcz_status print_words(const dcz_file* file, const dcz_file* base, const char* name, dcz_error* error) {
  void* words = NULL;
  size_t size, tensor = dcz_find(file, name, strlen(name));
  dcz_status status = DCZ_ARGUMENT;
  error->status = status;
  snprintf(error->message, sizeof error->message, "there is no tensor of that name");
  if (tensor != DCZ_NONE) status = decode(file, base, tensor, &words, &size, error);
  if (!status && fwrite(words, 1, size, stdout) != size) status = DCZ_IO;
  free(words);
  return status;
}

static dcz_status print_table(const dcz_file* file, dcz_error* error) {
  static const char *const values[] = {"bytes", "planes", "codebook"}, *const transforms[] = {"", " copy", " step",
                                                                                              " xor", " replace"};
  for (size_t i = 0; i < dcz_count(file); i++) {
    dcz_tensor t;
    dcz_status status = dcz_describe(file, i, &t, error);
    if (status) return status;
    print_text(t.name);
    printf("  ");
    print_text(t.dtype);
    printf("  ");
    print_shape(&t);
    printf("  %" PRIu64 " bytes in %" PRIu64, t.size, t.stored);
    if (t.unknown)
      printf("  unknown %s", t.unknown);
    else if (t.same_as != i)
      printf("  same as number %zu", t.same_as);
    else if (t.chunks)
      printf("  positions %u, values %s,%s %" PRIu64 " chunks", t.positions, values[t.values], transforms[t.transform],
             t.chunks);
    printf("\n");
  }
  return DCZ_OK;
}

static int parse(int count, char** words, arguments* a) {
  for (int i = 1; i < count; i++) {
    if (!strcmp(words[i], "--json"))
      a->json = 1;
    else if (!strcmp(words[i], "--verify"))
      a->verify = 1;
    else if (!strcmp(words[i], "--read"))
      a->read = 1;
    else if (!strcmp(words[i], "--base") && i + 1 < count)
      a->base = words[++i];
    else if (!strcmp(words[i], "--window") && i + 1 < count)
      a->window = (size_t)strtoull(words[++i], NULL, 10);
    else if (!a->path)
      a->path = words[i];
    else if (!a->name)
      a->name = words[i];
    else
      return 0;
  }
  return a->path != NULL;
}

static dcz_status run(const arguments* a, const dcz_file* file, const dcz_file* base, dcz_error* error) {
  if (a->verify) return dcz_verify(file, error);
  if (a->name) return print_words(file, base, a->name, error);
  return a->json ? print_all_json(file, base, error) : print_table(file, error);
}

int main(int count, char** words) {
  arguments a = {NULL, NULL, NULL, 0, 0, 0, 0};
  input in = {NULL, NULL, 0, NULL}, base = {NULL, NULL, 0, NULL};
  dcz_error error = {DCZ_OK, ""};
  if (!parse(count, words, &a)) {
    fprintf(stderr, "usage: dcz-cat [--json | --verify] [--base FILE] [--read] [--window BYTES] FILE [NAME]\n");
    return 2;
  }
  dcz_status status = open_input(&a, a.path, &in, &error);
  if (!status && a.base) status = open_input(&a, a.base, &base, &error);
  if (!status) status = run(&a, in.file, base.file, &error);
  close_input(&in);
  close_input(&base);
  return status ? report(&a, &error) : 0;
}
