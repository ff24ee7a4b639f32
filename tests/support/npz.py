"""numpy's files made by hand, and read by way of dcz."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np

from dcz.convert import open_model


def read(path: Path) -> dict[str, np.ndarray]:
    with open_model(path) as model:
        found = {tensor.name: model.read(tensor.name) for tensor in model.tensors()}
        assert {t.name: (t.shape, t.dtype.numpy()) for t in model.tensors()} == {
            name: (array.shape, array.dtype.newbyteorder("<")) for name, array in found.items()
        }
        return found


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def archive(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as file:
        warnings.simplefilter("ignore", UserWarning)  # of a name twice
        for name, data in members:
            file.writestr(name, data)
    return path
