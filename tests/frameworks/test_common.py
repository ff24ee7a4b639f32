"""All integrations alike: one object for one tensor, options that arrive, one line for what cannot be stored."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz.dtypes import DTYPES
from dcz.errors import DczError, UnsupportedError
from support.frameworks import INTEGRATIONS, bits, integration, make

pytestmark = pytest.mark.parametrize("name", INTEGRATIONS)
WEIGHT = np.where(np.arange(4096) % 9 == 0, np.float32(0.5), np.float32(0)).reshape(64, 64)


def test_names_of_one_tensor_give_one_object(name: str) -> None:
    own = integration(name)
    tensor = make(name, WEIGHT)
    data = own.save({"a": tensor, "b": make(name, WEIGHT + 1), "c": tensor})
    loaded = own.load(data)
    if name != "onnx":  # where a tensor has its name in it
        assert dict(dcz.open(data).aliases) == {"c": "a"}
        assert loaded["a"] is loaded["c"]
    assert bits(name, loaded["c"]) == bits(name, tensor)
    assert bits(name, loaded["b"]) != bits(name, tensor)


def test_equal_tensors_that_come_and_go_are_not_mixed_up(name: str) -> None:
    class Lazy(dict):
        """Makes a tensor whenever it is asked for one, often where the last one was."""

        def __getitem__(self, key: str) -> object:
            return make(name, np.full(3000, int(key), np.float32))

    own = integration(name)
    keys = [str(n) for n in range(30)]
    if name == "jax":  # which takes a tree and so asks for each once
        return
    data = own.save(Lazy.fromkeys(keys))
    for key in keys:
        assert (dcz.load(data)[key] == int(key)).all()


def test_options_arrive(name: str) -> None:
    own = integration(name)
    file, seen = io.BytesIO(), []
    own.save_file({"w": make(name, WEIGHT), "v": make(name, WEIGHT + 1)}, file, {"step": 3}, profile="csr",
                  threads=1, progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(16384, 32768), (32768, 32768)]
    with dcz.open(file.getvalue()) as reader:
        assert reader.metadata == {"step": 3}
        assert reader.info("w").layout.positions == "relative8"
    seen.clear()
    loaded = own.load_file(io.BytesIO(file.getvalue()), names=["w"], threads=1, progress=lambda *now: seen.append(now))
    assert list(loaded) == ["w"] and seen[-1] == (16384, 16384)
    with pytest.raises(dcz.LimitError):
        own.load(file.getvalue(), max_bytes=100)
    with pytest.raises(KeyError):
        own.load(file.getvalue(), names=["x"])


@pytest.mark.parametrize("portable", [False, True])
def test_the_file_is_that_of_numpy_arrays(name: str, portable: bool) -> None:
    about = {"w": {"scale": 0.5}}
    if name == "onnx":  # its tensors have the metadata themselves
        about = None
    own = integration(name)
    data = own.save({"w": make(name, WEIGHT)}, {"step": 3}, tensor_metadata=about, portable=portable)
    assert data == dcz.save({"w": WEIGHT}, {"step": 3}, tensor_metadata=about, portable=portable)
    with pytest.raises(DczError, match="tensor_metadata: 'x' is not among the tensors"):
        own.save({"w": make(name, WEIGHT)}, tensor_metadata={"x": {}})


@pytest.mark.parametrize("value", ["text", None, 3.5, [1, 2], np.array(["a"]), object()])
def test_what_is_no_tensor_is_refused_by_name(name: str, value: object) -> None:
    own = integration(name)
    if name == "jax" and (value is None or type(value) is list):  # a tree without leaves, one of numbers
        value = {"x": 3}
    file = io.BytesIO()
    with pytest.raises(UnsupportedError, match="tensor 'odd[^']*': "):
        own.save_file({"good": make(name, WEIGHT), "odd": value}, file)
    assert file.getvalue() == b""  # checked before anything is written


def test_what_is_no_mapping_or_has_no_names_is_refused(name: str) -> None:
    own = integration(name)
    if name == "jax":
        assert list(dcz.load(own.save({1: make(name, WEIGHT)}))) == ["1"]
        return
    with pytest.raises(DczError, match="expected a mapping"):
        own.save([make(name, WEIGHT)])
    with pytest.raises(DczError, match="names are strings"):
        own.save({1: make(name, WEIGHT)})


def test_a_name_of_another_format_is_refused(name: str, tmp_path) -> None:
    own = integration(name)
    with pytest.raises(DczError, match="is the name of a safetensors file"):
        own.save_file({"w": make(name, WEIGHT)}, tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_arguments_have_the_names_of_safetensors(name: str, tmp_path) -> None:
    own, path = integration(name), tmp_path / "model.dcz"
    own.save_file(tensors={"w": make(name, WEIGHT)}, filename=path, metadata={"a": "b"})
    options = {} if name in ("keras", "onnx") else {"backend": "pread"}
    assert bits(name, own.load_file(filename=path, **options)["w"])[2] == WEIGHT.tobytes()
    if options:
        with pytest.raises(DczError, match="backend: expected one of mmap, pread"):
            own.load_file(path, backend="nfs")


def test_a_dtype_that_is_lacking_names_the_file(name: str, tmp_path) -> None:
    """A program that loads many files is told which of them a framework cannot hold."""
    own, path = integration(name), tmp_path / "model.dcz"
    array = np.zeros((3, 3), DTYPES["F6_E2M3"].numpy())
    dcz.save_file({"w": array}, path)
    with pytest.raises(UnsupportedError) as caught:
        own.load_file(path)
    assert str(caught.value).startswith(f"{path}: tensor 'w': ") and caught.value.file == str(path)
    with pytest.raises(UnsupportedError, match="^<bytes>: tensor 'w': "):
        own.load(path.read_bytes())
