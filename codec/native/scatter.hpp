// Relative indices straight to places: values are scattered over a window in the cache, which is then written out once.
// That is cheaper than a bitmap (gaps.hpp) unless an instruction expands it.
#pragma once
#include DCZ_TRAITS

namespace dcz {
namespace DCZ_TIER {

constexpr usize kWindowBytes = 4096;

// What is left of a chunk's relative indices, which are known to stay within it and to be as many as its values.
struct Gaps {
  const u8* next = nullptr;
  usize left = 0;
  usize behind = 0;  // the weight behind those that are done
  int filler = -1;   // this symbol is a filler; -1: there is none among them
};

// Whether symbols stay within `weights` and hold as many nonzeros as they should; `fillers` receives the others.
static Status check_gaps(const u8* symbols, usize entries, usize nonzeros, int bits, usize weights, usize* fillers) {
  const u8 filler = static_cast<u8>((1 << bits) - 1);
  u64 sum = 0, found = 0;
  for (usize i = 0; i < entries;) {
    const usize end = least(entries, i + 4096);
    u32 part = 0, absent = 0;  // narrow, so that more of them fit a vector
    for (; i < end; ++i) {
      part += symbols[i];
      absent += symbols[i] == filler;
    }
    sum += part;
    found += absent;
  }
  *fillers = found;
  return entries - found == nonzeros && sum + nonzeros <= weights ? Status::ok : Status::count;
}

template <class W, usize Size, bool Fillers, class F>
static DCZ_INLINE void scatter_gaps_as(Gaps& gaps, usize at, usize end, u8* words, const u8*& next, F&& value) {
  const usize size = end - at;
  const u8* symbol = gaps.next;
  const u8* const last = symbol + gaps.left;
  const u8* p = next;
  usize behind = gaps.behind - at;  // below zero where the next entry is the first that ends here
  for (; symbol < last; ++symbol) {
    const usize real = !Fillers || *symbol != gaps.filler;
    const usize then = behind + *symbol + real;
    if (then > size) break;
    W w = value(p);
    if (Fillers) w = static_cast<W>(w & (W{0} - static_cast<W>(real)));  // its own place is the last of its zeros
    store(words + (then - 1) * sizeof(W), w);
    p += Fillers ? real * Size : Size;
    behind = then;
  }
  gaps.left = static_cast<usize>(last - symbol);
  gaps.next = symbol;
  gaps.behind = behind + at;
  next = p;
}

// Values of the weights [at, end) into `words`, which are zero: `value` reads one from `next`, which moves on by
// `Size` bytes. Of a list with fillers, one value more may be read than there are.
template <class W, usize Size, class F>
static DCZ_INLINE void scatter_gaps(Gaps& gaps, usize at, usize end, u8* words, const u8*& next, F&& value) {
  gaps.filler < 0 ? scatter_gaps_as<W, Size, false>(gaps, at, end, words, next, value)
                  : scatter_gaps_as<W, Size, true>(gaps, at, end, words, next, value);
}

// `size` bytes from `window` to `out` past the cache, as far as `out` is aligned; the window is zero again.
static DCZ_INLINE void move_past_cache(u8* out, u8* window, usize size) {
  const usize i = stream_window(out, window, size);
  std::memcpy(out + i, window + i, size - i);
  std::memset(window + i, 0, size - i);
}

}  // namespace DCZ_TIER
}  // namespace dcz
