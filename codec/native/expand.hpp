// The last stage: values to their places. A bitmap is expanded: every output line is written once and needs no
// clearing.
#pragma once
#include DCZ_TRAITS
#include "kernels.hpp"
#include "scatter.hpp"

namespace dcz {
namespace DCZ_TIER {

// Two index planes; the caller has checked the indices against the codebook's length.
template <class W>
static void lookup_wide(const u8* low, const u8* high, usize n, const u8* codebook, u8* out) {
  for (usize i = 0; i < n; ++i) {
    const usize index = static_cast<usize>(high[i]) << 8 | low[i];
    store(out + i * sizeof(W), load<W>(codebook + index * sizeof(W)));
  }
}

// Something that is decoded and waits to be written to its `n` words at `out`, in steps: the next chunk
// can be decoded meanwhile, while these writes wait for memory. The lists have a slack behind them.
template <class W>
struct Writing {
  enum class Kind { nothing, lookup, expand, words, merge };
  static constexpr usize kWindow = kWindowBytes / sizeof(W);

  Kind kind = Kind::nothing;
  bool stream = false;  // past the cache
  bool rotate = false;
  const Palette<W>* palette = nullptr;
  const u8* bitmap = nullptr;  // where the values go (expand, words); null: `gaps` says
  Gaps gaps;
  u8* window = nullptr;      // kWindowBytes for scattering, aligned to a line and zero
  const u8* next = nullptr;  // indices (lookup: of the first word), or words, of what is not yet written
  const u8* plane[8] = {};
  u8* out = nullptr;
  usize at = 0, n = 0;

  DCZ_INLINE bool done() const { return at >= n; }

  void finish() {
    while (!done()) advance(n);
  }

  // About `count` words more, a multiple of 64.
  DCZ_NOINLINE void advance(usize count) {
    if (done()) return;
    if (kScatters && bitmap == nullptr && (kind == Kind::expand || kind == Kind::words)) {
      const usize end = least(n, at + count), first = at == 0 ? head() : 0;
      if (first > 0) scatter_window(least(end, first));
      while (at < end) scatter_window(least(end, at + kWindow));
      return;
    }
    if (at == 0) one_by_one(head());
    if constexpr (kBlocks) {
      const usize end = least(n, at + count);
      stream ? blocks<true>(end) : blocks<false>(end);
      if (n - at < 64) one_by_one(n);
    } else {
      one_by_one(least(n, at + count));
    }
  }

 private:
  // Words in front of the first whole line of the output.
  usize head() const {
    const usize bytes = (64 - reinterpret_cast<std::uintptr_t>(out) % 64) % 64;
    return bytes % sizeof(W) ? 0 : least(n, bytes / sizeof(W));
  }

  template <bool Stream>
  DCZ_INLINE void blocks(usize end) {
    if (Stream && reinterpret_cast<std::uintptr_t>(out) % sizeof(W)) return blocks<false>(end);  // no line ever begins
    switch (kind) {
      case Kind::lookup:
        return palette->with_book([&](auto book) { lookup_blocks<W, Stream>(book, at, end, next, out); });
      case Kind::expand:
        return palette->for_expanding([&](auto book) {
          palette->masked ? expand_blocks<W, Stream, true>(book, 0, bitmap, at, end, next, out)
                          : expand_blocks<W, Stream, false>(book, palette->absent, bitmap, at, end, next, out);
        });
      case Kind::words:
        return expand_word_blocks<W, Stream>(bitmap, at, end, next, out);
      case Kind::merge:
        return rotate ? merge_blocks<W, true, Stream>(plane, at, end, out)
                      : merge_blocks<W, false, Stream>(plane, at, end, out);
      case Kind::nothing:
        return;
    }
  }

  void one_by_one(usize end) {
    switch (kind) {
      case Kind::lookup:
        for (; at < end; ++at) put(palette->words[next[at]]);
        return;
      case Kind::expand:
        return scatter(end, 1, [&](const u8* p) { return palette->words[*p]; });
      case Kind::words:
        return scatter(end, sizeof(W), [](const u8* p) { return load<W>(p); });
      case Kind::merge:
        for (; at < end; ++at) {
          W w = 0;
          for (usize j = 0; j < sizeof(W); ++j) w = static_cast<W>(w | static_cast<W>(plane[j][at]) << (8 * j));
          put(rotate ? rotate_right(w) : w);
        }
        return;
      case Kind::nothing:
        return;
    }
  }

  // Words [at, end), not more than a window, whose places `gaps` says.
  void scatter_window(usize end) {
    u8* const to = out + at * sizeof(W);
    const usize bytes = (end - at) * sizeof(W);
    u8* const words = stream ? window : to;
    if (!stream) std::memset(to, 0, bytes);
    if (kind == Kind::expand) {
      scatter_gaps<W, 1>(gaps, at, end, words, next, [book = palette->words](const u8* p) { return book[*p]; });
    } else {
      scatter_gaps<W, sizeof(W)>(gaps, at, end, words, next, [](const u8* p) { return load<W>(p); });
    }
    at = end;
    if (stream) move_past_cache(to, window, bytes);
  }

  DCZ_INLINE void put(W w) { store(out + at * sizeof(W), w); }

  // Words [at, end) of which the bitmap has the nonzeros; `value` reads one of them.
  template <class F>
  DCZ_INLINE void scatter(usize end, usize size, F&& value) {
    for (; at < end && at % 64 != 0; ++at) next = single(size, value);
    for (; at < end; at = least(at + 64, end)) {
      const usize m = least<usize>(64, end - at);
      u64 bits = load<u64>(bitmap + at / 8);
      if (m < 64) bits &= (u64{1} << m) - 1;
      u8* const o = out + at * sizeof(W);
      if (m < 64 || popcount(bits) <= 24) {
        std::memset(o, 0, m * sizeof(W));
        for (; bits != 0; bits &= bits - 1, next += size)
          store(o + static_cast<usize>(trailing_zeros(bits)) * sizeof(W), value(next));
      } else {
        for (usize i = 0; i < 64; ++i, bits >>= 1) {  // without a branch
          const W mask = static_cast<W>(0 - (bits & 1));
          store(o + i * sizeof(W), static_cast<W>(value(next) & mask));
          next += (bits & 1) * size;
        }
      }
    }
  }

  template <class F>
  DCZ_INLINE const u8* single(usize size, F&& value) {
    const bool set = bitmap[at / 8] >> (at % 8) & 1;
    put(set ? value(next) : W{0});
    return set ? next + size : next;
  }
};

template <class W>
static void merge_words(const u8* planes, usize stride, usize n, bool rotate, u8* out) {
  Writing<W> writing;
  writing.kind = Writing<W>::Kind::merge;
  writing.rotate = rotate;
  for (usize j = 0; j < sizeof(W); ++j) writing.plane[j] = planes + j * stride;
  writing.out = out;
  writing.n = n;
  writing.finish();
}

static void merge(const u8* planes, usize stride, usize n, usize word, bool rotate, u8* words) {
  switch (word) {
    case 1:
      std::memcpy(words, planes, n);
      return;
    case 2:
      return merge_words<u16>(planes, stride, n, rotate, words);
    case 4:
      return merge_words<u32>(planes, stride, n, rotate, words);
    default:
      return merge_words<u64>(planes, stride, n, rotate, words);
  }
}

}  // namespace DCZ_TIER
}  // namespace dcz
