"""Section 8 of SPEC.md for the reference decoder: the words of a tensor from those of the base's."""

from __future__ import annotations

import numpy as np
from reference_codes import crc32c, must
from reference_tensors import Tensor, codebooks, stored_words

COPY, STEP, XOR, REPLACE = 1, 2, 3, 4

NO_MAGNITUDE = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0")


def order(word: int, bits: int, code: str) -> int:
    """8.2: words of a sign and a magnitude in the order of their values."""
    ordered = (code[0] == "F" or code in ("BF16", "C64", "C128")) and code not in NO_MAGNITUDE
    return word ^ (1 << bits - 1) - 1 if ordered and word >> bits - 1 else word


def changed(t: Tensor, base: int, stored: int) -> int:
    """8.1: a word of the result."""
    bits = 8 * t.dtype.word
    if t.transform == XOR:
        return base ^ stored
    if t.transform == REPLACE:
        return stored
    step = stored // 2 if stored % 2 == 0 else -(stored // 2) - 1
    return order((order(base, bits, t.code) + step) % (1 << bits), bits, t.code)


def as_bytes(words: list[int], size: int) -> bytes:
    return b"".join(word.to_bytes(size, "little") for word in words)


def base_words(t: Tensor, base: dict[str, np.ndarray]) -> list[int]:
    """The base's tensor as words."""
    name = t.base_name or t.name
    must(name in base, "8.1", f"the base has {name!r}")
    array = np.ascontiguousarray(base[name])
    must(array.dtype.name == t.dtype.name, "8.1", f"the base's {name!r} has the dtype of {t.name!r}")
    data, size = array.tobytes(), t.dtype.word
    must(len(data) == t.words * size, "8.1", f"the base's {name!r} has as many words as {t.name!r}")
    return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]


def decode_with_base(t: Tensor, segment: bytes, base: dict[str, np.ndarray]) -> list[int]:
    """8.4: the words of a tensor with a transform."""
    words, size = base_words(t, base), t.dtype.word
    if t.transform == COPY:
        must(crc32c(as_bytes(words, size)) == t.content_crcs, "8.4", f"a copy, {t.name!r}, matches its CRC-32C")
        return words
    books = codebooks(t, segment[: t.head]) if t.book else []
    at = t.head
    for number, (before, after) in enumerate(zip(t.base_crcs, t.result_crcs)):
        first = number * t.chunks
        last = min(first + t.chunks, t.words)
        length = sum(length for _, length in t.directory[number].streams)
        must(crc32c(as_bytes(words[first:last], size)) == before, "8.4", f"chunk {number} of {t.name!r} is the base's")
        places, values = stored_words(t, number, segment[at : at + length], books)
        for place, value in zip(places, values):
            words[first + place] = changed(t, words[first + place], value)
        must(crc32c(as_bytes(words[first:last], size)) == after, "8.4", f"chunk {number} of {t.name!r} is the result's")
        at += length
    return words
