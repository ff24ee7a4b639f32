"""Hostile files: any value of the index changed, checksums made right again, read in every way by every kernel set.

All ways to read refuse a file in the same words or give the same bits, and the reference decoder refuses what `verify`
refuses. The values are integers of columns, whole columns, and values of wrong types; the tensors have every layout.

    python tests/fuzz_files.py 10000
"""

from __future__ import annotations

import random
import sys
from collections import Counter

import dcz
from dcz import kernels
from dcz.errors import DczError, LimitError
from dcz.format import index
from support.forging import forge, zoo
from support.reference import reference

_NUMBERS = (0, 1, 63, 255, 256, 65535, 65536)
_VALUES = (
    None, True, 5, 1.5, "x", b"", b"\1", b"\2abc", [], [1], ["a", "a"], [None], [b"\x11"], ["zstd", b""], {}, {"a": 1},
    {1: 2},
)  # fmt: skip


def change(plain: dict, rng: random.Random) -> None:
    """Changes an integer of a column, drops the last one, or puts another value for all of it."""
    columns = [key for key in sorted(index.INTEGERS & set(plain)) if type(plain[key]) is list and plain[key]]
    kind, key = rng.random(), rng.choice(columns)
    if kind < 0.7:
        at = rng.randrange(len(plain[key]))
        plain[key][at] = rng.choice((max(0, plain[key][at] + rng.randint(-3, 3)), *_NUMBERS))
    elif kind < 0.8:
        plain[key].pop()
    else:
        plain[rng.choice(sorted(plain))] = rng.choice(_VALUES)


def ways(data: bytes) -> dict[str, bytes | str]:
    """What each way to read gives for the first tensor: bytes, or the text of the refusal."""

    def whole() -> bytes:
        return next(iter(dcz.load(data).values())).tobytes()

    def sliced() -> bytes:
        with dcz.open(data) as reader:
            return reader.get_slice(next(iter(reader)))[...].tobytes()

    def clustered() -> bytes:
        with dcz.open(data) as reader:
            return reader.get_clusters(next(iter(reader))).dense().tobytes()

    found: dict[str, bytes | str] = {}
    for name, read in (("load", whole), ("slice", sliced), ("clusters", clustered)):
        try:
            found[name] = read()
        except StopIteration:  # a file without tensors
            found[name] = b""
        except DczError as error:
            found[name] = str(error)
    if "clusters are of real numbers" in str(found["clusters"]) or "distinct values" in str(found["clusters"]):
        del found["clusters"]
    return found


def check(data: bytes) -> str:
    """How it ended: "ok", "unsupported", "refused" or "limit"; raises where two readers disagree."""
    found = ways(data)
    try:
        end = "unsupported" if dcz.verify(data).unsupported else "ok"
    except LimitError:
        return "limit"
    except DczError:
        end = "refused"
    if len(set(found.values())) != 1:
        raise AssertionError(f"ways to read differ: { ({name: str(value)[:200] for name, value in found.items()}) }")
    try:
        reference.load(data)
        own = True
    except reference.Refused:
        own = False
    if own != (end != "refused"):
        raise AssertionError(f"the library: {end}, the reference decoder: {'taken' if own else 'refused'}")
    return end


def campaign(cases: int, seed: int) -> Counter[str]:
    """Runs that many cases; returns how many ended how."""
    tensors, rng, ends = zoo(), random.Random(seed), Counter[str]()
    for number in range(cases):
        name = rng.choice(sorted(tensors))
        data = forge({"w": tensors[name]}, lambda plain: change(plain, rng))
        with kernels.use(rng.choice(list(kernels.available().values()))):
            try:
                ends[check(data)] += 1
            except Exception as error:
                raise AssertionError(f"case {number} of seed {seed}, {name}: {error}") from error
    return ends


if __name__ == "__main__":
    print(dict(sorted(campaign(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000, 0).items())))
