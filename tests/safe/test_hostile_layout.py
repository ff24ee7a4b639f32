"""Files with right checksums whose layouts, codes or streams lie: each lie has its error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.entropy import zstd
from dcz.entropy.code import RAW_CODE
from dcz.errors import ChecksumError, FormatError
from dcz.kernels import Kernels
from support.arrays import make_array
from support.forging import crc, forge, zoo
from support.layouts import Stored, encodings, in_layout, stored, with_frames

ARRAY = make_array(1, "F32", (50, 20), 0.3, 9, "float")
TENSORS = {
    "rel": in_layout(ARRAY, "relative8", "codebook"),
    "bit": in_layout(ARRAY, "bitmap", "planes"),
    "all": in_layout(ARRAY, "all", "codebook"),
    "raw": in_layout(ARRAY, "all", "bytes"),
    "wide": in_layout(np.arange(300, dtype="<i4"), "all", "codebook"),
}
NUMBERS = {name: i for i, name in enumerate(TENSORS)}


def lie(name: str, *path: object, to: object) -> Callable[[dict], None]:
    """Sets one value of a tensor's layout."""

    def edit(index: dict) -> None:
        record = index["tensors"][NUMBERS[name]]["layout"]
        for step in path[:-1]:
            record = record[step]
        record[path[-1]] = to

    return edit


def chunk(name: str) -> int:
    return TENSORS[name].layout.chunk


def both(*edits: Callable[[dict], None]) -> Callable[[dict], None]:
    def edit(index: dict) -> None:
        for each in edits:
            each(index)

    return edit


LIES: dict[str, tuple[Callable[[dict], object], str]] = {
    "layout with a key more": (lie("rel", "x", to=1), "layout: expected a map with the keys positions, values"),
    "unknown positions": (lie("rel", "positions", to="relative6"), "positions: 'relative6' is unknown; allowed are all"),
    "positions that are a number": (lie("rel", "positions", to=8), "positions: 8 is unknown"),
    "unknown values": (lie("rel", "values", to="deltas"), "values: 'deltas' is unknown; allowed are codebook"),
    "chunk of nothing": (lie("rel", "chunk", to=0), "chunk: expected an integer from 512 to 1048576, found 0"),
    "chunk that is odd": (lie("rel", "chunk", to=1000), "chunk: 1000 is no multiple of 512"),
    "chunk too large": (lie("rel", "chunk", to=1 << 21), "chunk: expected an integer"),
    "chunk that is true": (lie("rel", "chunk", to=True), "chunk: expected an integer"),
    "chunk smaller than said": (lie("rel", "chunk", to=512), "expected 2 integers, found 1"),
    "planes with a codebook": (lie("rel", "values", to="planes"), "only values of kind codebook have one"),
    "codebook missing": (lie("rel", "codebook", to=None), "codebook: expected a map with the keys"),
    "sparse bytes": (
        both(lie("rel", "values", to="bytes"), lie("rel", "codebook", to=None)),
        "values of kind bytes go with positions of kind all, found relative8",
    ),
    "a stream less": (lie("rel", "streams", to=[]), "streams: expected 2, found 0"),
    "streams in a map": (lie("rel", "streams", to={}), "streams: expected 2, found {}"),
    "a stream that is null": (lie("rel", "streams", 0, to=None), r"streams\[0\]: expected a map"),
    "no codes": (lie("rel", "streams", 0, "codes", to=[]), "codes: expected 1 to 16 codes, found 0"),
    "seventeen codes": (lie("rel", "streams", 0, "codes", to=["raw"] * 17), "expected 1 to 16 codes, found 17"),
    "codes in a string": (lie("rel", "streams", 0, "codes", to="raw"), "expected 1 to 16 codes, found 'raw'"),
    "unknown code": (lie("rel", "streams", 0, "codes", to=["lz4"]), "unknown code 'lz4'; allowed are raw, zstd, packed1"),
    "packed in eight bits": (lie("rel", "streams", 0, "codes", to=["packed8"]), "unknown code 'packed8'"),
    "code that is a list": (lie("rel", "streams", 0, "codes", to=[[1]]), r"unknown code \[1\]"),
    "code lengths without any": (lie("rel", "streams", 0, "codes", to=[b""]), "1 to 128 bytes without trailing zeros"),
    "code lengths of zero": (lie("rel", "streams", 0, "codes", to=[b"\x11\0"]), "1 to 128 bytes without trailing zeros"),
    "code lengths of 258 symbols": (lie("rel", "streams", 0, "codes", to=[b"\x11" * 129]), "1 to 128 bytes without"),
    "incomplete code": (lie("rel", "streams", 0, "codes", to=[b"\x21"]), "no complete prefix code of at most 12 bits"),
    "overfull code": (lie("rel", "streams", 0, "codes", to=[b"\x11\x11"]), "no complete prefix code"),
    "use without a choice": (lie("rel", "streams", 0, "use", to=[0]), "use: expected 0 integers, found 1"),
    "use of a code that is not there": (
        both(lie("rel", "streams", 0, "codes", to=["raw", "packed4"]), lie("rel", "streams", 0, "use", to=[2])),
        "use: expected integers from 0 to 1, found 2",
    ),
    "no use with a choice": (lie("rel", "streams", 0, "codes", to=["raw", "packed4"]), "use: expected 1 integers, found 0"),
    "negative length": (lie("rel", "streams", 0, "lengths", to=[-1]), "lengths: expected integers from 0"),
    "length that is a fraction": (lie("rel", "streams", 0, "lengths", to=[1.0]), "lengths: expected integers from 0"),
    "length beyond 32 bits": (lie("rel", "streams", 0, "lengths", to=[(1 << 32) + 1]), "lengths: expected integers"),
    "lengths that do not add up": (lie("rel", "streams", 0, "lengths", to=[7]), "its streams add up to"),
    "nonzeros of a dense tensor": (lie("all", "nonzeros", to=[5]), "nonzeros: expected 0 integers, found 1"),
    "nonzeros missing": (lie("rel", "nonzeros", to=[]), "nonzeros: expected 1 integers, found 0"),
    "more nonzeros than a chunk": (lie("rel", "nonzeros", to=[chunk("rel") + 1]), "nonzeros: expected integers from 0"),
    "fillers of a bitmap": (lie("bit", "fillers", to=[0]), "fillers: expected 0 integers, found 1"),
    "negative fillers": (lie("rel", "fillers", to=[-1]), "fillers: expected integers from 0"),
    "checksum missing": (lie("raw", "crc32c", to=[]), "crc32c: expected 1 integers, found 0"),
    "checksum of 33 bits": (lie("raw", "crc32c", to=[1 << 32]), "crc32c: expected integers from 0 to 4294967295"),
    "huffman-coded bytes": (
        lie("raw", "streams", 0, "codes", to=[b"\x88" * 128]), "values of kind bytes are raw or zstd, found huffman",
    ),
    "packed bytes": (lie("raw", "streams", 0, "codes", to=["packed7"]), "are raw or zstd, found packed7"),
    "codebook with a key more": (lie("rel", "codebook", "x", to=1), "codebook: expected a map with the keys entries"),
    "codebook of too many entries": (lie("rel", "codebook", "entries", to=65_537), "entries: expected an integer from 0"),
    "codebook of fewer entries than coded": (
        lie("all", "codebook", "entries", to=3), "a code names cluster [0-9]+, the codebook has 3",
    ),
    "codebooks for odd groups": (lie("rel", "codebook", "group", to=100), "group: 100 is no multiple of 64"),
    "more codebooks than makes sense": (
        both(lie("wide", "codebook", "entries", to=65_536), lie("wide", "codebook", "group", to=64)),
        "5 codebooks of 65536 entries for 300 weights",
    ),
    "codebook with a plane less": (
        lie("rel", "codebook", "codes", to=["raw"] * 3), "codes: expected 4, one per byte plane, found 3",
    ),
    "codebook under zstd": (
        lie("rel", "codebook", "codes", to=["raw", "raw", "raw", "zstd"]), "raw, packed or Huffman-coded, found zstd",
    ),
    "codebook with lengths missing": (lie("rel", "codebook", "lengths", to=[]), "lengths: expected 4 integers, found 0"),
    "codebook with a checksum of text": (lie("rel", "codebook", "crc32c", to="0"), "crc32c: expected an integer"),
}  # fmt: skip


def refusal(data: bytes, message: str, error: type[Exception] = FormatError) -> None:
    for read in (dcz.load, dcz.verify):
        with pytest.raises(error, match=message) as raised:
            read(data)
        assert type(raised.value) is error and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", LIES)
def test_a_lie(name: str) -> None:
    edit, message = LIES[name]
    refusal(forge(TENSORS, edit), message)


def test_a_codebook_where_there_is_none_for_bytes() -> None:
    """A word of one byte has no codebook, one of two no codebook beyond 256 entries."""
    bytes_ = in_layout(make_array(2, "U8", (70,), 0.4, 5), "bitmap", "planes")
    book = {"entries": 1, "group": 0, "codes": ["raw"], "lengths": [1], "crc32c": 0}

    def edit(index: dict) -> None:
        index["tensors"][0]["layout"].update(values="codebook", codebook=book)

    refusal(forge({"w": bytes_}, edit), "entries: expected an integer from 0 to 0, found 1")


def test_a_mapped_tensor_off_its_boundary() -> None:
    """Only an index that hides what it is can put it there: `size` says where segments begin."""
    array = np.arange(1024, dtype="<i4")
    tensors = {"a": in_layout(np.float32(1), "all", "bytes"), "w": in_layout(array, "all", "bytes")}
    data = forge(tensors)
    assert dcz.open(data)._store.index.entries["w"].offset == 128
    at = data.index(array.tobytes())
    assert at == 128 and data[72:128] == bytes(56)


def with_body(each: Stored, body: bytes, **changes: object) -> Stored:
    """The same tensor with other bytes in its only chunk, their checksum right."""
    head = each.layout.codebook.stored if each.layout.codebook else 0
    layout = replace(each.layout, crc32c=(crc(body),), **changes)
    return replace(each, layout=layout, segment=each.segment[:head] + body)


def chunk_lie(name: str, flip: int, message: str) -> None:
    each = TENSORS[name]
    body = bytearray(each.body.tobytes())
    body[flip] ^= 0x40
    refusal(forge({"w": with_body(each, bytes(body))}), re.escape(message))


def test_streams_that_lie(kernel_set: Kernels) -> None:
    correct = "the file was not written by a correct encoder"
    with kernels.use(kernel_set):
        wide = TENSORS["wide"]
        body = wide.body.copy()
        body[-1] = 0xFF  # the high plane of the last index
        planes = [stream.codes[0].kind for stream in wide.layout.streams]
        assert planes[1] != "zstd"
        refusal(forge({"w": with_body(wide, body.tobytes())}), f"tensor 'w', chunk 0: .*{correct}")
        bit = TENSORS["bit"]
        body = bit.body.copy()
        body[:20] ^= 0xFF
        lying = with_body(bit, body.tobytes())
        if bit.layout.streams[0].codes[0].kind == "raw":
            refusal(forge({"w": lying}), "the positions do not add up to the directory's nonzeros")


@pytest.mark.parametrize("fillers", [1, 5])
def test_fillers_that_lie(kernel_set: Kernels, fillers: int) -> None:
    rel = TENSORS["rel"]
    with kernels.use(kernel_set):
        data = forge({"w": with_body(rel, rel.body.tobytes(), fillers=(fillers,))})
        refusal(data, "a stream does not end where the directory says|do not add up")


def test_nonzeros_that_lie(kernel_set: Kernels) -> None:
    rel = TENSORS["rel"]
    lying = replace(with_body(rel, rel.body.tobytes(), nonzeros=(rel.nonzeros - 1,)), nonzeros=rel.nonzeros - 1)
    with kernels.use(kernel_set):
        refusal(forge({"w": lying}), "tensor 'w', chunk 0: .*the file was not written by a correct encoder")


def test_nonzeros_of_a_dense_tensor_that_lie() -> None:
    """`load_file` has no use for them; `verify` counts."""
    for name in ("all", "raw"):
        data = forge({"w": replace(TENSORS[name], nonzeros=1)})
        assert dcz.load(data)["w"].tobytes() == ARRAY.tobytes()
        with pytest.raises(FormatError, match="nonzeros: 1, its values have"):
            dcz.verify(data)


def test_a_bitmap_with_zeros_among_its_values() -> None:
    """A value that is set and yet zero: `verify` counts what came out."""
    bit = in_layout(np.ones(64, "<f4"), "bitmap", "planes")
    layout = bit.layout
    streams = list(layout.streams)
    raw = replace(streams[1], codes=(RAW_CODE,), lengths=(64,))
    zeros = [replace(raw) for _ in range(4)]
    body = b"\xff" * 8 + bytes(4 * 64)
    lying = replace(bit, segment=body, layout=replace(layout, streams=(streams[0], *zeros), crc32c=(crc(body),)))
    with pytest.raises(FormatError, match="nonzeros: 64, its values have 0"):
        dcz.verify(forge({"w": lying}))


def lying_frame(frame: bytes) -> bytes:
    """A file whose only chunk is this frame."""
    array = np.zeros(256, "<f4")
    each = stored(array, with_frames(encodings(array)[0]))
    stream = replace(each.layout.streams[0], lengths=(len(frame),))
    layout = replace(each.layout, streams=(stream,), crc32c=(crc(frame),))
    return forge({"w": replace(each, layout=layout, segment=frame)})


def test_frames_that_lie() -> None:
    zeros = np.zeros(1024, np.uint8)
    dcz.load(lying_frame(zstd.compress(zeros)))
    refusal(lying_frame(zstd.compress(zeros[:-1])), "the zstd frame holds 1023 bytes, the directory says 1024")
    refusal(lying_frame(zstd.compress(np.zeros(1 << 30, np.uint8))), "holds 1073741824 bytes")
    refusal(lying_frame(b""), "tensor 'w', chunk 0: ")
    refusal(lying_frame(b"\0" * 40), "tensor 'w', chunk 0: ")
    refusal(lying_frame(zstd.compress(zeros)[:-1]), "tensor 'w', chunk 0: ")
    refusal(lying_frame(zstd.compress(zeros) + b"\0"), "tensor 'w', chunk 0: ")
    refusal(lying_frame(zstd.compress(zeros) + zstd.compress(zeros)), "tensor 'w', chunk 0: ")


def book_lie(change: Callable[[bytearray], object], fix_checksum: bool) -> bytes:
    each = TENSORS["rel"]
    book = bytearray(each.segment[: each.layout.codebook.stored])
    change(book)
    record = each.layout.codebook
    if fix_checksum:
        record = replace(record, crc32c=crc(bytes(book)))
    segment = bytes(book) + each.body.tobytes()
    return forge({"w": replace(each, segment=segment, layout=replace(each.layout, codebook=record))})


def test_codebooks_that_lie(kernel_set: Kernels) -> None:
    with kernels.use(kernel_set):
        dcz.load(book_lie(lambda book: None, True))
        refusal(book_lie(lambda book: book.reverse(), False), "codebook does not match its CRC-32C", ChecksumError)
        each = TENSORS["rel"]
        record = each.layout.codebook
        book = b"\xff" * (4 * record.entries)  # steps of 2**32 - 1: each entry is one less than the one before
        planes = {"codes": (RAW_CODE,) * 4, "lengths": (record.entries,) * 4, "crc32c": crc(book)}
        layout = replace(each.layout, codebook=replace(record, **planes))
        lying = replace(each, segment=book + each.body.tobytes(), layout=layout)
        refusal(forge({"w": lying}), "the codebook does not ascend")


def test_a_codebook_that_does_not_decode(kernel_set: Kernels) -> None:
    each = TENSORS["rel"]
    record = each.layout.codebook
    codes = (replace(record.codes[0], kind="packed", bits=1, lengths=b""), *record.codes[1:])
    lying = replace(each, layout=replace(each.layout, codebook=replace(record, codes=codes)))
    with kernels.use(kernel_set):
        refusal(forge({"w": lying}), "tensor 'w': the codebook does not decode")


def test_layouts_are_read_when_they_are_needed() -> None:
    """A lie in one tensor does not keep the others from being read."""
    data = forge(TENSORS, lie("rel", "chunk", to=1))
    with dcz.open(data) as reader:
        assert reader["all"].tobytes() == ARRAY.tobytes()
        with pytest.raises(FormatError, match="tensor 'rel': layout.chunk"):
            reader["rel"]


def test_the_zoo_is_whole() -> None:
    assert len(dcz.load(forge(zoo()))) == len(zoo())
