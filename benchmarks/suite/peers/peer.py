"""What every peer is: a name, a version, encode and decode. One file each, all with the same skeleton."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks.suite.inputs import Model

Tensors = dict[str, np.ndarray]


class Peer(ABC):
    """Something that puts a model into a file and takes it out again, bit for bit.

    `package` is what must be installed, `threads` the thread counts it can be asked for, `slow` says that it
    encodes for minutes: it is timed once, and not on every input. `environment` is set in its process.
    `fills` says that it decodes into the caller's arrays; for others warm memory is what their allocator kept.
    """

    name: str
    package: str
    threads: tuple[int, ...] = (1,)
    slow = False
    fills = False
    environment: dict[str, str] = {}

    @property
    def version(self) -> str:
        return metadata.version(self.package)

    def prepare(self) -> None:
        """Imports what it needs: raises where that is not installed."""

    def refuses(self, model: Model) -> str | None:
        """Why this model is none for it, or None."""
        return None

    @abstractmethod
    def encode(self, model: Model, path: Path, threads: int) -> None:
        """Writes the model to `path`."""

    @abstractmethod
    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        """The tensors of the file at `path`."""


def no_clusters(model: Model) -> str | None:
    """The refusal of peers that code cluster indices."""
    return None if model.weights_clustered else "no codebook: it has more than 256 distinct values"
