"""Arrays in a folder, mapped by every process that measures: one copy in the page cache for all of them."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np

_ALIGN = 4096
_DTYPES = {"bfloat16": np.dtype(ml_dtypes.bfloat16)}


def write(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `arrays` as `folder/name.bin` and what they are as `folder/name.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    with open(folder / f"{name}.bin", "wb") as file:
        for key, array in arrays.items():
            file.write(bytes(-file.tell() % _ALIGN))
            entries.append([key, array.dtype.name, list(array.shape), file.tell()])
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        file.write(b"\0")  # nothing to map otherwise
    (folder / f"{name}.json").write_text(json.dumps(entries))


def read(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays, mapped and read-only, their pages already there."""
    with open(folder / f"{name}.bin", "rb") as file:
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        memory = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
    out = {}
    for key, dtype, shape, offset in json.loads((folder / f"{name}.json").read_text()):
        kind = _DTYPES.get(dtype) or np.dtype(dtype)
        out[key] = np.frombuffer(memory, kind, int(np.prod(shape)), offset).reshape(shape)
    return out


def bits(array: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers: what equality, zero and uniqueness mean here."""
    return array.reshape(-1).view(f"u{array.dtype.itemsize}")
