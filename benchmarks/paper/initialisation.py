"""Figure 8: where centroids begin, against accuracy and the within-cluster sum of squares (WCSS), at 2 to 8 bits, with
and without fine-tuning: LeNet-300-100 at the paper's densities.

    DCZ_DATA=FOLDER python -m benchmarks.paper.initialisation
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from . import digits, results
from .networks import LeNet300100
from .stages import arrays, share, weights
from .training import tested
from .training_schedule import course, pruned

INITS = ("linear", "density", "random", "kmeans++", "optimal")
BITS = range(2, 9)
_EPOCHS = 1


def main() -> None:
    options = results.arguments(__doc__)
    torch.set_num_threads(1)
    data = digits.load()
    bits: Iterable[int] = BITS
    if options.quick:
        data, bits = data.first(128), (2, 3)
    rows: list[dict[str, object]] = []
    for seed in range(options.seeds):
        rows += measure(data, seed, bits, options.quick)
        print(f"seed {seed}: {len(rows)} rows", flush=True)
        results.write_csv(options.out / "figure_8.csv", rows)
        write(options.out, data)


def measure(data: digits.Digits, seed: int, bits: Iterable[int], quick: bool) -> list[dict[str, object]]:
    """One seed: every initialisation at every width, before and after fine-tuning."""
    model = pruned(course(LeNet300100, quick), data, seed)
    before = weights(arrays(model))
    energy = sum(float(np.square(array, dtype=np.float64).sum()) for array in before.values())
    reference = tested(model, data)[0]
    rows: list[dict[str, object]] = []
    for n_bits in bits:
        for init in INITS:
            schemes = {f"{layer}.weight": {"n_bits": n_bits, "init": init, "seed": seed} for layer in before}
            shared = share(model, schemes, data, 0, seed=seed)
            tuned = share(model, schemes, data, _EPOCHS, seed=seed)
            after = weights(arrays(shared))
            wcss = sum(float(np.square(before[x] - after[x], dtype=np.float64).sum()) for x in before)
            rows.append({
                "seed": seed,
                "bits": n_bits,
                "init": init,
                "wcss": wcss,
                "relative_wcss": wcss / energy,
                **dict(zip(("accuracy", "loss"), tested(shared, data))),
                **dict(zip(("accuracy_tuned", "loss_tuned"), tested(tuned, data))),
                "pruned_accuracy": reference,
            })  # fmt: skip
    return rows


def write(folder: Path, data: digits.Digits) -> None:
    """`figure_8.md` and `figure_8.png`, from the CSV file."""
    rows = results.read_csv(folder / "figure_8.csv")
    bits = sorted({int(row["bits"]) for row in rows})

    def of(field: str, n_bits: int, init: str) -> float:
        return mean(float(row[field]) for row in rows if (int(row["bits"]), row["init"]) == (n_bits, init))

    seeds = len({row["seed"] for row in rows})
    page = [
        "# Figure 8: initialisations\n",
        f"LeNet-300-100 at the paper's densities, {data.source}; means of {seeds} seeds, whose networks before "
        "clustering are"
        f"\n{mean(float(row['pruned_accuracy']) for row in rows):.2f}% accurate. {_EPOCHS} epoch of fine-tuning. Best "
        "in bold."
        " Made by `python -m benchmarks.paper.initialisation`.\n",
    ]
    for title, field, digit, low in (
        ("Accuracy before fine-tuning, %", "accuracy", 2, False),
        ("Accuracy after fine-tuning, %", "accuracy_tuned", 2, False),
        ("Loss before fine-tuning", "loss", 4, True),
        ("Loss after fine-tuning", "loss_tuned", 4, True),
        ("WCSS in % of the sum of squared weights", "relative_wcss", 4, True),
    ):
        lines = []
        for n_bits in bits:
            values = [of(field, n_bits, init) * (100 if "wcss" in field else 1) for init in INITS]
            best = min(values) if low else max(values)
            lines.append([n_bits, *(f"**{v:.{digit}f}**" if v == best else f"{v:.{digit}f}" for v in values)])
        page += [f"## {title}\n", results.table(["bits", *INITS], lines)]
    page.append("![Initialisations](figure_8.png)\n")
    (folder / "figure_8.md").write_text("\n".join(page))

    drawing, panels = results.figure(3, 4.4, 3.6)
    for panel, field, title, scale in (
        (panels[0], "accuracy", "accuracy before fine-tuning, %", 1),
        (panels[1], "accuracy_tuned", "accuracy after fine-tuning, %", 1),
        (panels[2], "relative_wcss", "WCSS, % of the squared weights", 100),
    ):
        for init, colour in zip(INITS, results.COLOURS):
            panel.plot(bits, [scale * of(field, b, init) for b in bits], ".-", color=colour, label=init)
        panel.set(xlabel="bits", title=title)
    panels[2].set_yscale("log")
    # Two bits lie far below; the differences that matter are above.
    for panel in panels[:2]:
        floor = min(
            (of(field, b, i) for field in ("accuracy", "accuracy_tuned") for b in bits[1:] for i in INITS), default=0
        )
        panel.set_ylim(bottom=floor - 0.3)
    panels[0].legend(fontsize=8)
    results.save_figure(drawing, folder / "figure_8.png")


if __name__ == "__main__":
    main()
