"""Make a sharded checkpoint of any size, as a language model has one, tensor by tensor.

    python -m benchmarks.studies.scale.checkpoint FOLDER [SIZE] [--shard-size 1GB] [--hidden 4096] [--seed 0]

SIZE is that of all tensors, such as 10GB (the default is 1GB). A third of the matrices are dense bfloat16, a third
pruned to 10 % of their weights, and a third clustered to 16 values and pruned to 25 %; the first tensor is an embedding
that takes a tenth of the whole. The same arguments make the same bytes. Memory holds one block of 32 MB at a time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcz.convert.shards import parse_size

INDEX = "model.safetensors.index.json"
KINDS = ("dense", "pruned", "clustered")
# Words that are made at once.
BLOCK = 1 << 24
# Projections of one layer: their names, and their rows as a multiple of the hidden size.
PROJECTIONS = (
    ("self_attn.q_proj", 1),
    ("self_attn.k_proj", 0.25),
    ("self_attn.v_proj", 0.25),
    ("self_attn.o_proj", 1),
    ("mlp.gate_proj", 3.5),
    ("mlp.up_proj", 3.5),
    ("mlp.down_proj", 3.5),
)


@dataclass(frozen=True)
class Matrix:
    """A bfloat16 tensor of the checkpoint; `kind` is one of KINDS."""

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def nbytes(self) -> int:
        """Return the bytes of the tensor."""
        return 2 * prod(self.shape)


def matrices(size: int, hidden: int = 4096) -> Iterator[Matrix]:
    """Yield the tensors of a model of about `size` bytes, in the order of their files.

    >>> [each.name for each in matrices(100_000, hidden=64)][:2]
    ['model.embed_tokens.weight', 'model.layers.0.self_attn.q_proj.weight']
    """
    first = Matrix("model.embed_tokens.weight", (max(1, size // 20 // hidden), hidden), "dense")
    yield first
    left, layer, number = size - first.nbytes, 0, 0
    while left > 0:
        for name, rows in PROJECTIONS:
            each = Matrix(f"model.layers.{layer}.{name}.weight", (int(rows * hidden), hidden), KINDS[number % 3])
            yield each
            left, number = left - each.nbytes, number + 1
            if left <= 0:
                return
        layer += 1


def blocks(matrix: Matrix, rng: np.random.Generator) -> Iterator[NDArray[np.uint16]]:
    """Yield the words of a tensor, BLOCK at a time."""
    centres = _bfloat16(rng.standard_normal(16, np.float32))
    for first in range(0, prod(matrix.shape), BLOCK):
        n = min(BLOCK, prod(matrix.shape) - first)
        if matrix.kind == "clustered":
            words = centres[rng.integers(0, 16, n, np.uint8)]
        else:
            words = _bfloat16(rng.standard_normal(n, np.float32))
        if matrix.kind != "dense":
            words[rng.random(n, np.float32) >= (0.1 if matrix.kind == "pruned" else 0.25)] = 0
        yield words


def _bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def write(folder: Path, size: int, shard_size: int = 10**9, hidden: int = 4096, seed: int = 0) -> Path:
    """Write a checkpoint of about `size` bytes to a folder, and return its index."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[list[Matrix]] = [[]]
    for matrix in matrices(size, hidden):
        if shards[-1] and sum(each.nbytes for each in shards[-1]) + matrix.nbytes > shard_size:
            shards.append([])
        shards[-1].append(matrix)
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(folder / file, shard, (seed, number))
        where |= {each.name: file for each in shard}
    total = sum(each.nbytes for shard in shards for each in shard)
    index = folder / INDEX
    index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=1))
    return index


def _write_shard(path: Path, shard: list[Matrix], seed: tuple[int, int]) -> None:
    header, at = {}, 0
    for each in shard:
        header[each.name] = {"dtype": "BF16", "shape": list(each.shape), "data_offsets": [at, at + each.nbytes]}
        at += each.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for number, each in enumerate(shard):
            for words in blocks(each, np.random.default_rng((*seed, number))):
                file.write(words)


def main() -> None:
    """Make a checkpoint by the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("size", type=parse_size, nargs="?", default="1GB")
    parser.add_argument("--shard-size", type=parse_size, default="1GB")
    parser.add_argument("--hidden", type=int, default=4096, help="columns of every matrix")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(write(args.folder, args.size, args.shard_size, args.hidden, args.seed))


if __name__ == "__main__":
    main()
