"""Clustering: time, memory, and quality, against scikit-learn where it is installed.

    python benchmarks/studies/clustering.py [--quick] [--json]

One thread. Weights are Laplacian, made here; the size is that of AlexNet's fc6 at the paper's density and bits.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy and scikit-learn start
    os.environ.setdefault(_name, "1")

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

import dcz

SHAPE = (4096, 9216)  # 38M weights
QUICK = (512, 1152)
DENSITY, BITS = 0.09, 5


def weights(shape: tuple[int, int], density: float, seed: int = 9) -> np.ndarray:
    """Laplacian weights, pruned by magnitude."""
    w = np.random.Generator(np.random.PCG64(seed)).laplace(size=shape).astype(np.float32)
    return dcz.prune({"w": w}, density=density).tensors["w"] if density < 1 else w


def clustered(w: np.ndarray, **options: object) -> tuple[dcz.lossy.Clusters, float]:
    """The clusters, and the seconds of processor time of the best of three runs: on one thread those of the wall,
    where nothing else runs."""
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        found = dcz.cluster({"w": w}, **options)
        best = min(best, time.process_time() - start)
    return found.clusters["w"], best


def speed(shape: tuple[int, int]) -> dict[str, object]:
    """Seconds from the tensor to the clustered tensor, by linear initialisation until nothing changes."""
    w = weights(shape, DENSITY)
    found, seconds = clustered(w, n_bits=BITS)
    return {"weights": w.size, "nonzeros": len(found.indices), "clusters": found.k, "seconds": seconds,
            "iterations": found.iterations, "converged": found.converged}  # fmt: skip


def memory(shape: tuple[int, int]) -> dict[str, object]:
    """Most memory of a process that clusters, above that of one that has only made the tensor (which is counted)."""
    peaks = []
    for verb in ("make", "cluster"):
        run = subprocess.run(
            [sys.executable, __file__, "--child", verb, *map(str, shape)], capture_output=True, check=True
        )
        peaks.append(int(run.stdout))
    tensor = 4 * shape[0] * shape[1]
    return {
        "tensor_bytes": tensor,
        "above_the_tensor": (peaks[1] - peaks[0]) / tensor,
        "in_all": (peaks[1] - peaks[0]) / tensor + 1,
    }


def child(verb: str, shape: tuple[int, int]) -> None:
    """Makes the tensor row by row, so that making it takes no more than itself, and clusters it or not."""
    rng = np.random.Generator(np.random.PCG64(9))
    w = np.zeros(shape, np.float32)
    for row in w:
        values = rng.laplace(size=shape[1])
        row[:] = np.where(np.abs(values) > 2.408, values, 0)
    dcz.cluster({"w": w[:8]}, n_bits=BITS)  # everything is imported
    if verb == "cluster":
        dcz.cluster({"w": w}, n_bits=BITS)
    print(peak())


def peak() -> int:
    """Most bytes this process has had in memory. Linux' ru_maxrss begins with those of the parent, so ask the
    kernel."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def against_scikit_learn(shape: tuple[int, int]) -> dict[str, object] | None:
    """The same nonzeros from the same centroids, until nothing changes, both in float64; a sixteenth of the weights."""
    try:
        from sklearn.cluster import KMeans
    except ModuleNotFoundError:
        return None
    w = weights((shape[0] // 4, shape[1] // 4), DENSITY).astype(np.float64)
    x = w[w != 0].reshape(-1, 1)
    k = 1 << BITS
    start_at = np.linspace(x.min(), x.max(), k).reshape(-1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.process_time()
        theirs = KMeans(k, init=start_at, n_init=1, tol=0, max_iter=10_000, algorithm="lloyd").fit(x)
        seconds = time.process_time() - start
    ours, fast = clustered(w, n_bits=BITS)
    return {"nonzeros": len(x), "seconds": fast, "their_seconds": seconds, "times_faster": seconds / fast,
            "their_iterations": theirs.n_iter_, "iterations": ours.iterations,
            "relative_difference_of_wcss": abs(ours.wcss / theirs.inertia_ - 1)}  # fmt: skip


def entropy(shape: tuple[int, int], density: float) -> dict[str, object]:
    """Bits of a cluster index by Huffman's code, at the error of the best 32 clusters: plain, and with the lambda that
    has the same error, by bisection; and what theory allows at high resolution."""
    w = weights((shape[0] // 4, shape[1] // 4), density)
    plain = dcz.cluster({"w": w}, n_bits=BITS, init="optimal").clusters["w"]
    low, high = 1e-6, 0.1
    for _ in range(18):
        middle = (low * high) ** 0.5
        found = dcz.cluster({"w": w}, n_bits=8, entropy=middle).clusters["w"]
        low, high = (middle, high) if found.wcss <= plain.wcss else (low, middle)
    found = dcz.cluster({"w": w}, n_bits=8, entropy=low).clusters["w"]
    n = len(found.indices)
    theory = np.log2(2 * np.e) - np.log2(12 * plain.wcss / n) / 2
    return {"density": density, "lambda": low, "wcss": found.wcss, "plain_wcss": plain.wcss, "bits": found.bits,
            "plain_bits": plain.bits, "fixed_bits": BITS, "bits_in_theory": float(theory),
            "saved_of_huffman": 1 - found.bits / plain.bits, "saved_of_fixed": 1 - found.bits / BITS}  # fmt: skip


def inits(shape: tuple[int, int]) -> list[dict[str, object]]:
    """Each initialisation: seconds, error, bits."""
    w = weights((shape[0] // 4, shape[1] // 4), DENSITY)
    out = []
    for init in ("linear", "density", "random", "kmeans++", "optimal"):
        found, seconds = clustered(w, n_bits=BITS, init=init)
        out.append(
            {"init": init, "seconds": seconds, "wcss": found.wcss, "bits": found.bits, "iterations": found.iterations}
        )
    return out


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small tensor, to see that it runs")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], (int(options.child[1]), int(options.child[2])))
        return
    shape = QUICK if options.quick else SHAPE
    found = {
        "speed": speed(shape),
        "memory": memory(shape),
        "scikit_learn": against_scikit_learn(shape),
        "entropy": [entropy(shape, 1.0), entropy(shape, DENSITY)],
        "inits": inits(shape),
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for title, rows in found.items():
        print(title)
        for row in rows if isinstance(rows, list) else [rows or {"not installed": "pip install scikit-learn"}]:
            print(
                "  "
                + ", ".join(
                    f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
                )
            )


if __name__ == "__main__":
    main()
