"""The models that are measured: published ones from a data folder, and synthetic ones made here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.suite import clusters, models
from benchmarks.suite.harness import storage

SQUEEZENET, ALEXNET, VGG = "squeezenet", "alexnet", "vgg16"
PALETTE_F32, PALETTE_F16, BFLOAT16, PRUNED = "palette-f32", "palette-f16", "bf16", "pruned"

TITLES = {
    SQUEEZENET: "SqueezeNet, the published `.net` file",
    ALEXNET: "AlexNet-shaped, pruned to 11% and clustered (synthetic)",
    VGG: "VGG-16-shaped, pruned and clustered (synthetic)",
    PALETTE_F32: "dense palette of 16, float32",
    PALETTE_F16: "dense palette of 16, float16",
    BFLOAT16: "dense bfloat16, Gaussian",
    PRUNED: "pruned to 10%, not clustered, float32",
}


class Unavailable(Exception):
    """This input cannot be had here; says why."""


@dataclass(frozen=True)
class Sizes:
    """How large the synthetic models are: `--quick` makes them tiny."""

    vgg: float = 0.25
    side: int = 4096
    quick: bool = False


QUICK = Sizes(vgg=0.01, side=256, quick=True)


def build(name: str, sizes: Sizes) -> dict[str, np.ndarray]:
    """The tensors of one input."""
    side = sizes.side
    makers: dict[str, Callable[[], dict[str, np.ndarray]]] = {
        SQUEEZENET: squeezenet,
        ALEXNET: lambda: models.build(models.LENET_300_100 if sizes.quick else models.ALEXNET),
        VGG: lambda: models.build(models.scaled(models.VGG_16, sizes.vgg)),
        PALETTE_F32: lambda: models.palette(side, side, 16, "float32"),
        PALETTE_F16: lambda: models.palette(side, side, 16, "float16"),
        BFLOAT16: lambda: models.bfloat16(side, side),
        PRUNED: lambda: models.pruned(side, side, 0.1),
    }
    return makers[name]()


def squeezenet() -> dict[str, np.ndarray]:
    """The published network, if the folder that `DCZ_DATA` names has it."""
    source, shapes = squeezenet_files()
    from dcz.convert import open_model

    with open_model(source, shapes=shapes) as model:
        return {tensor.name: model.read(tensor.name) for tensor in model.tensors()}


def squeezenet_files() -> tuple[Path, Path]:
    """The `.net` file and its prototxt."""
    if not os.environ.get("DCZ_DATA"):
        raise Unavailable("DCZ_DATA names no folder with compressed_SqueezeNet.net and SqueezeNet_deploy.prototxt")
    folder = Path(os.environ["DCZ_DATA"])
    files = folder / "compressed_SqueezeNet.net", folder / "SqueezeNet_deploy.prototxt"
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise Unavailable(f"the folder DCZ_DATA has no {' and no '.join(missing)}")
    return files


@dataclass(frozen=True)
class Model:
    """An input as a peer sees it."""

    name: str
    tensors: dict[str, np.ndarray]
    clustered: dict[str, clusters.Clustered]

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.tensors.values())

    @property
    def weights_clustered(self) -> bool:
        """Whether cluster indices describe the model: all but its small tensors have a codebook."""
        return sum(self.tensors[name].nbytes for name in self.clustered) > 0.9 * self.nbytes


def prepare(name: str, sizes: Sizes, folder: Path) -> None:
    """Builds an input and leaves it in `folder` for the processes that measure."""
    tensors = build(name, sizes)
    storage.write(folder, "tensors", tensors)
    storage.write(folder, "clusters", clusters.find(tensors))


def open_prepared(name: str, folder: Path) -> Model:
    """What `prepare` left, mapped."""
    tensors = storage.read(folder, "tensors")
    parts = storage.read(folder, "clusters")
    clustered = {
        key.removesuffix(":codes"): clusters.Clustered(parts[f"{key.removesuffix(':codes')}:codebook"], codes)
        for key, codes in parts.items()
        if key.endswith(":codes")
    }
    return Model(name, tensors, clustered)
