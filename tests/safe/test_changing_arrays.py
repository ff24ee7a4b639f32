"""Arrays that change while they are saved: refused, or a file that is valid."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.container.unchanged import PRIVATE_BYTES
from dcz.errors import DczError
from support.arrays import large


def changing(monkeypatch: pytest.MonkeyPatch, array: np.ndarray, kernel: str, change: object) -> None:
    """Another thread changes the array right after the first call of a kernel."""
    kernel_set = kernels.active()
    real = getattr(kernel_set, kernel)
    calls = []

    def call(*arguments: object) -> object:
        result = real(*arguments)
        if not calls:
            calls.append(1)
            change(array)
        return result

    monkeypatch.setattr(kernel_set, kernel, call)


def fill(array: np.ndarray) -> None:
    array.reshape(-1).view(np.uint8)[:] = np.random.Generator(np.random.PCG64(2)).integers(0, 256, array.nbytes, "u1")


@pytest.mark.parametrize("change", [fill, lambda array: array.fill(0), lambda array: array.fill(1)])
@pytest.mark.parametrize(
    "kernel", ["scan", "bitmap", "split", "nonzeros", "histograms", "lane_sizes", "gaps", "crc32c", "crc32c_rows"]
)
@pytest.mark.parametrize("profile", ["auto", "raw"])
@pytest.mark.parametrize("copied", [True, False], ids=["copied", "checked"])
@pytest.mark.parametrize("name", ["pruned and clustered float32", "sparse bfloat16", "sparse bytes", "dense bfloat16"])
def test_an_array_that_changes_while_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, copied: bool, profile: str, kernel: str, change: object
) -> None:
    """It is refused, or what is published is valid: never a file with wrong checksums, of chunks or of contents."""
    array = large(name).copy()
    if copied:
        array = array.reshape(-1)[: PRIVATE_BYTES // array.itemsize]
    else:
        monkeypatch.setattr("dcz.container.unchanged.PRIVATE_BYTES", 0)
    path = tmp_path / "w.dcz"
    with monkeypatch.context() as patch:
        changing(patch, array, kernel, change)
        try:
            dcz.save_file({"w": array}, path, profile=profile, threads=1)
        except DczError as error:
            assert "tensor 'w': the array changed while it was being saved" in str(error)
            assert os.listdir(tmp_path) == []
            return
    assert dcz.verify(path).tensors == 1 and dcz.load_file(path)["w"].shape == array.shape


def test_an_array_that_changes_between_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part matches its own checksum; together they are neither the old array nor the new one."""
    monkeypatch.setattr(sys.modules["dcz.tensor.encoded"], "_PART_BYTES", 1 << 20)
    array = np.random.Generator(np.random.PCG64(3)).integers(0, 256, 3 << 20, "u1")

    class Changing(io.BytesIO):
        def write(self, data: bytes) -> int:
            array[:] = len(self.getvalue()) % 251
            return super().write(data)

    with pytest.raises(DczError, match="tensor 'w': the array changed while it was being saved"):
        dcz.save_file({"w": array}, Changing(), profile="raw")


def test_a_raw_tensor_that_changes_between_checksum_and_write() -> None:
    """Its checksum is that of the bytes that are written, not of what the array has become."""
    array = np.random.Generator(np.random.PCG64(3)).integers(0, 256, 3 << 20, "u1")

    class Changing(io.BytesIO):
        def write(self, data: bytes) -> int:
            array[:] = 7
            return super().write(data)

    file = Changing()
    dcz.save_file({"w": array}, file, profile="raw")
    assert len(dcz.load(file.getvalue())["w"]) == len(array)
