"""`dcz.safe_open`: the interface of safetensors, in every framework."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from support.frameworks import bits, integration

WEIGHT = np.where(np.arange(4096) % 9 == 0, np.float32(0.5), np.float32(0)).reshape(64, 64)
DATA = dcz.save({"w": WEIGHT, "a": np.arange(3, dtype=np.int32), "tied": WEIGHT}, {"format": "pt", "step": "3"})
NAMES = {"torch": "pt", "jax": "flax", "tensorflow": "tf", "mlx": "mlx", "paddle": "paddle"}


def test_what_is_in_the_file() -> None:
    with dcz.safe_open(DATA, framework="np") as file:
        assert file.keys() == ["a", "tied", "w"]
        assert file.offset_keys() == ["a", "tied", "w"]
        assert file.metadata() == {"format": "pt", "step": "3", "w": "tied"}
        found = file.get_tensors()
        assert list(found) == ["a", "tied", "w"] and found["tied"] is found["w"]
        np.testing.assert_array_equal(file.get_tensor("w"), WEIGHT)
    with dcz.safe_open(dcz.save({"w": WEIGHT}), "numpy", backend="pread") as file:
        assert file.metadata() is None


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_the_frameworks(name: str) -> None:
    own = integration(name)
    with dcz.safe_open(io.BytesIO(DATA), framework=NAMES[name], device="cpu") as file:
        whole, part = file.get_tensor("w"), file.get_slice("w")[3:5, 1]
        everything = file.get_tensors()
    assert type(whole) is type(own.load(DATA)["w"]) is type(part) is type(everything["w"])
    assert bits(name, whole) == bits(name, everything["w"]) == ("float32", (64, 64), WEIGHT.tobytes())
    assert bits(name, part) == ("float32", (2,), WEIGHT[3:5, 1].tobytes())


@pytest.mark.parametrize(
    "key",
    [slice(None), (), slice(2), (slice(None), slice(2)), (0, slice(2)), (slice(2, None), -1), (..., 0), (None, 3), -64]
    + [(slice(1, 60, 7), ...), (..., None, 5)],
)  # fmt: skip
def test_slices(key: object) -> None:
    with dcz.safe_open(DATA, "np") as file:
        view = file.get_slice("w")
        assert view.get_shape() == [64, 64] and view.get_dtype() == "F32"
        np.testing.assert_array_equal(view[key], WEIGHT[key])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ((slice(2, None), -65), "Invalid index -65 for dimension 1 of size 64"),
        ([0, 1], "Non empty lists are not implemented"),
        ((slice(2, None), 64), "Error during slicing [2:, 64] with shape [64, 64]: index 64 out of bounds for tensor "
                               "dimension #1 of size 64"),
        (slice(65),
            "Error during slicing [:65] with shape [64, 64]: index 64 out of bounds for "
            "tensor dimension #0 of size 64"),
        ((..., slice(0, 70, 2)),
            "Error during slicing [..., 0:70:2] with shape [64, 64]: index 69 out of bounds for "
            "tensor dimension #1 of size 64"),
    ],
)  # fmt: skip
def test_slices_beyond_the_tensor_are_refused(key: object, message: str) -> None:
    with dcz.safe_open(DATA, "np") as file, pytest.raises(DczError) as error:
        file.get_slice("w")[key]
    assert str(error.value) == message


def test_misuse_is_refused() -> None:
    with pytest.raises(DczError, match="framework: expected one of numpy"):
        dcz.safe_open(DATA, "cntk")
    with pytest.raises(DczError, match="backend: expected one of mmap, pread, found 'nfs'"):
        dcz.safe_open(DATA, "np", backend="nfs")
    with pytest.raises(DczError, match="backend"):
        dcz.numpy.load_file(DATA, backend="nfs")
    file = dcz.safe_open(DATA, "np")
    with pytest.raises(DczError, match="there is no tensor 'x'"):
        file.get_tensor("x")
    with file:
        pass
    with pytest.raises(DczError, match="the file is closed"):
        file.keys()
    with pytest.raises(FileNotFoundError):
        dcz.safe_open("not-there.dcz", "np")


def test_the_names_of_arguments_are_those_of_safetensors(tmp_path) -> None:
    path = tmp_path / "model.dcz"
    dcz.numpy.save_file(tensor_dict={"w": WEIGHT}, filename=path, metadata={"a": "b"})
    dcz.numpy.save_file({"w": WEIGHT}, path, {"a": "b"})
    assert dcz.open(path).metadata == {"a": "b"} == dcz.open(dcz.numpy.save({"w": WEIGHT}, {"a": "b"})).metadata
    np.testing.assert_array_equal(dcz.numpy.load_file(filename=path, backend="pread")["w"], WEIGHT)
    assert dcz.numpy.load(data=path.read_bytes()).keys() == {"w"}


@pytest.mark.parametrize("name", ["m.safetensors", "m.npz", "m.PT", "m.gguf", "m.keras", "m.h5", "m.dcz.index.json"])
def test_a_name_of_another_format_is_refused(name: str, tmp_path) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")
    for save in (dcz.save_file, dcz.numpy.save_file, lambda tensors, file: dcz.Writer(file)):
        with pytest.raises(DczError, match=r"is the name of .*name it .*m\.dcz"):
            save({"w": WEIGHT}, path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
