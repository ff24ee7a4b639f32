// The interface of the kernels: plain buffers with their lengths, a status back, nothing allocated.
// Every kernel set (portable, avx2, avx512) fills one `Kernels` table with the same bytes out.
#pragma once
#include "bits.hpp"

namespace dcz {

enum class Status : int {
  ok = 0,
  argument = 1,        // a buffer too small or a parameter out of range: a mistake of the caller
  code = 2,            // code lengths that form no complete prefix code
  length = 3,          // a stream does not end where the directory says
  padding = 4,         // bits set behind the last symbol of a stream
  count = 5,           // positions that do not add up to the directory's nonzeros, or leave the chunk
  index = 6,           // a cluster index beyond the codebook
  checksum = 7,        // CRC-32C of a chunk
  full = 8,            // more distinct values than the limit
  book = 9,            // a codebook's stream that does not decode
  order = 10,          // a codebook that does not ascend
  book_checksum = 11,  // CRC-32C of a codebook
  result = 12,         // CRC-32C of a chunk that a change would make
};

constexpr usize kSymbols = 256;             // an alphabet is at most a byte
constexpr int kMaxCodeLength = 12;          // SPEC 5.2
constexpr usize kLanes = 6;                 // independent bit streams of a long Huffman stream
constexpr usize kLaneThreshold = 2048;      // below it a stream has one lane
constexpr usize kMaxRow = 262080;           // symbols of a Huffman row, and of a row of a codebook plane
constexpr usize kMaxStreams = 10;           // up to two of positions and up to eight value planes
constexpr usize kMaxCodes = 16;             // codes of one stream
constexpr usize kCodeRecord = 129;          // kind, then 256 code lengths, two a byte, low nibble first
constexpr u32 kCrcPolynomial = 0x82F63B78;  // of CRC-32C, reflected

// Kinds of a code record's first byte. 1 to 7 is `packed` with that many bits.
constexpr u8 kRaw = 0;
constexpr u8 kHuffman = 8;

enum class Positions : int { all = 0, bitmap = 1, relative4 = 4, relative5 = 5, relative8 = 8, relative16 = 16 };
enum class Values : int { bytes = 0, planes = 1, codebook = 2 };
enum class Transform : int { step = 2, exclusive = 3, replace = 4 };  // of files that have a base

// Everything but bytes and directory that it takes to decode a tensor's chunks.
struct DecodePlan {
  Positions positions;
  Values values;
  usize word;          // bytes per word: 1, 2, 4 or 8
  bool rotate;         // words were rotated left by one before they were split
  usize planes;        // streams of values
  usize weights;       // words of the tensor
  usize chunk;         // words of a chunk, the last may be shorter
  const u8* codebook;  // words, `entries` of each codebook, or null
  usize codebook_bytes;
  usize entries;     // entries of one codebook
  usize group;       // words that share a codebook; >= weights for one codebook
  const u8* kinds;   // of the codes, stream after stream
  const u8* tables;  // their decode tables
  u32 code_count[kMaxStreams];
  bool stream;  // write past the cache: for outputs larger than it
};

// One row of the directory, `columns` numbers: nonzeros, fillers, crc, then (code, length) per stream.
constexpr usize kRowHead = 3;

// The columns of a file's index that decoding reads.
struct Columns {
  const u8* records;  // of the file's codes
  usize code_count;
  const i64* counts;  // codes of each stream
  usize stream_count;
  const i64* numbers;  // which codes these are
  usize number_count;
  const i64* rows;  // the directory
  usize row_count;
  const i64* books;  // of each codebook: crc, then (code, length) per byte plane
  usize book_count;
  const u8* words;  // codebooks that are decoded already
  usize word_bytes;
};

// Chunks [first, first + count) of a tensor. `rows`, `streams`, `numbers`, `book` and `words` are where its part of
// a column begins; `book` is negative where the codebook is in `words` or there is none. `data` and `size` are
// its bytes: the codebook's, if `book` is set, and the chunks'.
struct Job {
  i64 positions, values, word, rotate, planes, weights, chunk, entries, group;
  i64 rows, first, count, streams, numbers, book, words, data, size, stream;
};
constexpr usize kJobFields = 19;
static_assert(sizeof(Job) == kJobFields * sizeof(i64), "a job is a row of numbers");

// How a job's words change those of the base: by which transform, whether words are sign and magnitude, whether
// backward. `crcs` is where the pairs of CRC-32C begin, before and after, of its chunks; negative: none are checked.
struct Change {
  i64 transform, magnitude, backward, crcs;
};
constexpr usize kChangeFields = 4;
static_assert(sizeof(Change) == kChangeFields * sizeof(i64), "a change is a row of numbers");

struct Kernels {
  const char* name;
  u32 (*crc32c)(const u8* data, usize size, u32 crc);
  void (*histograms)(const u8* symbols, const i64* bounds, usize rows, u32* out);
  Status (*code_lengths)(const u64* histogram, int limit, u8* lengths);
  usize (*check_codes)(const u8* records, usize count);
  Status (*lane_sizes)(const u8* symbols, const i64* bounds, usize rows, const u8* use, const u8* codes,
                       usize code_count, i64* out, usize* failed);
  Status (*encode)(const u8* symbols, const i64* bounds, usize rows, const u8* use, const u8* codes, usize code_count,
                   const i64* lanes, u8* out, usize out_size, const i64* offsets, usize* failed);
  usize table_size;  // bytes of scratch memory that `decode` needs, from a multiple of 64 on
  Status (*decode)(const u8* record, const u8* data, usize size, u8* out, usize n, u8* scratch);
  Status (*scan)(const u8* words, usize n, usize word, usize limit, u64* keys, usize* key_count, u32* slots,
                 usize slot_count, u8* bitmap, u8* ids, usize id_bytes, usize id_capacity, usize* nonzeros);
  usize (*bitmap)(const u8* words, usize n, usize word, u8* bitmap);
  usize (*nonzeros)(const u8* words, usize n, usize word, u8* out, usize capacity);
  void (*split)(const u8* words, usize n, usize word, bool rotate, u8* planes, usize stride);
  void (*merge)(const u8* planes, usize stride, usize n, usize word, bool rotate, u8* words);
  Status (*gaps)(const u8* bitmap, usize n, usize chunk, int bits, u8* symbols, usize capacity, i64* entries,
                 usize* written);
  usize (*codebook_scratch)(usize word, usize words);
  Status (*codebook)(const Columns& columns, i64 book, usize word, bool rotate, usize books, usize entries,
                     const u8* data, usize size, u8* out, u8* scratch);
  // A job is planned once: `plan` and the size of its scratch memory are what `run_job` takes.
  Status (*plan_job)(const Columns& columns, const Job& job, DecodePlan* plan, usize* scratch_size);
  Status (*run_job)(const Columns& columns, const Job& job, DecodePlan& plan, const u8* data, usize size, u8* out,
                    usize out_size, u8* scratch, usize scratch_size, usize* failed);
  Status (*compare)(const u8* now, const u8* base, usize n, usize word, Transform transform, bool magnitude, u8* bitmap,
                    u8* out, usize capacity, usize* count);
  Status (*stored_scratch)(const Columns& columns, const Job& job, usize* size);
  Status (*change_job)(const Columns& columns, const Job& job, const Change& change, const i64* crcs, usize crc_count,
                       const u8* data, usize size, u8* out, usize out_size, u8* scratch, usize scratch_size,
                       usize* failed);
  Status (*list_job)(const Columns& columns, const Job& job, const u8* data, usize size, i64* indices, u8* words,
                     usize capacity, u8* scratch, usize scratch_size, usize* failed);
};

namespace portable {
extern const Kernels kernels;
}
#if defined(DCZ_X86)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

}  // namespace dcz
