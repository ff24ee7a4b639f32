/* Adds up the numbers of a float32 tensor in a dcz file.
 *
 *     cc -O2 -I../../codec/c -o sum sum.c ../../codec/c/dcz.c ../../codec/c/dcz_zstd.c -lzstd
 *     ./sum model.dcz layer.weight */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcz.h"
#include "dcz_zstd.h"

static int read_at(void* context, uint64_t offset, void* to, size_t size) {
  FILE* stream = context;
  return fseek(stream, (long)offset, SEEK_SET) || fread(to, 1, size, stream) != size;
}

static int fail(const dcz_error* error) {
  fprintf(stderr, "%s: %s\n", dcz_status_name(error->status), error->message);
  return 1;
}

int main(int count, char** words) {
  FILE* stream = count == 3 ? fopen(words[1], "rb") : NULL;
  if (!stream || fseek(stream, 0, SEEK_END)) return fprintf(stderr, "usage: sum FILE TENSOR\n"), 2;

  dcz_source source = {read_at, stream, (uint64_t)ftell(stream)};
  dcz_options options = {.zstd = dcz_zstd};
  dcz_error error;
  dcz_file* file;
  if (dcz_open(&file, &source, &options, &error)) return fail(&error);

  dcz_tensor tensor;
  size_t number = dcz_find(file, words[2], strlen(words[2]));
  if (dcz_describe(file, number, &tensor, &error)) return fail(&error);
  if (tensor.dtype.size != 3 || memcmp(tensor.dtype.data, "F32", 3)) return fprintf(stderr, "not float32\n"), 1;

  float* values = malloc(tensor.size ? tensor.size : 1);
  if (!values || dcz_decode(file, number, values, tensor.size, &error)) return fail(&error);
  double sum = 0;
  for (size_t i = 0; i < tensor.words; i++) sum += values[i];
  printf("%.6g\n", sum);

  free(values);
  dcz_close(file);
  fclose(stream);
  return 0;
}
