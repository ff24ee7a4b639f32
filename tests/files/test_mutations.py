"""Small valid files with bytes changed, dropped and doubled: the right answer or one error of dcz, for every format."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.errors import DczError
from support.net import PROTOTXT, SHAPES, encode

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 0, 255], np.uint8)}
COUNT = 150


def safetensors_file(folder: Path) -> Path:
    save_file(TENSORS, folder / "m.safetensors", metadata={"c": "a", "format": "pt"})
    return folder / "m.safetensors"


def bitmask_file(folder: Path) -> Path:
    mask = np.packbits(np.eye(9, dtype=bool), axis=1, bitorder="little")
    parts = {
        "shape": np.array([9, 9]),
        "compressed": np.ones(9, np.float32),
        "row_offsets": np.arange(9),
        "bitmask": mask,
    }
    save_file({f"w.{name}": array for name, array in parts.items()}, folder / "m.safetensors")
    return folder / "m.safetensors"


def gguf_file(folder: Path) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 3)
    head += text("n") + struct.pack("<II", 4, 3) + text("s") + struct.pack("<I", 8) + text("llama")
    head += text("l") + struct.pack("<IIQ", 9, 8, 2) + text("x") + text("yz")
    head += text("w") + struct.pack("<IQIQ", 1, 4, 0, 0) + text("q") + struct.pack("<IQQIQ", 2, 32, 2, 2, 32)
    (folder / "m.gguf").write_bytes(head + bytes(-len(head) % 32) + bytes(range(96)))
    return folder / "m.gguf"


def net_file(folder: Path) -> Path:
    (folder / "m.net").write_bytes(encode(SHAPES)[0])
    (folder / "m.prototxt").write_text(PROTOTXT)
    return folder / "m.net"


def index_file(folder: Path) -> Path:
    save_file({"a": TENSORS["a"]}, folder / "1.safetensors")
    save_file({"b": TENSORS["b"]}, folder / "2.safetensors")
    document = {"metadata": {"total_size": 27, "c": "a"}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (folder / "m.safetensors.index.json").write_text(json.dumps(document))
    return folder / "m.safetensors.index.json"


def dcz_file(folder: Path) -> Path:
    dcz.save_file({**TENSORS, "c": TENSORS["a"]}, folder / "m.dcz", metadata={"n": [1, {"x": None}]})
    return folder / "m.dcz"


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three changes of a few bytes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randrange(len(out) + 1), rng.choice((1, 1, 1, 2, 4, 8))
        kind = rng.randrange(4)
        if kind == 0:
            out[at : at + size] = bytes(rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7B, 0x7D, 0x22)) for _ in range(size))
        elif kind == 1:
            del out[at : at + size]
        elif kind == 2:
            out[at:at] = out[at : at + size]
        else:
            out[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(out)


@pytest.mark.parametrize("make", [safetensors_file, bitmask_file, gguf_file, net_file, index_file, dcz_file])
def test_mutations(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    shapes = tmp_path / "m.prototxt" if path.suffix == ".net" else None
    data, rng, target = path.read_bytes(), random.Random(1), tmp_path / "out.dcz"
    packed = back = 0
    for _ in range(COUNT):
        path.write_bytes(mutated(data, rng))
        try:
            with open_model(path, shapes=shapes, max_bytes=1 << 24) as model:
                transfer(model, open_target(target))
            packed += 1
            if path.suffix in (".gguf", ".safetensors"):
                with open_model(target) as model:
                    transfer(model, open_target(tmp_path / f"back{path.suffix}"))
                back += 1
                assert path.suffix != ".gguf" or (tmp_path / "back.gguf").read_bytes() == path.read_bytes()
        except (DczError, OSError) as error:
            assert "\n" not in str(error)
    assert packed < COUNT
    shutil.rmtree(tmp_path)
