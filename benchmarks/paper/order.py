"""The order of operations, and each stage alone (the paper's Figure 6): prune (P), quantize (Q), Huffman-code (H), on
LeNet-300-100. What each costs in accuracy, and what a file of it takes.

    DCZ_DATA=FOLDER python -m benchmarks.paper.order
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean

import numpy as np
import torch

import dcz

from . import digits, results
from .accounting import WORD, mean_bits
from .networks import LeNet300100, Network
from .stages import arrays, packed, prune, revived, share, weights
from .training import tested
from .training_schedule import Course, course, dense, pruned

_BITS = 6  # the paper's
_LOWER = ({"ip1": 0.01, "ip2": 0.04, "ip3": 0.2},)
_LOWER_EPOCHS = 8
_CODEBOOK_EPOCHS = 10  # of each round of pruning what is clustered
_CURVE_BITS = (1, 2, 3, 4, 5, 6)
_CURVE_EPOCHS = 3

Tensors = Mapping[str, np.ndarray]


def main() -> None:
    options = results.arguments(__doc__)
    torch.set_num_threads(1)
    data = digits.load()
    if options.quick:
        data = data.first(128)
    what = course(LeNet300100, options.quick)
    rows: list[dict[str, object]] = []
    for seed in range(options.seeds):
        for series, title, model in networks(what, data, seed, options.quick):
            rows.append(row(series, title, model, data, seed))
            print(*(rows[-1][key] for key in ("seed", "series", "what", "accuracy", "file_bytes")), flush=True)
        results.write_csv(options.out / "order.csv", rows)
        write(options.out, data)


def networks(what: Course, data: digits.Digits, seed: int, quick: bool) -> Iterator[tuple[str, str, Network]]:
    """Series, what was done, and the network."""
    reference = dense(what, data, seed)
    yield "order", "dense", reference
    sparse = pruned(what, data, seed)
    yield "order", "P", sparse
    yield "order", "Q", share(reference, schemes(reference, _BITS), data, what.share_epochs, seed=seed)
    yield "order", "P-Q", share(sparse, schemes(sparse, _BITS), data, what.share_epochs, seed=seed)
    quantized = share(reference, schemes(reference, _BITS), data, what.share_epochs, seed=seed)
    for densities in what.levels[0].rounds:
        tensors = cut(arrays(quantized), densities)
        model = revived(what.kind, tensors)
        quantized = share(model, as_they_are(tensors), data, 1 if quick else _CODEBOOK_EPOCHS, seed=seed)
    yield "order", "Q-P", quantized
    epochs = 1 if quick else _CURVE_EPOCHS
    for bits in _CURVE_BITS[:1] if quick else _CURVE_BITS:
        yield (
            "Q only",
            f"{bits} bit{'s' if bits > 1 else ''}",
            share(reference, schemes(reference, bits), data, epochs, seed=seed),
        )
    levels = [pruned(what, data, seed, number) for number in range(1, len(what.levels) + 1)]
    for densities in _LOWER[:1] if quick else _LOWER:
        levels.append(prune(levels[-1], data, densities, 1 if quick else _LOWER_EPOCHS, seed=seed))
    for model in levels:
        ip1 = weights(arrays(model))["ip1"]
        title = f"{100 * np.count_nonzero(ip1) / ip1.size:.1f}% of ip1"
        yield "P only", title, model
        yield "P and Q", f"{title}, 5 bits", share(model, schemes(model, 5), data, epochs, seed=seed)


def schemes(model: Network, bits: int) -> dict[str, dict[str, object]]:
    return {f"{layer}.weight": {"n_bits": bits} for layer in weights(arrays(model))}


def as_they_are(tensors: Tensors) -> dict[str, dict[str, object]]:
    """Clusters of the values there are: the codebook that quantization left, less what pruning took of it."""
    return {
        f"{layer}.weight": {"n_clusters": max(1, len(np.unique(array[array != 0])))}
        for layer, array in weights(tensors).items()
    }


def cut(tensors: Tensors, densities: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Pruned by magnitude, without training."""
    for layer, density in densities.items():
        tensors = dcz.prune(tensors, density=density, names=[f"{layer}.weight"]).tensors
    return dict(tensors)


def row(series: str, title: str, model: Network, data: digits.Digits, seed: int) -> dict[str, object]:
    """A network with the size of its file, and of the same layout with codes of fixed width (no Huffman)."""
    right, loss = tested(model, data)
    tensors = arrays(model)
    file = packed(tensors)
    layers = weights(tensors)
    return {
        "seed": seed,
        "series": series,
        "what": title,
        "accuracy": right,
        "loss": loss,
        "distinct": sum(len(np.unique(array[array != 0])) for array in layers.values()),
        "kept": 100 * sum(map(np.count_nonzero, layers.values())) / sum(array.size for array in layers.values()),
        "dense_bytes": file.dense,
        "fixed_width_bytes": file.fixed_width,
        "file_bytes": file.size,
        "naive_huffman_bytes": sum(naive(array) for array in layers.values()),
    }


def naive(array: np.ndarray) -> float:
    """Bytes if every distinct weight, zero too, were a symbol of one Huffman code, with a table of its values; for more
    than 65,536 of them the code is taken to reach entropy, which is a little less."""
    _, symbols, counts = np.unique(array, return_inverse=True, return_counts=True)
    if len(counts) > 1 << 16:
        share = counts / array.size
        bits = float(-(share * np.log2(share)).sum())
    else:
        bits = mean_bits(symbols.reshape(-1))
    return (bits * array.size + WORD * len(counts)) / 8


def write(folder: Path, data: digits.Digits) -> None:
    """`order.md` and `figure_6.png`, from the CSV file."""
    rows = results.read_csv(folder / "order.csv")

    def of(series: str, what: str, field: str) -> list[float]:
        return [float(r[field]) for r in rows if (r["series"], r["what"]) == (series, what)]

    def titles(series: str) -> list[str]:
        return list(dict.fromkeys(r["what"] for r in rows if r["series"] == series))

    whole = of("order", "dense", "dense_bytes")[0]
    page = [
        "# The order of operations\n",
        f"LeNet-300-100 ({whole:,.0f} bytes in float32), {data.source}; mean ± standard deviation of"
        f" {len({r['seed'] for r in rows})} seed(s). P is to the paper's densities, Q to {_BITS} bits.\nMade by"
        " `python -m benchmarks.paper.order`.\n",
        "*Fixed width* is the file's layout with codes of fixed width, without biases' entropy coding, index and "
        "checksums;"
        "\n*file* is the whole `.dcz` file; *one symbol a value* is a Huffman code over the distinct weights, with a "
        "table"
        " of their values.\n",
    ]
    head = [
        "what",
        "accuracy %",
        "loss",
        "kept %",
        "distinct weights",
        "fixed width, bytes",
        "file (H), bytes",
        "times",
        "one symbol a value, bytes",
    ]
    for series in ("order", "P only", "Q only", "P and Q"):
        lines = []
        for what in titles(series):
            file = mean(of(series, what, "file_bytes"))
            lines.append([
                what,
                results.spread(of(series, what, "accuracy")),
                results.spread(of(series, what, "loss"), 3),
                f"{mean(of(series, what, 'kept')):.1f}",
                f"{mean(of(series, what, 'distinct')):,.0f}",
                f"{mean(of(series, what, 'fixed_width_bytes')):,.0f}",
                f"{file:,.0f}",
                f"{whole / file:.1f}",
                f"{mean(of(series, what, 'naive_huffman_bytes')):,.0f}",
            ])  # fmt: skip
        page += [f"## {'Orders' if series == 'order' else series}\n", results.table(head, lines)]
    page.append("![Accuracy against size](figure_6.png)\n")
    (folder / "order.md").write_text("\n".join(page))

    drawing, (panel,) = results.figure(1, 6.4, 4.0)
    for series, colour, marker in zip(("P only", "Q only", "P and Q"), results.COLOURS, "sD^"):
        points = sorted(
            (100 * mean(of(series, w, "file_bytes")) / whole, mean(of(series, w, "accuracy"))) for w in titles(series)
        )
        panel.plot(*zip(*points), marker + "-", ms=4, color=colour, label=f"{series}, Huffman-coded")
    panel.axhline(mean(of("order", "dense", "accuracy")), color="grey", lw=0.8, ls="--", label="dense reference")
    size, right = 100 * mean(of("order", "Q-P", "file_bytes")) / whole, mean(of("order", "Q-P", "accuracy"))
    panel.plot(size, right, "x", color=results.COLOURS[3], label="Q before P")
    # What loses more than a tenth is not worth its place; the table has it.
    reference = mean(of("order", "dense", "accuracy"))
    panel.set(xscale="log", xlabel="file, % of dense", ylabel="held-out accuracy, %", ylim=(0.9 * reference, None))
    panel.legend(fontsize=8)
    results.save_figure(drawing, folder / "figure_6.png")


if __name__ == "__main__":
    main()
