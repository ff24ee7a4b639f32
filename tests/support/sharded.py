"""A small sharded safetensors checkpoint, with tied weights and tensors of equal words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcz.convert import open_target
from dcz.convert.model import Tensor
from dcz.dtypes import by_code

# Bytes of arrays in a file that it is packed to.
SHARD = 150_000


@dataclass(frozen=True)
class Source:
    """The index of a sharded checkpoint, and the files that one run packs it to."""

    index: Path
    files: dict[str, bytes]


def write(folder: Path, shards: int = 3, layers: int = 3, rows: int = 60, seed: int = 0) -> Path:
    """Writes the shards and their index; returns the index's path."""
    rng, where = np.random.default_rng(seed), {}
    folder.mkdir(exist_ok=True)
    shared = _weights(rng, rows)
    for shard in range(1, shards + 1):
        tensors = {f"model.layers.{shard}.mlp.{i}.weight": _weights(rng, rows) for i in range(layers)}
        tensors[f"model.layers.{shard}.mlp.twin"] = tensors[f"model.layers.{shard}.mlp.0.weight"].copy()
        tensors[f"model.layers.{shard}.norm.weight"] = np.ones(7, "f4")
        tensors[f"model.layers.{shard}.shared"] = shared
        tensors[f"model.layers.{shard}.empty"] = np.zeros((0, 3), "f4")
        file = f"model-{shard:05d}-of-{shards:05d}.safetensors"
        target = open_target(folder / file)
        target.begin([Tensor(n, by_code("F32", n), a.shape) for n, a in tensors.items()], {}, {"format": "pt"})
        for name, array in tensors.items():
            target.add(name, array)
        target.close()
        where |= dict.fromkeys(tensors, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1, "made by": "a test"}, "weight_map": where}))
    return index


def _weights(rng: np.random.Generator, rows: int) -> np.ndarray:
    values = rng.standard_normal(16).astype("f4")
    return (values[rng.integers(0, 16, (rows, 100))] * (rng.random((rows, 100)) < 0.3)).astype("f4")


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without the records of jobs."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".job.json")}
