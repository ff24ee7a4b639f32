/* What dcz.c uses of stdio.h, where there is no C library: libc.c. */
#ifndef DCZ_WASM_STDIO_H
#define DCZ_WASM_STDIO_H
#include <stdarg.h>
#include <stddef.h>
int vsnprintf(char* to, size_t size, const char* format, va_list arguments);
#endif
