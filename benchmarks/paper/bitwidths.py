"""Table 6 and Figure 7: which layers bear how many bits. LeNet-5 at the paper's densities, CONV and FC layers
clustered at 1 to 8 bits, apart and together, without fine-tuning; some of them with.

    DCZ_DATA=FOLDER python -m benchmarks.paper.bitwidths
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import mean

import torch

from . import digits, results
from .networks import LeNet5, Network
from .stages import Schemes, arrays, packed, share
from .training import tested
from .training_schedule import course, pruned

GROUPS = {"CONV": ("conv1", "conv2"), "FC": ("ip1", "ip2")}
WIDE = 32  # left as it is
BITS = (1, 2, 3, 4, 5, 6, 8, WIDE)
TUNED = ((8, 5), (8, 4), (4, 4), (4, 2), (2, 2), (2, 4))
_EPOCHS = 1


def main() -> None:
    options = results.arguments(__doc__)
    torch.set_num_threads(1)
    data = digits.load()
    bits: Iterable[int] = BITS
    if options.quick:
        data, bits = data.first(128), (2, WIDE)
    rows: list[dict[str, object]] = []
    for seed in range(options.seeds):
        model = pruned(course(LeNet5, options.quick), data, seed)
        for conv in bits:
            for fc in bits:
                rows.append(measure(model, data, seed, conv, fc, 0))
        for layer in (name for names in GROUPS.values() for name in names):
            for each in bits:
                if each != WIDE:
                    schemes = {f"{layer}.weight": {"n_bits": each}}
                    rows.append(row(share(model, schemes, data, 0, seed=seed), data, seed, layer, each, "", 0))
        for conv, fc in TUNED[:1] if options.quick else TUNED:
            rows.append(measure(model, data, seed, conv, fc, _EPOCHS))
        print(f"seed {seed}: {len(rows)} rows", flush=True)
        results.write_csv(options.out / "table_6.csv", rows)
        write(options.out, data)


def measure(model: Network, data: digits.Digits, seed: int, conv: int, fc: int, epochs: int) -> dict[str, object]:
    """Both groups at some width."""
    schemes: Schemes = {
        f"{layer}.weight": {"n_bits": bits}
        for layers, bits in zip(GROUPS.values(), (conv, fc))
        for layer in layers
        if bits != WIDE
    }
    return row(share(model, schemes, data, epochs, seed=seed), data, seed, "all", conv, fc, epochs)


def row(
    model: Network, data: digits.Digits, seed: int, layers: str, conv: int, fc: int | str, epochs: int
) -> dict[str, object]:
    right, loss = tested(model, data)
    return {
        "seed": seed,
        "layers": layers,
        "conv_bits" : conv,
        "fc_bits": fc,
        "epochs": epochs,
        "accuracy": right,
        "loss": loss,
        "file_bytes": packed(arrays(model)).size,
    }  # fmt: skip


def write(folder: Path, data: digits.Digits) -> None:
    """`table_6.md` and `figure_7.png`, from the CSV file."""
    rows = results.read_csv(folder / "table_6.csv")
    bits = sorted({int(r["conv_bits"]) for r in rows if r["layers"] == "all" and r["epochs"] == "0"})

    def of(field: str, layers: str, conv: int, fc: int | str, epochs: int = 0) -> float:
        found = [float(r[field]) for r in rows if (r["layers"], r["conv_bits"], r["fc_bits"], r["epochs"]) ==
                 (layers, str(conv), str(fc), str(epochs))]  # fmt: skip
        return mean(found)

    def square(field: str, form: str) -> str:
        lines = [[conv, *(format(of(field, "all", conv, fc), form) for fc in bits)] for conv in bits]
        return results.table(["CONV \\ FC", *map(str, bits)], lines)

    reference = of("accuracy", "all", WIDE, WIDE)
    page = [
        "# Table 6 and Figure 7: bits of CONV and FC layers\n",
        f"LeNet-5 at the paper's densities, {data.source}; means over {len({r['seed'] for r in rows})} seed(s)."
        f"\n`n_bits` of CONV down, of FC across, {WIDE} is unclustered: {reference:.2f}% accurate. Linear "
        "initialisation. Made by"
        " `python -m benchmarks.paper.bitwidths`.\n",
        "## Accuracy without fine-tuning, %\n",
        square("accuracy", ".2f"),
        "## File, bytes\n",
        square("file_bytes", ",.0f"),
        f"## With {_EPOCHS} epoch of fine-tuning\n",
    ]  # fmt: skip
    tuned = [
        (c, f)
        for c, f in TUNED
        if any((r["conv_bits"], r["fc_bits"], r["epochs"]) == (str(c), str(f), str(_EPOCHS)) for r in rows)
    ]
    lines = []
    for c, f in tuned:
        before = f"{of('accuracy', 'all', c, f):.2f}" if c in bits and f in bits else ""
        lines.append(
            [
                f"{c} / {f}",
                before,
                f"{of('accuracy', 'all', c, f, _EPOCHS):.2f}",
                f"{of('file_bytes', 'all', c, f, _EPOCHS):,.0f}",
            ]
        )
    page.append(results.table(["CONV / FC bits", "before", "after", "file, bytes"], lines))
    layers = [name for names in GROUPS.values() for name in names]
    narrow = [b for b in bits if b != WIDE]
    page += [
        "## One layer alone, accuracy in %\n",
        results.table(
            ["layer", *map(str, narrow)], [[x, *(f"{of('accuracy', x, b, ''):.2f}" for b in narrow)] for x in layers]
        ),
        "![Bits against accuracy](figure_7.png)\n",
    ]
    (folder / "table_6.md").write_text("\n".join(page))

    drawing, panels = results.figure(2, 5.0, 3.6)
    for label, pairs, colour in (
        ("CONV alone", [(b, WIDE) for b in narrow], results.COLOURS[0]),
        ("FC alone", [(WIDE, b) for b in narrow], results.COLOURS[1]),
        ("all layers", [(b, b) for b in narrow], results.COLOURS[6]),
    ):
        panels[0].plot(narrow, [of("accuracy", "all", c, f) for c, f in pairs], ".-", color=colour, label=label)
    for layer, colour in zip(layers, results.COLOURS):
        panels[1].plot(
            narrow, [of("accuracy", layer, b, "") for b in narrow], ".-", color=colour, label=f"{layer} alone"
        )
    for panel in panels:
        panel.axhline(reference, color="grey", lw=0.8, ls="--")
        panel.set(xlabel="bits", ylabel="held-out accuracy, %, no fine-tuning")
        panel.legend(fontsize=8, loc="lower right")
    results.save_figure(drawing, folder / "figure_7.png")


if __name__ == "__main__":
    main()
