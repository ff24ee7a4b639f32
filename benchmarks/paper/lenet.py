"""Tables 1 to 3: LeNet-300-100 and LeNet-5 on digits, trained, pruned, clustered, fine-tuned and packed; first with the
paper's densities and bits, then as far beyond as accuracy holds.

    DCZ_DATA=FOLDER python -m benchmarks.paper.lenet [--network LeNet-5]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import dcz

from . import digits, lenet_page, results
from .accounting import Network as Accounted
from .lenet_page import CONTROL, DENSE, PAPER
from .stages import accounted, arrays, filled, packed, paper_schemes, share
from .training import tested
from .training_schedule import COURSES, Course, control, course, dense, pruned, shared

PRUNED = "pruned to the paper's densities"
BEFORE = f"{PAPER}, before fine-tuning"


@dataclass(frozen=True)
class Stage:
    """A network at one point of its course."""

    network: str
    seed: int
    title: str
    accuracy: float
    loss: float
    tensors: Mapping[str, np.ndarray]

    def row(self) -> dict[str, object]:
        """The whole network."""
        file = packed(self.tensors)
        paper: Accounted | None = accounted(self.tensors) if self.clustered else None
        return {
            "network": self.network,
            "seed": self.seed,
            "stage": self.title,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "kept": 100 * self.nonzeros / self.weights,
            "file_bytes": file.size,
            "times": file.ratio,
            "file_bytes_paper_profile": packed(self.tensors, "paper").size,
            "rate_pq": paper.rate_pq if paper else "",
            "rate_pqh": paper.rate_pqh if paper else "",
        }

    def layers(self) -> list[dict[str, object]]:
        """Each layer, by the paper's arithmetic and by what the file stores of it."""
        stored = {tensor.name: tensor for tensor in packed(self.tensors).tensors}
        out: list[dict[str, object]] = []
        for layer in accounted(self.tensors).layers if self.clustered else ():
            tensor = stored[f"{layer.name}.weight"]
            out.append({
                "network": self.network,
                "seed": self.seed,
                "stage": self.title,
                "layer": layer.name,
                "weights": layer.weights,
                "kept": layer.kept,
                "fillers": layer.fillers,
                "clusters": tensor.clusters,
                "weight_bits_pq": layer.weight_pq,
                "weight_bits_pqh": layer.weight_pqh,
                "index_bits_pq": layer.index_pq,
                "index_bits_pqh": layer.index_pqh,
                "rate_pq": layer.rate_pq,
                "rate_pqh": layer.rate_pqh,
                "stored": 100 * tensor.stored / tensor.dense,
                "stored_bytes": tensor.stored,
                "fixed_width_bytes": tensor.fixed_width,
                "positions": tensor.layout,
            })  # fmt: skip
        return out

    @property
    def weights(self) -> int:
        return sum(array.size for name, array in self.tensors.items() if name.endswith("weight"))

    @property
    def nonzeros(self) -> int:
        return sum(int(np.count_nonzero(array)) for name, array in self.tensors.items() if name.endswith("weight"))

    @property
    def clustered(self) -> bool:
        return self.title not in (DENSE, CONTROL, PRUNED) and not self.title.endswith("pruned only")


def run(what: Course, data: digits.Digits, seed: int, note: Callable[[Stage], None]) -> None:
    """All stages of one seed."""

    def stage(title: str, tensors: Mapping[str, np.ndarray]) -> None:
        note(Stage(what.kind.title, seed, title, *tested(filled(what.kind, tensors), data), tensors))

    stage(DENSE, arrays(dense(what, data, seed)))
    if seed < what.control_seeds:
        stage(CONTROL, arrays(control(what, data, seed)))
    schemes = paper_schemes(what.bits)
    for number, level in enumerate(what.levels, 1):
        model = pruned(what, data, seed, number)
        stage(PRUNED if number == 1 else f"{level.title}, pruned only", arrays(model))
        if number == 1:
            stage(BEFORE, arrays(share(model, schemes, data, 0, seed=seed)))
            stage(PAPER, shared(what, data, seed, number, schemes))
        for variant in level.variants:
            stage(f"{level.title}, {variant.title}", shared(what, data, seed, number, variant.schemes))


def main() -> None:
    options = results.arguments(__doc__, network=[each.kind.title for each in COURSES])
    torch.set_num_threads(1)
    data = digits.load()
    if options.quick:
        data = data.first(128)
    for each in COURSES:
        if options.network not in (None, each.kind.title):
            continue
        stages: list[Stage] = []
        begin = time.perf_counter()

        def note(stage: Stage) -> None:
            stages.append(stage)
            seconds = time.perf_counter() - begin
            print(f"{seconds:4.0f} s  {stage.network} {stage.seed} {stage.title}: {stage.accuracy:.2f}%", flush=True)

        for seed in range(options.seeds):
            run(course(each.kind, options.quick), data, seed, note)
            write(
                options.out, each.kind.title, stages
            )  # after every seed: a long run that is cut short leaves what it has
    if all((options.out / f"{each.kind.title.lower()}.csv").exists() for each in COURSES):
        lenet_page.write(options.out, data)


def write(folder: Path, title: str, stages: list[Stage]) -> None:
    """The numbers, and the networks of seed 0 that are small."""
    stem = title.lower()
    results.write_csv(folder / f"{stem}.csv", [stage.row() for stage in stages])
    results.write_csv(folder / f"{stem}-layers.csv", [row for stage in stages for row in stage.layers()])
    smallest = lenet_page.chosen(results.read_csv(folder / f"{stem}.csv"))
    for name, wanted in (("paper", PAPER), ("smallest", smallest)):
        tensors = next(stage.tensors for stage in stages if (stage.seed, stage.title) == (0, wanted))
        dcz.save_file(dict(tensors), folder / f"{stem}-{name}.dcz", metadata={"stage": wanted, "seed": 0})


if __name__ == "__main__":
    main()
