"""GGUF files: what the `gguf` library writes is read, and written again byte for byte."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import gguf_header as own
from dcz.convert import open_model
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from support.arrays import make_array
from support.bits import assert_same_bits
from support.converting import convert

FLOATS = {
    f"blk.{code}": make_array(2, code, (4, 64), 0.5, 50) for code in ("F32", "F16", "F64", "I8", "I16", "I32", "I64")
}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def entry(name: str, lengths: list[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(lengths)}QIQ", len(lengths), *lengths, kind, offset)


def build(entries: list[bytes], body: bytes = b"", pairs: tuple[bytes, ...] = (), version: int = 3) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(entries), len(pairs)) + b"".join(pairs) + b"".join(entries)
    return head + bytes(-len(head) % 32) + body


def number(key: str, kind: int, layout: str, value: object) -> bytes:
    return text(key) + struct.pack(f"<I{layout}", kind, value)


@pytest.fixture
def library():
    return pytest.importorskip("gguf", reason="the gguf library is not installed (pip install gguf)")


@pytest.mark.parametrize("alignment", [None, 64])
def test_what_the_library_writes(tmp_path: Path, library, alignment: int | None) -> None:
    kinds = library.GGMLQuantizationType
    writer = library.GGUFWriter(tmp_path / "a.gguf", "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_context_length(512)
    writer.add_float32("llama.rope", 0.5)
    writer.add_bool("llama.flag", True)
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "ü", "a" * 300_000])
    writer.add_array("tokenizer.ggml.scores", [0.5] * 400_000)
    for name, array in FLOATS.items():
        writer.add_tensor(name, array)
    rng = np.random.Generator(np.random.PCG64(1))
    blocks = {
        "q4": (kinds.Q4_0, 18, 32), "q6": (kinds.Q6_K, 210, 256), "iq": (kinds.IQ4_XS, 136, 256),
        "bf": (kinds.BF16, 2, 1),
    }  # fmt: skip
    raw = {name: rng.integers(0, 256, (5, 512 // block * size), np.uint8) for name, (_, size, block) in blocks.items()}
    for name, (kind, _, _) in blocks.items():
        writer.add_tensor(name, raw[name], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    packed = convert(tmp_path / "a.gguf", tmp_path / "a.dcz")
    found = dcz.load_file(packed)
    assert sorted(found) == sorted([*FLOATS, *blocks, "GGUF.header"])
    for name, array in FLOATS.items():
        assert_same_bits(found[name], array)
    for name in ("q4", "q6", "iq"):
        assert_same_bits(found[name], raw[name])
    assert found["bf"].dtype.name == "bfloat16" and found["bf"].tobytes() == raw["bf"].tobytes()
    with dcz.open(packed) as reader:
        metadata = dict(reader.metadata)
        about = {name: dict(reader.info(name).metadata) for name in reader}
    assert metadata["general.architecture"] == "llama" and metadata["llama.context_length"] == 512
    assert metadata["llama.rope"] == 0.5 and metadata["llama.flag"] is True
    types = {"q4": "Q4_0", "q6": "Q6_K", "iq": "IQ4_XS"}
    assert {name: each["gguf.type"] for name, each in about.items() if each} == types
    theirs = {tensor.name: tensor.shape for tensor in library.GGUFReader(tmp_path / "a.gguf").tensors}
    for name in types:
        assert about[name]["gguf.shape"] == theirs[name][::-1].tolist()  # in weights, the last varies fastest
    assert convert(packed, tmp_path / "b.gguf").read_bytes() == (tmp_path / "a.gguf").read_bytes()


def test_every_type_is_as_large_as_the_library_says(library) -> None:
    sizes = {kind.value: (kind.name, *library.GGML_QUANT_SIZES[kind]) for kind in library.GGMLQuantizationType}
    for value, (name, block, size) in own._TYPES.items():
        if value in sizes:
            assert sizes[value] == (name, block, size)
    unknown = {value: sizes[value] for value in sizes.keys() - own._TYPES.keys()}  # carried as bytes
    assert unknown.keys() <= {36, 37, 38, 42, 43}


def test_values_may_change_shapes_may_not(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(build([entry("w", [4, 2], 0, 0)], bytes(32)))
    with open_model(tmp_path / "a.gguf") as model:
        arrays = {tensor.name: model.read(tensor.name) for tensor in model.tensors()}
    assert arrays["w"].shape == (2, 4)
    changed = arrays | {"w": np.ones((2, 4), np.float32)}
    dcz.save_file(changed, tmp_path / "b.dcz")
    with open_model(convert(tmp_path / "b.dcz", tmp_path / "b.gguf")) as model:
        assert_same_bits(model.read("w"), changed["w"])
    for wrong, message in (
        (
            {"w": np.ones((4, 2), np.float32)},
            r"tensor 'w' is F32 \(4, 2\), in the header F32 \(2, 4\); they must agree",
        ),
        ({"w": np.ones((2, 4), np.float16)}, "tensor 'w' is F16"),
        ({"v": np.ones(2)}, "only the tensors have 'v'"),
        ({"GGUF.header": arrays["GGUF.header"][:-40]}, "goes beyond the .* bytes of the header"),
        ({"GGUF.header": np.zeros(9, np.uint8)}, "not a GGUF file"),
    ):
        dcz.save_file(arrays | wrong, tmp_path / "c.dcz")
        with pytest.raises(DczError, match=message):
            convert(tmp_path / "c.dcz", tmp_path / "c.gguf")
    dcz.save_file({"w": np.ones(3)}, tmp_path / "c.dcz")
    with pytest.raises(DczError, match="there is no tensor 'GGUF.header'; only what was packed from a GGUF file"):
        convert(tmp_path / "c.dcz", tmp_path / "c.gguf")
    assert sorted(os.listdir(tmp_path)) == ["a.gguf", "b.dcz", "b.gguf", "c.dcz"]


def test_names_that_come_before_the_header(tmp_path: Path) -> None:
    body = np.arange(16, dtype=np.float32).tobytes()
    data = build([entry("A", [8], 0, 0), entry("w", [8], 0, 32)], body)
    (tmp_path / "a.gguf").write_bytes(data)
    assert convert(convert(tmp_path / "a.gguf", tmp_path / "a.dcz"), tmp_path / "b.gguf").read_bytes() == data


def test_a_file_without_tensors(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(build([], pairs=(number("n", 4, "I", 3),)))
    back = convert(convert(tmp_path / "a.gguf", tmp_path / "a.dcz"), tmp_path / "b.gguf")
    assert back.read_bytes() == (tmp_path / "a.gguf").read_bytes()


FOUR = np.arange(4, dtype=np.float32).tobytes()
HEADS = [entry("v", [4], 0, 0), entry("w", [4], 0, 64)]
EXACT = {
    "no padding at the end": build([entry("w", [4], 0, 0)], FOUR),
    "more padding at the end": build([entry("w", [4], 0, 0)], FOUR + bytes(16 + 32)),
    "a footer": build([entry("w", [4], 0, 0)], FOUR + bytes(16) + b"signature"),
    "padding that is not zero": build(HEADS, FOUR + b"\xaa" * 48 + FOUR + b"\xbb" * 16),
    "a hole": build(HEADS, FOUR + bytes(48) + FOUR + bytes(16)),
    "no tensors and a footer": build([], b"footer"),
    "a header that ends the file": build([])[:24],
    "an unknown type": build([entry("q", [7, 3], 99, 0)], bytes(range(77))),
    "unknown types": build([entry("p", [7], 98, 0), entry("w", [4], 0, 64), entry("q", [7], 42, 96)],
        bytes(range(140))),
    "removed types": build([entry(f"t{n}", [7], n, 32 * i) for i, n in enumerate((4, 5, 31, 32, 33, 36, 37, 38))],
        bytes(range(250))),
    "an unknown type of no bytes": build([entry("p", [0], 98, 0), entry("w", [4], 0, 0)], FOUR + bytes(16)),
    "a string of 17 megabytes": build([], pairs=(text("s") + struct.pack("<I", 8) + text("x" * (17 << 20)),
        number("n", 4, "I", 3))),
    "keys of 3 megabytes": build([], pairs=tuple(number(f"{n:08d}", 4, "I", n) for n in range(150_000))),
    "a key twice": build([], pairs=(number("n", 4, "I", 3), number("n", 4, "I", 4))),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_byte_for_byte(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.gguf").write_bytes(EXACT[name])
    back = convert(convert(tmp_path / "a.gguf", tmp_path / "a.dcz"), tmp_path / "b.gguf")
    assert back.read_bytes() == EXACT[name]


def test_what_every_writer_puts_there_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(EXACT["a hole"])
    with open_model(tmp_path / "a.gguf") as model:
        assert [tensor.name for tensor in model.tensors()] == ["GGUF.header", "v", "w"]


def test_unknown_types_are_bytes_and_the_others_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(EXACT["unknown types"])
    with open_model(tmp_path / "a.gguf") as model:
        shapes = {tensor.name: (tensor.dtype.code, tensor.shape) for tensor in model.tensors()}
        about = model.tensor_metadata
    assert {name: each["gguf.type"] for name, each in about.items()} == {"p": "type 98", "q": "type 42"}
    assert shapes["p"] == ("U8", (64,)) and shapes["w"] == ("F32", (4,)) and shapes["q"] == ("U8", (44,))


def test_a_large_value_leaves_the_others_in_the_metadata(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(
        build([], pairs=(number("n", 4, "I", 3), text("s") + struct.pack("<I", 8) + text("x" * (2 << 20))))
    )
    with open_model(tmp_path / "a.gguf") as model:
        assert dict(model.metadata) == {"n": 3}


def test_a_header_of_a_terabyte(tmp_path: Path) -> None:
    """Offsets far apart would make a sparse file as large."""
    header = np.frombuffer(build([entry("v", [4], 0, 0), entry("w", [4], 0, 1 << 40)]), np.uint8)
    array = np.zeros(4, np.float32)
    dcz.save_file({"GGUF.header": header, "v": array, "w": array}, tmp_path / "a.dcz")
    with pytest.raises(LimitError, match="the tensors lie more than 268435456 bytes apart"):
        convert(tmp_path / "a.dcz", tmp_path / "b.gguf")
    alone = np.frombuffer(build([entry("w", [4], 0, 1 << 40)]), np.uint8)
    dcz.save_file({"GGUF.header": alone, "w": array}, tmp_path / "a.dcz")
    with pytest.raises(LimitError, match="lie more than"):
        convert(tmp_path / "a.dcz", tmp_path / "b.gguf")
    assert os.listdir(tmp_path) == ["a.dcz"]


def test_padding_that_is_too_short(tmp_path: Path) -> None:
    header, array = np.frombuffer(build(HEADS), np.uint8), np.zeros(4, np.float32)
    tensors = {"GGUF.header": header, "GGUF.padding": np.zeros(3, np.uint8), "v": array, "w": array}
    dcz.save_file(tensors, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="'GGUF.padding' has 3 bytes, fewer than 48"):
        convert(tmp_path / "a.dcz", tmp_path / "b.gguf")


HUGE = struct.pack("<Q", (1 << 64) - 1)
ERRORS = {
    "nothing": (b"", TruncatedError, "the file is empty; finish the download"),
    "text": (b"no model at all", FormatError, "not a GGUF file, but one that begins with"),
    "a header cut off": (build([entry("w", [4], 0, 0)])[:30], TruncatedError, "finish the download"),
    "version 1": (build([], version=1), UnsupportedError, "GGUF version 1; 2 and 3 are read"),
    "big-endian": (b"GGUF\0\0\0\3" + bytes(16), UnsupportedError, "big-endian"),
    "too short": (build([entry("w", [4], 0, 0)], bytes(9)), TruncatedError, "7 bytes short"),
    "a count too large": (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0) + bytes(32), DczError,
        "garbled|goes beyond|known|UTF-8|too large"),
    "pairs too large": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60) + bytes(64), TruncatedError,
        "the header goes beyond"),
    "a string too large": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + HUGE, TruncatedError, "a key goes beyond"),
    "a list too large": (build([], pairs=(text("k") + struct.pack("<IIQ", 9, 4, 1 << 62),)), TruncatedError,
        "the list of"),
    "nested lists": (build([], pairs=(text("k") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 20,)),
        FormatError, "is not known"),
    "a value of no type": (build([], pairs=(text("k") + struct.pack("<I", 99),)), FormatError, "a value of type 99"),
    "an unknown type that overlaps": (build([entry("v", [16], 0, 0), entry("w", [4], 99, 32)], bytes(99)), FormatError,
        "overlap"),
    "five dimensions": (build([entry("w", [1] * 5, 0, 0)], bytes(4)), FormatError, "5 dimensions; the limit is 4"),
    "lengths too large": (build([entry("w", [1 << 40, 1 << 40], 0, 0)]), LimitError, "takes more than"),
    "zero times huge": (build([entry("w", [0, 1 << 62], 0, 0)]), LimitError, "takes more than"),
    "an offset too large": (build([entry("w", [4], 0, 1 << 62)]), LimitError,
        "offset 4611686018427387904; the limit is"),
    "our padding": (build([entry("GGUF.padding", [4], 0, 0)], bytes(99)), FormatError, "dcz keeps this name"),
    "no whole blocks": (build([entry("w", [33], 2, 0)], bytes(99)), FormatError,
        "expected rows of whole blocks of 32 weights, found 33"),
    "a scalar in blocks": (build([entry("w", [], 2, 0)], bytes(99)), FormatError, "of whole blocks .*, found 1"),
    "an offset between": (build([entry("w", [4], 0, 4)], bytes(99)), FormatError, "offset 4 is not a multiple of 32"),
    "an overlap": (build([entry("v", [16], 0, 0), entry("w", [4], 0, 32)], bytes(99)), FormatError, "overlap"),
    "a name twice": (build([entry("w", [4], 0, 0), entry("w", [4], 0, 32)], bytes(99)), FormatError, "duplicate name"),
    "our name": (build([entry("GGUF.header", [4], 0, 0)], bytes(99)), FormatError, "dcz keeps this name"),
    "no text": (build([entry("w", [4], 0, 0).replace(b"w", b"\xff")], bytes(16)), FormatError, "not valid UTF-8"),
    "an odd alignment": (build([], pairs=(number("general.alignment", 4, "I", 33),)), FormatError,
        "33 is not a power of two"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(tmp_path: Path, name: str) -> None:
    data, error, message = ERRORS[name]
    (tmp_path / "a.gguf").write_bytes(data)
    with pytest.raises(error, match=message):
        open_model(tmp_path / "a.gguf")


def test_a_header_beyond_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.convert.gguf._MAX_HEADER", 1 << 19)
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 5 << 20) + bytes(6 << 20)
    (tmp_path / "a.gguf").write_bytes(data)
    with pytest.raises(LimitError, match="its header takes more than"):
        open_model(tmp_path / "a.gguf")


def test_garbled_files(tmp_path: Path) -> None:
    data = build([entry("w", [8], 0, 0), entry("q", [32], 2, 32)], bytes(64), (number("n", 4, "I", 3),))
    damaged = 0
    for at in range(len(data) - 64):
        for byte in (0, 1, 0x7F, 0xFF):
            changed = bytearray(data)
            changed[at] = byte
            (tmp_path / "b.gguf").write_bytes(changed)
            try:
                with open_model(tmp_path / "b.gguf") as model:
                    for tensor in model.tensors():
                        model.read(tensor.name)
            except DczError:
                damaged += 1
    assert damaged
