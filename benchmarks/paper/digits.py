"""Handwritten digits to train on: the 10,000 images of MNIST's test file, or scikit-learn's bundled 8x8 digits.

The folder is named by the environment variable DCZ_DATA and holds `mnist/t10k-images-idx3-ubyte.gz` and
`mnist/t10k-labels-idx1-ubyte.gz`. A fixed fifth of the images, the same for every seed, is held out.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_SPLIT = 10_000
_HELD_OUT = 5  # one image in five
SIDE = 28


@dataclass(frozen=True)
class Digits:
    """Images are (n, 1, 28, 28) float32 from 0 to 1, labels (n,) int64."""

    source: str
    images: Tensor
    labels: Tensor
    held_out_images: Tensor
    held_out_labels: Tensor

    def first(self, count: int) -> Digits:
        """The same with at most `count` images to train on and to test on."""
        return Digits(self.source, *(part[:count] for part in self._parts()))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.images, self.labels, self.held_out_images, self.held_out_labels


def load() -> Digits:
    """MNIST's test file where DCZ_DATA has it, else scikit-learn's digits, enlarged to 28x28."""
    folder = Path(os.environ.get("DCZ_DATA", "")) / "mnist"
    if os.environ.get("DCZ_DATA") and folder.is_dir():
        images = _idx(folder / "t10k-images-idx3-ubyte.gz", 3).astype(np.float32) / 255
        labels = _idx(folder / "t10k-labels-idx1-ubyte.gz", 1).astype(np.int64)
        return _split("MNIST, the 10,000 images of its test file", torch.from_numpy(images)[:, None], labels)
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.from_numpy(found.images.astype(np.float32) / 16)[:, None]
    images = functional.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return _split("scikit-learn's 1,797 digits, enlarged from 8x8", images, found.target.astype(np.int64))


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of an IDX file of bytes: two zeros, 8 for uint8, dimensions, sizes (big-endian), data."""
    data = gzip.decompress(path.read_bytes())
    if data[:4] != bytes([0, 0, 8, dimensions]):
        raise SystemExit(f"{path}: expected an IDX file of bytes in {dimensions} dimensions, found {data[:4].hex()}")
    shape = np.frombuffer(data, ">u4", dimensions, 4).astype(int)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _split(source: str, images: Tensor, labels: np.ndarray) -> Digits:
    order = torch.from_numpy(np.random.Generator(np.random.PCG64(_SPLIT)).permutation(len(labels)))
    test, train = order[: len(order) // _HELD_OUT], order[len(order) // _HELD_OUT :]
    target = torch.from_numpy(labels)
    return Digits(source, images[train], target[train], images[test], target[test])
