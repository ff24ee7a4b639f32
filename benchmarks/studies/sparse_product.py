"""When the product of a pruned matrix is faster sparse than dense: Han et al. 2016, section 6.3 and Table 8, on this
machine.

    python benchmarks/studies/sparse_product.py [--repeats N] [--batches 1 64]

Layers are the fully connected ones of AlexNet and VGG-16, at the densities of the paper; products are scipy's (CSR) and
numpy's (the BLAS it is built with), on as many threads as each uses: scipy's on one. Contenders take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import dcz

LAYERS = {
    "AlexNet fc6": ((4096, 9216), 0.09),
    "AlexNet fc7": ((4096, 4096), 0.09),
    "AlexNet fc8": ((1000, 4096), 0.25),
    "VGG-16 fc6": ((4096, 25088), 0.04),
    "VGG-16 fc7": ((4096, 4096), 0.04),
    "VGG-16 fc8": ((1000, 4096), 0.23),
}


def layer(shape: tuple[int, int], density: float) -> np.ndarray:
    """Pruned and clustered weights."""
    rng = np.random.Generator(np.random.PCG64(8))
    weights = (1 + rng.integers(0, 31, shape, np.int8)).astype(np.float32) / 32
    weights[rng.random(shape, np.float32) >= density] = 0
    return weights


def race(contenders: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Milliseconds of each: the fastest of all rounds, of which the first only warms up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats + 1):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: min(each[1:]) for name, each in times.items()}


def main(batches: list[int], repeats: int) -> None:
    """Prints a table."""
    print(f"{'layer':14} {'density':>8} {'batch':>6} {'dense ms':>9} {'sparse ms':>10} {'sparse is':>10}")
    for name, (shape, density) in LAYERS.items():
        reader = dcz.open(dcz.save({"w": layer(shape, density)}))
        dense, sparse = reader["w"], reader.get_csr("w")
        for batch in batches:
            rng = np.random.Generator(np.random.PCG64(batch))
            x = rng.standard_normal((shape[1], batch), np.float32)
            x = x[:, 0] if batch == 1 else x
            np.testing.assert_allclose(sparse @ x, dense @ x, rtol=1e-3, atol=1e-2)
            found = race({"dense": lambda: dense @ x, "sparse": lambda: sparse @ x}, repeats)
            print(
                f"{name:14} {density:8.0%} {batch:6} {found['dense']:9.2f} {found['sparse']:10.2f} "
                f"{found['dense'] / found['sparse']:9.2f}x"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 64])
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    main(arguments.batches, arguments.repeats)
