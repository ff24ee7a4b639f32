/* What dcz.c uses of string.h, where there is no C library: libc.c. */
#ifndef DCZ_WASM_STRING_H
#define DCZ_WASM_STRING_H
#include <stddef.h>
void* memcpy(void* to, const void* from, size_t size);
void* memmove(void* to, const void* from, size_t size);
void* memset(void* to, int byte, size_t size);
int memcmp(const void* a, const void* b, size_t size);
size_t strlen(const char* text);
#endif
