"""Files with anything changed and every checksum right again: what only the checks behind the checksums can find."""

from __future__ import annotations

import random
from dataclasses import replace

from dcz.format import index
from support.forging import compressed, crc, encoded, finish, forge, plain_index, segments
from support.layouts import Stored

NUMBERS = (
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    15,
    16,
    64,
    255,
    256,
    512,
    4096,
    65_535,
    65_536,
    1 << 20,
    1 << 31,
    1 << 48,
    (1 << 64) - 1,
)


def changed_number(plain: dict, rng: random.Random) -> None:
    """One number of a column becomes another, or a column becomes longer or shorter."""
    column = plain[rng.choice([key for key in sorted(index.INTEGERS & set(plain)) if plain[key]])]
    at = rng.randrange(len(column))
    kind = rng.randrange(8)
    if kind == 0:
        del column[at]
    elif kind == 1:
        column.insert(at, rng.choice(NUMBERS))
    else:
        column[at] = rng.choice((max(0, column[at] + rng.randint(-2, 2)), rng.choice(NUMBERS)))


def with_changed_numbers(tensors: dict[str, Stored], rng: random.Random) -> bytes:
    """Integers of the index."""
    return forge(tensors, lambda plain: [changed_number(plain, rng) for _ in range(rng.randint(1, 2))])


def with_changed_msgpack(tensors: dict[str, Stored], rng: random.Random) -> bytes:
    """Bytes of the index."""
    raw = bytearray(encoded(plain_index(tensors)))
    for _ in range(rng.randint(1, 2)):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return finish(segments(tensors), bytes(raw), compressed(bytes(raw)))


def with_changed_bits(tensors: dict[str, Stored], rng: random.Random) -> bytes:
    """Bits of the chunks of a tensor that has one chunk."""
    whole = {name: each for name, each in tensors.items() if len(each.body) and len(each.layout.crc32c) == 1}
    name = rng.choice(sorted(whole))
    each, segment = whole[name], bytearray(whole[name].segment)
    head = len(segment) - len(each.body)
    for _ in range(rng.randint(1, 3)):
        segment[rng.randrange(head, len(segment))] ^= 1 << rng.randrange(8)
    changed = replace(each, segment=bytes(segment))

    def edit(plain: dict) -> None:
        at = sum(plain["rows"][: plain["names"].index(name)])
        plain["row_crcs"][at] = crc(changed.body.tobytes())

    return forge({**tensors, name: changed}, edit)


def mutations(tensors: dict[str, Stored], count: int, seed: int) -> list[bytes]:
    """So many of them, the same for the same seed."""
    rng = random.Random(seed)
    kinds = (with_changed_numbers, with_changed_msgpack, with_changed_bits)
    return [rng.choice(kinds)(tensors, rng) for _ in range(count)]
