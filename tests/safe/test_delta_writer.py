"""What a file of differences says is true of one moment: arrays that change while they are compared are refused."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.errors import DczError
from support.arrays import make_array
from support.pairs import changed, delta

OLD = make_array(1, "BF16", (700, 1000), 1.0, 5000, "float")
PAIRS = {
    "changed": changed(OLD, 1, 0.05, "near"),
    "same": OLD.copy(),
    "whole": changed(OLD, 2, 1.0, "far"),
}


def changing(monkeypatch: pytest.MonkeyPatch, array: np.ndarray, kernel: str, call: int) -> None:
    """Another thread changes the array right after so many calls of a kernel."""
    kernel_set = kernels.active()
    real, calls = getattr(kernel_set, kernel), [0]

    def counted(*arguments: object) -> object:
        result = real(*arguments)
        calls[0] += 1
        if calls[0] == call:
            array.reshape(-1).view(np.uint8)[::7] ^= 1
        return result

    monkeypatch.setattr(kernel_set, kernel, counted)


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("kernel", ["compare", "crc32c", "crc32c_rows", "split", "gaps", "histograms"])
@pytest.mark.parametrize("private", [True, False], ids=["copied", "checked"])
@pytest.mark.parametrize("which", ["new", "base"])
@pytest.mark.parametrize("name", PAIRS)
def test_an_array_that_changes_while_it_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, which: str, private: bool, kernel: str, call: int
) -> None:
    """It is refused, or the file makes what the new array was of what the base was."""
    monkeypatch.setattr("dcz.container.unchanged.PRIVATE_BYTES", 1 << 22 if private else 0)
    arrays = {"new": PAIRS[name].copy(), "base": OLD.copy()}
    path = tmp_path / "step.dcz"
    with monkeypatch.context() as patch:
        changing(patch, arrays[which], kernel, call)
        try:
            dcz.save_delta({"w": arrays["new"]}, path, base={"w": arrays["base"]}, threads=1)
        except DczError as error:
            assert not private and "tensor 'w': the array changed while it was being saved" in str(error)
            assert os.listdir(tmp_path) == []
            return
    bases = [base for base in (OLD, arrays["base"]) if verified(path, base)]
    assert bases, "it fits neither base"
    found = dcz.load_file(path, base={"w": bases[0]})["w"]
    assert found.tobytes() in (PAIRS[name].tobytes(), arrays["new"].tobytes())


def verified(path: Path, base: np.ndarray) -> bool:
    try:
        return dcz.verify(path, base={"w": base}).tensors == 1
    except dcz.BaseError:
        return False


def test_metadata_of_tensors(tmp_path: Path) -> None:
    base = {"a": np.arange(9.0), "b": np.arange(5), "c": OLD}
    new = {"a": base["a"], "b": base["b"] + 1, "c": PAIRS["changed"], "d": np.ones(3)}
    about = {name: {"of": name, "also": (1, 2)} for name in new}
    expected = {name: {"also": [1, 2], "of": name} for name in new}
    data = delta(new, base, tensor_metadata=about)
    with dcz.open(data, base=base) as reader:
        assert {name: dict(reader.info(name).metadata) for name in new} == expected
    # Those of the second file are those of both together, and of another base's.
    other = {**new, "a": new["a"] + (new["a"] == 4)}
    files = [tmp_path / name for name in ("1.dcz", "2.dcz", "both.dcz", "other.dcz")]
    dcz.save_delta(new, files[0], base=base)
    dcz.save_delta(other, files[1], base=new, tensor_metadata=about)
    dcz.fold(files[0], files[1], files[2])
    dcz.rebase(files[1], files[3], base=new, onto=base)
    for path in files[2:]:
        with dcz.open(path, base=base) as reader:
            assert {name: dict(reader.info(name).metadata) for name in new} == expected
            assert reader["a"].tobytes() == other["a"].tobytes()


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"x": {"k": 1}}, "tensor_metadata: 'x' is not among the tensors"),
        ({"tied": {"k": 1}}, "tensor_metadata: 'tied' is the same array as 'a'"),
        ({"a": {"k": object()}}, "metadata of tensor 'a'.k: object cannot be stored"),
        ({"a": {2: 1}}, "metadata of tensor 'a': keys are strings"),
    ],
)
def test_metadata_of_tensors_that_is_wrong(about: dict, message: str) -> None:
    """As `save_file` says it."""
    array = np.arange(9.0)
    new = {"a": array, "tied": array}
    with pytest.raises(DczError, match=message):
        dcz.save_delta(new, io.BytesIO(), base={"a": array + (array == 3)}, tensor_metadata=about)
    with pytest.raises(DczError, match=message):
        dcz.save_file(new, io.BytesIO(), tensor_metadata=about)
