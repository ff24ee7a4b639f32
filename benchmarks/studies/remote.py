"""What it costs to read part of a large tensor from a web server: requests, bytes, seconds.

    python benchmarks/studies/remote.py [--rows 262144]

The server is one on loopback, with ranges, that counts; `--delay` is how long it takes to answer.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import dcz
from dcz.format.trailer import Trailer

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from support.http import Web, serving

COLUMNS = 1024
# Beyond index and chunks: what the guess at the index's length may cost.
SLACK = 64 << 10


def tensor(rows: int) -> np.ndarray:
    """float32, a tenth nonzero, 26 clusters."""
    rng = np.random.Generator(np.random.PCG64(26))
    table = np.zeros(256, np.float32)
    table[:26] = rng.standard_normal(26, np.float32)
    out = np.empty((rows, COLUMNS), np.float32)
    for start in range(0, rows, 8192):
        part = out[start : start + 8192]
        np.take(table, rng.integers(0, 256, part.shape, np.uint8), out=part)
    return out


def measure(web: Web, what: str, url: str, work: object) -> None:
    """One line."""
    web.forget()
    start = time.perf_counter()
    work(url)
    seconds = time.perf_counter() - start
    print(f"{what:34} {len(web.requests):9} {web.sent:13,} {1000 * seconds:10.1f}")


def main() -> None:
    """Prints a line for each way to read; fails where a block of rows takes more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=262_144)
    parser.add_argument("--delay", type=float, default=0.02)
    options = parser.parse_args()
    rows = options.rows
    array = tensor(rows)
    data = dcz.save({"w": array})
    index = len(data) - Trailer.parse(np.frombuffer(data, np.uint8), len(data)).index_offset
    print(
        f"one tensor of {array.nbytes:,} bytes, {len(data):,} stored, index {index:,}; answers after {options.delay} s"
    )
    print(f"{'':34} {'requests':>9} {'bytes':>13} {'ms':>10}")
    with serving() as web:
        web.files["model.dcz"] = data
        web.delay = options.delay
        url = web.url("model.dcz")
        block = slice(rows // 2, rows // 2 + 128)
        measure(web, "open", url, dcz.open)

        def read_block(url: str) -> None:
            with dcz.open(url) as reader:
                found = reader.get_slice("w")[block]
            if found.tobytes() != array[block].tobytes():
                raise SystemExit("the rows read differ from those stored")

        measure(web, "open, and 128 rows", url, read_block)
        layout = dcz.open(data).info("w").layout
        chunks = range(block.start * COLUMNS // layout.chunk, (block.stop * COLUMNS - 1) // layout.chunk + 1)
        allowed = index + sum(stream.lengths[chunk] for stream in layout.streams for chunk in chunks) + SLACK
        if web.sent > allowed:
            raise SystemExit(f"128 rows took {web.sent} bytes, more than index, chunks and 64 KiB: {allowed}")
        measure(web, "open, and every 1000th row's start", url, lambda url: dcz.open(url).get_slice("w")[::1000, :8])
        measure(web, "load_file", url, dcz.load_file)
        measure(web, "verify", url, dcz.verify)


if __name__ == "__main__":
    main()
