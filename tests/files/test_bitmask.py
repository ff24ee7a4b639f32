"""compressed-tensors' sparse-bitmask files: read as the dense tensors that the library (0.13, the last that could)
made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.bitmask import BitmaskModel
from dcz.errors import FormatError, LimitError
from support.arrays import make_array
from support.bits import assert_same_bits


def compressed(name: str, dense: np.ndarray, flat: bool = False) -> dict[str, np.ndarray]:
    """The four tensors: rows packed apart as the library does, or without a break."""
    mask = dense != 0
    counts = mask.sum(-1)
    return {
        f"{name}.shape": np.array(dense.shape, np.int64),
        f"{name}.compressed": dense[mask],
        f"{name}.bitmask": np.packbits(mask.reshape(-1) if flat else mask, axis=-1, bitorder="little"),
        f"{name}.row_offsets": (np.cumsum(counts, 0) - counts).astype(np.int64),
    }


def read(path: Path) -> dict[str, np.ndarray]:
    with open_model(path) as model:
        transfer(model, open_target(path.with_suffix(".packed.dcz")))
    return dcz.load_file(path.with_suffix(".packed.dcz"))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("shape", [(30, 40), (7, 13), (4, 3, 5, 3), (19,), (0, 4), (3, 0)])
@pytest.mark.parametrize("code", ["F32", "F16", "I8"])
def test_dense_again(tmp_path: Path, flat: bool, shape: tuple[int, ...], code: str) -> None:
    dense = make_array(1, code, shape, 0.3, 30, "counter")
    other = np.arange(6.0)
    save_file(compressed("fc.weight", dense, flat) | {"fc.bias": other}, tmp_path / "m.safetensors", {"format": "pt"})
    found = read(tmp_path / "m.safetensors")
    assert sorted(found) == ["fc.bias", "fc.weight"]
    assert_same_bits(found["fc.weight"], dense)
    assert_same_bits(found["fc.bias"], other)


def test_the_library_itself(tmp_path: Path) -> None:
    """What 0.13 writes; later versions cannot."""
    module = pytest.importorskip(
        "compressed_tensors.compressors.sparse_compressors.sparse_bitmask",
        reason="compressed-tensors 0.13 or older, the last with sparse-bitmask, is not installed",
    )
    import torch
    from safetensors.torch import save_file as save_torch

    dense = torch.from_numpy(make_array(1, "F32", (30, 41), 0.3, 30, "float")).to(torch.bfloat16)
    save_torch(module.BitmaskTensor.from_dense(dense).dict("w"), tmp_path / "m.safetensors")
    found = read(tmp_path / "m.safetensors")["w"]
    assert found.tobytes() == dense.view(torch.int16).numpy().tobytes() and found.dtype.name == "bfloat16"


def test_in_several_files(tmp_path: Path) -> None:
    dense = make_array(1, "F32", (30, 40), 0.3)
    parts = compressed("w", dense)
    names = sorted(parts)
    weight_map = {}
    for number, name in enumerate(names):
        save_file({name: parts[name]}, tmp_path / f"{number % 2}.{number}.safetensors")
        weight_map[name] = f"{number % 2}.{number}.safetensors"
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert_same_bits(read(tmp_path / "m.safetensors.index.json")["w"], dense)


def test_names_that_only_look_like_it(tmp_path: Path) -> None:
    parts = compressed("w", np.eye(3, dtype=np.float32))
    del parts["w.row_offsets"]
    save_file(parts | {"attention.bitmask": np.zeros(3, np.uint8)}, tmp_path / "m.safetensors")
    assert sorted(read(tmp_path / "m.safetensors")) == ["attention.bitmask", "w.bitmask", "w.compressed", "w.shape"]
    save_file(compressed("w", np.eye(3)) | {"w": np.zeros(3)}, tmp_path / "n.safetensors")
    assert len(read(tmp_path / "n.safetensors")) == 5


DENSE = np.eye(9, dtype=np.float32)
BROKEN = {
    "too few weights": ({"w.compressed": np.ones(8, np.float32)}, "8 weights for 9 bits of its bitmask"),
    "bits behind the end": ({"w.bitmask": np.full((9, 2), 0x82, np.uint8)}, "weights for"),
    "another mask": (
        {"w.bitmask": np.zeros((9, 3), np.uint8)},
        r"its bitmask should be U8 \(9, 2\), found U8 \(9, 3\)",
    ),
    "a mask of words": ({"w.bitmask": np.zeros((9, 2), np.int16)}, "its bitmask should be U8"),
    "a shape of floats": ({"w.shape": np.ones(2)}, "its shape should be a list of int64, found F64"),
    "no shape": ({"w.shape": np.zeros(0, np.int64)}, "its shape should be a list of int64"),
    "negative lengths": ({"w.shape": np.array([-9, 9])}, "not integers of at least zero"),
    "lengths beyond measure": ({"w.shape": np.array([1 << 40, 1 << 40])}, "takes more than 281474976710656 bytes"),
    "weights in rows": ({"w.compressed": np.ones((3, 3), np.float32)}, "its weights should be a list"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_error(tmp_path: Path, name: str) -> None:
    change, message = BROKEN[name]
    save_file(compressed("w", DENSE) | change, tmp_path / "m.safetensors")
    with pytest.raises((FormatError, LimitError), match=message):
        read(tmp_path / "m.safetensors")


def test_more_than_good_sense_allows(tmp_path: Path) -> None:
    save_file(compressed("w", DENSE), tmp_path / "m.safetensors")
    with pytest.raises(LimitError, match="decoding needs 324 bytes"):
        open_model(tmp_path / "m.safetensors", max_bytes=300)


def test_other_files_are_read_as_they_are(tmp_path: Path) -> None:
    save_file({"w": DENSE}, tmp_path / "m.safetensors")
    with open_model(tmp_path / "m.safetensors") as model:
        assert not isinstance(model, BitmaskModel)
