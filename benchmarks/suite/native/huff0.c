/* Huff0 alone, out of zstd's sources: blocks of one code, table built beforehand, X1 or X2 decoder. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/cpu.h"
#include "common/huf.h"

static int flags(void) { return ZSTD_cpuid_bmi2(ZSTD_cpuid()) ? HUF_flags_bmi2 : 0; }

/* Compresses one block with its table in front; 0 if it does not shrink. */
size_t huff0_compress(void* out, size_t capacity, const void* in, size_t size) {
  static unsigned long long work[HUF_WORKSPACE_SIZE / 8 + 1];
  HUF_CREATE_STATIC_CTABLE(table, HUF_SYMBOLVALUE_MAX);
  HUF_repeat repeat = HUF_repeat_none;
  size_t got = HUF_compress4X_repeat(out, capacity, in, size, 255, 11, work, sizeof work, table, &repeat, flags());
  return HUF_isError(got) ? 0 : got;
}

/* Builds the decoding table of a block; returns the bytes it took in the block, 0 on an error. */
size_t huff0_table(unsigned* table, int x2, const void* in, size_t size) {
  static unsigned work[HUF_DECOMPRESS_WORKSPACE_SIZE_U32];
  table[0] = (unsigned)(HUF_TABLELOG_MAX - !x2) * 0x01000001u;
  size_t got = x2 ? HUF_readDTableX2_wksp(table, in, size, work, sizeof work, flags())
                  : HUF_readDTableX1_wksp(table, in, size, work, sizeof work, flags());
  return HUF_isError(got) ? 0 : got;
}

/* Bytes to allocate for a table. */
size_t huff0_table_size(void) { return HUF_DTABLE_SIZE(HUF_TABLELOG_MAX) * sizeof(HUF_DTable); }

/* Decodes what is behind the table; returns how many symbols, 0 on an error. */
size_t huff0_decompress(void* out, size_t symbols, const void* in, size_t size, const unsigned* table) {
  size_t got = HUF_decompress4X_usingDTable(out, symbols, in, size, table, flags());
  return HUF_isError(got) ? 0 : got;
}
