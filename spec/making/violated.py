"""Generated files with one rule broken, and with a stored bit changed and all checksums repaired."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from reference_codes import crc32c
from reference_decoder import KEYS, NO_INTEGERS

from making.files import file
from making.generated import Made
from making.rows import column
from making.tensors import Stored


def violated(seed: int) -> tuple[bytes, bytes, str]:
    """A file that breaks one rule, its base, and the class of the error."""
    rng = random.Random(f"violation {seed}")
    made = next(m for m in (Made(10_000 * seed + i) for i in range(10_000)) if any(t.rows for t in m.tensors))
    number = rng.choice([i for i, t in enumerate(made.tensors) if t.rows])
    kind, break_ = rng.choice(KINDS)
    return break_(rng, made, number), made.base, kind


def repaired(seed: int) -> tuple[bytes, bytes]:
    """A file of which a stored bit of a tensor is changed, with checksums of stored bytes that fit, and its base."""
    rng = random.Random(f"repaired {seed}")
    made = next(m for m in (Made(10_000 * seed + i) for i in range(10_000)) if any(t.segment for t in m.tensors))
    t = rng.choice([t for t in made.tensors if t.segment])
    data = bytearray(t.segment)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    t.segment = bytes(data)
    at = sum(length for _, length in t.book)
    t.book_crc = crc32c(t.segment[:at]) if t.book else 0
    for i, (nonzeros, fillers, _, pairs) in enumerate(t.rows):
        end = at + sum(length for _, length in pairs)
        t.rows[i], at = (nonzeros, fillers, crc32c(t.segment[at:end]), pairs), end
    return made.data, made.base


def _edited(edit: Callable[[random.Random, dict[str, Any], int], object]) -> Callable[..., bytes]:
    def break_(rng: random.Random, made: Made, number: int) -> bytes:
        return file(made.tensors, **made.options, edit=lambda plain: edit(rng, plain, number))

    return break_


def _short(rng: random.Random, plain: dict[str, Any], number: int) -> None:
    del plain[rng.choice([key for key in KEYS if key not in NO_INTEGERS and plain[key]])][-1]


def _long(rng: random.Random, plain: dict[str, Any], number: int) -> None:
    plain[rng.choice([key for key in KEYS if key not in NO_INTEGERS])].append(rng.randrange(3))


def _wide(rng: random.Random, plain: dict[str, Any], number: int) -> None:
    keys = [key for key in KEYS if key not in NO_INTEGERS and column(plain[key])[0] < 8]
    key = rng.choice(keys)
    plain[key] = column(plain[key], 2 * column(plain[key])[0])


def _plus(*keys: str) -> Callable[..., bytes]:
    def edit(rng: random.Random, plain: dict[str, Any], number: int) -> None:
        plain[rng.choice(keys)][number] += rng.choice([1, 512, 1 << 20])

    return _edited(edit)


def _row_crc(rng: random.Random, plain: dict[str, Any], number: int) -> None:
    plain["row_crcs"][rng.randrange(len(plain["row_crcs"]))] ^= 1 << rng.randrange(32)


def _content(rng: random.Random, made: Made, number: int) -> bytes:
    """Another checksum of the content, for a tensor that is decoded."""
    found: list[Stored] = [t for t in made.tensors if t.rows and not t.unsupported]
    if not found:
        return file(made.tensors, **made.options, trailer={"own": 0x5A43})
    bit = 1 << rng.randrange(32)
    chosen = rng.choice(found)
    for t in made.tensors:
        if t is chosen or (t.same_as and made.tensors[t.same_as - 1] is chosen):
            t.content_crc ^= bit
    return made.data


def _trailer(**fields: int) -> Callable[..., bytes]:
    return lambda rng, made, number: file(made.tensors, **made.options, trailer=fields)


KINDS: list[tuple[str, Callable[..., bytes]]] = [
    ("format", _edited(_short)),
    ("format", _edited(_long)),
    ("format", _edited(_wide)),
    ("format", _plus("segments")),
    ("format", _plus("streams", "rows", "book_rows")),
    ("format", lambda rng, made, number: made.data + bytes(rng.randrange(1, 9)) + made.data),
    ("checksum", _edited(_row_crc)),
    ("checksum", _content),
    ("truncated", lambda rng, made, number: made.data[: rng.randrange(8, len(made.data))]),
    ("truncated", lambda rng, made, number: made.data + b"\0"),
    ("unsupported", _trailer(version=2)),
    ("unsupported", _trailer(features=1 << 17)),
    ("format", _trailer(zero=9)),
    ("checksum", _trailer(crc=1)),
]
