"""CSR or bitmap? Bits per weight over density for every layout, measured on masks of four kinds.

    python benchmarks/studies/density.py [FOLDER]

A float32 matrix of 1024 x 1024 weights with the values of 32 clusters, as Han et al. 2016 have in fully connected
layers, under a mask: independent weights, whole rows, blocks of 8 x 8, N of M neighbours. Writes density.csv (every
number), density.md (tables) and density.svg (figure) to FOLDER, by default benchmarks/results/density. Takes a minute.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dcz
from dcz.report.storage import KEYS, TITLES

SIDE, BLOCK, MOST_OF = 1024, 8, 256
CLUSTERS = 32
DENSITIES = np.unique(np.round(np.concatenate([np.geomspace(0.005, 0.1, 14), np.linspace(0.1, 1, 37)]), 4))
TABLE = (0.005, 0.01, 0.0316, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
RIVALS = (
    ("CSR, 32-bit indices", "csr32", "bitmap"),
    ("CSR, 8-bit gaps", "csr8", "bitmap"),
    ("CSR, 5-bit gaps", "csr5", "bitmap"),
    ("CSR, 4-bit gaps", "csr4", "bitmap"),
    ("CSR, 8-bit gaps, Huffman", "csr8+huffman", "bitmap+huffman"),
    ("CSR, 5-bit gaps, Huffman", "csr5+huffman", "bitmap+huffman"),
)
SHOWN = (
    "csr32",
    "csr5",
    "csr8",
    "bitmap",
    "csr8+huffman",
    "bitmap+huffman",
    "palette+huffman",
    "entropy",
    "auto",
)

Mask = Callable[[float, np.random.Generator], np.ndarray]


def independent(density: float, rng: np.random.Generator) -> np.ndarray:
    """Every weight on its own."""
    return rng.random((SIDE, SIDE)) < density


def rows(density: float, rng: np.random.Generator) -> np.ndarray:
    """Whole rows: pruned neurons."""
    kept = np.arange(SIDE) < max(1, round(density * SIDE))
    return np.repeat(rng.permutation(kept)[:, None], SIDE, axis=1)


def blocks(density: float, rng: np.random.Generator) -> np.ndarray:
    """Blocks of 8 x 8."""
    n = (SIDE // BLOCK) ** 2
    kept = rng.permutation(np.arange(n) < max(1, round(density * n))).reshape(SIDE // BLOCK, -1)
    return np.kron(kept, np.ones((BLOCK, BLOCK), bool))


def n_of_m(density: float, rng: np.random.Generator) -> np.ndarray:
    """Exactly N of any M neighbours in a row, M the smallest power of two from 4 to 256 that comes near."""
    m = 4
    while m < MOST_OF and abs(round(density * m) / m - density) > 0.02 * density:
        m *= 2
    kept = rng.random((SIDE * SIDE // m, m)).argsort(axis=1) < max(1, round(density * m))
    return kept.reshape(SIDE, SIDE)


MASKS: dict[str, Mask] = {"independent": independent, "rows": rows, "8 x 8 blocks": blocks, "N of M": n_of_m}

NAMES = {
    "independent": "weights pruned one by one",
    "rows": "whole rows pruned",
    "8 x 8 blocks": "blocks of 8 x 8 pruned",
    "N of M": "N of M neighbours kept",
}


def measure() -> list[dict[str, object]]:
    """Bits per weight of each layout, with its positions' share, on each mask at each density."""
    book = np.linspace(-2.6, 2.6, CLUSTERS, dtype="float32")
    out = []
    for number, (name, mask) in enumerate(MASKS.items()):
        for density in DENSITIES:
            rng = np.random.Generator(np.random.PCG64([151000149, number, int(density * 10_000)]))
            weights = book[
                np.clip(np.rint(rng.standard_normal((SIDE, SIDE)) * 5.5 + 15.5), 0, CLUSTERS - 1).astype(int)
            ]
            tensor = dcz.compare({"w": np.where(mask(float(density), rng), weights, np.float32(0))})["w"]
            row: dict[str, object] = {"mask": name, "density": tensor.density}
            row |= {key: 8 * tensor.size(key).total / tensor.weights for key in KEYS}
            row |= {f"{key} positions": 8 * tensor.size(key).positions / tensor.weights for key in KEYS}
            out.append({**row, "taken": tensor.auto_layout})
    return out


def crossing(found: list[dict], mask: str, csr: str, bitmap: str) -> float | None:
    """The density above which the bitmap's positions are never larger, interpolated; values cost both the same."""
    mine = sorted((row for row in found if row["mask"] == mask), key=lambda row: row["density"])
    x = np.array([row["density"] for row in mine])
    gain = np.array([row[f"{csr} positions"] - row[f"{bitmap} positions"] for row in mine])
    up = np.flatnonzero((gain[:-1] < 0) & (gain[1:] >= 0))
    if not len(up):
        return None
    i = int(up[-1])
    return float(x[i] + (x[i + 1] - x[i]) * gain[i] / (gain[i] - gain[i + 1]))


def nearest(found: list[dict], mask: str, density: float) -> dict:
    """The measurement at a density."""
    return min((row for row in found if row["mask"] == mask), key=lambda row: abs(row["density"] - density))


def tables(found: list[dict]) -> str:
    """In Markdown: bits per weight, crossings, and how far apart the two are once coded."""
    out = ["Bits per weight, values and codebook included, at densities of independent weights:", ""]
    out += ["| density | " + " | ".join(TITLES[key] for key in SHOWN) + " |", "|--:" * (len(SHOWN) + 1) + "|"]
    for density in TABLE:
        row = nearest(found, "independent", density)
        out.append(f"| {100 * row['density']:.1f}% | " + " | ".join(f"{row[key]:.3f}" for key in SHOWN) + " |")
    out += [
        "",
        "The density above which a bitmap takes less than the indices, by mask (values cost both the same):",
        "",
    ]
    out += ["| CSR against bitmap | " + " | ".join(MASKS) + " |", "|---" + "|--:" * len(MASKS) + "|"]
    for title, csr, bitmap in RIVALS:
        at = [crossing(found, mask, csr, bitmap) for mask in MASKS]
        out.append(f"| {title} | " + " | ".join("never crosses" if x is None else f"{100 * x:.1f}%" for x in at) + " |")
    out += ["", "Huffman-coded: whole size of CSR (8-bit gaps) against bitmap; below zero CSR is smaller:", ""]
    out += ["| density | " + " | ".join(MASKS) + " |", "|--:" * (len(MASKS) + 1) + "|"]
    for density in TABLE:
        each = [nearest(found, mask, density) for mask in MASKS]
        cells = [f"{100 * (row['csr8+huffman'] / row['bitmap+huffman'] - 1):+.1f}%" for row in each]
        out.append(f"| {100 * density:.1f}% | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def figure(found: list[dict], path: Path) -> None:
    """Bits of positions per weight, one panel a mask."""
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "dcz"
    from matplotlib.figure import Figure

    lines = (
        ("csr32", "#868e96", ":"), ("csr5", "#b07d00", ":"), ("csr8", "#0b7285", ":"),
        ("bitmap", "#c2410c", ":"),
        ("csr8+huffman", "#0b7285", "-"), ("bitmap+huffman", "#c2410c", "-"), ("entropy", "black", "--"),
    )  # fmt: skip
    panels = Figure(figsize=(10, 7.6), layout="constrained")
    for axes, mask in zip(panels.subplots(2, 2, sharex=True, sharey=True).flat, MASKS):
        mine = [row for row in found if row["mask"] == mask]
        for key, colour, style in lines:
            axes.plot(
                [r["density"] for r in mine],
                [r[f"{key} positions"] for r in mine],
                style,
                color=colour,
                label=TITLES[key],
                linewidth=1.5,
            )
        at = crossing(found, mask, "csr8+huffman", "bitmap+huffman")
        if at is not None:
            axes.axvline(at, color="gray", linewidth=0.8)
            axes.text(at, 0.03, f" {100 * at:.0f}%", color="dimgray", fontsize=9)
        axes.set(title=NAMES[mask], xscale="log", ylim=(0, 1.42))
        axes.set_xticks(
            [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0.5%", "1%", "2%", "5%", "10%", "20%", "50%", "100%"]
        )
        axes.minorticks_off()
        axes.grid(alpha=0.25)
    handles, labels = panels.axes[0].get_legend_handles_labels()
    panels.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    panels.supxlabel(
        "density: share of weights that are not zero; gray: where Huffman-coded CSR and bitmap cross", fontsize=10
    )
    panels.supylabel("bits of positions for each weight", fontsize=10)
    panels.savefig(path, metadata={"Date": None})


def main(folder: Path) -> None:
    """Measures, and writes the results."""
    found = measure()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "density.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()} for row in found)
    text = tables(found)
    (folder / "density.md").write_text(text)
    figure(found, folder / "density.svg")
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "results" / "density")
