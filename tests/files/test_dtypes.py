"""Every dtype into every format that is written: held bit for bit, or refused by name with a remedy that works."""

from __future__ import annotations

import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.convert import open_model
from dcz.dtypes import DTYPES
from dcz.errors import UnsupportedError
from support.bits import assert_same_bits
from support.converting import convert

# What each format holds of what dcz does, by its own documents.
_NUMPY = {"BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "C64", "F64", "I64", "U64", "C128", "BF16"}
_FLOAT8 = {"F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
HELD = {
    ".npz": _NUMPY,
    ".npy": _NUMPY,
    ".h5": _NUMPY,
    ".safetensors": _NUMPY - {"C128"} | _FLOAT8 | {"F4", "F6_E2M3", "F6_E3M2"},
    ".pt": _NUMPY | _FLOAT8 | {"F4"},
}
NEEDS = {".h5": "h5py", ".pt": "torch"}
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}


def test_every_writer_is_here() -> None:
    """GGUF has the types of the file that was packed and no others; .keras files are HDF5 in an archive."""
    from dcz.convert import WRITABLE

    torch = (".bin", ".pth", ".pth.tar")
    known = {*HELD, ".dcz", ".gguf", ".keras", ".hdf5", *torch}
    assert {name for name in WRITABLE if not name.endswith(".index.json")} == known


def words(code: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Any bit patterns that the dtype has."""
    dtype = DTYPES[code]
    raw = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    if dtype.bits < 8:
        raw &= (1 << dtype.bits) - 1
    if code == "BOOL":
        raw &= 1
    return raw.reshape(-1).view(dtype.numpy()).reshape(shape)


def check(folder: Path, extension: str, code: str, shape: tuple[int, ...], seed: int) -> None:
    """A tensor is held bit for bit, or refused by name with a remedy that works."""
    if extension in NEEDS:
        pytest.importorskip(NEEDS[extension], reason=f"{NEEDS[extension]} is not installed")
    array = words(code, shape, seed)
    dcz.save_file({"w": array}, folder / "a.dcz", threads=1)
    target = folder / f"b{extension}"
    packs = array.size * _BITS.get(code, 8) % 8 == 0
    fits = {".pt": code != "F4" or (shape and shape[-1] % 2 == 0), ".safetensors": packs}.get(extension, True)
    if code in HELD[extension] and fits:
        with open_model(convert(folder / "a.dcz", target)) as model:
            (tensor,) = model.tensors()
            assert tensor.dtype.code == code
            assert_same_bits(np.ascontiguousarray(model.read(tensor.name)).reshape(shape), array)
        return
    with pytest.raises(UnsupportedError) as refused:
        convert(folder / "a.dcz", target)
    text = str(refused.value)
    assert text.startswith(f"{target}: tensor 'w': ") and f"cannot hold {code}" in text
    assert sorted(path.name for path in folder.iterdir()) == ["a.dcz"]
    if remedy := re.search(r"-o NAME(\.\w+)", text):
        convert(folder / "a.dcz", folder / f"c{remedy[1]}")
    else:
        assert "keep the tensor in a dcz file" in text
        assert not (code in HELD[".safetensors"] and packs) and code not in HELD[".npz"]


@pytest.mark.parametrize("extension", HELD)
@pytest.mark.parametrize("code", DTYPES)
def test_every_dtype_in_every_format(tmp_path: Path, extension: str, code: str) -> None:
    check(tmp_path, extension, code, (3, 8), 1)


@given(
    extension=st.sampled_from(sorted(HELD)),
    code=st.sampled_from(sorted(DTYPES)),
    shape=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_and_bits(
    tmp_path_factory: pytest.TempPathFactory, extension: str, code: str, shape: tuple[int, ...], seed: int
) -> None:
    check(tmp_path_factory.mktemp("dtypes"), extension, code, shape, seed)


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("code", ["F4", "F6_E2M3", "F6_E3M2"])
def test_packed_floats_as_the_library_has_them(tmp_path: Path, code: str, count: int) -> None:
    """Two F4 or four F6 to one or three bytes, and no other numbers of them."""
    array = words(code, (4, count), 1)
    dcz.save_file({"w": array}, tmp_path / "a.dcz")
    data = convert(tmp_path / "a.dcz", tmp_path / "b.safetensors").read_bytes()
    ((_, theirs),) = safetensors.deserialize(data)
    assert (theirs["dtype"], theirs["shape"]) == (code, [4, count])
    bits = _BITS[code]
    number = sum(int(word) << (bits * at) for at, word in enumerate(array.reshape(-1).view(np.uint8)))
    assert bytes(theirs["data"]) == number.to_bytes(4 * count * bits // 8, "little")
    found = dcz.load_file(convert(tmp_path / "b.safetensors", tmp_path / "c.dcz"))["w"]
    assert_same_bits(found, array)


def test_pairs_of_float4_as_torch_has_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    array = words("F4", (3, 6), 2)
    dcz.save_file({"w": array}, tmp_path / "a.dcz")
    found = torch.load(convert(tmp_path / "a.dcz", tmp_path / "b.pt"), weights_only=True)["w"]
    assert found.dtype is torch.float4_e2m1fn_x2 and found.shape == (3, 3)
    each = array.view(np.uint8)
    assert np.array_equal(found.view(torch.uint8).numpy(), each[:, ::2] | each[:, 1::2] << 4)


def test_pairs_of_float4_from_safetensors_into_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    import safetensors.torch

    pairs = torch.arange(12, dtype=torch.uint8).reshape(3, 4).view(torch.float4_e2m1fn_x2)
    safetensors.torch.save_file({"w": pairs}, tmp_path / "a.safetensors")
    written = convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    found = safetensors.torch.load_file(written)["w"]
    assert found.dtype is pairs.dtype and found.shape == pairs.shape
    assert torch.equal(found.view(torch.uint8), pairs.view(torch.uint8))
    assert safetensors.torch.load_file(tmp_path / "a.safetensors")["w"].shape == found.shape


def test_bfloat16_in_numpys_files(tmp_path: Path) -> None:
    """As numpy itself writes arrays of ml_dtypes: two raw bytes, which a view makes bfloat16 again."""
    array = words("BF16", (3, 5), 3)
    dcz.save_file({"w": array}, tmp_path / "a.dcz")
    found = np.load(convert(tmp_path / "a.dcz", tmp_path / "b.npz"))["w"]
    assert found.dtype.str == "|V2"
    assert_same_bits(found.view(ml_dtypes.bfloat16), array)
    np.savez(tmp_path / "theirs.npz", w=array)
    assert np.load(tmp_path / "theirs.npz")["w"].dtype == found.dtype
