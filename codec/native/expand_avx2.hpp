// The last stage with AVX2: values are looked up one by one, and put in place eight bytes' worth of mask at a time.
#pragma once
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

template <bool Stream>
static DCZ_INLINE void put_half(void* p, __m256i x) {
  if constexpr (Stream) {
    _mm256_stream_si256(static_cast<__m256i*>(p), x);
  } else {
    _mm256_storeu_si256(static_cast<__m256i*>(p), x);
  }
}

// 64 bits of a bitmap from any bit on.
static DCZ_INLINE u64 bits_at(const u8* bitmap, usize at) {
  const u8* const p = bitmap + at / 8;
  const int shift = static_cast<int>(at % 8);
  return load<u64>(p) >> shift | u64{p[8]} << 1 << (63 - shift);
}

// For each mask of eight bits, which of eight packed values each place takes; 0x80 where it takes none.
struct Places {
  alignas(64) u8 of[256][8];
  constexpr Places() : of{} {
    for (int mask = 0; mask < 256; ++mask)
      for (int i = 0, rank = 0; i < 8; ++i) of[mask][i] = static_cast<u8>(mask >> i & 1 ? rank++ : 0x80);
  }
};
static constexpr Places kPlaces;

// Eight places of words of four bytes, or sixteen bytes' worth of the other sizes, from packed words.
template <class W, bool Stream>
static DCZ_INLINE void place_eight(u32 mask, const u8* words, u8* out) {
  const u64 places = load<u64>(kPlaces.of[mask]);
  if constexpr (sizeof(W) == 4) {
    const __m256i from = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(static_cast<long long>(places)));
    const __m256i x = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)), from);
    put_half<Stream>(out, _mm256_andnot_si256(_mm256_srai_epi32(from, 31), x));
  } else if constexpr (sizeof(W) == 8) {
    for (int h = 0; h < 2; ++h) {  // four words each; the second four come behind the first four's
      const u32 part = mask >> (4 * h) & 15;
      const __m128i four = _mm_cvtsi32_si128(static_cast<int>(load<u32>(kPlaces.of[part])));
      const __m256i rank = _mm256_cvtepi8_epi64(four);
      const __m256i twice = _mm256_add_epi64(rank, rank);  // as halves: words 2 r and 2 r + 1
      const __m256i from = _mm256_or_si256(_mm256_and_si256(twice, _mm256_set1_epi64x(0xFFFFFFFF)),
                                           _mm256_slli_epi64(_mm256_add_epi64(twice, _mm256_set1_epi64x(1)), 32));
      const __m256i x = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)), from);
      const __m256i none = _mm256_cmpgt_epi64(_mm256_setzero_si256(), rank);
      put_half<Stream>(out + 32 * h, _mm256_andnot_si256(none, x));
      words += 8 * popcount(part);
    }
  } else if constexpr (sizeof(W) == 2) {
    const __m128i rank = _mm_cvtsi64_si128(static_cast<long long>(places));
    const __m128i low = _mm_add_epi8(rank, rank);  // absent places wrap to zero and are set again below
    const __m128i none = _mm_cmplt_epi8(rank, _mm_setzero_si128());
    const __m128i from =
        _mm_unpacklo_epi8(_mm_or_si128(low, none), _mm_or_si128(_mm_add_epi8(low, _mm_set1_epi8(1)), none));
    const __m128i x = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)), from);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), x);
  } else {
    const __m128i x = _mm_shuffle_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(words)),
                                       _mm_cvtsi64_si128(static_cast<long long>(places)));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), x);
  }
}

// A codebook that is read word by word.
template <class W>
struct TableBook {
  const W* words;
};

// Up to 16 entries: each byte plane is one register, searched 32 indices at a time.
template <class W>
struct ShuffleBook {
  __m256i plane[sizeof(W)];
  const W* words;

  explicit ShuffleBook(const W* w) : words(w) {
    for (usize j = 0; j < sizeof(W); ++j) {
      alignas(16) u8 bytes[16];
      for (usize i = 0; i < 16; ++i) bytes[i] = static_cast<u8>(w[i] >> (8 * j));
      plane[j] = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
    }
  }
};

// Two vectors of which each 128-bit lane is in order: lanes 0 of both, then, half a block on, lanes 1.
template <usize Word, bool Stream>
static DCZ_INLINE void put_pair(u8* out, __m256i low, __m256i high) {
  put_half<Stream>(out, _mm256_permute2x128_si256(low, high, 0x20));
  put_half<Stream>(out + 16 * Word, _mm256_permute2x128_si256(low, high, 0x31));
}

// Four byte planes to four vectors of words of four bytes, in order within 128-bit lanes.
static DCZ_INLINE void interleave4(const __m256i* p, __m256i* out) {
  const __m256i a = _mm256_unpacklo_epi8(p[0], p[1]), b = _mm256_unpackhi_epi8(p[0], p[1]);
  const __m256i c = _mm256_unpacklo_epi8(p[2], p[3]), d = _mm256_unpackhi_epi8(p[2], p[3]);
  out[0] = _mm256_unpacklo_epi16(a, c);
  out[1] = _mm256_unpackhi_epi16(a, c);
  out[2] = _mm256_unpacklo_epi16(b, d);
  out[3] = _mm256_unpackhi_epi16(b, d);
}

// Byte planes of 32 words to words in order.
template <usize Word, bool Stream>
static DCZ_INLINE void put_planes(u8* out, const __m256i* p) {
  if constexpr (Word == 1) {
    put_half<Stream>(out, p[0]);
  } else if constexpr (Word == 2) {
    put_pair<Word, Stream>(out, _mm256_unpacklo_epi8(p[0], p[1]), _mm256_unpackhi_epi8(p[0], p[1]));
  } else {
    __m256i low[4];
    interleave4(p, low);
    if constexpr (Word == 4) {
      put_pair<Word, Stream>(out, low[0], low[1]);
      put_pair<Word, Stream>(out + 32, low[2], low[3]);
    } else {
      __m256i high[4];
      interleave4(p + 4, high);
      for (usize i = 0; i < 4; ++i)
        put_pair<Word, Stream>(out + 32 * i, _mm256_unpacklo_epi32(low[i], high[i]),
                               _mm256_unpackhi_epi32(low[i], high[i]));
    }
  }
}

template <class W, bool Stream>
static DCZ_INLINE void expand_word_blocks(const u8* bitmap, usize& from, usize end, const u8*& next, u8* out) {
  usize at = from;
  const u8* words = next;
  for (; at + 64 <= end; at += 64) {
    u64 bits = bits_at(bitmap, at);
    for (usize i = 0; i < 64; i += 8, bits >>= 8) {
      place_eight<W, Stream>(static_cast<u32>(bits & 255), words, out + (at + i) * sizeof(W));
      words += static_cast<usize>(popcount(bits & 255)) * sizeof(W);
    }
  }
  from = at;
  next = words;
}

template <class W>
static DCZ_INLINE void look_up(const W* book, const u8* index, usize n, W* words) {
  for (usize i = 0; i < n; i += 4) {
    words[i] = book[index[i]];
    words[i + 1] = book[index[i + 1]];
    words[i + 2] = book[index[i + 2]];
    words[i + 3] = book[index[i + 3]];
  }
}

// A block's words are looked up before the block in front of it is written: a vector that overlaps narrower stores
// waits until those are in the cache.
template <class W, bool Stream, bool, class B>
static DCZ_INLINE void expand_blocks(const B& book, u8, const u8* bitmap, usize& from, usize end, const u8*& next,
                                     u8* out) {
  const u8* index = next;
  W words[2][64 + 8];
  const auto prepare = [&](usize at) {
    const u64 bits = bits_at(bitmap, at);
    const usize n = static_cast<usize>(popcount(bits));
    look_up(book.words, index, n, words[at / 64 % 2]);
    index += n;
    return bits;
  };
  usize at = from;
  u64 bits = at + 64 <= end ? prepare(at) : 0;
  while (at + 64 <= end) {
    const u8* w = reinterpret_cast<const u8*>(words[at / 64 % 2]);
    const u64 following = at + 128 <= end ? prepare(at + 64) : 0;
    for (usize i = 0; i < 64; i += 8, bits >>= 8) {
      place_eight<W, Stream>(static_cast<u32>(bits & 255), w, out + (at + i) * sizeof(W));
      w += static_cast<usize>(popcount(bits & 255)) * sizeof(W);
    }
    at += 64;
    bits = following;
  }
  from = at;
  next = index;
}

template <class W, bool Stream>
static DCZ_INLINE void lookup_blocks(const TableBook<W>& book, usize& from, usize end, const u8* index, u8* out) {
  usize at = from;
  for (; at + 64 <= end; at += 64)
    for (usize i = at; i < at + 64; ++i) store(out + i * sizeof(W), book.words[index[i]]);
  from = at;
}

template <class W, bool Stream>
static DCZ_INLINE void lookup_blocks(const ShuffleBook<W>& book, usize& from, usize end, const u8* index, u8* out) {
  usize at = from;
  for (; at + 64 <= end; at += 64)
    for (usize i = at; i < at + 64; i += 32) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index + i));
      __m256i found[sizeof(W)];
      for (usize j = 0; j < sizeof(W); ++j) found[j] = _mm256_shuffle_epi8(book.plane[j], x);
      put_planes<sizeof(W), Stream>(out + i * sizeof(W), found);
    }
  from = at;
}

template <class W, bool Rotate, bool Stream>
static DCZ_INLINE void merge_blocks(const u8* const* planes, usize& from, usize end, u8* out) {
  usize at = from;
  for (; at + 64 <= end; at += 64)
    for (usize i = at; i < at + 64; i += 32) {
      __m256i p[sizeof(W)];
      for (usize j = 0; j < sizeof(W); ++j) p[j] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(planes[j] + i));
      if constexpr (Rotate) {  // each byte takes the lowest bit of the next
        const __m256i first = p[0];
        for (usize j = 0; j < sizeof(W); ++j) {
          const __m256i above = j + 1 < sizeof(W) ? p[j + 1] : first;
          const __m256i shifted = _mm256_and_si256(_mm256_srli_epi16(p[j], 1), _mm256_set1_epi8(0x7F));
          const __m256i carried = _mm256_slli_epi16(_mm256_and_si256(above, _mm256_set1_epi8(1)), 7);
          p[j] = _mm256_or_si256(shifted, carried);
        }
      }
      put_planes<sizeof(W), Stream>(out + i * sizeof(W), p);
    }
  from = at;
}

// A codebook of up to 256 entries, padded to 256 so that no index can leave it.
template <class W>
struct Palette {
  alignas(64) W words[kSymbols];
  usize size = 0;
  static constexpr bool masked = false;
  static constexpr u8 absent = 0;

  void fill(const u8* codebook, usize entries, bool) {
    std::memset(words, 0, sizeof words);
    std::memcpy(words, codebook, entries * sizeof(W));
    size = entries;
  }

  template <class F>
  DCZ_INLINE void with_book(F&& f) const {
    if constexpr (sizeof(W) > 1) {
      if (size <= 16) return f(ShuffleBook<W>(words));
    }
    f(TableBook<W>{words});
  }

  template <class F>
  DCZ_INLINE void for_expanding(F&& f) const {
    f(TableBook<W>{words});
  }
};

}  // namespace DCZ_TIER
}  // namespace dcz
