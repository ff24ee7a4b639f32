"""safetensors in and out: the same bytes the library reads and writes, for every dtype, and clear errors."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.model import Tensor
from dcz.convert.safetensors import SafetensorsTarget
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.plain.header import CODES as NAMED
from support.arrays import CODES, make_array
from support.bits import assert_same_bits

BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}


def raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(code: str, shape: list, begin: int, end: int) -> dict:
    return {"dtype": code, "shape": shape, "data_offsets": [begin, end]}


def read(path: Path) -> dict[str, np.ndarray]:
    with open_model(path) as model:
        return {tensor.name: model.read(tensor.name) for tensor in model.tensors()}


def unpacked(packed: bytes, bits: int, count: int) -> list[int]:
    """Elements narrower than a byte, one after another from the lowest bit."""
    number = int.from_bytes(packed, "little")
    return [number >> (bits * i) & ((1 << bits) - 1) for i in range(count)]


@pytest.mark.parametrize("code", [code for code in CODES if code in NAMED])
def test_reading_every_dtype(tmp_path: Path, code: str) -> None:
    dtype = DTYPES[code]
    bits = BITS.get(code, 8 * dtype.itemsize)
    body = np.random.Generator(np.random.PCG64(1)).bytes(3 * 8 * bits // 8)
    data = raw({"w": entry(code, [3, 8], 0, len(body))}, body)
    ((name, theirs),) = safetensors.deserialize(data)
    assert (name, theirs["dtype"], theirs["shape"], bytes(theirs["data"])) == ("w", code, [3, 8], body)
    (tmp_path / "w.safetensors").write_bytes(data)
    found = read(tmp_path / "w.safetensors")["w"]
    assert found.shape == (3, 8) and found.dtype == dtype.numpy()
    expected = bytes(unpacked(body, bits, 24)) if code in BITS else body
    assert found.tobytes() == expected


@pytest.mark.parametrize("code", [code for code in CODES if code in NAMED])
def test_writing_every_dtype(tmp_path: Path, code: str) -> None:
    bits = BITS.get(code, 8)
    array = make_array(3, code, (4, 2, 3), 0.7, 200)
    words = array.view(np.uint8) & ((1 << bits) - 1)
    array = words.view(array.dtype).reshape(array.shape)
    dcz.save_file({"w": array, "none": array[:0]}, tmp_path / "w.dcz")
    with open_model(tmp_path / "w.dcz") as model:
        transfer(model, open_target(tmp_path / "w.safetensors"))
    theirs = dict(safetensors.deserialize((tmp_path / "w.safetensors").read_bytes()))
    assert theirs["w"]["dtype"] == code and theirs["w"]["shape"] == [4, 2, 3]
    data = bytes(theirs["w"]["data"])
    assert (bytes(unpacked(data, bits, 24)) if code in BITS else data) == array.tobytes()
    assert theirs["none"]["shape"] == [0, 2, 3] and len(theirs["none"]["data"]) == 0
    assert_same_bits(read(tmp_path / "w.safetensors")["w"], array)


@pytest.mark.parametrize("code", [code for code in CODES if code not in NAMED])
def test_types_that_the_format_has_no_name_for(tmp_path: Path, code: str) -> None:
    """What the library would not read is not written, and not read either."""
    dcz.save_file({"w": np.zeros(8, DTYPES[code].numpy())}, tmp_path / "w.dcz")
    with (
        open_model(tmp_path / "w.dcz") as model,
        pytest.raises(UnsupportedError, match=f"'w': safetensors cannot hold {code}; "),
    ):
        transfer(model, open_target(tmp_path / "w.safetensors"))
    (tmp_path / "w.safetensors").write_bytes(raw({"w": entry(code, [1], 0, 16)}, bytes(16)))
    with pytest.raises(FormatError, match=f"unknown dtype '{code}'"):
        open_model(tmp_path / "w.safetensors")


def test_there_and_back_through_the_library(tmp_path: Path) -> None:
    tensors = {
        f"{code}.{i}": make_array(i, code, shape, 0.5, 30)
        for code in ("BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "F64", "I64", "U64")
        for i, shape in enumerate([(), (0, 4), (3,), (5, 7), (2, 3, 4)])
    }
    source, packed, target = (tmp_path / name for name in ("a.safetensors", "a.dcz", "b.safetensors"))
    save_file(tensors, source, metadata={"format": "np", "ü": "ö"})
    with open_model(source) as model:
        assert dict(model.metadata) == {"format": "np", "ü": "ö"}
        transfer(model, open_target(packed))
    with open_model(packed) as model:
        transfer(model, open_target(target))
    for found in (load_file(source), load_file(target), dcz.load_file(packed)):
        assert sorted(found) == sorted(tensors)
        for name, array in tensors.items():
            assert_same_bits(found[name], array)
    with safetensors.safe_open(target, framework="np") as file:
        assert file.metadata() == {"format": "np", "ü": "ö"}


def test_the_order_on_disk_is_aligned(tmp_path: Path) -> None:
    """Wide types first, so that a mapped file has every element on its own boundary."""
    tensors = {"a": np.zeros(3, np.uint8), "b": np.zeros(5), "c": np.zeros(3, np.float16), "d": np.zeros(2, np.float32)}
    dcz.save_file(tensors, tmp_path / "w.dcz")
    with open_model(tmp_path / "w.dcz") as model:
        transfer(model, open_target(tmp_path / "w.safetensors"))
    data = (tmp_path / "w.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert (8 + length) % 8 == 0
    for name, each in json.loads(data[8 : 8 + length]).items():
        assert each["data_offsets"][0] % tensors[name].itemsize == 0


def test_second_names_are_written_as_the_library_does(tmp_path: Path) -> None:
    array = make_array(1, "F32", (30, 5), 0.3)
    dcz.save_file({"a": array, "b": np.arange(9), "tied": array, "too": array}, tmp_path / "w.dcz", metadata={"n": 1})
    with open_model(tmp_path / "w.dcz") as model:
        moved = transfer(model, open_target(tmp_path / "w.safetensors"))
    assert (moved.tensors, moved.aliases) == (2, 2)
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="np") as file:
        assert sorted(file.keys()) == ["a", "b"]
        assert file.metadata() == {"n": "1", "tied": "a", "too": "a"}
        assert_same_bits(file.get_tensor("a"), array)
    with open_model(tmp_path / "w.safetensors") as model:
        assert dict(model.aliases) == {"tied": "a", "too": "a"} and dict(model.metadata) == {"n": "1"}


def test_tied_weights_load_into_a_model(tmp_path: Path) -> None:
    """Both ways round: our file by the library, and the library's file, packed, with both names."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")
    from safetensors.torch import load_model, save_model

    def tied() -> object:
        model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(11, 7), "head": torch.nn.Linear(7, 11, bias=False)})
        model["head"].weight = model["embed"].weight
        return model

    first, second, third = tied(), tied(), tied()
    save_model(first, tmp_path / "m.safetensors", metadata={"format": "pt"})
    with open_model(tmp_path / "m.safetensors") as model:
        transfer(model, open_target(tmp_path / "m.dcz"))
    found = dcz.load_file(tmp_path / "m.dcz")
    assert sorted(found) == ["embed.weight", "head.weight"]
    with open_model(tmp_path / "m.dcz") as model:
        transfer(model, open_target(tmp_path / "back.safetensors"))
    assert load_model(second, tmp_path / "back.safetensors") == (set(), [])
    assert torch.equal(first["head"].weight, second["head"].weight)
    with safetensors.safe_open(tmp_path / "m.safetensors", "np") as one:
        with safetensors.safe_open(tmp_path / "back.safetensors", "np") as two:
            assert one.metadata() == two.metadata() and list(one.keys()) == list(two.keys())
    dcz.torch.save_model(first, tmp_path / "ours.dcz")
    with open_model(tmp_path / "ours.dcz") as model:
        transfer(model, open_target(tmp_path / "ours.safetensors"))
    assert load_model(third, tmp_path / "ours.safetensors") == (set(), [])
    assert torch.equal(first["head"].weight, third["embed"].weight)


def test_a_second_name_that_is_a_key_of_the_metadata(tmp_path: Path) -> None:
    array = np.zeros(3)
    dcz.save_file({"a": array, "b": array}, tmp_path / "w.dcz", metadata={"b": "text"})
    with (
        open_model(tmp_path / "w.dcz") as model,
        pytest.raises(DczError, match="both a key of the metadata and a second"),
    ):
        transfer(model, open_target(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("more", [{"x": [1, {"y": None}]}, {}])
def test_headers_are_read_as_liberally_as_the_library_reads_them(tmp_path: Path, more: dict) -> None:
    header = {"__metadata__": None, "w": {**GOOD, **more}}
    (tmp_path / "w.safetensors").write_bytes(raw(header, struct.pack("<2f", 1, 2)))
    assert load_file(tmp_path / "w.safetensors")["w"].tolist() == [1, 2]
    with open_model(tmp_path / "w.safetensors") as model:
        assert model.read("w").tolist() == [1, 2] and dict(model.metadata) == {}


@pytest.mark.parametrize("shape", [[0, 1 << 62], [1] * 65 + [0], [1 << 40, 0, 1 << 40]])
def test_shapes_that_no_array_can_have(tmp_path: Path, shape: list[int]) -> None:
    (tmp_path / "w.safetensors").write_bytes(raw({"w": entry("F32", shape, 0, 0)}, b""))
    with pytest.raises(LimitError, match="w.safetensors: tensor 'w': .*(dimensions|takes more than)"):
        open_model(tmp_path / "w.safetensors")


def test_typed_metadata_become_text(tmp_path: Path) -> None:
    metadata = {"s": "text", "n": 3, "f": 0.5, "l": [1, {"k": None}], "b": b"\x00\xff", "t": True}
    dcz.save_file({"w": np.zeros(1)}, tmp_path / "w.dcz", metadata=metadata)
    with open_model(tmp_path / "w.dcz") as model:
        transfer(model, open_target(tmp_path / "w.safetensors"))
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="np") as file:
        found = file.metadata()
    assert found["s"] == "text" and json.loads(found["l"]) == [1, {"k": None}] and json.loads(found["b"]) == "00ff"
    assert (found["n"], found["f"], found["t"]) == ("3", "0.5", "true")


def test_a_file_without_tensors(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(raw({}))
    assert read(tmp_path / "w.safetensors") == {}
    dcz.save_file({}, tmp_path / "w.dcz")
    with open_model(tmp_path / "w.dcz") as model:
        transfer(model, open_target(tmp_path / "v.safetensors"))
    assert load_file(tmp_path / "v.safetensors") == {}


GOOD = entry("F32", [2], 0, 8)
ERRORS = {
    "nothing": (b"", TruncatedError, "the file is empty; finish the download"),
    "seven bytes": (bytes(7), TruncatedError, "expected 8 bytes or more, found 7"),
    "a header too large": (struct.pack("<Q", 1 << 40) + b"{}", FormatError, "not a safetensors file"),
    "a header that is cut": (raw({"w": GOOD})[:-5], TruncatedError, "expected a header of"),
    "a header that is no JSON": (raw(b"{'w': 1}"), FormatError, "header is not valid JSON"),
    "a header of braces": (raw(b"[" * 100_000), FormatError, "header is not valid JSON"),
    "a header that is no text": (raw(b'{"\xff": 1}'), FormatError, "header is not valid JSON"),
    "a header that is a list": (raw([]), FormatError, "the header is not a JSON object"),
    "a name twice": (raw(b'{"w": 1, "w": 2}'), FormatError, "duplicate key"),
    "a tensor that is a number": (raw({"w": 1}), FormatError, "tensor 'w': expected dtype, shape and data_offsets"),
    "a tensor without shape": (raw({"w": {"dtype": "F32"}}), FormatError, "expected dtype, shape and data_offsets"),
    "an unknown dtype": (raw({"w": entry("F7", [2], 0, 8)}, bytes(8)), FormatError,
        "unknown dtype 'F7'; expected one of"),
    "a dtype that is a list": (raw({"w": entry(["F32"], [2], 0, 8)}), FormatError, "unknown dtype"),
    "a negative length": (raw({"w": entry("F32", [-2], 0, 8)}), FormatError, "expected lengths, found"),
    "a length that is true": (raw({"w": entry("F32", [True], 0, 4)}), FormatError, "expected lengths, found"),
    "a length that is a fraction": (raw({"w": entry("F32", [2.0], 0, 8)}), FormatError, "expected lengths, found"),
    "a length that is not a number": (raw(b'{"w":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'), FormatError,
        "exp"),
    "offsets that go back": (raw({"w": entry("F32", [2], 8, 0)}), FormatError, "data_offsets: expected a range"),
    "three offsets": (raw({"w": {**GOOD, "data_offsets": [0, 4, 8]}}), FormatError, "data_offsets: expected a range"),
    "a size that is not the shape's": (raw({"w": entry("F32", [3], 0, 8)}, bytes(8)), FormatError,
        "data_offsets: expected 12 bytes for .* found 8"),
    "half a byte": (raw({"w": entry("F4", [3], 0, 2)}, bytes(2)), FormatError, "12 bits of F4 are not a whole number"),
    "a hole": (raw({"v": GOOD, "w": entry("F32", [2], 9, 17)}, bytes(17)), FormatError,
        "leave a hole or overlap at byte 8"),
    "an overlap": (raw({"v": GOOD, "w": entry("F32", [2], 4, 12)}, bytes(12)), FormatError, "leave a hole or overlap"),
    "a hole in front": (raw({"w": entry("F32", [2], 1, 9)}, bytes(9)), FormatError,
        "leave a hole or overlap at byte 0"),
    "too short": (raw({"w": GOOD}, bytes(7)), TruncatedError, "finish the download"),
    "too long": (raw({"w": GOOD}, bytes(9)), FormatError, "expected .* bytes, found .*; fetch"),
    "metadata that are a list": (raw({"__metadata__": [1]}), FormatError, "__metadata__ must map strings to strings"),
    "metadata that are numbers": (raw({"__metadata__": {"a": 1}}), FormatError, "__metadata__ must map strings to str"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(tmp_path: Path, name: str) -> None:
    data, error, message = ERRORS[name]
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(error, match=message) as raised:
        open_model(tmp_path / "w.safetensors")
    assert type(raised.value) is error


@given(at=st.integers(0, 200), byte=st.integers(0, 255), cut=st.integers(0, 30))
def test_garbled_headers(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, cut: int) -> None:
    body = bytes(range(24))
    data = bytearray(raw({"a": entry("F32", [2, 2], 0, 16), "b": entry("I16", [4], 16, 24)}, body))
    data[at % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / "garbled.safetensors"
    path.write_bytes(data[: len(data) - cut])
    try:
        read(path)
    except DczError:
        pass


def test_names_that_safetensors_cannot_hold(tmp_path: Path) -> None:
    dcz.save_file({"__metadata__": np.zeros(3)}, tmp_path / "w.dcz")
    target = tmp_path / "w.safetensors"
    with (
        open_model(tmp_path / "w.dcz") as model,
        pytest.raises(DczError, match="'__metadata__': safetensors keeps this name"),
    ):
        transfer(model, open_target(target))
    assert not target.exists()


@pytest.mark.parametrize("name", ["", "../../x", "a/b", "\n", "a\0b", "🙂", '"quoted"'])
def test_odd_names(tmp_path: Path, name: str) -> None:
    dcz.save_file({name: np.arange(3)}, tmp_path / "w.dcz")
    with open_model(tmp_path / "w.dcz") as model:
        transfer(model, open_target(tmp_path / "w.safetensors"))
    assert_same_bits(load_file(tmp_path / "w.safetensors")[name], np.arange(3))


def test_a_header_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.convert.safetensors.MAX_HEADER", 100)
    target = SafetensorsTarget(tmp_path / "w.safetensors")
    with pytest.raises(FormatError, match="a header of .* bytes is more than safetensors allows"):
        target.begin([Tensor("x" * 99, DTYPES["F32"], (3,))], {}, {})
    target.abandon()
    assert list(tmp_path.iterdir()) == []


def test_metadata_beyond_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.limits.MAX_METADATA_BYTES", 1000)
    save_file({"w": np.zeros(1)}, tmp_path / "w.safetensors", metadata={f"key{i}": "" for i in range(300)})
    with pytest.raises(LimitError, match="w.safetensors: __metadata__ has 1690 characters; the limit is 1000"):
        open_model(tmp_path / "w.safetensors")


def test_tensors_are_counted_before_the_header_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is parsed takes twenty times the memory of the header."""
    monkeypatch.setattr("dcz.limits.MAX_TENSORS", 10)
    monkeypatch.setattr("dcz.plain.header._MAX_CONTAINERS", 33)
    for header in ({f"w{i}": entry("F32", [0], 0, 0) for i in range(12)}, {f"w{i}": 1 for i in range(11)}, [[]] * 40):
        (tmp_path / "w.safetensors").write_bytes(raw(header))
        with pytest.raises(LimitError, match="w.safetensors: the header has more than 10 tensors"):
            open_model(tmp_path / "w.safetensors")
