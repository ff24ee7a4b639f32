"""Small files to fuzz from, written to a folder: every layout and code, and differences to a base.

PYTHONPATH=tests python codec/c/fuzz/seeds.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import dcz
from dcz.tensor import PROFILES
from support.arrays import make_array
from support.forging import forge, zoo
from support.pairs import changed, delta


def seeds() -> dict[str, bytes]:
    """Files by name; their indexes are not compressed, so that changes mean something."""
    tensors = zoo()
    files = {f"tensor{i}": forge({name: tensor}, raw=True) for i, (name, tensor) in enumerate(tensors.items())}
    files["all"], files["compressed"] = forge(tensors, raw=True), forge(tensors)
    lanes = make_array(7, "F32", (24_000,), 0.1, 20, "float")
    for profile in PROFILES:
        files[f"lanes, {profile}"] = dcz.save({"w": lanes}, profile=profile)
    for i, transform in enumerate(("step", "xor", "replace")):
        base = {code: make_array(i, code, (300,), 0.7, 40, "float") for code in ("F32", "BF16", "U8")}
        new = {code: changed(array, i, 0.1, "near") for code, array in base.items()}
        files[transform] = delta(new, base, transform=transform)
    return files


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (folder / name).write_bytes(data)
