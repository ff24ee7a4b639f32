#include "dcz_zstd.h"

#include <zstd.h>

int dcz_zstd(void* context, void* to, size_t to_size, const void* from, size_t from_size) {
  (void)context;
  return ZSTD_decompress(to, to_size, from, from_size) != to_size;
}
