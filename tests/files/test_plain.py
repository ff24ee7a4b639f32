"""safetensors files where a dcz file is expected: whoever switches an import still holds both."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.errors import DczError, FormatError, LimitError, TruncatedError
from support.bits import assert_same_bits

ARRAYS = {
    "a": np.arange(24, dtype=np.float32).reshape(4, 3, 2),
    "b": np.array([np.nan, -0.0], np.float64),
    "empty": np.zeros((0, 3), np.int8),
    "scalar": np.array(7, np.int64),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    safetensors.numpy.save_file(ARRAYS, path, metadata={"format": "np", "a.again": "a"})
    return path


def test_every_way_to_load(file: Path) -> None:
    with open(file, "rb") as binary, open(file, encoding="latin-1") as text:
        for source in (file, str(file), file.read_bytes(), binary, text):
            loaded = dcz.load_file(source)
            assert list(loaded) == [*safetensors.numpy.load_file(file), "a.again"]
            assert loaded["a.again"] is loaded["a"]
            for name, array in ARRAYS.items():
                assert_same_bits(loaded[name], array)
    assert_same_bits(dcz.load(file.read_bytes(), names=["b"])["b"], ARRAYS["b"])


def test_into_memory_of_the_caller(file: Path) -> None:
    out = {"a": np.empty((4, 3, 2), np.float32)}
    seen: list[tuple[int, int]] = []
    loaded = dcz.load_file(file, names=["a", "b"], out=out, progress=lambda done, total: seen.append((done, total)))
    assert loaded["a"] is out["a"] and seen[-1] == (112, 112)
    assert_same_bits(out["a"], ARRAYS["a"])
    with pytest.raises(DczError, match="out for tensor 'b': expected float64 .* found float32"):
        dcz.load_file(file, out={"b": np.empty(2, np.float32)})
    with pytest.raises(DczError, match="out: 'a.again' is another name of 'a'"):
        dcz.load_file(file, out={"a": np.empty((4, 3, 2), np.float32), "a.again": np.empty((4, 3, 2), np.float32)})
    with pytest.raises(DczError, match="out: 'b' is not among"):
        dcz.load_file(file, names=["a"], out={"b": np.empty(2)})


def test_handles(file: Path) -> None:
    with dcz.safe_open(file, "np") as ours, safetensors.safe_open(file, "np") as theirs:
        assert ours.metadata() == theirs.metadata()
        assert [name for name in ours.offset_keys() if name != "a.again"] == theirs.offset_keys()
        assert ours.get_slice("a").get_shape() == [4, 3, 2] and ours.get_slice("a").get_dtype() == "F32"
        for name in theirs.keys():  # noqa: SIM118, as it is no mapping
            assert_same_bits(ours.get_tensor(name), theirs.get_tensor(name))
        with pytest.raises(DczError, match="there is no tensor 'c'"):
            ours.get_tensor("c")


_INDEX = st.one_of(
    st.integers(-4, 3),
    st.builds(slice, *(st.one_of(st.none(), st.integers(-6, 6)) for _ in range(2)),
              st.one_of(st.none(), st.integers(-3, 3).filter(bool))),
    st.just(...),
    st.lists(st.integers(-4, 3), min_size=1, max_size=3),
)  # fmt: skip


@given(first=_INDEX, rest=st.sampled_from([(), (1,), (slice(None), 0), (slice(2, 0, -1),)]))
def test_slices_are_numpys(first: object, rest: tuple) -> None:
    from dcz.plain.reader import SafetensorsReader

    array = ARRAYS["a"]
    key = (first, *rest)
    reader = SafetensorsReader(safetensors.numpy.save({"a": array}))
    try:
        expected = array[key]
    except IndexError as error:
        with pytest.raises(IndexError, match=str(error).split(":")[0][:20].replace("(", ".")):
            reader.get_slice("a")[key]
        return
    assert_same_bits(reader.get_slice("a")[key], np.array(expected))


def test_only_the_rows_that_are_touched_are_read(tmp_path: Path) -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    data = safetensors.numpy.save({"w": np.zeros((1000, 100), np.float32)})
    file = Counted(data)
    with dcz.safe_open(file, "np") as handle:
        before = file.taken
        assert handle.get_slice("w")[10:12].shape == (2, 100)
        assert file.taken - before == 800


def test_a_torch_model(file: Path) -> None:
    torch = pytest.importorskip("torch")
    import dcz.torch

    model = torch.nn.Linear(3, 2)
    safetensors.numpy.save_file(
        {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}, file.with_name("m.safetensors")
    )
    dcz.torch.load_model(model, file.with_name("m.safetensors"))
    assert model.weight.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert dcz.torch.load_file(file, device="meta")["a"].shape == (4, 3, 2)


def _file(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (
            _file({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, b"123"),
            TruncatedError,
            "9 bytes short",
        ),
        (_file({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"12345678"), FormatError, "12 bytes"),
        (_file({"w": {"dtype": "I8", "shape": [2**62, 0], "data_offsets": [0, 0]}}), LimitError, "takes more than"),
        (_file({"w": {"dtype": "X", "shape": [3], "data_offsets": [0, 8]}}), FormatError, "unknown dtype 'X'"),
        (struct.pack("<Q", 50) + b"{", TruncatedError, "expected a header of 50 bytes"),
        (struct.pack("<Q", 3) + b"{]}", FormatError, "not valid JSON"),
    ],
)
def test_broken_files(tmp_path: Path, data: bytes, kind: type[DczError], words: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(kind, match=f"w.safetensors: .*{words}"):
        dcz.load_file(path)
    with pytest.raises(kind, match=words):
        dcz.safe_open(data, "np")


def test_a_bound(file: Path) -> None:
    with pytest.raises(LimitError, match="loading needs 120 bytes; the limit is 100; pass max_bytes=120"):
        dcz.load_file(file, max_bytes=100)


def test_what_is_neither(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"PK\x03\x04, which is a zip archive")
    with pytest.raises(FormatError, match="this is not a dcz file, but a zip archive"):
        dcz.load_file(tmp_path / "w")
