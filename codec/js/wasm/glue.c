/* What dcz.mjs calls. An instance of the module holds one file; every number that it tells has 64 bits. */

#include "../../c/dcz.h"
#include "include/stdlib.h"

#define EXPORT(name) __attribute__((export_name(#name))) name
#define IMPORT(name) __attribute__((import_module("dcz"), import_name(#name))) name

int IMPORT(host_read)(uint64_t offset, void* to, size_t size);
int IMPORT(host_zstd)(void* to, size_t to_size, const void* from, size_t from_size);

static dcz_file* file;
static dcz_error error;
static uint64_t told[32];

static int read_at(void* context, uint64_t offset, void* to, size_t size) {
  (void)context;
  return host_read(offset, to, size);
}

static int unzstd(void* context, void* to, size_t to_size, const void* from, size_t from_size) {
  (void)context;
  return host_zstd(to, to_size, from, from_size);
}

static uint64_t address(const void* at) { return (uint64_t)(uintptr_t)at; }

static dcz_status tell_text(size_t at, const void* data, size_t size) {
  told[at] = address(data), told[at + 1] = size;
  return DCZ_OK;
}

void* EXPORT(allocate)(size_t size) { return malloc(size); }
void EXPORT(release)(void* block) { free(block); }
uint64_t* EXPORT(answer)(void) { return told; }
const char* EXPORT(message)(void) { return error.message; }

dcz_status EXPORT(open)(uint64_t size, uint64_t max_memory) {
  dcz_source source = {read_at, NULL, size};
  dcz_options options = {.zstd = unzstd, .max_memory = max_memory};
  dcz_close(file);
  dcz_status status = dcz_open(&file, &source, &options, &error);
  if (status) return status;
  dcz_bytes metadata = dcz_metadata(file), extensions = dcz_extensions(file);
  told[0] = dcz_count(file), told[1] = dcz_alias_count(file), told[2] = (uint64_t)dcz_has_base(file);
  (void)tell_text(3, metadata.data, metadata.size);
  return tell_text(5, extensions.data, extensions.size);
}

dcz_status EXPORT(describe)(size_t tensor) {
  dcz_tensor t;
  dcz_status status = dcz_describe(file, tensor, &t, &error);
  if (status) return status;
  size_t unknown = 0;
  while (t.unknown && t.unknown[unknown]) unknown++;
  (void)tell_text(0, t.name.data, t.name.size);
  (void)tell_text(2, t.dtype.data, t.dtype.size);
  (void)tell_text(4, t.base_name.data, t.base_name.size);
  (void)tell_text(6, t.metadata.data, t.metadata.size);
  (void)tell_text(8, t.unknown, unknown);
  (void)tell_text(10, t.shape, t.rank);
  uint64_t numbers[] = {t.words,     t.word_size, t.size,  t.nonzeros,  t.content_crc32c, t.same_as,
                        t.positions, t.values,    t.chunk, t.chunks,    t.entries,        t.group,
                        t.offset,    t.stored,    t.codes, t.transform, t.stored_books,   t.stored_positions};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) told[12 + i] = numbers[i];
  return DCZ_OK;
}

dcz_status EXPORT(locate)(size_t tensor, uint64_t first, uint64_t count) {
  return dcz_locate_chunks(file, tensor, first, count, told, told + 1, &error);
}

dcz_status EXPORT(decode)(size_t tensor, uint64_t first, uint64_t count, void* out, size_t size) {
  return dcz_decode_chunks(file, tensor, first, count, out, size, &error);
}

#ifndef DCZ_SMALL /* which decodes and no more */

dcz_status EXPORT(alias)(size_t number) {
  dcz_text name;
  size_t tensor;
  dcz_status status = dcz_alias(file, number, &name, &tensor, &error);
  if (status) return status;
  told[2] = tensor;
  return tell_text(0, name.data, name.size);
}

dcz_status EXPORT(apply)(size_t tensor, void* words, size_t size) {
  return dcz_apply(file, tensor, words, size, DCZ_FORWARD, &error);
}

dcz_status EXPORT(verify)(size_t tensor) { return dcz_verify_tensor(file, tensor, &error); }

uint32_t EXPORT(crc32c)(uint32_t crc, const void* data, size_t size) { return dcz_crc32c(file, crc, data, size); }

#endif
