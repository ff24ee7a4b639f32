/* libdcz: a reader of dcz files (spec/SPEC.md, format version 1) in C11, without dependencies.
 *
 * It reads memory or whatever a callback reads, allocates through its caller's allocator alone, has no state outside of
 * a dcz_file, and decodes zstd with a function that is handed in. Several threads may use one dcz_file at a time if its
 * allocator, its source and its zstd function allow that.
 *
 * Every function that can fail returns a dcz_status, DCZ_OK being 0, and fills in a dcz_error, which may be NULL. */

#ifndef DCZ_H
#define DCZ_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DCZ_VERSION 1 /* of the format */

typedef enum dcz_status {
  DCZ_OK = 0,
  DCZ_FORMAT = 1,      /* the bytes are not a valid dcz file */
  DCZ_CHECKSUM = 2,    /* bytes do not match their CRC-32C */
  DCZ_TRUNCATED = 3,   /* the file ends early */
  DCZ_UNSUPPORTED = 4, /* valid, but not known here: a newer version, a dtype, zstd without a function for it */
  DCZ_LIMIT = 5,       /* larger than a limit of dcz_options */
  DCZ_BASE = 6,        /* the words given are not those of the base, or a base is needed and none is given */
  DCZ_MEMORY = 7,      /* the allocator returned NULL */
  DCZ_IO = 8,          /* the source's read_at failed */
  DCZ_ARGUMENT = 9     /* an argument makes no sense */
} dcz_status;

typedef struct dcz_error {
  dcz_status status;
  char message[240]; /* one line; what is not printable ASCII in it is a question mark */
} dcz_error;

/* Memory. `allocate` returns NULL or `size` bytes (never 0) aligned as malloc aligns them. */
typedef struct dcz_allocator {
  void* (*allocate)(void* context, size_t size);
  void (*release)(void* context, void* block, size_t size);
  void* context;
} dcz_allocator;

/* Where the file's bytes come from. `read_at` puts the `size` bytes at `offset` into `to` and returns 0, or returns
 * anything else; it is never asked for bytes beyond `size`. */
typedef struct dcz_source {
  int (*read_at)(void* context, uint64_t offset, void* to, size_t size);
  void* context;
  uint64_t size;
} dcz_source;

/* Decodes `from`, which is one zstd frame of `to_size` bytes, into `to`: 0, or anything else where that fails. */
typedef int (*dcz_zstd_function)(void* context, void* to, size_t to_size, const void* from, size_t from_size);

/* All zero is a good choice but for `zstd`: most files need it. */
typedef struct dcz_options {
  dcz_allocator allocator; /* malloc and free where `allocate` is NULL */
  dcz_zstd_function zstd;  /* NULL: what zstd encodes is not supported */
  void* zstd_context;
  uint64_t max_index;  /* bytes of the index, decompressed; 0 is 32 MiB */
  uint64_t max_memory; /* bytes of one allocation; 0 is 1 GiB */
  size_t window;       /* how many stored bytes to hold at a time; 0 is a whole chunk. 8,192 is the least */
} dcz_options;

typedef struct dcz_file dcz_file;

typedef struct dcz_text {
  const char* data; /* UTF-8, not terminated, may hold anything, zero bytes too */
  size_t size;
} dcz_text;

typedef struct dcz_bytes {
  const uint8_t* data;
  size_t size;
} dcz_bytes;

/* SPEC 3 and 8: numbers as they are in the file */
typedef struct dcz_tensor {
  dcz_text name;
  dcz_text dtype;
  const uint64_t* shape; /* `rank` lengths; lives as long as the dcz_file */
  size_t rank;
  uint64_t words;
  unsigned word_size; /* bytes of a word */
  uint64_t size;      /* bytes of all words: what dcz_decode needs */
  uint64_t nonzeros;
  uint32_t content_crc32c;
  size_t same_as;     /* number of the tensor that holds the words: its own but for tied tensors */
  unsigned positions; /* 0 all, 1 bitmap, 4, 5, 8, 16 relative */
  unsigned values;    /* 0 bytes, 1 planes, 2 codebook */
  uint64_t chunk;     /* weights per chunk */
  uint64_t chunks;    /* number of them */
  uint64_t entries, group;
  uint64_t offset, stored;   /* where its segment is in the file, and the bytes it takes */
  uint64_t stored_books;     /* of these, codebooks; */
  uint64_t stored_positions; /* of these, positions; the rest are values. 0 where it is not known */
  unsigned codes;            /* what its rows and codebooks are coded by: 1 raw, 2 packed, 4 Huffman, 8 zstd, added */
  unsigned transform;        /* 0 none, 1 copy, 2 step, 3 xor, 4 replace */
  dcz_text base_name;        /* what the base calls it; empty without a transform */
  dcz_bytes metadata;        /* msgpack of a map; empty where there is none */
  const char* unknown;       /* NULL, or what of it is not known here, so that it cannot be decoded: "dtype" */
} dcz_tensor;

/* Opens what `source` has. The file keeps copies of `source` and `options`; contexts must outlive it. */
dcz_status dcz_open(dcz_file** file, const dcz_source* source, const dcz_options* options, dcz_error* error);

/* Opens `size` bytes of memory, which must outlive the file. */
dcz_status dcz_open_memory(dcz_file** file, const void* data, size_t size, const dcz_options* options,
                           dcz_error* error);

void dcz_close(dcz_file* file); /* NULL is fine */

/* How many tensors there are, in the order of the index. */
size_t dcz_count(const dcz_file* file);

#define DCZ_NONE ((size_t)-1)

/* Number of the tensor of that name or alias, else DCZ_NONE. `size` bytes of UTF-8. */
size_t dcz_find(const dcz_file* file, const char* name, size_t size);

dcz_status dcz_describe(const dcz_file* file, size_t tensor, dcz_tensor* out, dcz_error* error);

/* Further names, sorted: how many, the name, and the tensor that it names. */
size_t dcz_alias_count(const dcz_file* file);
dcz_status dcz_alias(const dcz_file* file, size_t alias, dcz_text* name, size_t* tensor, dcz_error* error);

/* msgpack of the file's metadata and extensions: a map each, perhaps an empty one. */
dcz_bytes dcz_metadata(const dcz_file* file);
dcz_bytes dcz_extensions(const dcz_file* file);
int dcz_has_base(const dcz_file* file);

/* Decodes a tensor to `out`, of exactly its `size` bytes: words in C order, little-endian. Verifies each chunk's
 * CRC-32C before it decodes it. A tensor with a transform needs dcz_apply instead. After an error `out` has bytes that
 * mean nothing. */
dcz_status dcz_decode(const dcz_file* file, size_t tensor, void* out, size_t size, dcz_error* error);

/* Decodes `count` chunks from chunk `first` on. `size` must be that of their words: `chunk` words each, what is left in
 * the last. */
dcz_status dcz_decode_chunks(const dcz_file* file, size_t tensor, uint64_t first, uint64_t count, void* out,
                             size_t size, dcz_error* error);

/* Where in the file the stored bytes of `count` chunks from chunk `first` on are, for who reads ahead. Codebooks lie
 * between the tensor's `offset` and its first chunk. */
dcz_status dcz_locate_chunks(const dcz_file* file, size_t tensor, uint64_t first, uint64_t count, uint64_t* offset,
                             uint64_t* size, dcz_error* error);

/* Decodes all tensors, a chunk at a time, and checks what can be checked: stored bytes, contents, counts of nonzeros.
 * Tensors that are unknown have their stored bytes checked, those with a transform all but the result. */
dcz_status dcz_verify(const dcz_file* file, dcz_error* error);
dcz_status dcz_verify_tensor(const dcz_file* file, size_t tensor, dcz_error* error);

typedef enum dcz_direction { DCZ_FORWARD = 0, DCZ_BACK = 1 } dcz_direction;

/* Turns `words`, which hold the base's tensor (dcz_tensor.base_name), into the result in place; or back, but for
 * transform 4. First makes sure that all of it will work: DCZ_BASE means that nothing has changed. If the source or the
 * allocator fails later, some chunks are the result's and the others still the base's; since chunks that are the
 * result's already are left as they are, calling it again finishes the work. */
dcz_status dcz_apply(const dcz_file* file, size_t tensor, void* words, size_t size, dcz_direction direction,
                     dcz_error* error);

/* The first half of dcz_apply: would it work? Changes nothing. */
dcz_status dcz_check(const dcz_file* file, size_t tensor, const void* words, size_t size, dcz_direction direction,
                     dcz_error* error);

/* CRC-32C of `size` bytes that follow those with the CRC-32C `crc`, 0 for none. */
uint32_t dcz_crc32c(const dcz_file* file, uint32_t crc, const void* data, size_t size);

/* "format", "checksum", "truncated", "unsupported", "limit", "base", "memory", "io", "argument", or "ok". */
const char* dcz_status_name(dcz_status status);

#ifdef __cplusplus
}
#endif

#endif
