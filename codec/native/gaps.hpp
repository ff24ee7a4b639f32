// Relative indices (SPEC 3.1): zeros before each nonzero, in b bits; the top symbol is a filler that
// stands for 2^b - 1 zeros and no weight.
#pragma once
#include DCZ_TRAITS

namespace dcz {
namespace DCZ_TIER {

// Bitmap to symbols of one byte or two, chunk by chunk; `entries` receives the symbols of each chunk, `capacity` is in
// symbols too.
template <class Symbol>
static Status gaps_as(const u8* bitmap, usize n, usize chunk, usize filler, u8* symbols, usize capacity, i64* entries,
                      usize* written) {
  usize total = 0;
  const u8* const end = bitmap + ceil_div(n, 8);
  const auto put = [&](usize gap) { store(symbols + sizeof(Symbol) * total++, static_cast<Symbol>(gap)); };
  for (usize first = 0, c = 0; first < n; first += chunk, ++c) {
    const usize last = least(n, first + chunk);
    const usize before = total;
    usize next = first;  // the weight behind the last nonzero
    for (usize at = first; at < last; at += 64) {
      u64 word = load_clipped(bitmap + at / 8, end);
      if (last - at < 64) word &= (u64{1} << (last - at)) - 1;
      for (; word != 0; word &= word - 1) {
        const usize here = at + static_cast<usize>(trailing_zeros(word));
        usize gap = here - next;
        next = here + 1;
        for (; DCZ_UNLIKELY(gap >= filler); gap -= filler) {
          if (total == capacity) return Status::argument;
          put(filler);
        }
        if (total == capacity) return Status::argument;
        put(gap);
      }
    }
    entries[c] = static_cast<i64>(total - before);
  }
  *written = total;
  return Status::ok;
}

static Status gaps(const u8* bitmap, usize n, usize chunk, int bits, u8* symbols, usize size, i64* entries,
                   usize* written) {
  if (((bits < 1 || bits > 8) && bits != 16) || chunk == 0 || chunk % 64 != 0) return Status::argument;
  const usize filler = (usize{1} << bits) - 1;
  return bits == 16 ? gaps_as<u16>(bitmap, n, chunk, filler, symbols, size / 2, entries, written)
                    : gaps_as<u8>(bitmap, n, chunk, filler, symbols, size, entries, written);
}

// The places of relative indices of 16 bits, checked to stay within `weights` and to be `nonzeros`; `place(at)` is
// called for each in order.
template <class F>
static Status each_wide_gap(const u8* low, const u8* high, usize entries, usize nonzeros, usize weights, F&& place) {
  usize behind = 0, found = 0;
  for (usize i = 0; i < entries; ++i) {
    const usize gap = static_cast<usize>(high[i]) << 8 | low[i];
    const usize real = gap != 0xFFFF;
    behind += gap + real;
    if (behind > weights || found + real > nonzeros) return Status::count;
    if (real) place(behind - 1);
    found += real;
  }
  return found == nonzeros ? Status::ok : Status::count;
}

static Status wide_gaps_to_bitmap(const u8* low, const u8* high, usize entries, usize nonzeros, usize weights,
                                  u8* bitmap) {
  std::memset(bitmap, 0, 8 * ceil_div(weights, 64) + 8);
  return each_wide_gap(low, high, entries, nonzeros, weights,
                       [&](usize at) { bitmap[at / 8] = static_cast<u8>(bitmap[at / 8] | 1u << (at % 8)); });
}

constexpr usize kGapGroup = 256;                        // symbols at a time
constexpr usize kGapFlags = kGapGroup * 255 + 64 + 64;  // the most they can advance, and a word's rest
// One flag byte per weight; the bitmap is read off their bits.
constexpr usize kGapScratch = (kGapFlags + 63) / 64 * 64;

// Symbols to a bitmap of `weights` bits and a word more; `nonzeros` of them must be set. No branch depends on
// a gap. `between` is called now and then.
template <class F>
static Status gaps_to_bitmap(const u8* symbols, usize entries, usize nonzeros, int bits, usize weights, u8* bitmap,
                             u8* flags, F&& between) {
  const u8 filler = static_cast<u8>((1 << bits) - 1);
  const usize words = ceil_div(weights, 64);
  std::memset(flags, 0, kGapScratch);
  u8 step[kGapGroup];
  usize done = 0;  // words of the bitmap that are finished
  usize at = 0;    // position behind the last entry, relative to the first unfinished word
  usize found = 0;
  for (usize i = 0; i < entries; i += kGapGroup) {
    const usize m = least(kGapGroup, entries - i);
    u8 any = 0;
    for (usize j = 0; j < m; ++j) {
      step[j] = static_cast<u8>(symbols[i + j] + 1);
      any |= symbols[i + j] == filler;
    }
    if (any) {
      for (usize j = 0; j < m; ++j) {
        const u8 real = symbols[i + j] != filler;
        at += symbols[i + j] + usize{real};
        flags[at - 1] = real;  // for a filler, the last of the zeros it stands for
        found += real;
      }
    } else {
#pragma GCC unroll 8
      for (usize j = 0; j < m; ++j) {
        at += step[j];
        flags[at - 1] = 1;
      }
      found += m;
    }
    const usize full = at / 64;
    if (done + full > words) return Status::count;
    for (usize w = 0; w < full; ++w, ++done) {
      store(bitmap + 8 * done, flags_to_bits(flags + 64 * w));
      std::memset(flags + 64 * w, 0, 64);
    }
    if (full > 0) {
      std::memcpy(flags, flags + 64 * full, 64);
      std::memset(flags + 64 * full, 0, 64);
    }
    at %= 64;
    if (i % (4 * kGapGroup) == 0) between();
  }
  if (done * 64 + at > weights || found != nonzeros) return Status::count;
  if (done < words) store(bitmap + 8 * done++, flags_to_bits(flags));
  std::memset(bitmap + 8 * done, 0, 8 * (words - done) + 8);
  return Status::ok;
}

}  // namespace DCZ_TIER
}  // namespace dcz
