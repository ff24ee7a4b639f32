// The last stage with AVX-512 (VBMI2): 64 weights at a time, looked up in registers, whole lines written.
#pragma once
#include "simd.hpp"

namespace dcz {
namespace DCZ_TIER {

template <bool Stream>
static DCZ_INLINE void put_line(void* p, __m512i x) {
  if constexpr (Stream) {
    _mm512_stream_si512(static_cast<__m512i*>(p), x);
  } else {
    _mm512_storeu_si512(p, x);
  }
}

// 64 bits of a bitmap from any bit on, or from a byte on.
template <bool Aligned>
static DCZ_INLINE u64 bits_at(const u8* bitmap, usize at) {
  const u8* const p = bitmap + at / 8;
  if constexpr (Aligned) return load<u64>(p);
  const int shift = static_cast<int>(at % 8);
  return load<u64>(p) >> shift | u64{p[8]} << 1 << (63 - shift);
}

// For each byte of a vector, which index it takes: after this order, interleaving byte planes within
// 16-byte lanes leaves the words in order.
template <usize Word>
struct LaneOrder {
  alignas(64) u8 from[64];
  constexpr LaneOrder() : from{} {
    constexpr usize kPerLane = 16 / Word;  // words of a lane
    for (usize lane = 0; lane < 4; ++lane)
      for (usize j = 0; j < 16; ++j) {
        const usize line = j / kPerLane, within = j % kPerLane;
        from[16 * lane + j] = static_cast<u8>(line * 4 * kPerLane + lane * kPerLane + within);
      }
  }
};

// Four byte planes in lane order to four vectors of words of four bytes.
static DCZ_INLINE void interleave4(const __m512i* p, __m512i* out) {
  const __m512i a = _mm512_unpacklo_epi8(p[0], p[1]), b = _mm512_unpackhi_epi8(p[0], p[1]);
  const __m512i c = _mm512_unpacklo_epi8(p[2], p[3]), d = _mm512_unpackhi_epi8(p[2], p[3]);
  out[0] = _mm512_unpacklo_epi16(a, c);
  out[1] = _mm512_unpackhi_epi16(a, c);
  out[2] = _mm512_unpacklo_epi16(b, d);
  out[3] = _mm512_unpackhi_epi16(b, d);
}

// Byte planes of 64 words in lane order to `Word` lines of 64 bytes.
template <usize Word, bool Stream>
static DCZ_INLINE void put_planes(u8* out, const __m512i* plane) {
  if constexpr (Word == 1) {
    put_line<Stream>(out, plane[0]);
  } else if constexpr (Word == 2) {
    put_line<Stream>(out, _mm512_unpacklo_epi8(plane[0], plane[1]));
    put_line<Stream>(out + 64, _mm512_unpackhi_epi8(plane[0], plane[1]));
  } else {
    __m512i low[4];
    interleave4(plane, low);
    if constexpr (Word == 4) {
      for (usize i = 0; i < 4; ++i) put_line<Stream>(out + 64 * i, low[i]);
    } else {
      __m512i high[4];
      interleave4(plane + 4, high);
      for (usize i = 0; i < 4; ++i) {
        put_line<Stream>(out + 128 * i, _mm512_unpacklo_epi32(low[i], high[i]));
        put_line<Stream>(out + 128 * i + 64, _mm512_unpackhi_epi32(low[i], high[i]));
      }
    }
  }
}

// A codebook of up to 64 * Lines entries, each byte plane a table of that many bytes.
template <class W, usize Lines>
struct PlaneBook {
  const u8* plane;  // sizeof(W) planes of 256 bytes

  // 64 indices; where `Masked`, those whose bit is not set give zero words.
  template <bool Stream, bool Masked>
  DCZ_INLINE void put(u8* out, __m512i index, u64 bits) const {
    static constexpr LaneOrder<sizeof(W)> kOrder;
    if constexpr (sizeof(W) > 1) {
      const __m512i order = _mm512_load_si512(kOrder.from);
      index = _mm512_permutexvar_epi8(order, index);
      if constexpr (Masked) bits = _mm512_movepi8_mask(_mm512_permutexvar_epi8(order, _mm512_movm_epi8(bits)));
    }
    const __mmask64 all = Masked ? bits : ~u64{0};
    const __mmask64 upper = Lines == 4 ? _mm512_movepi8_mask(index) & all : 0;
    __m512i found[sizeof(W)];
    for (usize j = 0; j < sizeof(W); ++j) {
      const __m512i* const t = reinterpret_cast<const __m512i*>(plane + kSymbols * j);
      if constexpr (Lines == 1) {
        found[j] = _mm512_maskz_permutexvar_epi8(all, index, t[0]);
      } else if constexpr (Lines == 2) {
        found[j] = _mm512_maskz_permutex2var_epi8(all, t[0], index, t[1]);
      } else {
        found[j] = _mm512_mask_mov_epi8(_mm512_maskz_permutex2var_epi8(all, t[0], index, t[1]), upper,
                                        _mm512_permutex2var_epi8(t[2], index, t[3]));
      }
    }
    put_planes<sizeof(W), Stream>(out, found);
  }
};

// Up to 128 / sizeof(W) words of two, four or eight bytes: they fit two registers, searched by the low bits
// of each word of a vector. One permutation puts the indices of all output lines there, a byte for each.
template <class W>
struct WordBook {
  __m512i first, second;

  explicit WordBook(const W* w)
      : first(_mm512_loadu_si512(w)), second(_mm512_loadu_si512(reinterpret_cast<const u8*>(w) + 64)) {}

  struct Order {
    alignas(64) u8 from[64];
    constexpr Order() : from{} {
      for (usize i = 0; i < 64; ++i) from[i] = static_cast<u8>(i % sizeof(W) * (64 / sizeof(W)) + i / sizeof(W));
    }
  };

  template <bool Stream, bool Masked>
  DCZ_INLINE void put(u8* out, __m512i index, u64 bits) const {
    static constexpr Order kOrder;
    index = _mm512_permutexvar_epi8(_mm512_load_si512(kOrder.from), index);
    for (usize i = 0; i < sizeof(W); ++i, bits >>= 64 / sizeof(W) % 64) {
      __m512i x;
      if constexpr (sizeof(W) == 2) {
        x = _mm512_maskz_permutex2var_epi16(Masked ? static_cast<__mmask32>(bits) : ~__mmask32{0}, first, index,
                                            second);
        index = _mm512_srli_epi16(index, 8);
      } else if constexpr (sizeof(W) == 4) {
        x = _mm512_maskz_permutex2var_epi32(Masked ? static_cast<__mmask16>(bits) : 0xFFFF, first, index, second);
        index = _mm512_srli_epi32(index, 8);
      } else {
        x = _mm512_maskz_permutex2var_epi64(Masked ? static_cast<__mmask8>(bits) : 0xFF, first, index, second);
        index = _mm512_srli_epi64(index, 8);
      }
      put_line<Stream>(out + 64 * i, x);
    }
  }
};

// Hides a value from the compiler. Expanding with zeroing waits for the old value of its destination on Zen 4,
// five cycles each; merging into a copy of a register that gcc must not know to be zero does not.
static DCZ_INLINE __m512i opaque(__m512i x) {
  asm("" : "+v"(x));
  return x;
}

// 64 words each: the indices from `next` on are those of the set bits. The others get the index `absent`, whose
// word is zero; a full codebook has no room for it (`Masked`), and they are masked instead.
template <class W, bool Stream, bool Masked, bool Aligned, class B>
static DCZ_INLINE void expand_blocks_at(const B& book, u8 absent, const u8* bitmap, usize& from, usize end,
                                        const u8*& next, u8* out) {
  const __m512i none = opaque(_mm512_set1_epi8(static_cast<char>(absent)));
  usize at = from;
  const u8* index = next;
  for (; at + 64 <= end; at += 64) {
    const u64 bits = bits_at<Aligned>(bitmap, at);
    const __m512i x = _mm512_mask_expand_epi8(opaque(none), bits, _mm512_loadu_si512(index));
    index += popcount(bits);
    book.template put<Stream, Masked>(out + at * sizeof(W), x, bits);
  }
  from = at;
  next = index;
}

template <class W, bool Stream, bool Masked, class B>
static DCZ_INLINE void expand_blocks(const B& book, u8 absent, const u8* bitmap, usize& from, usize end,
                                     const u8*& next, u8* out) {
  from % 8 ? expand_blocks_at<W, Stream, Masked, false>(book, absent, bitmap, from, end, next, out)
           : expand_blocks_at<W, Stream, Masked, true>(book, absent, bitmap, from, end, next, out);
}

template <class W, bool Stream, class B>
static DCZ_INLINE void lookup_blocks(const B& book, usize& from, usize end, const u8* index, u8* out) {
  usize at = from;
  for (; at + 64 <= end; at += 64)
    book.template put<Stream, false>(out + at * sizeof(W), _mm512_loadu_si512(index + at), 0);
  from = at;
}

// Words already looked up or merged: expanded by their mask, a line at a time.
template <class W, bool Stream>
static DCZ_INLINE void expand_word_blocks(const u8* bitmap, usize& from, usize end, const u8*& next, u8* out) {
  constexpr usize kLine = 64 / sizeof(W);
  const __m512i zero = opaque(_mm512_setzero_si512());
  usize at = from;
  const u8* words = next;
  for (; at + 64 <= end; at += 64) {
    const u64 all = bits_at<false>(bitmap, at);
    for (usize i = 0; i < 64; i += kLine) {
      const u64 bits = kLine == 64 ? all : all >> i & ((u64{1} << (kLine % 64)) - 1);
      const __m512i w = _mm512_loadu_si512(words);
      __m512i x;
      if constexpr (sizeof(W) == 1) x = _mm512_mask_expand_epi8(opaque(zero), bits, w);
      if constexpr (sizeof(W) == 2) x = _mm512_mask_expand_epi16(opaque(zero), static_cast<__mmask32>(bits), w);
      if constexpr (sizeof(W) == 4) x = _mm512_mask_expand_epi32(opaque(zero), static_cast<__mmask16>(bits), w);
      if constexpr (sizeof(W) == 8) x = _mm512_mask_expand_epi64(opaque(zero), static_cast<__mmask8>(bits), w);
      words += static_cast<usize>(popcount(bits)) * sizeof(W);
      put_line<Stream>(out + (at + i) * sizeof(W), x);
    }
  }
  from = at;
  next = words;
}

// Byte planes to words, rotated back while they are planes: each byte takes the lowest bit of the next.
template <class W, bool Rotate, bool Stream>
static DCZ_INLINE void merge_blocks(const u8* const* planes, usize& from, usize end, u8* out) {
  static constexpr LaneOrder<sizeof(W)> kOrder;
  const __m512i order = _mm512_load_si512(kOrder.from);
  const u8* plane[sizeof(W)];
  for (usize j = 0; j < sizeof(W); ++j) plane[j] = planes[j];
  usize at = from;
  for (; at + 64 <= end; at += 64) {
    __m512i p[sizeof(W)];
    for (usize j = 0; j < sizeof(W); ++j) p[j] = _mm512_permutexvar_epi8(order, _mm512_loadu_si512(plane[j] + at));
    if constexpr (Rotate) {
      const __m512i first = p[0];
      for (usize j = 0; j < sizeof(W); ++j) {
        const __m512i above = j + 1 < sizeof(W) ? p[j + 1] : first;
        const __m512i shifted = _mm512_and_si512(_mm512_srli_epi16(p[j], 1), _mm512_set1_epi8(0x7F));
        const __m512i carried = _mm512_slli_epi16(_mm512_and_si512(above, _mm512_set1_epi8(1)), 7);
        p[j] = _mm512_or_si512(shifted, carried);
      }
    }
    put_planes<sizeof(W), Stream>(out + at * sizeof(W), p);
  }
  from = at;
}

// A codebook of up to 256 entries, padded to 256 so that no index can leave it, as words and as byte planes.
template <class W>
struct Palette {
  alignas(64) W words[kSymbols];
  alignas(64) u8 plane[sizeof(W)][kSymbols];
  usize size = 0;       // words that are looked up
  bool masked = false;  // no room for the zero of absent weights behind the entries
  u8 absent = 0;        // its index, otherwise

  // `zeros`: weights that have no index are to be zero.
  void fill(const u8* codebook, usize entries, bool zeros) {
    std::memset(words, 0, sizeof words);
    std::memcpy(words, codebook, entries * sizeof(W));
    masked = entries == kSymbols;
    absent = static_cast<u8>(entries);
    size = entries + (zeros && !masked);
    if (in_words()) return;
    for (usize j = 0; j < sizeof(W); ++j)
      for (usize i = 0; i < kSymbols; ++i) plane[j][i] = static_cast<u8>(words[i] >> (8 * j));
  }

  DCZ_INLINE bool in_words() const { return sizeof(W) > 1 && size <= 128 / sizeof(W); }

  template <class F>
  DCZ_INLINE void for_expanding(F&& f) const {
    with_book(f);
  }

  // Calls f with the smallest book that holds them.
  template <class F>
  DCZ_INLINE void with_book(F&& f) const {
    if constexpr (sizeof(W) > 1) {
      if (in_words()) return f(WordBook<W>(words));
    }
    if (size <= 64) return f(PlaneBook<W, 1>{plane[0]});
    if (size <= 128) return f(PlaneBook<W, 2>{plane[0]});
    f(PlaneBook<W, 4>{plane[0]});
  }
};

}  // namespace DCZ_TIER
}  // namespace dcz
