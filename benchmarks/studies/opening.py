"""How long it takes to open a file of many tensors and to list their names.

python benchmarks/studies/opening.py [--tensors 10000]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dcz

# What a loader may wait for before it has read a weight, in milliseconds, for 10,000 tensors.
OPENING, LISTING = 100, 50
_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "norm", "bias", "scale")


def model(tensors: int) -> dict[str, np.ndarray]:
    """Small tensors, pruned and clustered, under names as long as real ones."""
    rng = np.random.Generator(np.random.PCG64(10_000))
    table = np.zeros(256, np.float32)
    table[:40] = np.repeat(rng.standard_normal(8, np.float32), 5)
    return {
        f"model.layers.{i // len(_PARTS)}.self_attn.{_PARTS[i % len(_PARTS)]}.weight": table[
            rng.integers(0, 256, (8, 16))
        ]
        for i in range(tensors)
    }


def milliseconds(work: Callable[[], object], rounds: int = 15) -> tuple[float, float]:
    """The least and the median of some rounds: a machine that is busy otherwise shows in their difference."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return min(times), statistics.median(times)


def main() -> None:
    """Prints both times; fails where they are beyond what they may be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensors", type=int, default=10_000)
    count = parser.parse_args().tensors
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "many.dcz")
        dcz.save_file(model(count), path)
        dcz.open(path).close()  # imports
        opening = milliseconds(lambda: dcz.open(path).close())
        with dcz.open(path) as reader:
            listing = milliseconds(lambda: list(reader.keys()))
            every = milliseconds(lambda: [reader.info(name).shape for name in reader], rounds=3)
        loading = milliseconds(lambda: dcz.load_file(path), rounds=5)
        print(f"{count} tensors, {path.stat().st_size} bytes")
    print(f"{'':12} {'least':>9} {'median':>9} ms")
    for what, (least, median) in (("open", opening), ("list names", listing), ("every info", every), ("load", loading)):
        print(f"{what:12} {least:9.1f} {median:9.1f}")
    if count <= 10_000 and (opening[0] > OPENING or listing[0] > LISTING):
        sys.exit(f"slower than {OPENING} ms to open or {LISTING} ms to list")


if __name__ == "__main__":
    main()
