// Symbols in a fixed number of bits, one to seven (SPEC 5.1). Eight of them are that many bytes.
#pragma once
#include <type_traits>

#include DCZ_TRAITS

namespace dcz {
namespace DCZ_TIER {

// The lowest `bits` of each of a word's parts of `width` bits.
static constexpr u64 low_bits(int bits, int width) {
  u64 mask = 0;
  for (int at = 0; at < 64; at += width) mask |= ((u64{1} << bits) - 1) << at;
  return mask;
}

// Eight symbols side by side to a byte each: halves move apart, then quarters, then single ones.
template <int Bits>
static DCZ_INLINE u64 spread(u64 x) {
  constexpr u64 four = low_bits(4 * Bits, 64), two = low_bits(2 * Bits, 32), one = low_bits(Bits, 16);
  x = (x & four) | (x >> 4 * Bits & four) << 32;
  x = (x & two) | (x << (16 - 2 * Bits) & two << 16);
  return (x & one) | (x << (8 - Bits) & one << 8);
}

// The reverse, for bytes that are symbols.
template <int Bits>
static DCZ_INLINE u64 squeeze(u64 x) {
  constexpr u64 four = low_bits(4 * Bits, 64), two = low_bits(2 * Bits, 32), one = low_bits(Bits, 16);
  x = (x & one) | (x & one << 8) >> (8 - Bits);
  x = (x & two) | (x & two << 16) >> (16 - 2 * Bits);
  return (x & four) | (x >> 32) << 4 * Bits;
}

template <int Bits>
static Status pack(const u8* symbols, usize n, u8* out) {
  const u8* const end = out + ceil_div(n * Bits, 8);
  usize i = 0;
  u64 seen = 0;
  for (; i + 8 <= n; i += 8, out += Bits) {
    const u64 x = load<u64>(symbols + i), packed = squeeze<Bits>(x);
    seen |= x;
    if (DCZ_LIKELY(end - out >= 8)) {
      store(out, packed);
    } else {
      std::memcpy(out, &packed, Bits);
    }
  }
  u64 rest = 0;
  std::memcpy(&rest, symbols + i, n - i);
  const u64 packed = squeeze<Bits>(rest);
  std::memcpy(out, &packed, static_cast<usize>(end - out));
  return ((seen | rest) & ~low_bits(Bits, 8)) != 0 ? Status::index : Status::ok;
}

template <int Bits>
static Status unpack(const u8* data, usize size, u8* out, usize n) {
  if (size != ceil_div(n * Bits, 8)) return Status::length;
  const u8* const end = data + size;
  usize i = unpack_vectors<Bits>(data, out, n);
  data += i / 8 * Bits;
  for (; i + 8 <= n; i += 8, data += Bits) store(out + i, spread<Bits>(load_clipped(data, end)));
  const u64 rest = load_clipped(data, end), left = n - i;  // fewer than eight symbols
  const u64 symbols = spread<Bits>(rest);
  std::memcpy(out + i, &symbols, left);
  return rest >> left * Bits != 0 ? Status::padding : Status::ok;
}

// f with `bits` as a constant.
template <class F>
static Status with_bits(int bits, F&& f) {
  switch (bits) {
    case 1:
      return f(std::integral_constant<int, 1>{});
    case 2:
      return f(std::integral_constant<int, 2>{});
    case 3:
      return f(std::integral_constant<int, 3>{});
    case 4:
      return f(std::integral_constant<int, 4>{});
    case 5:
      return f(std::integral_constant<int, 5>{});
    case 6:
      return f(std::integral_constant<int, 6>{});
    case 7:
      return f(std::integral_constant<int, 7>{});
    default:
      return Status::argument;
  }
}

static Status packed_encode(int bits, const u8* symbols, usize n, u8* out, usize room) {
  if (room < ceil_div(n * static_cast<usize>(bits), 8)) return Status::argument;
  return with_bits(bits, [&](auto b) { return pack<b>(symbols, n, out); });
}

static Status packed_decode(int bits, const u8* data, usize size, u8* out, usize n) {
  return with_bits(bits, [&](auto b) { return unpack<b>(data, size, out, n); });
}

}  // namespace DCZ_TIER
}  // namespace dcz
