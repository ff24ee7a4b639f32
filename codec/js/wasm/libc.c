/* The few functions of a C library that dcz.c uses: memory, and the formats of its messages. */

#include <stdint.h>

#include "include/stdio.h"
#include "include/stdlib.h"
#include "include/string.h"

/* With -mbulk-memory these are instructions, and do not call themselves. */
void* memcpy(void* to, const void* from, size_t size) { return __builtin_memcpy(to, from, size); }
void* memmove(void* to, const void* from, size_t size) { return __builtin_memmove(to, from, size); }
void* memset(void* to, int byte, size_t size) { return __builtin_memset(to, byte, size); }

int memcmp(const void* a, const void* b, size_t size) {
  const uint8_t *x = a, *y = b;
  for (; size; size--, x++, y++)
    if (*x != *y) return *x - *y;
  return 0;
}

size_t strlen(const char* text) {
  size_t size = 0;
  while (text[size]) size++;
  return size;
}

/* -- Memory: free blocks in a list by address, neighbours joined; the first that is large enough is taken. */

enum { PAGE = 65536, UNIT = 16 };

typedef struct block {
  size_t size; /* bytes with this head, a multiple of UNIT */
  struct block* next;
  uint64_t align; /* a head takes UNIT bytes */
} block;

extern uint8_t __heap_base;
static block* unused;

void free(void* memory) {
  if (!memory) return;
  block *freed = (block*)(void*)((uint8_t*)memory - UNIT), **link = &unused, *before = NULL;
  while (*link && *link < freed) before = *link, link = &before->next;
  freed->next = *link;
  *link = freed;
  if (freed->next && (uint8_t*)freed + freed->size == (uint8_t*)freed->next)
    freed->size += freed->next->size, freed->next = freed->next->next;
  if (before && (uint8_t*)before + before->size == (uint8_t*)freed)
    before->size += freed->size, before->next = freed->next;
}

/* More memory of the engine's, as a free block. */
static int grow(size_t size) {
  static size_t end; /* of what is ours already */
  size_t begin = end ? end : ((size_t)&__heap_base + UNIT - 1) / UNIT * UNIT;
  size_t have = __builtin_wasm_memory_size(0) * PAGE;
  if (have < begin || have - begin < size) {
    size_t pages = (size - (have - begin) + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return 0;
    have += pages * PAGE; /* 0 at 4 GiB, of which the last unit is then left unused */
    if (!have) have -= UNIT;
  }
  block* added = (block*)begin;
  added->size = have - begin;
  end = have;
  free((uint8_t*)added + UNIT);
  return 1;
}

void* malloc(size_t size) {
  if (size > SIZE_MAX - PAGE) return NULL;
  size = (size + 2 * UNIT - 1) / UNIT * UNIT;
  for (int tries = 0; tries < 2; tries++) {
    for (block** link = &unused; *link; link = &(*link)->next) {
      block* found = *link;
      if (found->size < size) continue;
      if (found->size - size >= 2 * UNIT) {
        block* rest = (block*)(void*)((uint8_t*)found + size);
        rest->size = found->size - size, rest->next = found->next;
        found->size = size, *link = rest;
      } else {
        *link = found->next;
      }
      return (uint8_t*)found + UNIT;
    }
    if (!tries && !grow(size)) break;
  }
  return NULL;
}

/* -- Messages: %s, %.*s, %c, and %d, %u, %x, %X with zeros, widths, l and ll. */

typedef struct output {
  char* to;
  size_t left;
} output;

static void put(output* out, char c) {
  if (out->left > 1) *out->to++ = c, out->left--;
}

static void put_number(output* out, uint64_t number, unsigned base, int width, int capital) {
  char digits[24];
  int count = 0;
  do {
    digits[count++] = (capital ? "0123456789ABCDEF" : "0123456789abcdef")[number % base];
    number /= base;
  } while (number || count < width);
  while (count) put(out, digits[--count]);
}

int vsnprintf(char* to, size_t size, const char* format, va_list arguments) {
  output out = {to, size};
  for (; *format; format++) {
    int most = 240, width = 0, longs = 0;
    if (*format != '%') {
      put(&out, *format);
      continue;
    }
    if (*++format == '.') most = va_arg(arguments, int), format += 2;
    for (; *format >= '0' && *format <= '9'; format++) width = 10 * width + *format - '0';
    for (; *format == 'l'; format++) longs++;
    if (*format == 's') {
      const char* text = va_arg(arguments, const char*);
      for (; most > 0 && *text; most--) put(&out, *text++);
    } else if (*format == 'c') {
      put(&out, (char)va_arg(arguments, int));
    } else if (*format == 'd') {
      int number = va_arg(arguments, int);
      if (number < 0) put(&out, '-');
      put_number(&out, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10, width, 0);
    } else {
      uint64_t number = longs == 2   ? va_arg(arguments, unsigned long long)
                        : longs == 1 ? va_arg(arguments, unsigned long)
                                     : va_arg(arguments, unsigned);
      put_number(&out, number, *format == 'u' ? 10 : 16, width, *format == 'X');
    }
  }
  if (size) *out.to = 0;
  return 0;
}
