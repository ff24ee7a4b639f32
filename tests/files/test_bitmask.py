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


def save(tensors: dict[str, np.ndarray], path: Path) -> None:
    """Of any dtype, through dcz's own writer."""
    dcz.save_file(tensors, path.with_suffix(".source.dcz"))
    with open_model(path.with_suffix(".source.dcz")) as model:
        transfer(model, open_target(path))


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
    compressors = pytest.importorskip(
        "compressed_tensors.compressors.sparse_compressors",
        reason="compressed-tensors 0.9 to 0.13, the last with sparse formats, is not installed",
    )
    import torch
    from safetensors.torch import save_file as save_torch

    dense = torch.from_numpy(make_array(1, "F32", (30, 44), 0.3, 30, "float")).to(torch.bfloat16)
    halved = dense.reshape(-1, 4).clone()
    halved[:, ::2] = 0
    halved = halved.reshape(dense.shape)
    for kind, weight in (("BitmaskCompressor", dense), ("Sparse24BitMaskCompressor", halved)):
        config = type("Config", (), {"sparsity_structure": "2:4"})()
        stored = getattr(compressors, kind)(config=config).compress({"fc.weight": weight, "fc.bias": dense[0]})
        assert "fc.bitmask" in stored
        save_torch({name: each.contiguous() for name, each in stored.items()}, tmp_path / "m.safetensors")
        found = read(tmp_path / "m.safetensors")
        assert sorted(found) == ["fc.bias", "fc.weight"]
        for name, expected in (("fc.weight", weight), ("fc.bias", dense[0])):
            assert found[name].tobytes() == expected.contiguous().view(torch.int16).numpy().tobytes()
            assert found[name].dtype.name == "bfloat16"


@pytest.mark.parametrize("code", ["F32", "BF16", "F8_E4M3"])
def test_the_names_of_layers(tmp_path: Path, code: str) -> None:
    """Since 0.9 the name is that of the layer, whose weight alone is stored so."""
    dense = make_array(1, code, (30, 41), 0.3, 30, "counter")
    parts = compressed("a.fc", dense) | compressed("b", dense.T.copy())
    save(parts | {"a.fc.bias": dense[0]}, tmp_path / "m.safetensors")
    found = read(tmp_path / "m.safetensors")
    assert sorted(found) == ["a.fc.bias", "a.fc.weight", "b.weight"]
    assert_same_bits(found["a.fc.weight"], dense)
    assert_same_bits(found["b.weight"], dense.T.copy())


def halved(name: str, dense: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """The three tensors of `sparse-24-bitmask`: two of every four weights, which may be zero themselves."""
    return {
        f"{name}.shape": np.array(dense.shape, np.int64).reshape(2, 1),
        f"{name}.compressed": dense[mask].reshape(dense.shape[0], dense.shape[1] // 2),
        f"{name}.bitmask": np.packbits(mask, axis=-1, bitorder="little"),
    }


@pytest.mark.parametrize("code", ["F32", "BF16", "F8_E4M3"])
@pytest.mark.parametrize("shape", [(8, 16), (3, 12), (1, 4), (0, 8), (5, 0)])
def test_two_of_four(tmp_path: Path, shape: tuple[int, int], code: str) -> None:
    words = make_array(1, code, shape, 0.5, 30, "counter")
    mask = np.tile([True, False, False, True], words.size // 4).reshape(shape)
    dense = np.where(mask, words, np.zeros((), words.dtype))
    save(halved("fc", dense, mask) | {"fc.bias": np.arange(6.0)}, tmp_path / "m.safetensors")
    found = read(tmp_path / "m.safetensors")
    assert sorted(found) == ["fc.bias", "fc.weight"]
    assert_same_bits(found["fc.weight"], dense)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.shape": np.array([[8]])}, "its shape: expected a list of 2 int64, found 1"),
        ({"fc.shape": np.array([[8, 16]])}, r"its shape: expected a list of int64, found I64 \(1, 2\)"),
        ({"fc.compressed": np.ones((8, 7), np.float32)}, r"its weights: expected shape \(8, 8\), found \(8, 7\)"),
        ({"fc.bitmask": np.zeros((8, 2), np.uint8)}, "64 weights for 0 bits of its bitmask"),
    ],
)
def test_an_error_of_two_of_four(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    mask = np.tile([True, False, False, True], 32).reshape(8, 16)
    save(halved("fc", mask.astype(np.float32), mask) | change, tmp_path / "m.safetensors")
    with pytest.raises(FormatError, match=f"m.safetensors: tensor 'fc.weight': {message}"):
        read(tmp_path / "m.safetensors")


def test_in_several_files(tmp_path: Path) -> None:
    dense = make_array(1, "F32", (30, 40), 0.3)
    parts = compressed("w", dense)
    names = sorted(parts)
    weight_map = {}
    for number, name in enumerate(names):
        save_file({name: parts[name]}, tmp_path / f"{number % 2}.{number}.safetensors")
        weight_map[name] = f"{number % 2}.{number}.safetensors"
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert_same_bits(read(tmp_path / "m.safetensors.index.json")["w.weight"], dense)


def test_names_that_only_look_like_it(tmp_path: Path) -> None:
    parts = compressed("w", np.eye(3, dtype=np.float32))
    del parts["w.row_offsets"]
    save_file(parts | {"attention.bitmask": np.zeros(3, np.uint8)}, tmp_path / "m.safetensors")
    assert sorted(read(tmp_path / "m.safetensors")) == ["attention.bitmask", "w.bitmask", "w.compressed", "w.shape"]
    save_file(compressed("w", np.eye(3)) | {"w.weight": np.zeros(3)}, tmp_path / "n.safetensors")
    assert len(read(tmp_path / "n.safetensors")) == 5


DENSE = np.eye(9, dtype=np.float32)
BROKEN = {
    "too few weights": ({"w.compressed": np.ones(8, np.float32)}, "8 weights for 9 bits of its bitmask"),
    "bits behind the end": ({"w.bitmask": np.full((9, 2), 0x82, np.uint8)}, "weights for"),
    "another mask": (
        {"w.bitmask": np.zeros((9, 3), np.uint8)},
        r"its bitmask: expected U8 \(9, 2\), found U8 \(9, 3\)",
    ),
    "a mask of words": ({"w.bitmask": np.zeros((9, 2), np.int16)}, "its bitmask: expected U8"),
    "a shape of floats": ({"w.shape": np.ones(2)}, "its shape: expected a list of int64, found F64"),
    "no shape": ({"w.shape": np.zeros(0, np.int64)}, "its shape: expected a list of 1 to 64 int64, found 0"),
    "negative lengths": ({"w.shape": np.array([-9, 9])}, "not integers of at least zero"),
    "lengths too large": ({"w.shape": np.array([1 << 40, 1 << 40])}, "takes more than 281474976710656 bytes"),
    "weights in rows": ({"w.compressed": np.ones((3, 3), np.float32)}, "its weights: expected a list"),
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
