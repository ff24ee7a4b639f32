"""What Huffman coding itself contributes, per layer and in total, on every model here: the LeNets of `lenet.py`,
AlexNet and VGG-16 by statistics, and the real SqueezeNet where the data folder has it.

    DCZ_DATA=FOLDER python -m benchmarks.paper.huffman
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

import dcz
from benchmarks.suite import models
from dcz.container.summary import StoredFile, StoredTensor, stored_file

from . import results
from .accounting import account

_SEED = 151000149
_INDEX_BITS = {"AlexNet": 4, "SqueezeNet": 4}

Tensors = Iterable[tuple[str, np.ndarray]]


def main() -> None:
    options = results.arguments(__doc__)
    rows: list[dict[str, object]] = []
    for title, tensors in sources(options.out, options.quick):
        found = measure(title, tensors)
        rows += found
        print(f"{title}: {len(found) - 1} tensors", flush=True)
    results.write_csv(options.out / "huffman.csv", rows)
    write(options.out)


def sources(folder: Path, quick: bool) -> Iterator[tuple[str, Tensors]]:
    for path in sorted(folder.glob("lenet-*.dcz")):
        yield path.stem, dcz.load_file(path).items()
    for title, layers in (("AlexNet", models.ALEXNET), ("VGG-16", models.VGG_16)):
        yield title, synthetic(layers[:2] if quick else layers)
    real = Path(os.environ.get("DCZ_DATA", "")) / "compressed_SqueezeNet.net"
    if os.environ.get("DCZ_DATA") and real.exists() and not quick:
        from dcz.convert.formats import open_model

        with open_model(real, shapes=real.with_name("SqueezeNet_deploy.prototxt")) as model:
            yield "SqueezeNet", [(tensor.name, model.read(tensor.name)) for tensor in model.tensors()]


def synthetic(layers: tuple[models.Layer, ...]) -> Tensors:
    """One tensor in memory at a time."""
    for number, layer in enumerate(layers):
        yield f"{layer.name}.weight", models.clustered(layer, np.random.Generator(np.random.PCG64([_SEED, number])))


def measure(title: str, tensors: Tensors) -> list[dict[str, object]]:
    """A row for each weight tensor, and one for the whole."""
    buffer, counted = io.BytesIO(), {}
    with dcz.Writer(buffer) as writer:
        for name, array in tensors:
            writer.add(name, array)
            if array.ndim > 1:
                counted[name] = account(name, array, _INDEX_BITS.get(title, 5))
    with dcz.open(buffer.getvalue()) as reader:
        file = stored_file(reader)
        rows = []
        for tensor in file.tensors:
            if tensor.name in counted:
                rows.append(row(title, tensor, counted[tensor.name].huffman_saving))
    pq = sum(layer.bits_pq for layer in counted.values())
    saved = 100 * (1 - sum(layer.bits_pqh for layer in counted.values()) / pq)
    return [*rows, total(title, file, rows, saved)]


def row(title: str, tensor: StoredTensor, paper_saving: float) -> dict[str, object]:
    """Fixed width and coded, by stream: positions, cluster indices, codebook."""
    word = tensor.dense // tensor.weights
    values = round(tensor.density * tensor.weights) if not tensor.layout.startswith("all") else tensor.weights
    book = (tensor.clusters or 0) * word
    indices = values * max((tensor.clusters or 1) - 1, 0).bit_length() / 8 if tensor.clusters else values * word
    return {
        "model": title,
        "layer": tensor.name,
        "layout": tensor.layout,
        "positions_fixed": tensor.fixed_width - indices - book,
        "positions": tensor.positions,
        "indices_fixed": indices,
        "indices": tensor.indices,
        "codebook_fixed": book,
        "codebook": tensor.codebook,
        "fixed_width": tensor.fixed_width,
        "stored": tensor.stored,
        "saving": 100 * tensor.saved_by_coding,
        "paper_saving": paper_saving,
    }


def total(title: str, file: StoredFile, rows: list[dict[str, object]], paper_saving: float) -> dict[str, object]:
    """All weights together."""
    parts = [key for key in rows[0] if key not in ("model", "layer", "layout", "saving", "paper_saving")]
    sums = {key: sum(float(each[key]) for each in rows) for key in parts}  # type: ignore[arg-type]
    saving = 100 * (1 - sums["stored"] / sums["fixed_width"])
    layouts = f"file {file.size} bytes"
    return {"model": title, "layer": "total", "layout": layouts, **sums, "saving": saving, "paper_saving": paper_saving}


def write(folder: Path) -> None:
    """`huffman.md` and `huffman.png`, from the CSV file."""
    rows = results.read_csv(folder / "huffman.csv")

    def share(r: dict[str, str], part: str) -> str:
        fixed = float(r[f"{part}_fixed"])
        return f"{100 * (1 - float(r[part]) / fixed):.0f}" if fixed else ""

    def line(name: str, r: dict[str, str]) -> list[str]:
        return [
            name, r["layout"], f"{float(r['fixed_width']):,.0f}", f"{float(r['stored']):,.0f}",
            f"**{float(r['saving']):.1f}**", share(r, "positions"), share(r, "indices"), share(r, "codebook"),
            f"{float(r['paper_saving']):.1f}",
        ]  # fmt: skip

    head = [
        "layout",
        "fixed width, bytes",
        "coded, bytes",
        "saved %",
        "of positions",
        "of indices",
        "of codebook",
        "saved % in the paper's layout",
    ]
    page = [
        "# What Huffman coding contributes\n",
        "Weights only. *Saved* is against codes of fixed width in the very layout that `auto` chose; the last column "
        "is the"
        "\npaper's arithmetic: relative indices of 4 or 5 bits, P+Q against P+Q+H. The paper says 20% to 30%. Made by"
        " `python -m benchmarks.paper.huffman`.\n",
        results.table(["model", *head], [line(r["model"], r) for r in rows if r["layer"] == "total"]),
    ]
    for model in dict.fromkeys(r["model"] for r in rows):
        each = [r for r in rows if r["model"] == model and r["layer"] != "total"]
        page += [f"## {model}\n", results.table(["layer", *head], [line(r["layer"], r) for r in each])]
    page.append("![What Huffman coding saves](huffman.png)\n")
    (folder / "huffman.md").write_text("\n".join(page))

    totals = [r for r in rows if r["layer"] == "total"]
    drawing, (panel,) = results.figure(1, 7.0, 0.5 * len(totals) + 1.2)
    names = [r["model"] for r in totals][::-1]
    places = np.arange(len(names))
    for offset, field, label, colour in (
        (0.2, "saving", "dcz, auto", results.COLOURS[0]),
        (-0.2, "paper_saving", "the paper's layout", results.COLOURS[1]),
    ):
        panel.barh(places + offset, [float(r[field]) for r in totals][::-1], 0.38, color=colour, label=label)
    panel.axvspan(20, 30, color="grey", alpha=0.15, lw=0, zorder=0, label="the paper: 20 to 30%")
    panel.set(xlabel="saved by Huffman coding, %", yticks=places, yticklabels=names)
    panel.legend(fontsize=8, loc="lower right")
    results.save_figure(drawing, folder / "huffman.png")


if __name__ == "__main__":
    main()
