"""PyTorch checkpoints in and out: the same bits by PyTorch itself."""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.dtypes import DTYPES
from dcz.errors import UnsupportedError
from support.arrays import CODES, make_array
from support.bits import assert_same_bits
from support.converting import convert

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")

# Those that archives from before PyTorch 1.6 can name.
FIRST = ("BOOL", "U8", "I8", "I16", "F16", "BF16", "I32", "F32", "C64", "F64", "I64", "C128")
LACKED = ("F4", "F6", "I2", "U2", "I4", "U4", "F8_E4M3_IEEE", "F8_E3M4", "F8_E4M3B11")
HELD = [code for code in CODES if not code.startswith(LACKED)]


def bits(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else b""


def as_torch(array: np.ndarray) -> torch.Tensor:
    if array.size == 0:
        return torch.empty(array.shape, dtype=getattr(torch, array.dtype.name))
    flat = torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())
    return flat.view(getattr(torch, array.dtype.name)).reshape(array.shape)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, object]]:
    with open_model(path) as model:
        return {t.name: model.read(t.name).copy() for t in model.tensors()}, dict(model.aliases), dict(model.metadata)


@pytest.mark.parametrize(("code", "old"), [*((code, False) for code in HELD), *((code, True) for code in FIRST)])
def test_every_dtype_both_ways(tmp_path: Path, code: str, old: bool) -> None:
    arrays = {str(shape): make_array(3, code, shape, 0.7, 200, "hostile") for shape in [(), (0, 4), (5,), (3, 4, 2)]}
    if code == "BOOL":
        arrays = {name: (array.view(np.uint8) & 1).view(bool).reshape(array.shape) for name, array in arrays.items()}
    tensors = {name: as_torch(array) for name, array in arrays.items()}
    torch.save(tensors, tmp_path / "a.pt", _use_new_zipfile_serialization=not old)
    found = dcz.load_file(convert(tmp_path / "a.pt", tmp_path / "a.dcz"))
    for name, array in arrays.items():
        assert_same_bits(found[name], array)
    written = convert(tmp_path / "a.dcz", tmp_path / "b.pth")
    for mmap in (False, True):
        back = torch.load(written, weights_only=True, mmap=mmap)
        for name, tensor in tensors.items():
            assert back[name].dtype is tensor.dtype and back[name].shape == tensor.shape
            assert back[name].is_contiguous() and bits(back[name]) == bits(tensor)
    with zipfile.ZipFile(written) as archive:
        assert archive.testzip() is None


def test_views_and_tied_tensors(tmp_path: Path) -> None:
    weight = torch.arange(20.0).reshape(4, 5)
    number = torch.tensor([1 + 2j, 3 - 1j])
    tensors = {
        "w": weight, "tied": weight, "rows": weight[1:3], "turned": weight.t(), "strided": weight[:, ::2],
        "wide": torch.ones(1).expand(3), "conj": number.conj(), "negative": torch._neg_view(torch.ones(3)),
        "parameter": torch.nn.Parameter(weight[0]),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "a.ckpt")
    found, aliases, _ = read(tmp_path / "a.ckpt")
    assert aliases == {"tied": "w"} and sorted([*found, "tied"]) == sorted(tensors)
    for name, array in found.items():
        assert_same_bits(array, tensors[name].detach().resolve_conj().resolve_neg().contiguous().numpy())
    back = torch.load(convert(convert(tmp_path / "a.ckpt", tmp_path / "a.dcz"), tmp_path / "b.pt"), weights_only=True)
    assert back["tied"].data_ptr() == back["w"].data_ptr() and list(back) == sorted(tensors)


def test_a_model_loads_what_was_packed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 3)
    )
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    back = convert(convert(tmp_path / "pytorch_model.bin", tmp_path / "m.dcz"), tmp_path / "back.bin")
    other = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 3)
    )
    other.load_state_dict(torch.load(back, weights_only=True), strict=True)
    x = torch.randn(2, 1, 4, 4)
    assert torch.equal(model.eval()(x), other.eval()(x))


def test_containers_become_paths_and_containers_again(tmp_path: Path) -> None:
    checkpoint = {
        "epoch": 3, "name": "run", "done": True, "loss": 0.5, "none": None, "dtype": torch.bfloat16, "seed": 1 << 70,
        "model_state_dict": OrderedDict({"fc.weight": torch.ones(2), "fc.bias": torch.zeros(1)}), "nothing": {},
        "place": torch.device("cpu"), "raw": b"\x00\xff", "pair": (torch.arange(3), 7), "betas": (0.9, 0.999),
        "optimizer": {"state": {0: {"step": torch.tensor(7), "size": torch.Size([2])}},
            "groups": [{"lr": 0.1, "params": [0, 1]}]},
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "a.pth.tar")
    found, _, metadata = read(tmp_path / "a.pth.tar")
    names = ["model_state_dict.fc.bias", "model_state_dict.fc.weight", "optimizer.state.0.step", "pair.0"]
    assert sorted(found) == names
    plain = {
        "epoch": 3, "name": "run", "done": True, "loss": 0.5, "none": None, "dtype": "torch.bfloat16", "place": "cpu",
        "optimizer.state.0.size": [2], "optimizer.groups.0.lr": 0.1, "optimizer.groups.0.params": [0, 1], "pair.1": 7,
        "raw": b"\x00\xff", "betas": [0.9, 0.999], "seed": hex(1 << 70),
    }  # fmt: skip
    assert {name: value for name, value in metadata.items() if name != "torch"} == plain
    packed = convert(tmp_path / "a.pth.tar", tmp_path / "a.dcz")
    with dcz.open(packed) as reader:
        assert {name: reader.metadata[name] for name in plain} == plain
    back = torch.load(convert(packed, tmp_path / "b.pt"), weights_only=True)
    assert_same_structure(back, checkpoint)


def assert_same_structure(a: object, b: object) -> None:
    assert type(a) is type(b)
    if isinstance(b, torch.Tensor):
        assert a.dtype is b.dtype and bits(a) == bits(b)
    elif isinstance(b, dict):
        assert list(a) == list(b) and [type(key) for key in a] == [type(key) for key in b]
        for key in b:
            assert_same_structure(a[key], b[key])
    elif isinstance(b, (list, tuple)):
        assert len(a) == len(b)
        for one, two in zip(a, b):
            assert_same_structure(one, two)
    else:
        assert a == b


@pytest.mark.parametrize("checkpoint", [torch.arange(3), [torch.ones(1), torch.zeros(2)], ({"a": torch.ones(2)}, 5)])
def test_checkpoints_that_are_no_mapping_come_back(tmp_path: Path, checkpoint: object) -> None:
    torch.save(checkpoint, tmp_path / "a.pt")
    back = torch.load(convert(convert(tmp_path / "a.pt", tmp_path / "a.dcz"), tmp_path / "b.pt"), weights_only=True)
    assert_same_structure(back, checkpoint)


def test_a_tensor_that_was_added_is_put_in_the_outermost_mapping(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.ones(2), "gone": torch.ones(1)}, "n": 4}, tmp_path / "a.pt")
    with open_model(tmp_path / "a.pt") as model:
        metadata = dict(model.metadata)
    dcz.save_file({"model.w": np.ones(2, "f4"), "new": np.zeros(3)}, tmp_path / "a.dcz", metadata=metadata)
    back = torch.load(convert(tmp_path / "a.dcz", tmp_path / "b.pt"), weights_only=True)
    assert list(back) == ["model", "n", "new"] and list(back["model"]) == ["w"] and back["n"] == 4


@pytest.mark.filterwarnings("ignore:ComplexHalf:UserWarning")
def test_what_is_no_weight_is_left_out_by_name(tmp_path: Path) -> None:
    """And a file whose weights would go with it is refused."""
    torch.save(
        {"w": torch.ones(2), "seen": {1, 2}, "z": torch.ones(1, dtype=torch.complex32), "log": {(1, 2): 3.5, "n": 1}},
        tmp_path / "a.pt",
    )
    with open_model(tmp_path / "a.pt") as model:
        moved = transfer(model, open_target(tmp_path / "a.dcz"))
    assert moved.left_out == {
        "seen": "a builtins.set is not a tensor, number or text",
        "z": "elements of torch.complex32 cannot be stored",
        "log.(1, 2)": "its key, a tuple, is not a name",
    }
    assert list(dcz.load_file(tmp_path / "a.dcz")) == ["w"]
    back = torch.load(convert(tmp_path / "a.dcz", tmp_path / "b.pt"), weights_only=True)
    assert list(back) == ["w", "log"] and back["log"] == {"n": 1}
    torch.save({"w": torch.ones(2), (1, 2): [torch.ones(1)]}, tmp_path / "c.pt")
    with pytest.raises(UnsupportedError, match="c.pt: .1, 2.: its key, a tuple, .* there are tensors in it"):
        open_model(tmp_path / "c.pt")


def test_values_too_large_for_metadata_are_left_out(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "log": "x" * (17 << 20), "n": 4}, tmp_path / "a.pt")
    with open_model(tmp_path / "a.pt") as model:
        moved = transfer(model, open_target(tmp_path / "a.dcz"))
    assert list(moved.left_out) == ["log"] and "metadata hold" in moved.left_out["log"]
    assert dcz.open(tmp_path / "a.dcz").metadata["n"] == 4


def test_views_of_one_memory_that_read_it_differently(tmp_path: Path) -> None:
    """The imaginary part of a number and of its conjugate are the same bytes; one has its sign turned."""
    x = torch.tensor([1 + 2j, 3 - 4j])
    tensors = {"imag": x.imag, "of the conjugate": x.conj().imag, "real": x.real}
    tensors["again"] = tensors["of the conjugate"]
    torch.save(tensors, tmp_path / "a.pt")
    found, aliases, _ = read(tmp_path / "a.pt")
    assert aliases == {"again": "of the conjugate"}
    for name, array in found.items():
        assert_same_bits(array, tensors[name].resolve_conj().resolve_neg().contiguous().numpy())


def test_a_tensor_alone_has_the_name_of_its_file(tmp_path: Path) -> None:
    torch.save(torch.arange(3), tmp_path / "alone.pt")
    assert list(read(tmp_path / "alone.pt")[0]) == ["alone"]


def test_sharded_checkpoints(tmp_path: Path) -> None:
    dcz.save_file({f"w{i}": np.full(100, i) for i in range(5)}, tmp_path / "a.dcz")
    with open_model(tmp_path / "a.dcz") as model:
        transfer(model, open_target(tmp_path / "pytorch_model.bin.index.json", shard_size=1600))
    assert sum(path.suffix == ".bin" for path in tmp_path.iterdir()) == 3
    found = dcz.load_file(convert(tmp_path / "pytorch_model.bin.index.json", tmp_path / "b.dcz"))
    assert sorted(found) == [f"w{i}" for i in range(5)] and all((found[f"w{i}"] == i).all() for i in range(5))


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
def test_tensors_without_dense_values_are_left_out(tmp_path: Path) -> None:
    torch.save({"w": torch.eye(3).to_sparse(), "b": torch.ones(3)}, tmp_path / "a.pt")
    with open_model(tmp_path / "a.pt") as model:
        assert [tensor.name for tensor in model.tensors()] == ["b"]
        assert model.left_out["w"].startswith("its layout is torch.sparse_coo; store .to_dense")
        assert list(model.left_out) == ["w"]


def test_values_of_other_plain_types(tmp_path: Path) -> None:
    torch.save({"b": torch.ones(3), "ids": frozenset([1, 2]), "z": 1 + 2j, "more": {3}}, tmp_path / "a.pt")
    with open_model(tmp_path / "a.pt") as model:
        assert [tensor.name for tensor in model.tensors()] == ["b"]
        assert sorted(model.left_out) == ["ids", "more", "z"]


@pytest.mark.parametrize(
    ("code", "rest"),
    [
        ("F4", r" of shape \[3\], as it has them in pairs; keep"),
        ("I4", "; keep the tensor in a dcz file, or convert"),
        ("F8_E3M4", "; keep"), ("F6_E2M3", "; keep"),
    ],
)  # fmt: skip
def test_dtypes_that_it_lacks(tmp_path: Path, code: str, rest: str) -> None:
    dcz.save_file({"w": np.zeros(3, DTYPES[code].numpy())}, tmp_path / "a.dcz")
    with pytest.raises(UnsupportedError, match=f"tensor 'w': PyTorch cannot hold {code}{rest}"):
        convert(tmp_path / "a.dcz", tmp_path / "b.pt")
    assert os.listdir(tmp_path) == ["a.dcz"]
