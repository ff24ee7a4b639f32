"""Bits and densities by `dcz.plan`: after training without fine-tuning, and for pruned networks that are fine-tuned.

DCZ_DATA=FOLDER python -m benchmarks.paper.planning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch.nn import functional

import dcz

from . import digits, results
from .networks import LeNet300100, Network
from .stages import arrays, packed, revived, share
from .training import tested
from .training_schedule import COURSES, Course, course, dense, pruned

RATIOS = (10, 15, 20)
_SCORED = 2000  # images to train on that the plan is scored with: never those that are held out
_DROPS = (0.002, 0.02)  # of the loss on them
_BITS = (1, 2, 3, 4, 5, 6)
_ENTROPY = 0.01

Tensors = Mapping[str, np.ndarray]


def main() -> None:
    options = results.arguments(__doc__)
    torch.set_num_threads(1)
    data = digits.load()
    if options.quick:
        data = data.first(128)
    rows: list[dict[str, object]] = []
    for seed in range(options.seeds):
        for row in post_training(course(LeNet300100, options.quick), data, seed, options.quick):
            rows.append(row)
            print(*row.values(), flush=True)
        for each in COURSES[:1] if options.quick else COURSES:
            for row in trained(course(each.kind, options.quick), data, seed, _DROPS[:1] if options.quick else _DROPS):
                rows.append(row)
                print(*row.values(), flush=True)
            results.write_csv(options.out / "planning.csv", rows)
            write(options.out, data)


def score(kind: type[Network], data: digits.Digits):
    """The loss on images to train on, negative, as `dcz.plan` wants it: larger is better."""
    images, labels = data.images[:_SCORED], data.labels[:_SCORED]

    @torch.no_grad()
    def evaluate(tensors: Tensors) -> float:
        model = revived(kind, tensors)
        return -float(functional.cross_entropy(model(images), labels))

    return evaluate


def post_training(what: Course, data: digits.Digits, seed: int, quick: bool) -> Iterator[dict[str, object]]:
    """The dense reference at a size: the same density and bits everywhere, planned on errors, planned on the score."""
    tensors = arrays(dense(what, data, seed))
    grid: dict[str, object] = {"densities": [1.0, 0.1], "n_bits": [2, 5]} if quick else {}
    for ratio in RATIOS[:1] if quick else RATIOS:
        for how in ("errors", "score"):
            extra = {"evaluate": score(what.kind, data)} if how == "score" else {}
            planned = dcz.plan(tensors, target_ratio=ratio, recipe={"weight_threshold": 0}, **grid, **extra)
            yield row(what, seed, f"planned on {how}", ratio, dcz.compress(tensors, planned.recipe), data)
        yield row(what, seed, "the same for all, 5 bits", ratio, uniform(tensors, ratio), data)


def uniform(tensors: Tensors, ratio: float) -> dict[str, np.ndarray]:
    """Five bits and the largest density at which the file is small enough, by bisection."""
    low, high = 0.001, 1.0
    for _ in range(9):
        middle = (low * high) ** 0.5
        small = dcz.compress(tensors, {"density": middle, "n_bits": 5, "weight_threshold": 0})
        low, high = (middle, high) if packed(small).ratio >= ratio else (low, middle)
    return dict(dcz.compress(tensors, {"density": low, "n_bits": 5, "weight_threshold": 0}))


def trained(what: Course, data: digits.Digits, seed: int, drops: tuple[float, ...]) -> Iterator[dict[str, object]]:
    """The network of the smallest densities: bits of each layer planned on the score, then fine-tuned."""
    model = pruned(what, data, seed, len(what.levels))
    tensors = arrays(model)
    base = {"weight_threshold": 0, "entropy": _ENTROPY}
    biases = {
        variant: keys for variant, keys in what.levels[-1].variants[-1].schemes.items() if variant.endswith("bias")
    }
    for drop in drops:
        planned = dcz.plan(
            tensors, max_drop=drop, evaluate=score(what.kind, data), densities=[1.0], n_bits=_BITS, recipe=base
        )
        chosen = {tensor.name: tensor.n_bits for tensor in planned.tensors if tensor.n_bits is not None}
        schemes = {**{name: {"n_bits": bits, "entropy": _ENTROPY} for name, bits in chosen.items()}, **biases}
        shared = share(model, schemes, data, what.share_epochs, seed=seed)
        bits = " ".join(f"{name.removesuffix('.weight')}:{bits}" for name, bits in chosen.items())
        yield row(what, seed, f"{what.levels[-1].title}, planned", drop, arrays(shared), data, bits)


def row(
    what: Course, seed: int, how: str, target: float, tensors: Tensors, data: digits.Digits, bits: str = ""
) -> dict[str, object]:
    file = packed(tensors)
    return {
        "network": what.kind.title,
        "seed": seed,
        "how": how,
        "target": target,
        "accuracy": tested(revived(what.kind, tensors), data)[0],
        "file_bytes": file.size,
        "times": file.ratio,
        "bits": bits,
    }


def write(folder: Path, data: digits.Digits) -> None:
    """`planning.md` and `planning.png`, from the CSV file."""
    rows = results.read_csv(folder / "planning.csv")

    def of(network: str, how: str, target: str, field: str) -> list[float]:
        return [float(r[field]) for r in rows if (r["network"], r["how"], r["target"]) == (network, how, target)]

    title = LeNet300100.title
    after = [r for r in rows if "%" not in r["how"]]
    hows = list(dict.fromkeys(r["how"] for r in after))
    targets = list(dict.fromkeys(r["target"] for r in after))
    page = [
        "# Plans\n",
        f"{data.source}; mean ± standard deviation of {len({r['seed'] for r in rows})} seed(s). Scores are losses on "
        f"{_SCORED:,}"
        " images of those trained on. Made by `python -m benchmarks.paper.planning`.\n",
        f"## {title} after training, without any fine-tuning: held-out accuracy, %\n",
        results.table(
            ["times smaller", *hows],
            [[t, *(results.spread(of(title, how, t, "accuracy")) for how in hows)] for t in targets],
        ),
        "## Bits planned for a pruned network, then fine-tuned\n",
    ]
    lines = []
    for network, how, target in dict.fromkeys((r["network"], r["how"], r["target"]) for r in rows if "%" in r["how"]):
        bits = ", ".join(
            dict.fromkeys(r["bits"] for r in rows if (r["network"], r["how"], r["target"]) == (network, how, target))
        )
        lines.append([
            f"{network}, {how}",
            target,
            results.spread(of(network, how, target, "accuracy")),
            f"{mean(of(network, how, target, 'file_bytes')):,.0f}",
            results.spread(of(network, how, target, "times"), 1),
            bits,
        ])  # fmt: skip
    page += [results.table(["what", "loss may rise by", "accuracy %", "file, bytes", "times", "bits, by seed"], lines)]
    page.append("![Plans](planning.png)\n")
    (folder / "planning.md").write_text("\n".join(page))
    drawing, (panel,) = results.figure(1, 6.0, 3.8)
    for how, colour in zip(hows, results.COLOURS):
        times = [mean(of(title, how, t, "times")) for t in targets]
        panel.plot(times, [mean(of(title, how, t, "accuracy")) for t in targets], ".-", color=colour, label=how)
    panel.set(xlabel="times smaller (whole file)", ylabel="held-out accuracy, %", title=f"{title}, no fine-tuning")
    panel.legend(fontsize=8)
    results.save_figure(drawing, folder / "planning.png")


if __name__ == "__main__":
    main()
