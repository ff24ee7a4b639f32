"""HDF5 files as plain values, and Keras archives made by hand."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install 'dcz[hdf5]')")


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with h5py.File(path.parent / "inner.h5", "w") as file:
        file["layers/dense/vars/0"] = np.arange(2000.0)
    members = {"model.weights.h5": (path.parent / "inner.h5").read_bytes()} | members
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    os.remove(path.parent / "inner.h5")
    return path


def described(item: object, name: str = "/") -> dict[str, object]:
    """Everything of a file: order, kinds, and of each attribute the stored type, the space and the values."""
    out: dict[str, object] = {}
    for key in item.attrs:
        attribute = h5py.h5a.open(item.id, key.encode())
        value = item.attrs[key]
        plain = value if isinstance(value, (str, h5py.Empty)) else np.asarray(value).tolist()
        bits = None if isinstance(plain, (str, h5py.Empty)) else np.asarray(value).tobytes()
        bits = None if np.asarray(value).dtype.kind == "O" else bits
        out[f"{name} @{key}"] = (attribute.get_type().encode(), attribute.get_space().encode(), repr(plain), bits)
    if isinstance(item, h5py.Group):
        item = item["/"] if name == "/" else item  # which knows its order, as a file does not
        ordered = item.id.get_create_plist().get_link_creation_order()
        out[name] = (list(item), list(item.attrs), ordered)
        for key in item:
            out |= described(item[key], f"{name}{key}/")
    else:
        out[name] = (item.dtype, item.shape, item[()].tobytes(), list(item.attrs))
    return out
