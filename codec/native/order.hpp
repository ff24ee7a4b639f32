// Words as integers whose distance is how far two values are apart, and the step from one to another (SPEC, Deltas).
#pragma once
#include "kernels.hpp"

namespace dcz {
namespace DCZ_TIER {

template <class W>
static DCZ_INLINE W sign_of(W x) {  // all ones where the highest bit is set; without a branch: signs are coin tosses
  return static_cast<W>(W{0} - static_cast<W>(x >> (8 * sizeof(W) - 1)));
}

// Sign and magnitude to two's complement, and back: it is its own inverse. -0.0 becomes -1.
template <class W>
static DCZ_INLINE W order(W x) {
  return static_cast<W>(x ^ static_cast<W>(sign_of(x) >> 1));
}

template <class W>
static DCZ_INLINE W zigzag(W step) {
  return static_cast<W>(static_cast<W>(step << 1) ^ sign_of(step));
}

template <class W>
static DCZ_INLINE W unzigzag(W z) {
  return static_cast<W>((z >> 1) ^ static_cast<W>(W{0} - static_cast<W>(z & 1)));
}

// What a transform stores of a word and its base, and the word from what is stored; `backward` gives the base.
template <class W, bool Magnitude>
struct Step {
  static DCZ_INLINE W at(W x) { return Magnitude ? order(x) : x; }
  static DCZ_INLINE W stored(W word, W base) { return zigzag(static_cast<W>(at(word) - at(base))); }
  static DCZ_INLINE W forward(W base, W z) { return at(static_cast<W>(at(base) + unzigzag(z))); }
  static DCZ_INLINE W backward(W word, W z) { return at(static_cast<W>(at(word) - unzigzag(z))); }
};

template <class W>
struct Xor {
  static DCZ_INLINE W stored(W word, W base) { return static_cast<W>(word ^ base); }
  static DCZ_INLINE W forward(W base, W bits) { return static_cast<W>(base ^ bits); }
  static DCZ_INLINE W backward(W word, W bits) { return static_cast<W>(word ^ bits); }
};

template <class W>
struct Replace {
  static DCZ_INLINE W stored(W word, W) { return word; }
  static DCZ_INLINE W forward(W, W word) { return word; }
};

// Calls `f` with the transform's functions.
template <class W, class F>
static DCZ_INLINE Status with_transform(Transform transform, bool magnitude, F&& f) {
  switch (transform) {
    case Transform::step:
      return magnitude ? f(Step<W, true>{}) : f(Step<W, false>{});
    case Transform::exclusive:
      return f(Xor<W>{});
    case Transform::replace:
      return f(Replace<W>{});
  }
  return Status::argument;
}

}  // namespace DCZ_TIER
}  // namespace dcz
