"""Tables 4 and 5 by statistics: tensors of AlexNet's and VGG-16's shapes with the published densities and bits per
weight (benchmarks/suite/models.py), packed in each layout, beside the published rates.

    python -m benchmarks.paper.imagenet
"""

from __future__ import annotations

import io
import time

import numpy as np

import dcz
from benchmarks.suite import models
from dcz.container.summary import stored_file

from . import published, results
from .accounting import Layer, Network, account

PROFILES = ("paper", "csr", "bitmap", "auto")
_SEED = 151000149


def main() -> None:
    options = results.arguments(__doc__)
    page = ["# Tables 4 and 5 by statistics\n", _INTRODUCTION]
    rows: list[dict[str, object]] = []
    for title, layers, rows_published, index_bits in (
        ("AlexNet", models.ALEXNET, published.ALEXNET, 4),
        ("VGG-16", models.VGG_16, published.VGG_16, 5),
    ):
        begin = time.perf_counter()
        if options.quick:
            layers = tuple(models.Layer(x.name, (8, 16), x.density, x.bits, x.huffman_bits) for x in layers)
        counted, found, sizes = measure(layers, index_bits)
        rows += as_rows(title, counted, found, rows_published)
        page += [f"\n## {title}\n", page_table(title, counted, found, rows_published), totals(title, counted, sizes)]
        print(f"{title}: {time.perf_counter() - begin:.0f} s", flush=True)
    results.write_csv(options.out / "tables_4_5.csv", rows)
    (options.out / "tables_4_5.md").write_text("\n".join(page))


_INTRODUCTION = """The weights are synthetic: shapes, densities, cluster bits and Huffman bits a weight are the paper's,
positions are independent of each other. `P+Q` and `P+Q+H` are the paper's arithmetic on them, fillers and codebooks
counted; `paper`, `csr`, `bitmap` and `auto` are bytes stored in a `.dcz` file, in % of the dense float32 layer. Totals
are whole files, with index, code tables and checksums. Made by `python -m benchmarks.paper.imagenet`.
"""


def measure(
    layers: tuple[models.Layer, ...], index_bits: int
) -> tuple[Network, dict[str, dict[str, float]], dict[str, int]]:
    """The paper's accounting, each profile's % of dense by layer, and each profile's whole file in bytes. One tensor
    is in memory at a time."""
    files = {profile: io.BytesIO() for profile in PROFILES}
    writers = {profile: dcz.Writer(file, profile=profile) for profile, file in files.items()}
    counted: list[Layer] = []
    for number, layer in enumerate(layers):
        weights = models.clustered(layer, np.random.Generator(np.random.PCG64([_SEED, number])))
        counted.append(account(layer.name, weights, index_bits))
        for writer in writers.values():
            writer.add(f"{layer.name}.weight", weights)
    found: dict[str, dict[str, float]] = {layer.name: {} for layer in layers}
    for profile, writer in writers.items():
        writer.close()
        with dcz.open(files[profile].getvalue()) as reader:
            for tensor in stored_file(reader).tensors:
                found[tensor.name.removesuffix(".weight")][profile] = 100 * tensor.stored / tensor.dense
    return Network(tuple(counted)), found, {profile: len(file.getvalue()) for profile, file in files.items()}


def as_rows(
    title: str, counted: Network, found: dict[str, dict[str, float]], rows: tuple[published.Row, ...]
) -> list[dict[str, object]]:
    return [
        {
            "network": title,
            "layer": row.name,
            "weights": layer.weights,
            "kept": layer.kept,
            "fillers": layer.fillers,
            "weight_bits_pqh": layer.weight_pqh,
            "index_bits_pqh": layer.index_pqh,
            "rate_pq": layer.rate_pq,
            "rate_pqh": layer.rate_pqh,
            "paper_rate_pq": row.rate_pq,
            "paper_rate_pqh": row.rate_pqh,
            **{f"stored_{profile}": found[row.name][profile] for profile in PROFILES},
        }
        for row, layer in zip(rows, counted.layers, strict=True)
    ]


def page_table(
    title: str, counted: Network, found: dict[str, dict[str, float]], rows: tuple[published.Row, ...]
) -> str:
    head = ["layer", "kept %", "weight bits (paper)", "index bits (paper)", "P+Q % (paper)", "P+Q+H % (paper)"]
    lines = []
    for row, layer in zip(rows, counted.layers, strict=True):
        stored = found[row.name]
        best = min(stored.values())
        lines.append([
            row.name,
            f"{layer.kept:.0f}",
            f"{layer.weight_pqh:.1f} ({row.weight_pqh})",
            f"{layer.index_pqh:.1f} ({row.index_pqh})",
            f"{layer.rate_pq:.2f} ({row.rate_pq})",
            f"{layer.rate_pqh:.2f} ({row.rate_pqh})",
            *(f"**{stored[p]:.2f}**" if stored[p] == best else f"{stored[p]:.2f}" for p in PROFILES),
        ])  # fmt: skip
    return results.table([*head, *(f"`{profile}`" for profile in PROFILES)], lines)


def totals(title: str, counted: Network, sizes: dict[str, int]) -> str:
    """The whole network, each way."""
    _, pqh = published.TOTAL_RATES[title]
    dense = 4 * counted.weights
    ways = [
        ("the paper's total, as printed", published.TOTALS[title].compressed_bytes, pqh),
        ("P+Q, the paper's arithmetic", counted.rate_pq * dense / 100, counted.rate_pq),
        ("P+Q+H, the paper's arithmetic", counted.rate_pqh * dense / 100, counted.rate_pqh),
        *((f"`.dcz` file, `{profile}`", size, 100 * size / dense) for profile, size in sizes.items()),
    ]
    lines = [[name, f"{size:,.0f}", f"{rate:.2f}", f"{100 / rate:.1f}"] for name, size, rate in ways]
    return results.table([f"{title}, total", "bytes", "% of dense", "times smaller"], lines)


if __name__ == "__main__":
    main()
