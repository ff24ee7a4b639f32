"""Whether storage that splits files where their content says, and keeps equal pieces once, finds the unchanged tensors
of two neighbouring checkpoints in dcz files.

    python benchmarks/studies/deduplication.py [--layers 24]

Pieces of 8 to 128 KiB, 64 KiB on average, end where a rolling hash of the last 64 bytes has 16 zero bits (gear hashing,
as the hub's storage does it). The models are layers of a transformer: 16-bit dense ones, and 32-bit ones pruned to 10 %
and clustered to 32 values.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator

import ml_dtypes
import numpy as np
from safetensors.numpy import save as save_safetensors

import dcz

SMALLEST, MEAN_BITS, LARGEST = 8 << 10, 16, 128 << 10
Tensors = dict[str, np.ndarray]


def boundaries(data: bytes) -> np.ndarray:
    """Places behind which a piece may end: the upper bits of the gear hash are zero."""
    gear = np.random.Generator(np.random.PCG64(0)).integers(0, 1 << 64, 256, np.uint64)[np.frombuffer(data, np.uint8)]
    found = []
    step = 1 << 20
    for start in range(0, len(data), step):
        begin = max(0, start - 63)
        part = gear[begin : start + step]
        total = np.zeros(len(part), np.uint64)
        for back in range(64):
            total[back:] += part[: len(part) - back] << np.uint64(back)
        zero = np.flatnonzero(total >> np.uint64(64 - MEAN_BITS) == 0) + begin
        found.append(zero[zero >= start])
    return np.concatenate(found) + 1


def pieces(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The SHA-256 and bytes of each piece of a file."""
    cuts = boundaries(data)
    at = 0
    while at < len(data):
        place = np.searchsorted(cuts, at + SMALLEST)
        end = min(int(cuts[place]) if place < len(cuts) else len(data), at + LARGEST, len(data))
        yield hashlib.sha256(data[at:end]).digest(), end - at
        at = end


def new_bytes(old: bytes, new: bytes) -> int:
    """Bytes of the second file whose pieces the first has not."""
    known = {digest for digest, _ in pieces(old)}
    found = 0
    for digest, size in pieces(new):
        found += size if digest not in known else 0
        known.add(digest)
    return found


def model(layers: int, sparse: bool) -> Tensors:
    rng = np.random.Generator(np.random.PCG64(7))
    out = {}
    for layer in range(layers):
        for name, shape in (("attention", (4 * 384, 384)), ("mlp", (8 * 384, 384)), ("norm", (384,))):
            weights = 0.02 * rng.standard_normal(shape)
            if sparse:
                weights = np.where(rng.random(shape) < 0.1, np.round(weights * 400) / 400, 0).astype(np.float32)
            out[f"layers.{layer:02}.{name}"] = weights.astype(np.float32 if sparse else ml_dtypes.bfloat16)
    return out


def neighbours(old: Tensors, layers: int) -> dict[str, Tensors]:
    """The next checkpoint, by what happened in between."""
    rng = np.random.Generator(np.random.PCG64(8))

    def retrained(array: np.ndarray) -> np.ndarray:
        return (array.astype(np.float32) * rng.choice([1, 1.25, 1.5], array.shape)).astype(array.dtype)

    last = {name for name in old if int(name.split(".")[1]) >= layers - layers // 8}
    one = f"layers.{layers // 2:02}.mlp"
    scattered = {name: array.copy() for name, array in old.items()}
    for array in scattered.values():
        array.reshape(-1)[:: max(1, len(array.reshape(-1)) // 50)] *= array.dtype.type(1.5)
    return {
        "the last eighth of the layers trained": {n: retrained(a) if n in last else a for n, a in old.items()},
        "one matrix trained": {n: retrained(a) if n == one else a for n, a in old.items()},
        "one tensor added in front": {"a new one": np.ones(1000, np.float32), **old},
        "50 weights of every tensor changed": scattered,
    }


def main() -> None:
    """Prints a table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--json", action="store_true", help="one JSON document instead")
    options = parser.parse_args()
    rows = []
    for sparse in (False, True):
        old = model(options.layers, sparse)
        for what, new in neighbours(old, options.layers).items():
            row: dict[str, object] = {"model": "pruned, clustered" if sparse else "dense bfloat16", "change": what}
            for kind, save in (("dcz", dcz.save), ("safetensors", save_safetensors)):
                before, after = save(old), save(new)
                changed = [n for n in new if n not in old or new[n].tobytes() != old[n].tobytes()]
                least = len(save({n: new[n] for n in changed}))
                row |= {f"{kind} file": len(after), f"{kind} changed": least, f"{kind} new": new_bytes(before, after)}
            rows.append(row)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print("| model | change | dcz file | its changed tensors | **dcz, new pieces** | safetensors, new pieces |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        numbers = [f"{row[key]:,}" for key in ("dcz file", "dcz changed", "dcz new", "safetensors new")]
        print(f"| {row['model']} | {row['change']} | {numbers[0]} | {numbers[1]} | **{numbers[2]}** | {numbers[3]} |")


if __name__ == "__main__":
    main()
