/* libdcz: see dcz.h. In the order of spec/SPEC.md where that is possible: 7.1 msgpack, 7.2 columns and tensors, 5 codes
 * and rows, 3 and 4 chunks, 8 differences. "SPEC 5.4" in a comment is that section, R-BOOK-7 that requirement. */

#include "dcz.h"

#include <stdlib.h>
#include <string.h>

#ifndef DCZ_NO_MESSAGES
#include <stdarg.h>
#include <stdio.h>
#endif

#define TRY(call)                                \
  do {                                           \
    dcz_status try_status = (call);              \
    if (try_status != DCZ_OK) return try_status; \
  } while (0)

/* -- Limits, none of which is part of the format (SPEC 9), but for ROW_SYMBOLS (R-CODE-5) and MAX_CHUNK (R-CHUNK-1) */

enum {
  MAX_NAME = 4096,
  MAX_RANK = 64,
  MAX_TENSORS = 1000000,
  MAX_DEPTH = 16,
  ROW_SYMBOLS = 262080,
  MAX_CHUNK = 1048576,
  MIN_WINDOW = 8192,
  PIECE = 4096,       /* packed symbols unpacked at a time: less than MIN_WINDOW bytes */
  SMALL_BLOCK = 2048, /* symbols of positions held at a time with a window */
  LARGE_BLOCK = 131072
};
#define MAX_WORDS ((uint64_t)1 << 48)
#define MAX_ROW_NUMBERS ((uint64_t)1 << 24)

/* -- Errors */

#define fail(error, status, ...) (describe_error(error, status, __VA_ARGS__), (status))

static void describe_error(dcz_error* error, dcz_status status, const char* format, ...) {
  if (!error) return;
  error->status = status;
#ifdef DCZ_NO_MESSAGES /* for small machines: the status alone, and no vsnprintf */
  (void)format;
  error->message[0] = 0;
#else
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  for (char* c = error->message; *c; c++)
    if (*c < ' ' || *c > '~') *c = '?';
#endif
}

const char* dcz_status_name(dcz_status status) {
  static const char* const names[] = {"ok",    "format", "checksum", "truncated", "unsupported",
                                      "limit", "base",   "memory",   "io",        "argument"};
  return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

/* -- The parts of an open file */

typedef struct dtype {
  const char* name;
  uint8_t word, per_element, rotated, bits; /* bits of an element that may be set, 8 for all */
  uint8_t ordered;                          /* a sign and a magnitude: 8.2 */
} dtype;

static const dtype DTYPES[] = {
    {"BOOL", 1, 1, 0, 8, 0},         {"U8", 1, 1, 0, 8, 0},          {"I8", 1, 1, 0, 8, 0},
    {"U4", 1, 1, 0, 4, 0},           {"I4", 1, 1, 0, 4, 0},          {"U2", 1, 1, 0, 2, 0},
    {"I2", 1, 1, 0, 2, 0},           {"F8_E5M2", 1, 1, 0, 8, 1},     {"F8_E4M3", 1, 1, 0, 8, 1},
    {"F8_E8M0", 1, 1, 0, 8, 0},      {"F8_E4M3FNUZ", 1, 1, 0, 8, 1}, {"F8_E5M2FNUZ", 1, 1, 0, 8, 1},
    {"F8_E4M3_IEEE", 1, 1, 0, 8, 1}, {"F8_E3M4", 1, 1, 0, 8, 1},     {"F8_E4M3B11FNUZ", 1, 1, 0, 8, 1},
    {"F4", 1, 1, 0, 4, 0},           {"F6_E2M3", 1, 1, 0, 6, 0},     {"F6_E3M2", 1, 1, 0, 6, 0},
    {"I16", 2, 1, 0, 8, 0},          {"U16", 2, 1, 0, 8, 0},         {"F16", 2, 1, 1, 8, 1},
    {"BF16", 2, 1, 1, 8, 1},         {"I32", 4, 1, 0, 8, 0},         {"U32", 4, 1, 0, 8, 0},
    {"F32", 4, 1, 1, 8, 1},          {"C64", 4, 2, 1, 8, 1},         {"I64", 8, 1, 0, 8, 0},
    {"U64", 8, 1, 0, 8, 0},          {"F64", 8, 1, 1, 8, 1},         {"C128", 8, 2, 1, 8, 1},
};

enum { ALL = 0, BITMAP = 1 };                 /* positions; others are relative, of that many bits */
enum { BYTES = 0, PLANES = 1, CODEBOOK = 2 }; /* values */
enum { NONE = 0, COPY = 1, STEP = 2, EXCLUSIVE_OR = 3, REPLACE = 4 }; /* transforms */

typedef enum code_kind { RAW, PACKED, HUFFMAN, SINGLE, ZSTD, UNKNOWN } code_kind;

typedef struct code {
  dcz_bytes stored; /* the string, or the code lengths */
  code_kind kind;
  uint8_t number; /* bits of PACKED, the symbol of SINGLE, the longest code of HUFFMAN */
} code;

/* A column of integers (SPEC 7.2), read where it lies. */
typedef struct column {
  const uint8_t* planes;
  size_t count;
  unsigned width;
} column;

static uint64_t get(const column* c, size_t i) {
  uint64_t value = 0;
  for (unsigned j = c->width; j-- > 0;) value = value << 8 | c->planes[j * c->count + i];
  return value;
}

/* The keys of the index in their order (SPEC 7.2). Those that are not columns leave theirs empty. */
/* clang-format off */
#define KEYS(X) \
  X(NAMES, "names") X(TYPES, "dtypes") X(DTYPE_NUMBERS, "dtype_numbers") X(RANKS, "ranks") X(DIMS, "dims") \
  X(WORDS, "words") X(WORD_SIZES, "word_sizes") X(NONZEROS, "nonzeros") X(CONTENT_CRCS, "content_crcs") \
  X(SAME_AS, "same_as") X(POSITIONS, "positions") X(VALUES, "values") X(CHUNKS, "chunks") X(ENTRIES, "entries") \
  X(GROUPS, "groups") X(STREAMS, "streams") X(ROWS, "rows") X(BOOK_ROWS, "book_rows") X(SEGMENTS, "segments") \
  X(CODES, "codes") X(COUNTS, "counts") X(NUMBERS, "numbers") X(BOOK_CRCS, "book_crcs") X(BOOK_CODES, "book_codes") \
  X(BOOK_LENGTHS, "book_lengths") X(ROW_NONZEROS, "row_nonzeros") X(ROW_FILLERS, "row_fillers") \
  X(ROW_CRCS, "row_crcs") X(ROW_CODES, "row_codes") X(ROW_LENGTHS, "row_lengths") X(TRANSFORMS, "transforms") \
  X(BASE_NAMES, "base_names") X(ROW_BASE_CRCS, "row_base_crcs") X(ROW_RESULT_CRCS, "row_result_crcs") \
  X(ALIASES, "aliases") X(METADATA, "metadata") X(TENSOR_METADATA, "tensor_metadata") X(EXTENSIONS, "extensions")
/* clang-format on */
#define NUMBER(key, name) key,
#define NAME(key, name) name,
typedef enum key { KEYS(NUMBER) KEY_COUNT } key;
static const char* const NAMES_OF_KEYS[] = {KEYS(NAME)};

static int needs_base(key key) { return key >= TRANSFORMS && key <= ROW_RESULT_CRCS; }
enum { BASE_KEYS = ROW_RESULT_CRCS - TRANSFORMS + 1 };

/* Where a tensor's numbers are in the columns that have more or fewer than one a tensor. */
typedef struct places {
  size_t dim;      /* in dims */
  size_t stream;   /* in counts */
  size_t number;   /* in numbers */
  size_t book;     /* in book_codes and book_lengths */
  size_t book_crc; /* in book_crcs */
  size_t row;      /* in row_nonzeros, row_fillers, row_crcs */
  size_t cell;     /* in row_codes and row_lengths */
  size_t base_row; /* in row_base_crcs and row_result_crcs */
  uint64_t offset; /* in the file */
} places;

typedef struct record {
  dcz_text name, base_name, dtype_name;
  dcz_bytes metadata;
  places at;
  uint64_t words, chunk, entries, group, books, padding; /* padding: zero bytes before the segment */
  const dtype* dtype;                                    /* NULL if it is not known */
  const char* unknown;
  size_t rank, streams, rows, book_rows, same_as;
  unsigned word_size, positions, values, transform, position_streams;
} record;

typedef struct alias {
  dcz_text name;
  size_t tensor;
} alias;

struct dcz_file {
  dcz_source source;
  const uint8_t* memory; /* all of the file, or NULL */
  dcz_options options;
  uint8_t *stored_index, *index; /* what was allocated for them, or NULL */
  size_t stored_size, index_size;
  column columns[KEY_COUNT];
  dcz_text* types;
  code* codes;
  record* records;
  size_t* sorted; /* numbers of tensors by name */
  uint64_t* dims;
  alias* aliases;
  size_t type_count, code_count, count, alias_count;
  dcz_bytes metadata, extensions;
  int has_base;
  uint32_t crc[8][256];
};

/* -- Memory and bytes */

static dcz_status allocate(const dcz_file* f, void* out, uint64_t count, size_t each, dcz_error* error) {
  void* block = NULL;
  uint64_t most = f->options.max_memory < SIZE_MAX ? f->options.max_memory : SIZE_MAX;
  if (count > most / each)
    return fail(error, DCZ_LIMIT, "%llu times %llu bytes of memory are needed; the limit is %llu: raise max_memory",
                (unsigned long long)count, (unsigned long long)each, (unsigned long long)most);
  if (count) {
    block = f->options.allocator.allocate(f->options.allocator.context, (size_t)count * each);
    if (!block) return fail(error, DCZ_MEMORY, "no memory for %llu bytes", (unsigned long long)(count * each));
  }
  memcpy(out, &block, sizeof block);
  return DCZ_OK;
}

static void release(const dcz_file* f, void* block, size_t count, size_t each) {
  if (block) f->options.allocator.release(f->options.allocator.context, block, count * each);
}

static void* standard_allocate(void* context, size_t size) {
  (void)context;
  return malloc(size);
}

static void standard_release(void* context, void* block, size_t size) {
  (void)context;
  (void)size;
  free(block);
}

static dcz_status read_at(const dcz_file* f, uint64_t offset, void* to, size_t size, dcz_error* error) {
  if (offset > f->source.size || size > f->source.size - offset)
    return fail(error, DCZ_FORMAT, "bytes %llu to %llu are not in the file", (unsigned long long)offset,
                (unsigned long long)(offset + size));
  if (f->memory) {
    if (size) memcpy(to, f->memory + offset, size);
  } else if (size && f->source.read_at(f->source.context, offset, to, size)) {
    return fail(error, DCZ_IO, "reading %llu bytes at %llu failed", (unsigned long long)size,
                (unsigned long long)offset);
  }
  return DCZ_OK;
}

static uint64_t load(const uint8_t* p, unsigned size) {
  uint64_t value = 0;
  while (size-- > 0) value = value << 8 | p[size];
  return value;
}

static uint64_t load64(const uint8_t* p) {
  uint64_t value = 0;
  for (unsigned i = 8; i-- > 0;) value = value << 8 | p[i]; /* compilers make one load of it */
  return value;
}

static uint32_t load32(const uint8_t* p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load_word(const uint8_t* p, unsigned size) {
  switch (size) {
    case 1:
      return p[0];
    case 2:
      return (uint64_t)p[0] | (uint64_t)p[1] << 8;
    case 4:
      return load32(p);
    default:
      return load64(p);
  }
}

static void store_word(uint8_t* p, unsigned size, uint64_t value) {
  switch (size) {
    case 8:
      for (unsigned i = 0; i < 8; i++) p[i] = (uint8_t)(value >> 8 * i);
      break;
    case 4:
      for (unsigned i = 0; i < 4; i++) p[i] = (uint8_t)(value >> 8 * i);
      break;
    case 2:
      p[1] = (uint8_t)(value >> 8);
      p[0] = (uint8_t)value;
      break;
    default:
      p[0] = (uint8_t)value;
  }
}

/* SPEC 1: CRC-32C, eight bytes at a time. */
static void make_crc_tables(uint32_t table[8][256]) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    table[0][byte] = crc;
  }
  for (int i = 1; i < 8; i++)
    for (int byte = 0; byte < 256; byte++)
      table[i][byte] = table[i - 1][byte] >> 8 ^ table[0][table[i - 1][byte] & 0xFF];
}

uint32_t dcz_crc32c(const dcz_file* file, uint32_t crc, const void* data, size_t size) {
  const uint32_t (*t)[256] = (const uint32_t (*)[256])file->crc;
  const uint8_t* p = data;
  crc = ~crc;
  for (; size >= 8; size -= 8, p += 8) {
    uint32_t low = load32(p) ^ crc, high = load32(p + 4);
    crc = t[7][low & 0xFF] ^ t[6][low >> 8 & 0xFF] ^ t[5][low >> 16 & 0xFF] ^ t[4][low >> 24] ^ t[3][high & 0xFF] ^
          t[2][high >> 8 & 0xFF] ^ t[1][high >> 16 & 0xFF] ^ t[0][high >> 24];
  }
  while (size-- > 0) crc = crc >> 8 ^ t[0][(crc ^ *p++) & 0xFF];
  return ~crc;
}

/* A fuzzing build takes every checksum for right, so that changed bytes reach what is behind it. */
static int differs(uint64_t crc, uint64_t expected) {
#ifdef DCZ_FUZZING
  return 0 * (crc != expected);
#else
  return crc != expected;
#endif
}

static uint64_t ceil_div(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

/* -- SPEC 7.1: canonical msgpack */

typedef enum kind { BAD, NIL, BOOLEAN, UNSIGNED, NEGATIVE, FLOAT, BINARY, STRING, ARRAY, MAP } kind;

typedef struct item {
  kind kind;
  uint64_t number;     /* the value of an integer, else how many bytes, elements or pairs */
  const uint8_t* data; /* of strings and bytes */
} item;

typedef struct cursor {
  const uint8_t *at, *end;
  uint64_t containers, most; /* lists and maps met, and R-LIMIT-1 */
} cursor;

/* UTF-8 without overlong forms and surrogates. */
static int is_utf8(const uint8_t* p, uint64_t size) {
  const uint8_t* end = p + size;
  while (p < end) {
    uint32_t c = *p++, least;
    unsigned more;
    if (c < 0x80) continue;
    if (c >= 0xF0)
      more = 3, least = 0x10000, c -= 0xF0;
    else if (c >= 0xE0)
      more = 2, least = 0x800, c -= 0xE0;
    else if (c >= 0xC0)
      more = 1, least = 0x80, c -= 0xC0;
    else
      return 0;
    if (c > 0x1F || end - p < (ptrdiff_t)more) return 0;
    for (; more; more--, p++) {
      if ((*p & 0xC0) != 0x80) return 0;
      c = c << 6 | (*p & 0x3F);
    }
    if (c < least || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return 0;
  }
  return 1;
}

static dcz_status take(cursor* c, item* out, dcz_error* error) {
  /* Bytes C0 to DF: the kind, how many bytes of number follow, and the least that may not be written shorter. */
  static const struct {
    uint8_t kind, width;
    uint64_t least;
  } FORMS[32] = {
      {NIL, 0, 0},        {BAD, 0, 0},        {BOOLEAN, 0, 0},      {BOOLEAN, 0, 0},
      {BINARY, 1, 0},     {BINARY, 2, 256},   {BINARY, 4, 65536},   {BAD, 0, 0},
      {BAD, 0, 0},        {BAD, 0, 0},        {BAD, 0, 0},          {FLOAT, 8, 0},
      {UNSIGNED, 1, 128}, {UNSIGNED, 2, 256}, {UNSIGNED, 4, 65536}, {UNSIGNED, 8, (uint64_t)1 << 32},
      {NEGATIVE, 1, 33},  {NEGATIVE, 2, 129}, {NEGATIVE, 4, 32769}, {NEGATIVE, 8, 0x80000001u},
      {BAD, 0, 0},        {BAD, 0, 0},        {BAD, 0, 0},          {BAD, 0, 0},
      {BAD, 0, 0},        {STRING, 1, 32},    {STRING, 2, 256},     {STRING, 4, 65536},
      {ARRAY, 2, 16},     {ARRAY, 4, 65536},  {MAP, 2, 16},         {MAP, 4, 65536},
  };
  if (c->at == c->end) return fail(error, DCZ_FORMAT, "index: the msgpack ends early");
  uint8_t byte = *c->at++;
  out->data = NULL;
  if (byte <= 0x7F)
    out->kind = UNSIGNED, out->number = byte;
  else if (byte >= 0xE0)
    out->kind = NEGATIVE, out->number = (uint64_t)byte | ~(uint64_t)0xFF;
  else if (byte <= 0x8F)
    out->kind = MAP, out->number = byte & 15u;
  else if (byte <= 0x9F)
    out->kind = ARRAY, out->number = byte & 15u;
  else if (byte <= 0xBF)
    out->kind = STRING, out->number = byte & 31u;
  else {
    unsigned width = FORMS[byte - 0xC0].width;
    uint64_t number = 0, size = 0;
    out->kind = (kind)FORMS[byte - 0xC0].kind;
    if (out->kind == BAD) return fail(error, DCZ_FORMAT, "index: msgpack has a type 0x%02X", byte);
    if ((size_t)(c->end - c->at) < width) return fail(error, DCZ_FORMAT, "index: the msgpack ends early");
    for (unsigned i = 0; i < width; i++) number = number << 8 | *c->at++;
    size = number;
    if (out->kind == NEGATIVE && width) {
      uint64_t sign = (uint64_t)1 << (8 * width - 1);
      if (!(number & sign)) return fail(error, DCZ_FORMAT, "index: an integer is not in its shortest form");
      number |= ~(sign - 1);
      size = ~number + 1;
    }
    if (out->kind != FLOAT && size < FORMS[byte - 0xC0].least)
      return fail(error, DCZ_FORMAT, "index: a number or length is not in its shortest form");
    out->number = number;
  }
  if ((out->kind == ARRAY || out->kind == MAP) && ++c->containers > c->most)
    return fail(error, DCZ_LIMIT, "index: there are more than %llu lists and maps", (unsigned long long)c->most);
  if (out->kind == STRING || out->kind == BINARY) {
    if ((uint64_t)(c->end - c->at) < out->number) return fail(error, DCZ_FORMAT, "index: the msgpack ends early");
    out->data = c->at;
    c->at += out->number;
    if (out->kind == STRING && !is_utf8(out->data, out->number))
      return fail(error, DCZ_FORMAT, "index: a string is not UTF-8");
  }
  return DCZ_OK;
}

static dcz_status take_kind(cursor* c, kind kind, item* out, const char* what, dcz_error* error) {
  TRY(take(c, out, error));
  if (out->kind != kind) return fail(error, DCZ_FORMAT, "index: `%s` has a value of another type", what);
  return DCZ_OK;
}

static int compare_bytes(const void* a, size_t a_size, const void* b, size_t b_size) {
  size_t both = a_size < b_size ? a_size : b_size;
  int order = both ? memcmp(a, b, both) : 0;
  return order ? order : a_size < b_size ? -1 : a_size > b_size;
}

/* The next key of a map in ascending order, after `before` (NULL for the first). UTF-8 sorts as its code points do. */
static dcz_status take_key(cursor* c, item* next, item* before, const char* what, dcz_error* error) {
  TRY(take_kind(c, STRING, next, what, error));
  if (before->data && compare_bytes(before->data, (size_t)before->number, next->data, (size_t)next->number) >= 0)
    return fail(error, DCZ_FORMAT, "index: the keys of `%s` are not unique and in ascending order", what);
  *before = *next;
  return DCZ_OK;
}

static dcz_status skip(cursor* c, const char* what, int depth, dcz_error* error) {
  item each = {BAD, 0, NULL}, before = {BAD, 0, NULL};
  TRY(take(c, &each, error));
  if (depth > MAX_DEPTH) return fail(error, DCZ_LIMIT, "index: `%s` is nested deeper than %d", what, MAX_DEPTH);
  if (each.kind != ARRAY && each.kind != MAP) return DCZ_OK;
  for (uint64_t n = each.number; n > 0; n--) {
    item next = {BAD, 0, NULL};
    if (each.kind == MAP) TRY(take_key(c, &next, &before, what, error));
    TRY(skip(c, what, depth + 1, error));
  }
  return DCZ_OK;
}

/* A map of strings to anything, as bytes. */
static dcz_status take_map(cursor* c, dcz_bytes* out, const char* what, dcz_error* error) {
  out->data = c->at;
  if (c->at == c->end || !((*c->at & 0xF0) == 0x80 || *c->at == 0xDE || *c->at == 0xDF))
    return fail(error, DCZ_FORMAT, "index: `%s` is not a map", what);
  TRY(skip(c, what, 0, error));
  out->size = (size_t)(c->at - out->data);
  return DCZ_OK;
}

static dcz_text text_of(const item* each) {
  dcz_text text = {(const char*)each->data, (size_t)each->number};
  return text;
}

static int text_equals(dcz_text a, dcz_text b) { return compare_bytes(a.data, a.size, b.data, b.size) == 0; }

/* -- SPEC 5: codes */

static unsigned code_length(const code* c, size_t symbol) {
  unsigned two = symbol / 2 < c->stored.size ? c->stored.data[symbol / 2] : 0;
  return symbol % 2 ? two >> 4 : two & 15;
}

/* SPEC 5.2 */
static dcz_status check_huffman(code* c, dcz_error* error) {
  unsigned used = 0, longest = 0, sum = 0;
  if (c->stored.size < 1 || c->stored.size > 128 || c->stored.data[c->stored.size - 1] == 0)
    return fail(error, DCZ_FORMAT, "index: a Huffman code must have 1 to 128 bytes of lengths, the last not zero");
  for (size_t symbol = 0; symbol < 2 * c->stored.size; symbol++) {
    unsigned length = code_length(c, symbol);
    if (length > 12) return fail(error, DCZ_FORMAT, "index: a Huffman code has length %u; the most is 12", length);
    if (!length) continue;
    sum += 4096u >> length;
    if (length > longest) longest = length;
    if (!used++) c->number = (uint8_t)symbol;
  }
  c->kind = used == 1 ? SINGLE : HUFFMAN;
  if (used == 1 ? longest != 1 : sum != 4096)
    return fail(error, DCZ_FORMAT, "index: the lengths of a Huffman code are not those of a complete one");
  if (used > 1) c->number = (uint8_t)longest;
  return DCZ_OK;
}

static dcz_status check_code(code* c, int is_string, dcz_error* error) {
  const uint8_t* name = c->stored.data;
  size_t size = c->stored.size;
  if (!is_string) return check_huffman(c, error);
  c->kind = UNKNOWN;
  if (size == 3 && !memcmp(name, "raw", 3))
    c->kind = RAW;
  else if (size == 4 && !memcmp(name, "zstd", 4))
    c->kind = ZSTD;
  else if (size == 7 && !memcmp(name, "packed", 6) && name[6] >= '1' && name[6] <= '7')
    c->kind = PACKED, c->number = (uint8_t)(name[6] - '0');
  return DCZ_OK;
}

/* SPEC 5.4: exactly one zstd frame of so many bytes. Walks its blocks, as RFC 8878 has them. */
static dcz_status check_frame(const uint8_t* p, uint64_t size, uint64_t plain, dcz_error* error) {
  static const uint8_t MAGIC[4] = {0x28, 0xB5, 0x2F, 0xFD};
  static const uint8_t CONTENT[4] = {0, 2, 4, 8};
  uint64_t at = 5, content;
  if (size < 6 || memcmp(p, MAGIC, 4) != 0)
    return fail(error, DCZ_FORMAT, "what zstd encodes must begin with its magic");
  unsigned flags = p[4], single = flags >> 5 & 1, width = CONTENT[flags >> 6];
  if (flags & 0x0F) return fail(error, DCZ_FORMAT, "a zstd frame must have no dictionary and no checksum");
  if (single && !width) width = 1;
  if (!width) return fail(error, DCZ_FORMAT, "a zstd frame must state its content size");
  if (!single) {
    uint64_t base = (uint64_t)1 << (10 + (p[5] >> 3)), window = base + base / 8 * (p[5] & 7u);
    at++;
    if (window > (uint64_t)8 << 20) return fail(error, DCZ_FORMAT, "a zstd frame has a window above 8 MiB");
  }
  if (at + width > size) return fail(error, DCZ_FORMAT, "a zstd frame ends early");
  content = load(p + at, width) + (width == 2 ? 256u : 0u);
  at += width;
  if (content != plain)
    return fail(error, DCZ_FORMAT, "a zstd frame has %llu bytes instead of %llu", (unsigned long long)content,
                (unsigned long long)plain);
  for (unsigned last = 0; !last;) {
    if (size - at < 3) return fail(error, DCZ_FORMAT, "a zstd frame ends early");
    uint32_t block = (uint32_t)load(p + at, 3), type = block >> 1 & 3, length = type == 1 ? 1 : block >> 3;
    at += 3;
    last = block & 1;
    if (type == 3 || length > size - at) return fail(error, DCZ_FORMAT, "a zstd frame ends early");
    at += length;
  }
  if (at != size) return fail(error, DCZ_FORMAT, "bytes follow a zstd frame");
  return DCZ_OK;
}

static dcz_status unzstd(const dcz_file* f, void* to, size_t plain, const uint8_t* from, size_t size,
                         dcz_error* error) {
  TRY(check_frame(from, size, plain, error));
  if (!f->options.zstd)
    return fail(error, DCZ_UNSUPPORTED, "the file needs zstd, and dcz_options has no function for it");
  if (f->options.zstd(f->options.zstd_context, to, plain, from, size))
    return fail(error, DCZ_FORMAT, "a zstd frame does not decode");
  return DCZ_OK;
}

/* -- SPEC 7.2: the index */

static dcz_status take_column(cursor* c, column* out, const char* name, dcz_error* error) {
  item each = {BAD, 0, NULL};
  unsigned any = 0;
  TRY(take_kind(c, BINARY, &each, name, error));
  out->width = each.number ? each.data[0] : 0;
  if (out->width != 1 && out->width != 2 && out->width != 4 && out->width != 8)
    return fail(error, DCZ_FORMAT, "index: `%s` has integers of %u bytes; 1, 2, 4 and 8 are allowed", name, out->width);
  out->planes = each.data + 1;
  out->count = (size_t)(each.number - 1) / out->width;
  if ((each.number - 1) % out->width)
    return fail(error, DCZ_FORMAT, "index: `%s` is not a whole number of integers", name);
  for (size_t i = out->count * out->width / 2; i < out->count * out->width && !any; i++) any = out->planes[i];
  if (out->width > 1 && !any) return fail(error, DCZ_FORMAT, "index: `%s` is wider than it must be", name);
  return DCZ_OK;
}

/* Sorts numbers by what `compare` says of them: heapsort, since it neither allocates nor degenerates. */
typedef int (*comparison)(const dcz_file* f, size_t a, size_t b);

static void sift(const dcz_file* f, comparison compare, size_t* a, size_t root, size_t n) {
  for (size_t child; (child = 2 * root + 1) < n; root = child) {
    if (child + 1 < n && compare(f, a[child], a[child + 1]) < 0) child++;
    if (compare(f, a[root], a[child]) >= 0) return;
    size_t other = a[root];
    a[root] = a[child], a[child] = other;
  }
}

static void sort(const dcz_file* f, comparison compare, size_t* a, size_t n) {
  for (size_t i = 0; i < n; i++) a[i] = i;
  for (size_t i = n / 2; i-- > 0;) sift(f, compare, a, i, n);
  for (size_t i = n; i-- > 1;) {
    size_t other = a[0];
    a[0] = a[i], a[i] = other;
    sift(f, compare, a, 0, i);
  }
}

static int compare_names(const dcz_file* f, size_t a, size_t b) {
  dcz_text x = f->records[a].name, y = f->records[b].name;
  return compare_bytes(x.data, x.size, y.data, y.size);
}

static int compare_codes(const dcz_file* f, size_t a, size_t b) {
  const code *x = &f->codes[a], *y = &f->codes[b];
  int x_bytes = x->kind == HUFFMAN || x->kind == SINGLE, y_bytes = y->kind == HUFFMAN || y->kind == SINGLE;
  if (x_bytes != y_bytes) return x_bytes - y_bytes;
  return compare_bytes(x->stored.data, x->stored.size, y->stored.data, y->stored.size);
}

static int compare_types(const dcz_file* f, size_t a, size_t b) {
  return compare_bytes(f->types[a].data, f->types[a].size, f->types[b].data, f->types[b].size);
}

/* Are all of n different? */
static dcz_status check_unique(const dcz_file* f, comparison compare, size_t n, const char* what, dcz_error* error) {
  size_t* order = NULL;
  dcz_status status = DCZ_OK;
  TRY(allocate(f, &order, n, sizeof *order, error));
  sort(f, compare, order, n);
  for (size_t i = 1; i < n && !status; i++)
    if (!compare(f, order[i - 1], order[i])) status = fail(error, DCZ_FORMAT, "index: `%s` has a duplicate", what);
  release(f, order, n, sizeof *order);
  return status;
}

static size_t find_tensor(const dcz_file* f, const void* name, size_t size) {
  for (size_t low = 0, high = f->count; low < high;) {
    size_t middle = low + (high - low) / 2;
    dcz_text other = f->records[f->sorted[middle]].name;
    int order = compare_bytes(name, size, other.data, other.size);
    if (!order) return f->sorted[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return DCZ_NONE;
}

/* A list: how many elements. Each takes a byte or more, so that a number that is too large is found before memory is
 * asked for. */
static dcz_status take_list(cursor* c, const char* what, size_t* count, dcz_error* error) {
  item each = {BAD, 0, NULL};
  TRY(take_kind(c, ARRAY, &each, what, error));
  if (each.number > (uint64_t)(c->end - c->at)) return fail(error, DCZ_FORMAT, "index: `%s` ends early", what);
  *count = (size_t)each.number;
  return DCZ_OK;
}

static dcz_status take_texts(cursor* c, dcz_text* out, size_t stride, size_t count, const char* what,
                             dcz_error* error) {
  for (size_t i = 0; i < count; i++) {
    item each = {BAD, 0, NULL};
    TRY(take_kind(c, STRING, &each, what, error));
    if (each.number > MAX_NAME)
      return fail(error, DCZ_LIMIT, "index: `%s` has a string of %llu bytes; the limit is %d", what,
                  (unsigned long long)each.number, MAX_NAME);
    *(dcz_text*)(void*)((char*)out + i * stride) = text_of(&each);
  }
  return DCZ_OK;
}

static dcz_status take_codes(dcz_file* f, cursor* c, dcz_error* error) {
  TRY(take_list(c, "codes", &f->code_count, error));
  TRY(allocate(f, &f->codes, f->code_count, sizeof *f->codes, error));
  for (size_t i = 0; i < f->code_count; i++) {
    item each = {BAD, 0, NULL};
    TRY(take(c, &each, error));
    if (each.kind != STRING && each.kind != BINARY)
      return fail(error, DCZ_FORMAT, "index: a code must be a string or bytes");
    f->codes[i].stored.data = each.data;
    f->codes[i].stored.size = (size_t)each.number;
    TRY(check_code(&f->codes[i], each.kind == STRING, error));
  }
  return check_unique(f, compare_codes, f->code_count, "codes", error);
}

static dcz_status take_names(dcz_file* f, cursor* c, dcz_error* error) {
  TRY(take_list(c, "names", &f->count, error));
  if (f->count > MAX_TENSORS)
    return fail(error, DCZ_LIMIT, "index: there are %llu tensors; the limit is %d", (unsigned long long)f->count,
                MAX_TENSORS);
  TRY(allocate(f, &f->records, f->count, sizeof *f->records, error));
  if (f->count) memset(f->records, 0, f->count * sizeof *f->records);
  TRY(allocate(f, &f->sorted, f->count, sizeof *f->sorted, error));
  if (f->count) TRY(take_texts(c, &f->records->name, sizeof *f->records, f->count, "names", error));
  sort(f, compare_names, f->sorted, f->count);
  for (size_t i = 1; i < f->count; i++)
    if (!compare_names(f, f->sorted[i - 1], f->sorted[i]))
      return fail(error, DCZ_FORMAT, "index: `names` has a duplicate");
  return DCZ_OK;
}

static dcz_status take_types(dcz_file* f, cursor* c, dcz_error* error) {
  TRY(take_list(c, "dtypes", &f->type_count, error));
  TRY(allocate(f, &f->types, f->type_count, sizeof *f->types, error));
  TRY(take_texts(c, f->types, sizeof *f->types, f->type_count, "dtypes", error));
  for (size_t i = 0; i < f->type_count; i++)
    for (size_t j = 0; j < f->types[i].size; j++)
      if ((unsigned char)f->types[i].data[j] > 127) return fail(error, DCZ_FORMAT, "index: `dtypes` must be ASCII");
  return check_unique(f, compare_types, f->type_count, "dtypes", error);
}

static dcz_status take_aliases(dcz_file* f, cursor* c, dcz_error* error) {
  item map, before = {BAD, 0, NULL};
  TRY(take_kind(c, MAP, &map, "aliases", error));
  if (map.number > (uint64_t)(c->end - c->at)) return fail(error, DCZ_FORMAT, "index: `aliases` ends early");
  if (map.number > MAX_TENSORS)
    return fail(error, DCZ_LIMIT, "index: there are %llu aliases; the limit is %d", (unsigned long long)map.number,
                MAX_TENSORS);
  f->alias_count = (size_t)map.number;
  TRY(allocate(f, &f->aliases, f->alias_count, sizeof *f->aliases, error));
  for (size_t i = 0; i < f->alias_count; i++) {
    item name, target;
    TRY(take_key(c, &name, &before, "aliases", error));
    TRY(take_kind(c, STRING, &target, "aliases", error));
    if (name.number > MAX_NAME) return fail(error, DCZ_LIMIT, "index: an alias is longer than %d bytes", MAX_NAME);
    f->aliases[i].name = text_of(&name);
    f->aliases[i].tensor = find_tensor(f, target.data, (size_t)target.number);
    if (f->aliases[i].tensor == DCZ_NONE)
      return fail(error, DCZ_FORMAT, "index: `aliases` names a tensor that is not there");
    if (find_tensor(f, name.data, (size_t)name.number) != DCZ_NONE)
      return fail(error, DCZ_FORMAT, "index: an alias has the name of a tensor");
  }
  return DCZ_OK;
}

static dcz_status take_tensor_metadata(dcz_file* f, cursor* c, dcz_error* error) {
  item map, before = {BAD, 0, NULL};
  TRY(take_kind(c, MAP, &map, "tensor_metadata", error));
  for (uint64_t n = map.number; n > 0; n--) {
    item name = {BAD, 0, NULL};
    dcz_bytes value;
    TRY(take_key(c, &name, &before, "tensor_metadata", error));
    TRY(take_map(c, &value, "tensor_metadata", error));
    size_t tensor = find_tensor(f, name.data, (size_t)name.number);
    if (tensor == DCZ_NONE) return fail(error, DCZ_FORMAT, "index: `tensor_metadata` names a tensor that is not there");
    if (value.data[0] == 0x80) return fail(error, DCZ_FORMAT, "index: `tensor_metadata` has an empty map");
    f->records[tensor].metadata = value;
  }
  return DCZ_OK;
}

static dcz_status take_value(dcz_file* f, cursor* c, key key, const char* name, dcz_error* error) {
  size_t count = 0;
  switch (key) {
    case NAMES:
      return take_names(f, c, error);
    case TYPES:
      return take_types(f, c, error);
    case CODES:
      return take_codes(f, c, error);
    case ALIASES:
      return take_aliases(f, c, error);
    case METADATA:
      return take_map(c, &f->metadata, name, error);
    case EXTENSIONS:
      return take_map(c, &f->extensions, name, error);
    case TENSOR_METADATA:
      return take_tensor_metadata(f, c, error);
    case BASE_NAMES:
      TRY(take_list(c, name, &count, error));
      if (count != f->count)
        return fail(error, DCZ_FORMAT, "index: `%s` has %llu entries for %llu tensors", name, (unsigned long long)count,
                    (unsigned long long)f->count);
      return f->count ? take_texts(c, &f->records->base_name, sizeof *f->records, count, name, error) : DCZ_OK;
    default:
      return take_column(c, &f->columns[key], name, error);
  }
}

static int is_per_tensor(key key) {
  return (key >= DTYPE_NUMBERS && key <= SEGMENTS && key != DIMS) || key == TRANSFORMS;
}

/* R-INDEX-6. Only columns that are wide enough are looked at. */
static dcz_status check_numbers(const dcz_file* f, key k, dcz_error* error) {
  const column* c = &f->columns[k];
  uint64_t most = MAX_WORDS;
  if (k == CONTENT_CRCS || k == BOOK_CRCS || k == ROW_CRCS || k == ROW_BASE_CRCS || k == ROW_RESULT_CRCS)
    most = UINT32_MAX;
  if (k == BOOK_LENGTHS || k == ROW_LENGTHS) most = (uint64_t)1 << 32;
  if (k == DIMS) most = INT64_MAX - 1;
  for (size_t i = 0; c->width == 8 && i < c->count; i++)
    if (get(c, i) > most)
      return fail(error, DCZ_FORMAT, "index: `%s` has %llu; the most is %llu", NAMES_OF_KEYS[k],
                  (unsigned long long)get(c, i), (unsigned long long)most);
  return DCZ_OK;
}

static dcz_status parse_index(dcz_file* f, const uint8_t* data, size_t size, dcz_error* error) {
  cursor c = {data, data + size, 0, 65536 + size / 16};
  item each = {BAD, 0, NULL};
  TRY(take_kind(&c, MAP, &each, "index", error));
  if (each.number != (uint64_t)(f->has_base ? KEY_COUNT : KEY_COUNT - BASE_KEYS))
    return fail(error, DCZ_FORMAT, "index: the map has %llu keys", (unsigned long long)each.number);
  for (key k = 0; k < KEY_COUNT; k++) {
    const char* name = NAMES_OF_KEYS[k];
    if (needs_base(k) && !f->has_base) continue;
    TRY(take_kind(&c, STRING, &each, name, error));
    if (compare_bytes(each.data, (size_t)each.number, name, strlen(name)))
      return fail(error, DCZ_FORMAT, "index: `%s` is missing, or another key is in its place", name);
    TRY(take_value(f, &c, k, name, error));
    if (is_per_tensor(k) && f->columns[k].count != f->count)
      return fail(error, DCZ_FORMAT, "index: `%s` has %llu entries for %llu tensors", name,
                  (unsigned long long)f->columns[k].count, (unsigned long long)f->count);
  }
  if (c.at != c.end) return fail(error, DCZ_FORMAT, "index: bytes follow the map");
  for (key k = 0; k < KEY_COUNT; k++) TRY(check_numbers(f, k, error));
  if (f->columns[ROW_NONZEROS].count > MAX_ROW_NUMBERS || f->columns[ROW_LENGTHS].count > MAX_ROW_NUMBERS)
    return fail(error, DCZ_LIMIT, "index: there are more than %llu rows", (unsigned long long)MAX_ROW_NUMBERS);
  return DCZ_OK;
}

/* -- SPEC 3 and 7.2: what must be true of a tensor's numbers */

/* What is said of a tensor begins with its name. */
#define fail_of(r, error, status, format, ...) \
  fail(error, status, "%.*s: " format, (int)((r)->name.size < 80 ? (r)->name.size : 80), (r)->name.data, __VA_ARGS__)

static dcz_status bad(const record* r, dcz_error* error, const char* what) {
  return fail_of(r, error, DCZ_FORMAT, "%s", what);
}

static size_t left(const dcz_file* f, key key, size_t at) { return f->columns[key].count - at; }

/* Takes n numbers of a column that is as long as those before it said. */
static dcz_status advance(const dcz_file* f, const record* r, key key, size_t* at, uint64_t n, dcz_error* error) {
  if (n > left(f, key, *at)) return bad(r, error, "a column of the index is too short for it");
  *at += (size_t)n;
  return DCZ_OK;
}

static const char* unknown_part(const dcz_file* f, const record* r) {
  static const uint8_t WIDTHS[] = {4, 5, 8, 16};
  size_t number = r->at.number;
  int known = r->positions == ALL || r->positions == BITMAP;
  if (!r->dtype) return "dtype";
  for (size_t i = 0; i < sizeof WIDTHS; i++) known |= r->positions == WIDTHS[i];
  if (!known) return "positions";
  if (r->values > CODEBOOK) return "values";
  if (r->transform > REPLACE) return "transform";
  for (size_t i = 0; i < r->streams; i++)
    for (uint64_t n = get(&f->columns[COUNTS], r->at.stream + i); n > 0; n--)
      if (f->codes[get(&f->columns[NUMBERS], number++)].kind == UNKNOWN) return "code";
  for (size_t i = 0; i < r->book_rows; i++)
    if (f->codes[get(&f->columns[BOOK_CODES], r->at.book + i)].kind == UNKNOWN) return "code";
  return NULL;
}

/* R-INDEX-9. A length 0 does not undo an overflow before it. */
static dcz_status check_shape(const dcz_file* f, const record* r, dcz_error* error) {
  uint64_t product = r->dtype->per_element;
  for (size_t i = 0; i < r->rank; i++) {
    uint64_t length = f->dims[r->at.dim + i];
    if (length && product > MAX_WORDS / length) return fail(error, DCZ_LIMIT, "a tensor has more than 2^48 words");
    product *= length;
  }
  if (r->word_size != r->dtype->word) return bad(r, error, "`word_sizes` is not that of its dtype");
  if (r->words != product) return bad(r, error, "`words` is not that of its shape");
  return DCZ_OK;
}

static int rotates(const record* r) {
  return r->dtype->rotated && r->transform != STEP && r->transform != EXCLUSIVE_OR;
}

/* Weights of a chunk. */
static size_t chunk_words(const record* r, uint64_t chunk) {
  uint64_t rest = r->words - chunk * r->chunk;
  return (size_t)(rest < r->chunk ? rest : r->chunk);
}

/* SPEC 4: the rows of a tensor in which everything is known. */
static dcz_status check_rows(const dcz_file* f, const record* r, uint64_t nonzeros, dcz_error* error) {
  uint64_t sum = 0;
  for (size_t i = 0; i < r->rows; i++) {
    uint64_t n = chunk_words(r, i), stored = get(&f->columns[ROW_NONZEROS], r->at.row + i);
    uint64_t fillers = get(&f->columns[ROW_FILLERS], r->at.row + i);
    if (stored > (r->positions == ALL ? 0 : n)) return bad(r, error, "a row has too many nonzeros");
    uint64_t most = r->positions <= BITMAP ? 0 : n;
    if (fillers > most) return bad(r, error, "a row has too many fillers");
    sum += stored;
  }
  if (r->positions == ALL ? nonzeros > r->words : nonzeros != sum)
    return bad(r, error, "`nonzeros` is not what its rows say");
  return DCZ_OK;
}

/* R-BOOK-7 */
static dcz_status check_clusters(const dcz_file* f, const record* r, dcz_error* error) {
  size_t number = r->at.number;
  if (r->entries > 256) return DCZ_OK;
  for (size_t i = 0; i < r->position_streams; i++) number += (size_t)get(&f->columns[COUNTS], r->at.stream + i);
  for (uint64_t n = get(&f->columns[COUNTS], r->at.stream + r->position_streams); n > 0; n--) {
    const code* c = &f->codes[get(&f->columns[NUMBERS], number++)];
    if (c->kind != HUFFMAN && c->kind != SINGLE) continue;
    for (size_t symbol = (size_t)r->entries; symbol < 2 * c->stored.size; symbol++)
      if (code_length(c, symbol)) return bad(r, error, "a Huffman code has a cluster that is not below `entries`");
  }
  return DCZ_OK;
}

/* SPEC 3, 4 and 7.2, of a tensor that has chunks and in which everything is known. */
static dcz_status check_known(const dcz_file* f, record* r, uint64_t nonzeros, dcz_error* error) {
  size_t number = r->at.number;
  r->position_streams = r->positions == ALL ? 0 : r->positions > 8 ? 2 : 1;
  size_t planes = r->values == BYTES ? 1 : r->values == PLANES ? r->word_size : r->entries <= 256 ? 1 : 2;
  if (r->chunk < 512 || r->chunk > MAX_CHUNK || r->chunk % 512)
    return bad(r, error, "`chunks` must be a multiple of 512 from 512 to 1,048,576");
  if (r->streams != r->position_streams + planes) return bad(r, error, "`streams` is not that of its layout");
  if (r->rows != ceil_div(r->words, r->chunk)) return bad(r, error, "`rows` is not that of its words");
  if (r->values == BYTES) {
    if (r->positions != ALL) return bad(r, error, "values `bytes` need positions `all`");
    for (uint64_t n = get(&f->columns[COUNTS], r->at.stream); n > 0; n--) {
      code_kind kind = f->codes[get(&f->columns[NUMBERS], number++)].kind;
      if (kind != RAW && kind != ZSTD) return bad(r, error, "values `bytes` must be raw or zstd");
    }
  }
  if (r->values != CODEBOOK) {
    if (r->entries || r->group || r->book_rows) return bad(r, error, "only codebooks have entries and groups");
  } else {
    if (r->word_size == 1 || r->entries > (r->word_size == 2 ? 256 : 65536))
      return bad(r, error,
                 "`entries` must be at most 65,536, or 256 with words of 2 bytes; words of 1 byte have no codebooks");
    if (r->group % 64) return bad(r, error, "`groups` must be a multiple of 64");
    r->books = r->group ? ceil_div(r->words, r->group) : 1;
    if (r->entries && r->books > r->words / r->entries)
      return bad(r, error, "codebooks have more entries than there are words");
    if (r->book_rows != r->word_size * ceil_div(r->books * r->entries, ROW_SYMBOLS))
      return bad(r, error, "`book_rows` is not that of its codebooks");
    TRY(check_clusters(f, r, error));
    for (size_t i = 0; i < r->book_rows; i++)
      if (f->codes[get(&f->columns[BOOK_CODES], r->at.book + i)].kind == ZSTD)
        return bad(r, error, "codebooks must not be coded by zstd");
  }
  return check_rows(f, r, nonzeros, error);
}

/* The stored bytes of codebooks and rows; every number is checked against what it counts. */
static dcz_status check_segment(const dcz_file* f, record* r, places* next, uint64_t segment, dcz_error* error) {
  uint64_t sum = 0, most = f->source.size;
  for (size_t i = 0; i < r->streams; i++) {
    uint64_t count = get(&f->columns[COUNTS], r->at.stream + i);
    if (count < 1 || count > 16) return bad(r, error, "a stream must have 1 to 16 codes");
    size_t first = next->number;
    TRY(advance(f, r, NUMBERS, &next->number, count, error));
    for (size_t n = first; n < next->number; n++)
      if (get(&f->columns[NUMBERS], n) >= f->code_count) return bad(r, error, "a stream has a code that is not there");
  }
  for (size_t i = r->at.book; i < next->book; i++) {
    uint64_t length = get(&f->columns[BOOK_LENGTHS], i);
    if (get(&f->columns[BOOK_CODES], i) >= f->code_count)
      return bad(r, error, "a codebook has a code that is not there");
    if (length > most - sum) return bad(r, error, "its codebooks are longer than the file");
    sum += length;
  }
  for (size_t i = r->at.cell; r->streams && i < next->cell; i++) {
    uint64_t length = get(&f->columns[ROW_LENGTHS], i);
    size_t stream = r->at.stream + (i - r->at.cell) % r->streams;
    if (get(&f->columns[ROW_CODES], i) >= get(&f->columns[COUNTS], stream))
      return bad(r, error, "a row has a code that its stream has not");
    if (length > most - sum) return bad(r, error, "its rows are longer than the file");
    sum += length;
  }
  if (sum != segment) return bad(r, error, "`segments` is not the length of its codebooks and rows");
  return DCZ_OK;
}

static dcz_status check_same(const dcz_file* f, const record* r, size_t number, uint64_t same_as, dcz_error* error) {
  static const key EQUAL[] = {DTYPE_NUMBERS, WORDS, WORD_SIZES, NONZEROS, CONTENT_CRCS};
  if (same_as > number) return bad(r, error, "`same_as` must name an earlier tensor");
  if (get(&f->columns[SAME_AS], (size_t)same_as - 1))
    return bad(r, error, "`same_as` names a tensor that is itself the same as another");
  for (size_t i = 0; i < sizeof EQUAL / sizeof *EQUAL; i++)
    if (get(&f->columns[EQUAL[i]], number) != get(&f->columns[EQUAL[i]], (size_t)same_as - 1))
      return bad(r, error, "it differs from the tensor that `same_as` names");
  return DCZ_OK;
}

static dcz_status check_base_name(const record* r, dcz_error* error) {
  if (r->base_name.size && (r->transform == NONE || text_equals(r->name, r->base_name)))
    return bad(r, error, "`base_names` must be empty without a transform and for its own name");
  return DCZ_OK;
}

/* Tensor `i`, whose numbers are at `next` in the columns; moves `next` behind them. */
static dcz_status parse_tensor(dcz_file* f, size_t i, places* next, dcz_error* error) {
  static const key ZERO[] = {POSITIONS, VALUES, CHUNKS, ENTRIES, GROUPS, STREAMS, ROWS, BOOK_ROWS, SEGMENTS};
  const column* columns = f->columns;
  record* r = &f->records[i];
  uint64_t type = get(&columns[DTYPE_NUMBERS], i), rank = get(&columns[RANKS], i), streams = get(&columns[STREAMS], i);
  uint64_t rows = get(&columns[ROWS], i), book_rows = get(&columns[BOOK_ROWS], i), same_as = get(&columns[SAME_AS], i);
  uint64_t transform = f->has_base ? get(&columns[TRANSFORMS], i) : NONE, segment = get(&columns[SEGMENTS], i);
  uint64_t positions = get(&columns[POSITIONS], i), values = get(&columns[VALUES], i);
  uint64_t word_size = get(&columns[WORD_SIZES], i);
  r->at = *next;
  if (type >= f->type_count) return bad(r, error, "`dtype_numbers` names a dtype that is not there");
  r->dtype_name = f->types[type];
  for (size_t n = 0; n < sizeof DTYPES / sizeof *DTYPES; n++)
    if (!compare_bytes(r->dtype_name.data, r->dtype_name.size, DTYPES[n].name, strlen(DTYPES[n].name)))
      r->dtype = &DTYPES[n];
  r->words = get(&columns[WORDS], i);
  if (word_size < 1 || word_size > 255) return bad(r, error, "`word_sizes` must be 1 to 255");
  r->word_size = (unsigned)word_size;
  if (rank > MAX_RANK)
    return fail(error, DCZ_LIMIT, "a tensor has %llu dimensions; the limit is %d", (unsigned long long)rank, MAX_RANK);
  r->chunk = get(&columns[CHUNKS], i);
  r->entries = get(&columns[ENTRIES], i);
  r->group = get(&columns[GROUPS], i);
  r->positions = positions < 256 ? (unsigned)positions : 256; /* an unknown one, whatever it is */
  r->values = values < 256 ? (unsigned)values : 256;
  r->transform = transform < 256 ? (unsigned)transform : 256;
  r->same_as = same_as ? (size_t)(same_as - 1) : i;
  TRY(advance(f, r, DIMS, &next->dim, rank, error));
  TRY(advance(f, r, COUNTS, &next->stream, streams, error));
  TRY(advance(f, r, BOOK_LENGTHS, &next->book, book_rows, error));
  if (next->book > columns[BOOK_CODES].count) return bad(r, error, "`book_codes` is too short");
  TRY(advance(f, r, BOOK_CRCS, &next->book_crc, book_rows != 0, error));
  TRY(advance(f, r, ROW_NONZEROS, &next->row, rows, error));
  if (next->row > columns[ROW_FILLERS].count || next->row > columns[ROW_CRCS].count)
    return bad(r, error, "`row_fillers` or `row_crcs` is too short");
  if (streams && rows > left(f, ROW_LENGTHS, next->cell) / streams) return bad(r, error, "`row_lengths` is too short");
  next->cell += (size_t)(rows * streams);
  if (next->cell > columns[ROW_CODES].count) return bad(r, error, "`row_codes` is too short");
  if (transform != NONE) {
    TRY(advance(f, r, ROW_BASE_CRCS, &next->base_row, rows, error));
    if (next->base_row > columns[ROW_RESULT_CRCS].count) return bad(r, error, "`row_result_crcs` is too short");
  }
  r->rank = (size_t)rank, r->streams = (size_t)streams, r->rows = (size_t)rows, r->book_rows = (size_t)book_rows;
  TRY(check_base_name(r, error));
  TRY(check_segment(f, r, next, segment, error));
  int has_chunks = r->words && !same_as && transform != COPY;
  for (size_t n = 0; n < sizeof ZERO / sizeof *ZERO && !has_chunks; n++)
    if (get(&columns[ZERO[n]], i)) return bad(r, error, "a tensor without chunks must have no layout");
  if (!has_chunks && !same_as && get(&columns[NONZEROS], i))
    return bad(r, error, "`nonzeros` must be 0 without chunks");
  if (same_as) TRY(check_same(f, r, i, same_as, error));
  if (same_as && transform) return bad(r, error, "a tensor that is the same as another must have no transform");
  if (r->dtype) TRY(check_shape(f, r, error));
  r->unknown = unknown_part(f, r);
  if (!r->unknown && has_chunks) TRY(check_known(f, r, get(&columns[NONZEROS], i), error));
  /* SPEC 6.1; words times word_size is below 2^56 */
  if (segment >= 4096 && segment == r->words * r->word_size) r->padding = (64 - next->offset % 64) % 64;
  r->at.offset = next->offset + r->padding;
  if (segment > f->source.size || r->at.offset > f->source.size - segment)
    return bad(r, error, "its segment does not fit into the file");
  next->offset = r->at.offset + segment;
  return DCZ_OK;
}

static dcz_status parse_tensors(dcz_file* f, uint64_t index_at, dcz_error* error) {
  places end = {0, 0, 0, 0, 0, 0, 0, 0, 8};
  TRY(allocate(f, &f->dims, f->columns[DIMS].count, sizeof *f->dims, error));
  for (size_t i = 0; i < f->columns[DIMS].count; i++) f->dims[i] = get(&f->columns[DIMS], i);
  for (size_t i = 0; i < f->count; i++) TRY(parse_tensor(f, i, &end, error));
  const struct {
    key key;
    size_t at;
  } ENDS[] = {
      {DIMS, end.dim},
      {COUNTS, end.stream},
      {NUMBERS, end.number},
      {BOOK_CRCS, end.book_crc},
      {BOOK_CODES, end.book},
      {BOOK_LENGTHS, end.book},
      {ROW_NONZEROS, end.row},
      {ROW_FILLERS, end.row},
      {ROW_CRCS, end.row},
      {ROW_CODES, end.cell},
      {ROW_LENGTHS, end.cell},
      {ROW_BASE_CRCS, end.base_row},
      {ROW_RESULT_CRCS, end.base_row},
  };
  for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++)
    if (f->columns[ENDS[i].key].count != ENDS[i].at) return fail(error, DCZ_FORMAT, "index: a column is too long");
  if (end.offset != index_at)
    return fail(error, DCZ_FORMAT, "the segments end at byte %llu and the index begins at %llu",
                (unsigned long long)end.offset, (unsigned long long)index_at);
  return DCZ_OK;
}

/* -- SPEC 6: opening */

static dcz_status open_index(dcz_file* f, uint64_t at, const uint8_t* trailer, dcz_error* error) {
  uint32_t stored_size = load32(trailer + 16), plain_size = load32(trailer + 20);
  const uint8_t* stored;
  if (trailer[30] > 1) return fail(error, DCZ_FORMAT, "trailer: byte 30 must be 0 or 1");
  if (plain_size > f->options.max_index || stored_size > f->options.max_index)
    return fail(error, DCZ_LIMIT, "the index has %lu bytes; the limit is %llu: raise max_index",
                (unsigned long)plain_size, (unsigned long long)f->options.max_index);
  if (!plain_size || plain_size > 524288 + 2 * f->source.size || (!trailer[30] && plain_size != stored_size))
    return fail(error, DCZ_FORMAT, "trailer: the index cannot have %lu bytes", (unsigned long)plain_size);
  if (f->memory) {
    stored = f->memory + at;
  } else {
    TRY(allocate(f, &f->stored_index, stored_size, 1, error));
    f->stored_size = stored_size;
    TRY(read_at(f, at, f->stored_index, stored_size, error));
    stored = f->stored_index;
  }
  if (differs(dcz_crc32c(f, 0, stored, stored_size), load32(trailer + 24)))
    return fail(error, DCZ_CHECKSUM, "the index does not match its CRC-32C");
  if (trailer[30]) {
    TRY(check_frame(stored, stored_size, plain_size, error));
    TRY(allocate(f, &f->index, plain_size, 1, error));
    f->index_size = plain_size;
    TRY(unzstd(f, f->index, plain_size, stored, stored_size, error));
    release(f, f->stored_index, f->stored_size, 1);
    f->stored_index = NULL;
    stored = f->index;
  }
  TRY(parse_index(f, stored, plain_size, error));
  return parse_tensors(f, at, error);
}

static dcz_status open_file(dcz_file* f, dcz_error* error) {
  static const uint8_t MAGIC[8] = {0x89, 'D', 'C', 'Z', '\r', '\n', 0x1A, '\n'}, END[4] = {'Z', 'C', 'D', 0x89};
  uint8_t head[8], trailer[40];
  uint64_t size = f->source.size;
  TRY(read_at(f, 0, head, size < 8 ? (size_t)size : 8, error));
  if (memcmp(head, MAGIC, size < 8 ? (size_t)size : 8) != 0)
    return fail(error, DCZ_FORMAT, "this is not a dcz file: it begins otherwise");
  if (size < 48)
    return fail(error, DCZ_TRUNCATED, "the file has %llu bytes; the least is 48", (unsigned long long)size);
  TRY(read_at(f, size - 40, trailer, 40, error));
  if (memcmp(trailer + 36, END, 4) != 0)
    return fail(error, DCZ_TRUNCATED, "the file does not end with a trailer: it is cut off, or something follows it");
  if (differs(dcz_crc32c(f, 0, trailer, 32), load32(trailer + 32)))
    return fail(error, DCZ_CHECKSUM, "the trailer does not match its CRC-32C");
  if (load(trailer + 28, 2) != DCZ_VERSION)
    return fail(error, DCZ_UNSUPPORTED, "the file has format version %u; this reader knows %d",
                (unsigned)load(trailer + 28, 2), DCZ_VERSION);
  if (trailer[31]) return fail(error, DCZ_FORMAT, "trailer: byte 31 must be 0");
  if (load64(trailer + 8) & ~(uint64_t)1)
    return fail(error, DCZ_UNSUPPORTED, "the file has feature bits 0x%llx; this reader knows 0x1",
                (unsigned long long)load64(trailer + 8));
  if (load64(trailer) != size)
    return fail(error, load64(trailer) > size ? DCZ_TRUNCATED : DCZ_FORMAT,
                "the file has %llu bytes; its trailer says %llu", (unsigned long long)size,
                (unsigned long long)load64(trailer));
  f->has_base = trailer[8] & 1;
  if (load32(trailer + 16) > size - 48) return fail(error, DCZ_FORMAT, "trailer: the index is longer than the file");
  return open_index(f, size - 40 - load32(trailer + 16), trailer, error);
}

static dcz_status open_any(dcz_file** out, const dcz_source* source, const uint8_t* memory, const dcz_options* options,
                           dcz_error* error) {
  dcz_options o;
  dcz_file* f;
  memset(&o, 0, sizeof o);
  if (options) o = *options;
  if (!o.allocator.allocate) o.allocator.allocate = standard_allocate, o.allocator.release = standard_release;
  if (!o.allocator.release) return fail(error, DCZ_ARGUMENT, "the allocator has no function to release memory");
  if (!o.max_index) o.max_index = (uint64_t)32 << 20;
  if (!o.max_memory) o.max_memory = (uint64_t)1 << 30;
  if (o.window && o.window < MIN_WINDOW) o.window = MIN_WINDOW;
  f = o.allocator.allocate(o.allocator.context, sizeof *f);
  if (!f) return fail(error, DCZ_MEMORY, "no memory for %llu bytes", (unsigned long long)sizeof *f);
  memset(f, 0, sizeof *f);
  f->source = *source, f->memory = memory, f->options = o;
  make_crc_tables(f->crc);
  dcz_status status = open_file(f, error);
  if (status)
    dcz_close(f);
  else
    *out = f;
  return status;
}

dcz_status dcz_open(dcz_file** file, const dcz_source* source, const dcz_options* options, dcz_error* error) {
  if (!file || !source || !source->read_at) return fail(error, DCZ_ARGUMENT, "dcz_open needs a file and a read_at");
  *file = NULL;
  return open_any(file, source, NULL, options, error);
}

dcz_status dcz_open_memory(dcz_file** file, const void* data, size_t size, const dcz_options* options,
                           dcz_error* error) {
  static const uint8_t NOTHING[1] = {0};
  dcz_source source = {NULL, NULL, size};
  if (!file || (!data && size)) return fail(error, DCZ_ARGUMENT, "dcz_open_memory needs a file and data");
  *file = NULL;
  return open_any(file, &source, data ? data : NOTHING, options, error);
}

void dcz_close(dcz_file* f) {
  if (!f) return;
  release(f, f->stored_index, f->stored_size, 1);
  release(f, f->index, f->index_size, 1);
  release(f, f->types, f->type_count, sizeof *f->types);
  release(f, f->codes, f->code_count, sizeof *f->codes);
  release(f, f->records, f->count, sizeof *f->records);
  release(f, f->sorted, f->count, sizeof *f->sorted);
  release(f, f->dims, f->columns[DIMS].count, sizeof *f->dims);
  release(f, f->aliases, f->alias_count, sizeof *f->aliases);
  f->options.allocator.release(f->options.allocator.context, f, sizeof *f);
}

/* -- What a file has */

size_t dcz_count(const dcz_file* file) { return file->count; }
size_t dcz_alias_count(const dcz_file* file) { return file->alias_count; }
dcz_bytes dcz_metadata(const dcz_file* file) { return file->metadata; }
dcz_bytes dcz_extensions(const dcz_file* file) { return file->extensions; }
int dcz_has_base(const dcz_file* file) { return file->has_base; }

size_t dcz_find(const dcz_file* file, const char* name, size_t size) {
  size_t found = find_tensor(file, name, size);
  for (size_t low = 0, high = file->alias_count; found == DCZ_NONE && low < high;) {
    size_t middle = low + (high - low) / 2;
    dcz_text other = file->aliases[middle].name;
    int order = compare_bytes(name, size, other.data, other.size);
    if (!order)
      found = file->aliases[middle].tensor;
    else if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return found;
}

dcz_status dcz_alias(const dcz_file* file, size_t number, dcz_text* name, size_t* tensor, dcz_error* error) {
  if (number >= file->alias_count) return fail(error, DCZ_ARGUMENT, "there is no such alias");
  *name = file->aliases[number].name;
  *tensor = file->aliases[number].tensor;
  return DCZ_OK;
}

/* -- What a tensor is */

/* Stored bytes of the chunk whose rows begin at `cell`. */
static uint64_t chunk_bytes(const dcz_file* f, const record* r, size_t cell) {
  uint64_t size = 0;
  for (size_t i = 0; i < r->streams; i++) size += get(&f->columns[ROW_LENGTHS], cell + i);
  return size;
}

static const code* code_of(const dcz_file* f, const record* r, size_t cell, size_t stream) {
  size_t number = r->at.number;
  for (size_t i = 0; i < stream; i++) number += (size_t)get(&f->columns[COUNTS], r->at.stream + i);
  return &f->codes[get(&f->columns[NUMBERS], number + (size_t)get(&f->columns[ROW_CODES], cell + stream))];
}

static dcz_status bad_chunks(const record* r, uint64_t first, uint64_t count, dcz_error* error) {
  return fail(error, DCZ_ARGUMENT, "chunks %llu to %llu are asked for; there are %llu", (unsigned long long)first,
              (unsigned long long)(first + count), (unsigned long long)r->rows);
}

/* What its stored bytes are spent on, and by which codes. */
static void count_stored(const dcz_file* f, const record* r, dcz_tensor* out) {
  static const uint8_t BITS[] = {[RAW] = 1, [PACKED] = 2, [HUFFMAN] = 4, [SINGLE] = 4, [ZSTD] = 8, [UNKNOWN] = 0};
  for (size_t i = 0; i < r->book_rows; i++) {
    out->stored_books += get(&f->columns[BOOK_LENGTHS], r->at.book + i);
    out->codes |= BITS[f->codes[get(&f->columns[BOOK_CODES], r->at.book + i)].kind];
  }
  for (size_t i = 0, cell = r->at.cell; i < r->rows; i++, cell += r->streams)
    for (size_t s = 0; s < r->streams; s++) {
      if (s < r->position_streams) out->stored_positions += get(&f->columns[ROW_LENGTHS], cell + s);
      out->codes |= BITS[code_of(f, r, cell, s)->kind];
    }
}

dcz_status dcz_describe(const dcz_file* file, size_t tensor, dcz_tensor* out, dcz_error* error) {
  if (tensor >= file->count) return fail(error, DCZ_ARGUMENT, "there is no such tensor");
  const record* r = &file->records[tensor];
  memset(out, 0, sizeof *out);
  out->name = r->name, out->dtype = r->dtype_name, out->base_name = r->transform ? r->base_name : r->name;
  if (!r->transform)
    out->base_name.size = 0;
  else if (!r->base_name.size)
    out->base_name = r->name;
  out->shape = r->rank ? file->dims + r->at.dim : NULL, out->rank = r->rank;
  out->words = r->words, out->word_size = r->word_size, out->size = r->words * r->word_size;
  out->nonzeros = get(&file->columns[NONZEROS], tensor);
  out->content_crc32c = (uint32_t)get(&file->columns[CONTENT_CRCS], tensor);
  out->same_as = r->same_as;
  out->positions = r->positions, out->values = r->values;
  out->chunk = r->chunk, out->chunks = r->rows;
  out->entries = r->entries, out->group = r->group;
  out->offset = r->at.offset, out->stored = get(&file->columns[SEGMENTS], tensor);
  out->transform = r->transform;
  if (!r->unknown) count_stored(file, r, out);
  out->metadata = r->metadata;
  out->unknown = r->unknown;
  return DCZ_OK;
}

static uint64_t book_bytes(const dcz_file* f, const record* r) {
  uint64_t size = 0;
  for (size_t i = 0; i < r->book_rows; i++) size += get(&f->columns[BOOK_LENGTHS], r->at.book + i);
  return size;
}

dcz_status dcz_locate_chunks(const dcz_file* file, size_t tensor, uint64_t first, uint64_t count, uint64_t* offset,
                             uint64_t* size, dcz_error* error) {
  if (tensor >= file->count) return fail(error, DCZ_ARGUMENT, "there is no such tensor");
  const record* r = &file->records[file->records[tensor].same_as];
  if (first > r->rows || count > r->rows - first) return bad_chunks(r, first, count, error);
  size_t cell = r->at.cell;
  *offset = r->at.offset + book_bytes(file, r), *size = 0;
  for (; first; first--, cell += r->streams) *offset += chunk_bytes(file, r, cell);
  for (; count; count--, cell += r->streams) *size += chunk_bytes(file, r, cell);
  return DCZ_OK;
}

/* -- Decoding: what it needs beside its output */

/* A row of a stream, given from its last symbol to its first, as Huffman lanes are written (SPEC 5.3): so a chunk can
 * be decoded where its words end up, without memory for its symbols. */
typedef struct row {
  const code* code;
  const uint8_t* plain; /* the symbols, where zstd has decoded them */
  const uint16_t* table;
  uint64_t at, length; /* its stored bytes in the file */
  size_t count, left;  /* symbols: all, and those not given yet */
  size_t share, lane_left;
  uint64_t lane_at[7]; /* where lanes begin, and where the last one ends */
  unsigned lane, lanes;
  uint64_t bits, next;   /* of the lane: bits not used yet, and where the next are */
  unsigned have, padded; /* how many bits, and how many of them are behind the lane's end */
} row;

typedef struct work {
  const dcz_file* file;
  const record* r;
  dcz_error* error;
  uint64_t chunk, at, end; /* the next chunk, where its bytes begin, and where what may be read ends */
  size_t cell;             /* the chunk's place in row_codes and row_lengths */
  uint8_t* buffer;         /* stored bytes of the file from buffer_at on */
  size_t capacity, held;
  uint64_t buffer_at;
  uint8_t *books, *frame, *block;
  size_t books_size, frame_size, block_size; /* frame and block: a half for each of two streams of positions */
  row rows[2];
  uint16_t tables[2][4096]; /* symbol, and its length times 256, by the next 12 bits or fewer */
  const code* table_of[2];
} work;

/* Stored bytes at `at`: at least `least`, and up to `most` if they are at hand. */
static dcz_status span(work* w, uint64_t at, size_t least, uint64_t most, const uint8_t** out, size_t* size) {
  if (at > w->end || least > w->end - at) return bad(w->r, w->error, "a row ends early");
  if (most > w->end - at) most = w->end - at;
  if (w->file->memory) {
    *out = w->file->memory + at;
    *size = most < SIZE_MAX ? (size_t)most : SIZE_MAX;
    return DCZ_OK;
  }
  if (at < w->buffer_at || at + least > w->buffer_at + w->held) {
    size_t want = most < w->capacity ? (size_t)most : w->capacity;
    if (least > want) return bad(w->r, w->error, "a row does not fit into the window");
    w->held = 0;
    TRY(read_at(w->file, at, w->buffer, want, w->error));
    w->buffer_at = at, w->held = want;
  }
  *out = w->buffer + (at - w->buffer_at);
  *size = w->held - (size_t)(at - w->buffer_at);
  if (*size > most) *size = (size_t)most;
  return DCZ_OK;
}

/* R-CHUNK-4: verifies bytes before they are decoded, and leaves them in the window if they fit. */
static dcz_status verify_bytes(work* w, uint64_t at, uint64_t size, uint64_t expected, const char* what) {
  uint32_t crc = 0;
  w->end = at + size;
  while (size) {
    const uint8_t* bytes = NULL;
    size_t part = 0;
    TRY(span(w, at, 1, size, &bytes, &part));
    crc = dcz_crc32c(w->file, crc, bytes, part);
    at += part, size -= part;
  }
  if (differs(crc, expected)) {
    return fail_of(w->r, w->error, DCZ_CHECKSUM, "%s do not match their CRC-32C", what);
  }
  return DCZ_OK;
}

/* -- SPEC 5: rows */

/* SPEC 5.2: the canonical code as a table of its next bits, whose first is the lowest. */
static const uint16_t* make_table(work* w, unsigned slot, const code* c) {
  uint16_t* table = w->tables[slot];
  unsigned next = 0, size = 1u << c->number;
  if (w->table_of[slot] == c) return table;
  for (unsigned length = 1; length <= c->number; length++, next <<= 1)
    for (size_t symbol = 0; symbol < 2 * c->stored.size; symbol++) {
      unsigned reversed = 0;
      if (code_length(c, symbol) != length) continue;
      for (unsigned bit = 0; bit < length; bit++) reversed |= (next >> bit & 1) << (length - 1 - bit);
      for (; reversed < size; reversed += 1u << length) table[reversed] = (uint16_t)(length << 8 | symbol);
      next++;
    }
  w->table_of[slot] = c;
  return table;
}

static dcz_status open_lanes(work* w, row* row) {
  const uint8_t* head = NULL;
  size_t size = 0;
  uint64_t at = row->at, end = row->at + row->length;
  row->lanes = row->count < 2048 ? 1 : 6;
  row->share = (row->count + row->lanes - 1) / row->lanes;
  if (row->lanes == 6) {
    if (row->length < 10) return bad(w->r, w->error, "a Huffman row is shorter than the lengths of its lanes");
    TRY(span(w, at, 10, 10, &head, &size));
    at += 10;
  }
  for (unsigned i = 0; i < row->lanes; i++) {
    row->lane_at[i] = at;
    if (i + 1 == row->lanes) break;
    uint64_t length = load(head + (size_t)2 * i, 2);
    if (length > end - at) return bad(w->r, w->error, "the lanes of a Huffman row are longer than the row");
    at += length;
  }
  row->lane_at[row->lanes] = end;
  row->lane = row->lanes;
  return DCZ_OK;
}

/* A row of `count` symbols, its table in one of two slots. Where `direct` is not NULL, zstd decodes to it. */
static dcz_status open_row(work* w, row* row, unsigned slot, const code* c, uint64_t at, uint64_t length, size_t count,
                           uint8_t* direct) {
  uint64_t expected = 0;
  memset(row, 0, sizeof *row);
  row->code = c, row->at = at, row->length = length, row->count = row->left = count;
  if (count == 0 && length) return bad(w->r, w->error, "a row without symbols takes bytes");
  if (count == 0) return DCZ_OK;
  switch (c->kind) {
    case RAW:
      expected = count;
      break;
    case PACKED:
      expected = ceil_div((uint64_t)count * c->number, 8);
      break;
    case SINGLE:
      break;
    default:
      expected = length;
  }
  if (length != expected) return bad(w->r, w->error, "a row's stored length is not that of its symbols");
  if (c->kind == PACKED && count * c->number % 8) {
    const uint8_t* last = NULL;
    size_t size = 0;
    TRY(span(w, at + length - 1, 1, 1, &last, &size));
    if (*last >> count * c->number % 8)
      return bad(w->r, w->error, "bits behind a packed row's last symbol are not zero");
  } else if (c->kind == HUFFMAN) {
    if (count > ROW_SYMBOLS) return bad(w->r, w->error, "a Huffman row has more than 262,080 symbols");
    row->table = make_table(w, slot, c);
    return open_lanes(w, row);
  } else if (c->kind == ZSTD) {
    const uint8_t* frame = NULL;
    size_t size, whole = (size_t)length;
    TRY(span(w, at, whole, whole, &frame, &size));
    if (!direct && count > w->frame_size / 2) return bad(w->r, w->error, "a zstd row has too many symbols");
    if (!direct) direct = w->frame + slot * (w->frame_size / 2);
    row->plain = direct;
    TRY(unzstd(w->file, direct, count, frame, whole, w->error));
  }
  return DCZ_OK;
}

/* The last bits of a lane, of which fewer than 8 bytes are left: 56 or more, zeros behind its end. */
static dcz_status refill(work* w, row* row) {
  const uint8_t* bytes = NULL;
  size_t size, rest = (size_t)(row->lane_at[row->lane + 1] - row->next);
  TRY(span(w, row->next, rest, rest, &bytes, &size));
  for (size_t i = 0; row->have <= 55 && i < rest; i++, row->have += 8, row->next++)
    row->bits |= (uint64_t)bytes[i] << row->have;
  for (; row->have <= 55; row->have += 8) row->padded += 8;
  return DCZ_OK;
}

/* The next symbols of a lane, the last of them to the highest place. */
static dcz_status pull_lane(work* w, row* row, uint8_t* to, size_t stride, size_t count) {
  const uint16_t* table = row->table;
  unsigned mask = (1u << row->code->number) - 1, at_once = 48u / row->code->number;
  uint8_t* p = to + count * stride;
  while (count) {
    const uint8_t* bytes = NULL;
    size_t size, run = count < at_once ? count : at_once;
    uint64_t rest = row->lane_at[row->lane + 1] - row->next, bits;
    unsigned have;
    if (rest >= 8) { /* as long as a window lasts; bits above `have` are those that will be loaded again */
      TRY(span(w, row->next, 8, rest, &bytes, &size));
      const uint8_t *end = bytes + size, *start = bytes;
      for (bits = row->bits, have = row->have; end - bytes >= 8 && count; count -= run) {
        unsigned more = (63 - have) / 8;
        bits |= load64(bytes) << have;
        bytes += more, have += 8 * more;
        run = count < at_once ? count : at_once;
        for (size_t i = 0; i < run; i++) {
          unsigned entry = table[bits & mask];
          bits >>= entry >> 8, have -= entry >> 8;
          *(p -= stride) = (uint8_t)entry;
        }
      }
      row->bits = bits & (((uint64_t)1 << have) - 1), row->have = have, row->next += (uint64_t)(bytes - start);
      continue;
    }
    TRY(refill(w, row));
    for (size_t i = 0; i < run; i++) {
      unsigned entry = table[row->bits & mask];
      row->bits >>= entry >> 8, row->have -= entry >> 8;
      *(p -= stride) = (uint8_t)entry;
    }
    count -= run;
    if (row->padded > row->have) return bad(w->r, w->error, "a Huffman lane ends before its symbols do");
  }
  return DCZ_OK;
}

/* Padding stays above all stored bits, so what is left of those is have - padded. */
static dcz_status end_lane(const work* w, const row* row) {
  if (row->next != row->lane_at[row->lane + 1] || row->padded > row->have || row->have - row->padded >= 8 || row->bits)
    return bad(w->r, w->error, "a Huffman lane does not end in its last byte, with bits that are zero");
  return DCZ_OK;
}

/* Symbols of all six lanes, `each` of a lane at a time, since processors overlap what does not depend on each other; as
 * long as every lane has so many, and none reads beyond the row. `at` are the bits of each lane that are done: one may
 * go beyond its own end, which is found later. How many symbols of each are done. */
static inline size_t six_lanes(const row* row, const uint8_t* bytes, uint64_t at[6], uint8_t* to, size_t stride,
                               unsigned each) {
  const uint16_t* table = row->table;
  size_t done = 0, least = row->count - 5 * row->share;
  unsigned mask = (1u << row->code->number) - 1;
  uint64_t safe = row->length < 8 ? 0 : 8 * (row->length - 8);
  for (; done + each <= least; done += each) {
    if (at[0] > safe || at[1] > safe || at[2] > safe || at[3] > safe || at[4] > safe || at[5] > safe) break;
    for (unsigned lane = 0; lane < 6; lane++) {
      uint8_t* p = to + ((lane < 5 ? (lane + 1) * row->share : row->count) - done) * stride;
      uint64_t bits = load64(bytes + at[lane] / 8) >> at[lane] % 8;
      for (unsigned i = 0; i < each; i++) {
        unsigned entry = table[bits & mask];
        bits >>= entry >> 8, at[lane] += entry >> 8;
        *(p -= stride) = (uint8_t)entry;
      }
    }
  }
  return done;
}

/* A whole row of six lanes whose stored bytes are at hand: what six_lanes leaves of each lane is done on its own. */
static dcz_status pull_six(work* w, row* row, const uint8_t* bytes, uint8_t* to, size_t stride) {
  uint64_t at[6];
  for (unsigned i = 0; i < 6; i++) at[i] = 8 * (row->lane_at[i] - row->at);
  size_t done =
      row->code->number > 9 ? six_lanes(row, bytes, at, to, stride, 4) : six_lanes(row, bytes, at, to, stride, 6);
  for (unsigned lane = 0; lane < 6; lane++) {
    size_t first = lane * row->share, size = lane < 5 ? row->share : row->count - first;
    uint64_t next = (at[lane] + 7) / 8;
    row->lane = lane, row->next = row->at + next;
    row->padded = 0, row->have = (unsigned)(8 * next - at[lane]);
    row->bits = row->have ? (unsigned)bytes[next - 1] >> (8 - row->have) : 0;
    if (row->next > row->lane_at[lane + 1]) return bad(w->r, w->error, "a Huffman lane ends before its symbols do");
    TRY(pull_lane(w, row, to + first * stride, stride, size - done));
    TRY(end_lane(w, row));
  }
  return DCZ_OK;
}

static dcz_status pull_huffman(work* w, row* row, uint8_t* to, size_t stride, size_t count) {
  if (row->lanes == 6 && count == row->count && (w->file->memory || row->length <= w->capacity)) {
    const uint8_t* bytes = NULL;
    size_t size;
    TRY(span(w, row->at, (size_t)row->length, row->length, &bytes, &size));
    return pull_six(w, row, bytes, to, stride);
  }
  while (count) {
    if (!row->lane_left) {
      size_t first = --row->lane * row->share, last = first + row->share;
      row->lane_left = (last < row->count ? last : row->count) - first;
      row->next = row->lane_at[row->lane];
      row->bits = 0, row->have = row->padded = 0;
    }
    size_t run = count < row->lane_left ? count : row->lane_left;
    TRY(pull_lane(w, row, to + (count - run) * stride, stride, run));
    count -= run, row->lane_left -= run;
    if (!row->lane_left) TRY(end_lane(w, row));
  }
  return DCZ_OK;
}

static dcz_status pull_packed(work* w, row* row, uint8_t* to, size_t stride, size_t count) {
  unsigned b = row->code->number, mask = (1u << b) - 1;
  while (count) {
    size_t run = count < PIECE ? count : PIECE, size;
    uint64_t first = (uint64_t)(row->left - run) * b, at = first / 8, end = ceil_div(first + run * b, 8);
    const uint8_t* bytes = NULL;
    TRY(span(w, row->at + at, (size_t)(end - at), end - at, &bytes, &size));
    for (size_t i = 0; i < run; i++) {
      size_t bit = (size_t)(first % 8) + i * b;
      unsigned two = bytes[bit / 8];
      if (bit % 8 + b > 8) two |= (unsigned)bytes[bit / 8 + 1] << 8;
      to[(count - run + i) * stride] = (uint8_t)(two >> bit % 8 & mask);
    }
    count -= run, row->left -= run;
  }
  return DCZ_OK;
}

static dcz_status pull_raw(work* w, row* row, uint8_t* to, size_t stride, size_t count) {
  while (count) {
    size_t run = count, size;
    const uint8_t* bytes = NULL;
    if (row->plain) {
      bytes = row->plain + (row->left - run);
    } else {
      if (!w->file->memory && w->held < row->length && run > MIN_WINDOW) run = MIN_WINDOW;
      TRY(span(w, row->at + row->left - run, run, run, &bytes, &size));
    }
    uint8_t* start = to + (count - run) * stride;
    if (stride == 1)
      memmove(start, bytes, run);
    else
      for (size_t i = 0; i < run; i++) start[i * stride] = bytes[i];
    count -= run, row->left -= run;
  }
  return DCZ_OK;
}

/* The next `count` symbols towards the row's beginning, in order, `stride` bytes apart. */
static dcz_status pull(work* w, row* row, uint8_t* to, size_t stride, size_t count) {
  if (count > row->left) return bad(w->r, w->error, "a row has too few symbols");
  switch (row->code->kind) {
    case RAW:
    case ZSTD:
      return pull_raw(w, row, to, stride, count);
    case PACKED:
      return pull_packed(w, row, to, stride, count);
    case SINGLE:
      for (size_t i = 0; i < count; i++) to[i * stride] = row->code->number;
      break;
    case HUFFMAN:
      TRY(pull_huffman(w, row, to, stride, count));
      break;
    default:
      return fail(w->error, DCZ_UNSUPPORTED, "a row has a code that is not known here");
  }
  row->left -= count;
  return DCZ_OK;
}

/* -- SPEC 3.2: codebooks */

static uint64_t rotate_back(uint64_t word, unsigned size) { return word >> 1 | (word & 1) << (8 * size - 1); }

static dcz_status add_up_books(work* w) {
  const record* r = w->r;
  unsigned size = r->word_size;
  uint64_t most = UINT64_MAX >> (64 - 8 * size);
  uint8_t* p = w->books;
  for (uint64_t book = 0; book < r->books; book++) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < r->entries; i++, p += size) {
      uint64_t step = load_word(p, size);
      if (step > most - sum) return bad(r, w->error, "a codebook does not ascend");
      sum += step;
      store_word(p, size, rotates(r) ? rotate_back(sum, size) : sum);
    }
  }
  return DCZ_OK;
}

/* Verifies codebooks, and decodes them if the tensor is known; then the chunks begin. */
static dcz_status open_books(work* w, int decode) {
  const dcz_file* f = w->file;
  const record* r = w->r;
  uint64_t symbols = r->books * r->entries, size = book_bytes(f, r), at = w->at;
  if (r->book_rows)
    TRY(verify_bytes(w, at, size, get(&f->columns[BOOK_CRCS], r->at.book_crc), "the bytes of its codebooks"));
  w->at += size;
  if (!decode || !r->book_rows) return DCZ_OK;
  TRY(allocate(f, &w->books, symbols, r->word_size, w->error));
  w->books_size = (size_t)symbols * r->word_size;
  for (size_t i = 0; i < r->book_rows; i++) {
    size_t rows = r->book_rows / r->word_size, first = i % rows * ROW_SYMBOLS;
    size_t count = symbols - first < ROW_SYMBOLS ? (size_t)(symbols - first) : ROW_SYMBOLS;
    uint64_t length = get(&f->columns[BOOK_LENGTHS], r->at.book + i);
    const code* c = &f->codes[get(&f->columns[BOOK_CODES], r->at.book + i)];
    TRY(open_row(w, w->rows, 0, c, at, length, count, NULL));
    TRY(pull(w, w->rows, w->books + first * r->word_size + i / rows, r->word_size, count));
    at += length;
  }
  return add_up_books(w);
}

/* -- SPEC 3 and 4: chunks */

static void end_work(work* w) {
  const dcz_file* f = w->file;
  release(f, w->books, w->books_size, 1);
  release(f, w->frame, w->frame_size, 1);
  release(f, w->block, w->block_size, 1);
  release(f, w->buffer, w->capacity, 1);
  release(f, w, 1, sizeof *w);
}

static dcz_status allocate_work(work* w, uint64_t first, uint64_t count) {
  const dcz_file* f = w->file;
  const record* r = w->r;
  uint64_t window = MIN_WINDOW, zstd = 0;
  for (size_t i = 0; i < (size_t)count; i++) {
    size_t cell = r->at.cell + ((size_t)first + i) * r->streams;
    uint64_t size = chunk_bytes(f, r, cell);
    if (f->options.window && size > f->options.window) size = f->options.window;
    if (size > window) window = size;
    for (size_t s = 0; s < r->streams && !r->unknown; s++)
      if (code_of(f, r, cell, s)->kind == ZSTD) {
        zstd = r->chunk < r->words ? r->chunk : r->words;
        size = get(&f->columns[ROW_LENGTHS], cell + s);
        if (size > window) window = size;
      }
  }
  if (!f->memory) {
    TRY(allocate(f, &w->buffer, window, 1, w->error));
    w->capacity = (size_t)window;
  }
  if (r->unknown) return DCZ_OK;
  if (r->values != BYTES) {
    TRY(allocate(f, &w->frame, 2 * zstd, 1, w->error));
    w->frame_size = 2 * (size_t)zstd;
  }
  if (r->positions != ALL) {
    size_t most = f->options.window ? SMALL_BLOCK : LARGE_BLOCK, symbols = chunk_words(r, 0);
    if (r->positions == BITMAP) symbols = (symbols + 7) / 8;
    if (symbols > most) symbols = most;
    TRY(allocate(f, &w->block, 2 * symbols, 1, w->error));
    w->block_size = 2 * symbols;
  }
  return DCZ_OK;
}

/* R-FILE-2: bytes skipped before a segment are zero. */
static dcz_status check_padding(const dcz_file* f, const record* r, dcz_error* error) {
  uint8_t bytes[64];
  TRY(read_at(f, r->at.offset - r->padding, bytes, (size_t)r->padding, error));
  for (uint64_t i = 0; i < r->padding; i++)
    if (bytes[i]) return bad(r, error, "bytes before its segment are not zero");
  return DCZ_OK;
}

/* Makes ready to decode `count` chunks of a tensor from `first` on. */
static dcz_status begin_work(const dcz_file* f, const record* r, uint64_t first, uint64_t count, work** out,
                             dcz_error* error) {
  work* w = NULL;
  TRY(check_padding(f, r, error));
  TRY(allocate(f, &w, 1, sizeof *w, error));
  memset(w, 0, sizeof *w);
  w->file = f, w->r = r, w->error = error, w->at = r->at.offset, w->cell = r->at.cell;
  dcz_status status = allocate_work(w, first, count);
  if (!status) status = open_books(w, !r->unknown);
  for (; !status && w->chunk < first; w->chunk++, w->cell += r->streams) w->at += chunk_bytes(f, r, w->cell);
  if (status)
    end_work(w);
  else
    *out = w;
  return status;
}

/* How the words of a chunk become those of the result. */
typedef struct target {
  uint8_t* stored; /* the stored words, one after the other; may be `words` where transform is NONE */
  uint8_t* words;  /* all words of the chunk */
  unsigned transform;
  int back;
} target;

static uint64_t ordered(const record* r, uint64_t word) {
  uint64_t sign = (uint64_t)1 << (8 * r->word_size - 1);
  return r->dtype->ordered && word & sign ? word ^ (sign - 1) : word;
}

/* SPEC 8.1 and 8.2 */
static uint64_t changed(const record* r, const target* t, uint64_t old, uint64_t word) {
  if (t->transform == EXCLUSIVE_OR) return old ^ word;
  if (t->transform != STEP) return word;
  uint64_t step = word >> 1 ^ (~(word & 1) + 1), most = UINT64_MAX >> (64 - 8 * r->word_size);
  return ordered(r, (t->back ? ordered(r, old) - step : ordered(r, old) + step) & most);
}

/* What place_word needs, by value: words are bytes, which may be anything's, so that compilers would load the fields of
 * others again after each. */
typedef struct placing {
  const uint8_t *stored, *books;
  uint8_t* words;
  const record* r;
  const target* t;
  uint64_t entries, mask, first, group;
  unsigned size, changes, rotated, codebook;
} placing;

static placing placing_of(const work* w, const target* t) {
  const record* r = w->r;
  placing p = {t->stored,
               w->books,
               t->words,
               r,
               t,
               r->entries,
               r->entries <= 256 ? 0xFF : 0xFFFF,
               w->chunk * r->chunk,
               r->group,
               r->word_size,
               t->transform != NONE,
               0,
               r->values == CODEBOOK};
  p.rotated = r->values == PLANES && rotates(r);
  return p;
}

/* Stored word i goes to its place: 0, or 1 where its cluster index is too large. */
static inline int place_word(placing p, size_t i, size_t place) {
  uint64_t word = load_word(p.stored + i * p.size, p.size);
  if (p.codebook) {
    uint64_t cluster = word & p.mask, book = p.group ? (p.first + place) / p.group : 0;
    if (cluster >= p.entries) return 1;
    word = load_word(p.books + (book * p.entries + cluster) * p.size, p.size);
  } else if (p.rotated) {
    word = rotate_back(word, p.size);
  }
  uint8_t* to = p.words + place * p.size;
  store_word(to, p.size, p.changes ? changed(p.r, p.t, load_word(to, p.size), word) : word);
  return 0;
}

static dcz_status bad_cluster(const work* w) { return bad(w->r, w->error, "a cluster index is not below `entries`"); }

static inline void clear(placing p, size_t from, size_t to) {
  if (!p.changes) memset(p.words + from * p.size, 0, (to - from) * p.size);
}

/* Where in a chunk positions stand, from its end to its beginning. */
typedef struct progress {
  size_t stored;    /* words that are not placed yet */
  size_t place;     /* weights that have none yet */
  size_t total;     /* first pass: words found, */
  uint64_t weights; /* weights that they and fillers make, */
  uint64_t fillers; /* and fillers */
} progress;

/* Places stored words by `count` bytes of a bitmap, of which the first has weights from `first` on. */
static dcz_status place_bits(const work* w, const target* t, progress* p, size_t first, size_t count) {
  const placing q = placing_of(w, t);
  for (size_t i = count; i-- > 0;) {
    unsigned byte = w->block[i];
    size_t weight = first + 8 * i;
    while (p->place > weight) {
      size_t bit = --p->place - weight;
      if (!(byte >> bit & 1)) {
        clear(q, p->place, p->place + 1);
        continue;
      }
      if (!p->stored) return bad(w->r, w->error, "a bitmap has more bits than its row has nonzeros");
      if (place_word(q, --p->stored, p->place)) return bad_cluster(w);
    }
  }
  return DCZ_OK;
}

static size_t relative_index(const work* w, size_t i) {
  return w->block[i] | (w->r->position_streams == 2 ? (size_t)w->block[w->block_size / 2 + i] << 8 : 0);
}

/* SPEC 3.1 */
static dcz_status place_indices(const work* w, const target* t, progress* p, size_t count) {
  const placing q = placing_of(w, t);
  const uint8_t *low = w->block, *high = w->r->position_streams == 2 ? w->block + w->block_size / 2 : NULL;
  size_t filler = ((size_t)1 << w->r->positions) - 1, stored = p->stored, place = p->place;
  for (size_t i = count; i-- > 0;) {
    size_t gap = low[i] | (high ? (size_t)high[i] << 8 : 0), whole = gap + (gap != filler);
    if (whole > place || (gap != filler && !stored)) return bad(w->r, w->error, "relative indices leave their chunk");
    if (gap != filler && place_word(q, --stored, place - 1)) return bad_cluster(w);
    clear(q, place - whole, place - whole + gap);
    place -= whole;
  }
  p->stored = stored, p->place = place;
  return DCZ_OK;
}

static dcz_status count_positions(const work* w, progress* p, size_t count, size_t valid_bits) {
  size_t filler = ((size_t)1 << w->r->positions) - 1;
  if (w->r->positions == BITMAP) {
    for (size_t i = 0; i < count; i++)
      for (unsigned byte = w->block[i]; byte; byte &= byte - 1) p->total++;
    if (valid_bits < 8 * count && w->block[count - 1] >> (8 - (8 * count - valid_bits)))
      return bad(w->r, w->error, "bits of a bitmap behind the chunk's last weight are not zero");
    return DCZ_OK;
  }
  for (size_t i = 0; i < count; i++) {
    size_t gap = relative_index(w, i);
    if (gap > filler) return bad(w->r, w->error, "a relative index has more bits than `positions` says");
    p->weights += gap + (gap != filler);
    p->fillers += gap == filler;
    p->total += gap != filler;
  }
  return DCZ_OK;
}

/* Two passes over the positions: the first counts, the second places. Where they fit into the block, they are decoded
 * once. */
static dcz_status place_sparse(work* w, const target* t, size_t n, size_t stored, size_t fillers) {
  const record* r = w->r;
  if (r->positions != BITMAP && fillers > (n - stored) / (((size_t)1 << r->positions) - 1))
    return bad(r, w->error, "relative indices leave their chunk");
  size_t count = r->positions == BITMAP ? (n + 7) / 8 : stored + fillers, half = w->block_size / 2;
  progress p = {stored, n, 0, 0, 0};
  for (int pass = 0; pass < 2; pass++) {
    uint64_t at = w->at;
    for (unsigned s = 0; s < r->position_streams && (!pass || count > half); s++) {
      uint64_t length = get(&w->file->columns[ROW_LENGTHS], w->cell + s);
      TRY(open_row(w, &w->rows[s], s, code_of(w->file, r, w->cell, s), at, length, count, NULL));
      at += length;
    }
    if (pass && r->positions != BITMAP) {
      p.place = (size_t)p.weights;
      clear(placing_of(w, t), p.place, n);
    }
    for (size_t rest = count; rest;) {
      size_t take = rest % half ? rest % half : half;
      if (count <= half) take = rest;
      for (unsigned s = 0; s < r->position_streams && (!pass || count > half); s++)
        TRY(pull(w, &w->rows[s], w->block + s * half, 1, take));
      rest -= take;
      if (!pass)
        TRY(count_positions(w, &p, take, r->positions == BITMAP ? n - 8 * rest : 0));
      else if (r->positions == BITMAP)
        TRY(place_bits(w, t, &p, 8 * rest, take));
      else
        TRY(place_indices(w, t, &p, take));
    }
    if (!pass && (p.total != stored || p.fillers != fillers))
      return bad(r, w->error, "positions are not as many as their row says");
    if (!pass && p.weights > n) return bad(r, w->error, "relative indices leave their chunk");
  }
  return DCZ_OK;
}

/* The most usual layout, where memory is no matter: relative indices of up to 8 bits and one codebook of up to 256
 * entries. All symbols are decoded beside the words, which are cleared and then filled from first to last. */
static int fits_block(const work* w, const target* t, size_t count) {
  const record* r = w->r;
  return !w->file->options.window && t->transform == NONE && r->values == CODEBOOK && r->entries <= 256 && !r->group &&
         r->positions > BITMAP && r->positions <= 8 && count <= w->block_size / 2;
}

static inline void fill(uint8_t* to, const uint8_t* gaps, size_t count, size_t filler, const uint8_t* clusters,
                        const uint8_t* book, unsigned size) {
  for (size_t i = 0; i < count; i++) {
    to += (size_t)gaps[i] * size;
    if (gaps[i] == filler) continue;
    memcpy(to, book + (size_t)*clusters++ * size, size);
    to += size;
  }
}

static dcz_status fill_chunk(work* w, const target* t, size_t n, size_t stored, size_t fillers) {
  const record* r = w->r;
  uint8_t *gaps = w->block, *clusters = w->block + w->block_size / 2;
  size_t count = stored + fillers, weights = stored, filler = ((size_t)1 << r->positions) - 1, found = 0;
  unsigned gap = 0, cluster = 0;
  uint64_t length = get(&w->file->columns[ROW_LENGTHS], w->cell);
  uint64_t rest = get(&w->file->columns[ROW_LENGTHS], w->cell + 1);
  TRY(open_row(w, &w->rows[0], 0, code_of(w->file, r, w->cell, 0), w->at, length, count, NULL));
  TRY(pull(w, &w->rows[0], gaps, 1, count));
  TRY(open_row(w, &w->rows[1], 1, code_of(w->file, r, w->cell, 1), w->at + length, rest, stored, NULL));
  TRY(pull(w, &w->rows[1], clusters, 1, stored));
  for (size_t i = 0; i < count; i++) {
    weights += gaps[i], found += gaps[i] == filler;
    gap = gaps[i] > gap ? gaps[i] : gap;
  }
  for (size_t i = 0; i < stored; i++) cluster = clusters[i] > cluster ? clusters[i] : cluster;
  if (gap > filler) return bad(r, w->error, "a relative index has more bits than `positions` says");
  if (found != fillers) return bad(r, w->error, "positions are not as many as their row says");
  if (weights > n) return bad(r, w->error, "relative indices leave their chunk");
  if (stored && cluster >= r->entries) return bad_cluster(w);
  memset(t->words, 0, n * r->word_size);
  switch (r->word_size) {
    case 2:
      fill(t->words, gaps, count, filler, clusters, w->books, 2);
      break;
    case 4:
      fill(t->words, gaps, count, filler, clusters, w->books, 4);
      break;
    default:
      fill(t->words, gaps, count, filler, clusters, w->books, 8);
  }
  return DCZ_OK;
}

/* R-ELEM-1: bits above elements of less than 8 bits */
static dcz_status check_bits(const record* r, const uint8_t* words, size_t n, dcz_error* error) {
  unsigned any = 0;
  if (r->dtype->bits == 8) return DCZ_OK;
  for (size_t i = 0; i < n; i++) any |= words[i];
  return any >> r->dtype->bits ? bad(r, error, "bits above an element are not zero") : DCZ_OK;
}

/* Decodes the next chunk. */
static dcz_status next_chunk(work* w, const target* t) {
  const dcz_file* f = w->file;
  const record* r = w->r;
  size_t n = chunk_words(r, w->chunk), at_row = r->at.row + (size_t)w->chunk, words = n, fillers = 0;
  uint64_t size = chunk_bytes(f, r, w->cell), at = w->at;
  unsigned planes = r->values == BYTES ? 1 : (unsigned)(r->streams - r->position_streams);
  TRY(verify_bytes(w, at, size, get(&f->columns[ROW_CRCS], at_row), "the bytes of a chunk"));
  if (r->positions != ALL) {
    words = (size_t)get(&f->columns[ROW_NONZEROS], at_row);
    fillers = (size_t)get(&f->columns[ROW_FILLERS], at_row);
  }
  int filled = r->positions != ALL && fits_block(w, t, words + fillers);
  if (filled) TRY(fill_chunk(w, t, n, words, fillers));
  for (unsigned s = 0; s < r->position_streams; s++) at += get(&f->columns[ROW_LENGTHS], w->cell + s);
  for (unsigned j = 0; j < planes && !filled; j++) {
    size_t s = r->position_streams + j, count = r->values == BYTES ? n * r->word_size : words;
    uint64_t length = get(&f->columns[ROW_LENGTHS], w->cell + s);
    const code* c = code_of(f, r, w->cell, s);
    uint8_t* direct = r->values == BYTES ? t->stored : NULL;
    TRY(open_row(w, w->rows, 0, c, at, length, count, direct));
    if (!direct)
      TRY(pull(w, w->rows, t->stored + j, r->word_size, count));
    else if (c->kind == RAW)
      TRY(pull(w, w->rows, direct, 1, count));
    at += length;
  }
  if (filled) {
    /* done */
  } else if (r->positions != ALL) {
    TRY(place_sparse(w, t, n, words, fillers));
  } else if (t->stored != t->words || r->values == CODEBOOK || (r->values == PLANES && rotates(r))) {
    const placing p = placing_of(w, t);
    for (size_t i = 0; i < n; i++)
      if (place_word(p, i, i)) return bad_cluster(w);
  }
  w->at += size, w->cell += r->streams, w->chunk++;
  /* Of a difference, change_chunk looks at the result; steps may have any bits. */
  return r->transform == NONE ? check_bits(r, t->words, n, w->error) : DCZ_OK;
}

/* -- Decoding tensors */

/* The record that has a tensor's words, if it can be decoded. */
static dcz_status decodable(const dcz_file* f, size_t tensor, const record** out, dcz_error* error) {
  if (tensor >= f->count) return fail(error, DCZ_ARGUMENT, "there is no such tensor");
  const record* r = &f->records[f->records[tensor].same_as];
  *out = r;
  if (f->records[tensor].unknown || r->unknown)
    return fail_of(r, error, DCZ_UNSUPPORTED, "its %s is not known here",
                   r->unknown ? r->unknown : f->records[tensor].unknown);
  return DCZ_OK;
}

static dcz_status without_base(const record* r, dcz_error* error) {
  if (r->transform) return fail_of(r, error, DCZ_BASE, "%s", "it needs its base: dcz_apply");
  return DCZ_OK;
}

dcz_status dcz_decode_chunks(const dcz_file* file, size_t tensor, uint64_t first, uint64_t count, void* out,
                             size_t size, dcz_error* error) {
  const record* r = NULL;
  work* w = NULL;
  TRY(decodable(file, tensor, &r, error));
  TRY(without_base(r, error));
  if (first > r->rows || count > r->rows - first) return bad_chunks(r, first, count, error);
  uint64_t from = first * r->chunk, to = first + count == r->rows ? r->words : (first + count) * r->chunk;
  if (size != (count ? (to - from) * r->word_size : 0) || (size && !out))
    return fail(error, DCZ_ARGUMENT, "%llu bytes are needed; the buffer has %llu",
                (unsigned long long)(count ? (to - from) * r->word_size : 0), (unsigned long long)size);
  if (!count) return DCZ_OK;
  TRY(begin_work(file, r, first, count, &w, error));
  dcz_status status = DCZ_OK;
  for (uint8_t* p = out; count-- && !status; p += (size_t)r->chunk * r->word_size) {
    target t = {p, p, NONE, 0};
    status = next_chunk(w, &t);
  }
  end_work(w);
  return status;
}

dcz_status dcz_decode(const dcz_file* file, size_t tensor, void* out, size_t size, dcz_error* error) {
  const record* r = NULL;
  TRY(decodable(file, tensor, &r, error));
  return dcz_decode_chunks(file, tensor, 0, r->rows, out, size, error);
}

/* -- Verifying */

static size_t count_nonzeros(const uint8_t* p, size_t n, unsigned size) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++, p += size) count += load_word(p, size) != 0;
  return count;
}

static dcz_status verify_known(work* w, uint8_t* words, size_t tensor) {
  const dcz_file* f = w->file;
  const record* r = w->r;
  uint64_t nonzeros = 0;
  uint32_t crc = 0;
  while (w->chunk < r->rows) {
    size_t n = chunk_words(r, w->chunk);
    target t = {words, words, NONE, 0};
    TRY(next_chunk(w, &t));
    nonzeros += count_nonzeros(words, n, r->word_size);
    crc = dcz_crc32c(f, crc, words, n * r->word_size);
  }
  if (!r->transform && differs(crc, get(&f->columns[CONTENT_CRCS], tensor))) {
    return fail_of(r, w->error, DCZ_CHECKSUM, "%s", "its words do not match their CRC-32C");
  }
  if (r->positions == ALL && !r->transform && nonzeros != get(&f->columns[NONZEROS], tensor))
    return bad(r, w->error, "it has not as many nonzeros as the index says");
  return DCZ_OK;
}

/* Verifies the next chunk's bytes without decoding them. */
static dcz_status skip_chunk(work* w) {
  uint64_t size = chunk_bytes(w->file, w->r, w->cell);
  uint64_t crc = get(&w->file->columns[ROW_CRCS], w->r->at.row + (size_t)w->chunk);
  TRY(verify_bytes(w, w->at, size, crc, "the bytes of a chunk"));
  w->at += size, w->cell += w->r->streams, w->chunk++;
  return DCZ_OK;
}

static dcz_status verify_unknown(work* w) {
  while (w->chunk < w->r->rows) TRY(skip_chunk(w));
  return DCZ_OK;
}

dcz_status dcz_verify_tensor(const dcz_file* file, size_t tensor, dcz_error* error) {
  if (tensor >= file->count) return fail(error, DCZ_ARGUMENT, "there is no such tensor");
  const record* r = &file->records[tensor];
  uint8_t* words = NULL;
  size_t most = r->unknown || !r->rows ? 0 : chunk_words(r, 0);
  work* w = NULL;
  if (r->same_as != tensor) return DCZ_OK; /* the index says the same of both */
  TRY(begin_work(file, r, 0, r->rows, &w, error));
  dcz_status status = allocate(file, &words, most, r->word_size, error);
  if (!status) status = r->unknown ? verify_unknown(w) : verify_known(w, words, tensor);
  release(file, words, most, r->word_size);
  end_work(w);
  return status;
}

dcz_status dcz_verify(const dcz_file* file, dcz_error* error) {
  for (size_t i = 0; i < file->count; i++) TRY(dcz_verify_tensor(file, i, error));
  return DCZ_OK;
}

/* -- SPEC 8: differences to a base */

typedef struct buffers {
  uint8_t *stored, *result; /* a chunk of words each */
  uint32_t content;         /* of the result's words so far: their CRC-32C */
  uint64_t nonzeros;        /* of the stored words so far */
  int skipped;              /* whether chunks had been changed already, whose stored words are not read */
} buffers;

/* How many stored words are not zero, where every weight has one: steps and exclusive ors are where nothing changes. */
static size_t nonzeros_of(const record* r, const uint8_t* base, const uint8_t* result, size_t n) {
  unsigned size = r->word_size;
  if (r->transform == REPLACE) return count_nonzeros(result, n, size);
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += load_word(base + i * size, size) != load_word(result + i * size, size);
  return count;
}

/* One chunk of the base becomes one of the result, in `words` itself only if `write`. */
static dcz_status change_chunk(work* w, buffers* b, uint8_t* words, int back, int write) {
  const dcz_file* f = w->file;
  const record* r = w->r;
  size_t n = chunk_words(r, w->chunk), size = n * r->word_size, at = r->at.base_row + (size_t)w->chunk;
  uint64_t before = get(&f->columns[back ? ROW_RESULT_CRCS : ROW_BASE_CRCS], at);
  uint64_t after = get(&f->columns[back ? ROW_BASE_CRCS : ROW_RESULT_CRCS], at);
  uint64_t number = w->chunk, crc = dcz_crc32c(f, 0, words, size);
  target t = {b->stored, b->result, r->transform, back};
  if (differs(crc, before) && differs(crc, after))
    return fail_of(r, w->error, DCZ_BASE, "chunk %llu is not that of the base", (unsigned long long)number);
  memcpy(b->result, words, size);
  if (differs(crc, before)) { /* it has been changed already */
    TRY(skip_chunk(w));
    b->skipped = 1;
  } else {
    TRY(next_chunk(w, &t));
    b->nonzeros += nonzeros_of(r, words, b->result, n);
  }
  if (differs(dcz_crc32c(f, 0, b->result, size), after))
    return fail_of(r, w->error, DCZ_CHECKSUM, "chunk %llu of the result does not match its CRC-32C",
                   (unsigned long long)number);
  if (!differs(crc, before)) TRY(check_bits(r, b->result, n, w->error));
  if (write) memcpy(words, b->result, size);
  b->content = dcz_crc32c(f, b->content, b->result, size);
  return DCZ_OK;
}

/* R-INDEX-14, of the result; R-INDEX-13, of what is stored. */
static dcz_status check_result(const dcz_file* f, const record* r, const buffers* b, dcz_error* error) {
  size_t tensor = (size_t)(r - f->records);
  if (differs(b->content, get(&f->columns[CONTENT_CRCS], tensor)))
    return fail_of(r, error, DCZ_CHECKSUM, "%s", "the words of the result do not match their CRC-32C");
  if (r->positions == ALL && !b->skipped && differs(b->nonzeros, get(&f->columns[NONZEROS], tensor)))
    return bad(r, error, "its stored words have not as many nonzeros as the index says");
  return DCZ_OK;
}

static dcz_status change(const dcz_file* f, const record* r, uint8_t* words, int back, int write, dcz_error* error) {
  buffers b = {NULL, NULL, 0, 0, 0};
  size_t most = chunk_words(r, 0);
  work* w = NULL;
  TRY(begin_work(f, r, 0, r->rows, &w, error));
  dcz_status status = allocate(f, &b.stored, most, r->word_size, error);
  if (!status) status = allocate(f, &b.result, most, r->word_size, error);
  for (; !status && w->chunk < r->rows; words += (size_t)r->chunk * r->word_size)
    status = change_chunk(w, &b, words, back, write);
  if (!status && !back) status = check_result(f, r, &b, error);
  release(f, b.stored, most, r->word_size);
  release(f, b.result, most, r->word_size);
  end_work(w);
  return status;
}

static dcz_status apply(const dcz_file* f, size_t tensor, uint8_t* words, size_t size, int back, int write,
                        dcz_error* error) {
  const record* r = NULL;
  TRY(decodable(f, tensor, &r, error));
  if (!r->transform) return fail(error, DCZ_ARGUMENT, "the tensor needs no base: dcz_decode");
  if (r->transform == REPLACE && back)
    return fail(error, DCZ_ARGUMENT, "a tensor of transform 4 cannot become its base again");
  if (size != r->words * r->word_size || (size && !words))
    return fail(error, DCZ_BASE, "the tensor has %llu bytes, and the base's has %llu",
                (unsigned long long)(r->words * r->word_size), (unsigned long long)size);
  if (!r->rows) { /* a copy, or no words */
    if (differs(dcz_crc32c(f, 0, words, size), get(&f->columns[CONTENT_CRCS], (size_t)(r - f->records))))
      return fail(error, DCZ_BASE, "the words of a copy are not those of the base");
    return DCZ_OK;
  }
  TRY(change(f, r, words, back, 0, error));
  return write ? change(f, r, words, back, 1, error) : DCZ_OK;
}

dcz_status dcz_apply(const dcz_file* file, size_t tensor, void* words, size_t size, dcz_direction direction,
                     dcz_error* error) {
  return apply(file, tensor, words, size, direction == DCZ_BACK, 1, error);
}

dcz_status dcz_check(const dcz_file* file, size_t tensor, const void* words, size_t size, dcz_direction direction,
                     dcz_error* error) {
  uint8_t* writable; /* of which nothing is written */
  memcpy(&writable, &words, sizeof writable);
  return apply(file, tensor, writable, size, direction == DCZ_BACK, 0, error);
}
