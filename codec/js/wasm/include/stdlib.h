/* What dcz.c uses of stdlib.h, where there is no C library: libc.c. */
#ifndef DCZ_WASM_STDLIB_H
#define DCZ_WASM_STDLIB_H
#include <stddef.h>
void* malloc(size_t size);
void free(void* block);
#endif
