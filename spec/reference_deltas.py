"""Section 8 of SPEC.md for the reference decoder: the words of a tensor from those of the base's."""

from __future__ import annotations

from reference_codes import Refused, crc32c, must
from reference_tensors import Content, Tensor, as_bytes, chunk_bytes, codebooks, stored_words

COPY, STEP, XOR, REPLACE = 1, 2, 3, 4

NO_MAGNITUDE = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0")


def order(word: int, bits: int, code: str) -> int:
    """8.2: words of a sign and a magnitude in the order of their values."""
    ordered = (code[0] == "F" or code in ("BF16", "C64", "C128")) and code not in NO_MAGNITUDE
    return word ^ (1 << bits - 1) - 1 if ordered and word >> bits - 1 else word


def changed(t: Tensor, base: int, stored: int) -> int:
    """8.1: a word of the result."""
    bits = 8 * t.word_sizes
    if t.transform == XOR:
        return base ^ stored
    if t.transform == REPLACE:
        return stored
    step = stored // 2 if stored % 2 == 0 else -(stored // 2) - 1
    return order((order(base, bits, t.code) + step) % (1 << bits), bits, t.code)


def decode_with_base(t: Tensor, segment: bytes, base: dict[str, Content]) -> bytes:
    """8.4: the words of a tensor with a transform."""
    name, size = t.base_name or t.name, t.word_sizes
    must(name in base, "R-DELTA-2", f"the base has {name!r}", "base")
    must(base[name].code == t.code, "R-DELTA-2", f"the base's {name!r} has the dtype of {t.name!r}", "base")
    data = base[name].words
    must(len(data) == t.words * size, "R-DELTA-2", f"the base's {name!r} has as many words as {t.name!r}", "base")
    if t.transform == COPY:
        must(crc32c(data) == t.content_crcs, "R-DELTA-5", f"a copy, {t.name!r}, matches its CRC-32C", "base")
        return data
    words = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    books = codebooks(t, segment[: t.head]) if t.book else []
    for number, stored in enumerate(chunk_bytes(t, segment)):
        first = number * t.chunks
        last = min(first + t.chunks, t.words)
        where = f"chunk {number} of {t.name!r}"
        must(
            crc32c(as_bytes(words[first:last], size)) == t.base_crcs[number],
            "R-DELTA-3",
            f"{where} is the base's",
            "base",
        )
        for place, value in zip(*stored_words(t, number, stored, books)):
            words[first + place] = changed(t, words[first + place], value)
        if crc32c(as_bytes(words[first:last], size)) != t.result_crcs[number]:
            raise Refused("checksum", "R-DELTA-4", f"{where} is the result's")
    return as_bytes(words, size)
