"""What a framework integration costs over `dcz.load_file`: time, and memory beside the tensors themselves.

    python benchmarks/studies/adapters.py [--repeats N] [--frameworks torch jax]

Loads take turns, so that a busy machine slows all alike; the fastest and the median of each are shown.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import dcz


def pruned_and_clustered(shape: tuple[int, ...], density: float, seed: int) -> np.ndarray:
    """Weights of 31 values and zeros, with a Gaussian's frequencies."""
    rng = np.random.Generator(np.random.PCG64(seed))
    step = np.float32(0.01)
    weights = step * np.clip(np.rint(4 * rng.standard_normal(shape, np.float32)), -15, 15)
    weights[weights == 0] = step
    weights[rng.random(shape, np.float32) >= density] = 0
    return weights


def models() -> dict[str, dict[str, np.ndarray]]:
    """A few large tensors, as AlexNet has them, and many small ones."""
    large = {"fc6": (4096, 9216), "fc7": (4096, 4096), "fc8": (1000, 4096), "conv": (384, 256, 3, 3)}
    return {
        "61M weights in 4 tensors": {
            name: pruned_and_clustered(shape, 0.11, seed) for seed, (name, shape) in enumerate(large.items())
        },
        "2M weights in 500 tensors": {f"{n}.weight": pruned_and_clustered((64, 64), 0.3, n) for n in range(500)},
    }


def timed(load: Callable[[str], object], path: str) -> tuple[float, float]:
    """Milliseconds on the clock, and of all cores' work: other programs slow down the first alone."""
    wall, work = time.perf_counter(), time.process_time()
    found = load(path)
    elapsed = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - work)
    del found
    return elapsed


def show(name: str, times: list[tuple[float, float]], first: list[tuple[float, float]]) -> None:
    cells = [f"{name:26}"]
    for i in range(2):
        for summary in (min, median):
            each, base = summary(t[i] for t in times), summary(t[i] for t in first)
            cells.append(f"{each:8.2f} ({100 * (each / base - 1):+6.1f} %)")
    print(" ".join(cells))


def main(frameworks: list[str], repeats: int) -> None:
    """Prints a table."""
    loads: dict[str, Callable[[str], object]] = {"dcz.load_file": dcz.load_file}
    for name in frameworks:
        try:
            loads[f"dcz.{name}.load_file"] = importlib.import_module(f"dcz.{name}").load_file
        except ImportError as error:
            print(error)
    with tempfile.TemporaryDirectory() as folder:
        for number, (title, model) in enumerate(models().items()):
            path = os.path.join(folder, f"{number}.dcz")
            dcz.save_file(model, path)
            dense = sum(array.nbytes for array in model.values())
            print(f"\n{title}: {dense} bytes, {os.path.getsize(path)} as a file")
            print(f"{'milliseconds':26} {'wall, best':20} {'wall, median':20} {'work, best':20} {'work, median':20}")
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in loads}
            for _ in range(repeats):
                for name, load in loads.items():
                    times[name].append(timed(load, path))
            for name, each in times.items():
                show(name, each, times["dcz.load_file"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frameworks", nargs="*", default=["torch"])
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    main(arguments.frameworks, arguments.repeats)
