"""Size against fidelity of pretrained networks without training; writes `benchmarks/results/pretrained/`.

pip install -r benchmarks/requirements.txt
pip install --no-deps -r benchmarks/requirements-nodeps.txt -r benchmarks/pretrained/requirements.txt
python -m benchmarks.pretrained [--networks NAME ...] [--methods NAME ...]

Rows of methods that are not asked for stay as they are; without any, the report is drawn again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.pretrained import report
from benchmarks.pretrained.methods import METHODS, Tensors
from benchmarks.pretrained.networks import NETWORKS, Network

RESULTS = Path(__file__).parents[1] / "results" / "pretrained"
# Samples that methods may search on, and those that judge.
SEARCHED, HELD_OUT = 1, 2
# Settings go from coarse to fine; the first that is this close is the last.
CLOSE = 0.9995


def fidelity(network: Network, tensors: Tensors, reference: list[np.ndarray], seed: int) -> float:
    """Correlation of each output with the original's, the mean over outputs."""
    found = network.outputs(tensors, seed)
    pairs = [(a.ravel().astype(np.float64), b.ravel().astype(np.float64)) for a, b in zip(reference, found)]
    with np.errstate(invalid="ignore"):
        return float(np.mean([np.nan_to_num(np.corrcoef(a, b)[0, 1]) for a, b in pairs]))


def measure(network: Network, method: str) -> Iterator[dict[str, object]]:
    """A row for each setting of a method."""
    weights = network.weights
    dense = sum(array.nbytes for array in weights.values())
    searched, reference = network.outputs(weights, SEARCHED), network.outputs(weights, HELD_OUT)

    def score(tensors: Tensors) -> float:
        return fidelity(network, {**weights, **tensors}, searched, SEARCHED)

    for setting, tensors, nbytes in METHODS[method](weights, score):
        found = fidelity(network, {**weights, **tensors}, reference, HELD_OUT)
        row = {"network": network.name, "method": method, "setting": setting, "bytes": nbytes}
        row |= {"ratio": round(dense / nbytes, 4), "fidelity": round(found, 6)}
        print(*row.values(), sep="\t", flush=True)
        yield row
        if found >= CLOSE:
            break


def kept(path: Path) -> list[dict[str, object]]:
    """The rows of an earlier run, if there was one."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file)]


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """The rows of a network as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Measures, and writes a table a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=[network.name for network in NETWORKS])
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    for network in NETWORKS:
        if network.name in arguments.networks:
            path = arguments.results / f"{network.name.replace(' ', '_')}.csv"
            for method in arguments.methods:
                rows = [row for row in kept(path) if row["method"] != method]
                for row in measure(network, method):
                    rows.append(row)
                    write(path, sorted(rows, key=lambda row: list(METHODS).index(str(row["method"]))))
    report.write(arguments.results)


if __name__ == "__main__":
    main()
