"""Files with right checksums whose index lies about layouts, codes or lengths: each lie has its error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import dcz
from dcz.errors import ChecksumError, UnsupportedError
from dcz.report import stored_file
from support.arrays import make_array
from support.forging import forge, zoo
from support.layouts import Stored, in_layout
from support.refusing import ARRAY, TENSORS, refusal

NUMBERS = {name: i for i, name in enumerate(TENSORS)}


def lie(name: str, column: str, to: object) -> Callable[[dict], None]:
    """Sets a tensor's entry of a column that has one per tensor."""

    def edit(index: dict) -> None:
        index[column][NUMBERS[name]] = to

    return edit


def before(name: str, size: Callable[[Stored], int]) -> int:
    """Where a tensor's part of a flat column begins."""
    return sum(size(each) for other, each in TENSORS.items() if NUMBERS[other] < NUMBERS[name])


def row(name: str, column: str, to: object) -> Callable[[dict], None]:
    """Sets a number of a tensor's only row of the directory, or of its first stream there."""

    def edit(index: dict) -> None:
        of_streams = column in ("row_codes", "row_lengths")
        at = before(name, lambda each: len(each.layout.streams)) if of_streams else NUMBERS[name]
        index[column][at] = to

    return edit


def book(name: str, column: str, to: object) -> Callable[[dict], None]:
    """Sets a number of a tensor's codebook, or of the lowest byte plane there."""

    def edit(index: dict) -> None:
        has = lambda each: each.layout.codebook is not None
        per_book = (
            (lambda each: int(has(each))) if column == "book_crcs" else (lambda each: each.dtype.word * has(each))
        )
        index[column][before(name, per_book)] = to

    return edit


def code(name: str, stream: int, to: object) -> Callable[[dict], None]:
    """Codes a tensor's stream with another code."""

    def edit(index: dict) -> None:
        streams = before(name, lambda each: len(each.layout.streams)) + stream
        if to not in index["codes"]:
            index["codes"].append(to)
        index["numbers"][sum(index["counts"][:streams])] = index["codes"].index(to)

    return edit


def column(name: str, change: Callable[[list], object]) -> Callable[[dict], None]:
    """Changes a whole column, or replaces it with what `change` returns."""

    def edit(index: dict) -> None:
        index[name] = change(index[name])

    return edit


def more(found: list) -> list:
    return [*found, 0]


def both(*edits: Callable[[dict], None]) -> Callable[[dict], None]:
    def edit(index: dict) -> None:
        for each in edits:
            each(index)

    return edit


LIES: dict[str, tuple[Callable[[dict], object], str]] = {
    "positions beyond 48 bits": (lie("rel", "positions", 1 << 50), r"positions\[0\]: expected an integer from 0 to"),
    "positions that are text": (lie("rel", "positions", "all"), "positions: expected a column of integers"),
    "positions in a map": (column("positions", lambda _: {}), "positions: expected a column of integers"),
    "positions of a tensor more": (column("positions", more),
        "positions: expected 5 integers of 1 byte, found 6 bytes"),
    "values beyond 63 bits": (lie("bit", "values", (1 << 64) - 1),
        rf"values\[1\]: .* from 0 to 281474976710656, found {(1 << 64) - 1}"),
    "chunk of nothing": (lie("rel", "chunks", 0), "tensor 'rel': chunks: expected 512 to 1048576, found 0"),
    "chunk that is odd": (lie("rel", "chunks", 1000), "tensor 'rel': chunks: expected a multiple of 512, found 1000"),
    "chunk too large": (lie("rel", "chunks", 1 << 21), "chunks: expected 512 to 1048576, found 2097152"),
    "chunk that is true": (lie("rel", "chunks", True), "chunks: expected a column of integers"),
    "chunk that is a fraction": (lie("rel", "chunks", 512.0), "chunks: expected a column of integers"),
    "chunk smaller than said": (lie("rel", "chunks", 512), "tensor 'rel': rows: 1 are not the chunks it has"),
    "planes with a codebook": (lie("rel", "values", 1), "tensor 'rel': only values of kind codebook have entries"),
    "planes with groups": (lie("bit", "groups", 64), "tensor 'bit': only values of kind codebook have entries"),
    "planes that were a codebook": (both(lie("rel", "values", 1), lie("rel", "entries", 0)),
        "streams: 2 are not those of its positions and values"),
    "sparse bytes": (
        both(lie("rel", "values", 0), lie("rel", "entries", 0)), "values of kind bytes go with positions of kind all",
    ),
    "positions of too few streams": (lie("all", "positions", 1), "tensor 'all': streams: 1 are not those of"),
    "a stream less": (column("counts", lambda found: found[1:]),
        "counts: expected 11 integers of 1 byte, found 10 bytes"),
    "streams in a map": (column("counts", lambda _: {}), "counts: expected a column of integers"),
    "no codes": (column("counts", lambda found: [0, *found[1:]]), r"counts\[0\]: expected an integer from 1 to 16"),
    "seventeen codes": (column("counts", lambda found: [17, *found[1:]]),
        r"counts\[0\]: expected an integer from 1 to"),
    "a code more": (column("counts", lambda found: [found[0] + 1, *found[1:]]), "numbers: expected"),
    "a code that is not there": (column("numbers", lambda found: [99, *found[1:]]),
        r"numbers\[0\]: expected an integer"),
    "codes in a string": (column("codes", lambda _: "raw"), "codes: expected a list"),
    "a code twice": (column("codes", lambda found: [*found, found[0]]), "codes: duplicate code"),
    "code that is a list": (code("rel", 0, [1]), "codes: expected strings and bytes"),
    "code that is a number": (code("rel", 0, 8), "codes: expected strings and bytes, found 8"),
    "code lengths without any": (code("rel", 0, b""), "1 to 128 bytes without trailing zeros"),
    "code lengths of zero": (code("rel", 0, b"\x11\0"), "1 to 128 bytes without trailing zeros"),
    "code lengths of 258 symbols": (code("rel", 0, b"\x11" * 129), "1 to 128 bytes without"),
    "incomplete code": (code("rel", 0, b"\x21"), "the lengths form no complete prefix code of at most 12 bits"),
    "overfull code": (code("rel", 0, b"\x11\x11"), "no complete prefix code"),
    "use of a code that is not there": (row("rel", "row_codes", 1),
        "tensor 'rel': a chunk uses a code its stream lacks"),
    "use of a code beyond 63 bits": (row("rel", "row_codes", 1 << 63),
        r"row_codes\[0\]: expected an integer from 0 to"),
    "length beyond 63 bits": (row("rel", "row_lengths", 1 << 63), rf"row_lengths\[0\]: expected .*, found {1 << 63}"),
    "length that is a fraction": (row("rel", "row_lengths", 1.0), "row_lengths: expected a column of integers"),
    "length beyond 32 bits": (row("rel", "row_lengths", (1 << 32) + 1),
        r"row_lengths\[0\]: expected an integer from 0"),
    "lengths that do not add up": (row("rel", "row_lengths", 7), "segments: .* bytes are not what its rows take"),
    "lengths that add up to more than the file": (row("raw", "row_lengths", 1 << 32),
        "segments: .* bytes are not what its rows take"),
    "nonzeros of a dense tensor": (row("all", "row_nonzeros", 5),
        "tensor 'all': a chunk has more nonzeros than weights"),
    "more nonzeros than a chunk": (row("rel", "row_nonzeros", 1001),
        "tensor 'rel': a chunk has more nonzeros than weights"),
    "fillers of a bitmap": (row("bit", "row_fillers", 1), "tensor 'bit': a chunk has more fillers than it can have"),
    "more fillers than weights": (row("rel", "row_fillers", 1001),
        "tensor 'rel': a chunk has more fillers than it can have"),
    "fillers beyond 63 bits": (row("rel", "row_fillers", 1 << 63), r"row_fillers\[0\]: expected an integer from 0"),
    "a number missing": (column("row_crcs", lambda found: found[:-1]),
        "row_crcs: expected 5 integers of 4 bytes, found 16"),
    "a number more": (column("row_lengths", more), "row_lengths: expected 11 integers of 2 bytes, found 24 bytes"),
    "checksum of 33 bits": (row("raw", "row_crcs", 1 << 32),
        r"row_crcs\[3\]: expected an integer from 0 to 4294967295"),
    "huffman-coded bytes": (code("raw", 0, b"\x88" * 128), "tensor 'raw': values of kind bytes are raw or zstd"),
    "packed bytes": (code("raw", 0, "packed7"), "tensor 'raw': values of kind bytes are raw or zstd"),
    "codebook of too many entries": (lie("rel", "entries", 65_537), "entries: a codebook cannot have 65537"),
    "codebook of fewer entries than coded": (lie("all", "entries", 3),
        "a code names a cluster beyond its codebook of 3"),
    "codebooks for odd groups": (lie("rel", "groups", 100),
        "tensor 'rel': groups: expected a multiple of 64, found 100"),
    "groups beyond 63 bits": (lie("rel", "groups", 1 << 63), r"groups\[0\]: expected an integer from 0"),
    "more codebooks than makes sense": (
        both(lie("wide", "entries", 65_536), lie("wide", "groups", 64)),
        "tensor 'wide': its codebooks have 327680 entries, more than the tensor has words",
    ),
    "codebook under zstd": (
        both(column("codes", lambda found: [*found, "zstd"]),
            lambda index: book("rel", "book_codes", len(index["codes"]) - 1)(index)),
        "tensor 'rel': a codebook is raw, packed or Huffman-coded, found zstd",
    ),
    "codebook under a code that is not there": (book("rel", "book_codes", 99),
        r"book_codes\[0\]: expected .*, found 99"),
    "codebook with a number missing": (column("book_crcs", lambda found: found[:-1]),
        "book_crcs: expected 3 integers of 4"),
    "codebook with lengths missing": (column("book_lengths", lambda found: found[:-1]),
        "book_lengths: expected 12 integers"),
    "codebook with a length beyond 32 bits": (book("rel", "book_lengths", (1 << 32) + 1),
        r"book_lengths\[0\]: expected"),
    "codebook with a checksum of text": (book("rel", "book_crcs", "0"), "book_crcs: expected a column of integers"),
    "a column of nothing": (column("values", lambda _: b""), "values: expected a column of integers"),
    "a column of text": (column("values", lambda _: "\1aaaaa"), "values: expected a column of integers"),
    "a column of no width": (column("values", lambda _: bytes(6)),
        "values: expected integers of 1, 2, 4 or 8 bytes, found 0"),
    "a column of three bytes": (column("values", lambda _: b"\3" + bytes(15)),
        "expected integers of 1, 2, 4 or 8 bytes, found 3"),
    "a column wider than it needs": (
        column("values", lambda found: b"\2" + bytes(found) + bytes(5)),
        "values: integers of 2 bytes are wider than any",
    ),
    "a column with eight bytes too many": (
        column("groups", lambda _: b"\x08" + bytes([64] * 20) + bytes([1] * 20)),
        r"groups\[0\]: expected an integer from 0 to",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_lie(name: str) -> None:
    edit, message = LIES[name]
    refusal(forge(TENSORS, edit), message)


def test_a_codebook_where_there_is_none_for_bytes() -> None:
    """A word of one byte has no codebook, one of two no codebook beyond 256 entries."""
    bytes_ = in_layout(make_array(2, "U8", (70,), 0.4, 5), "bitmap", "planes")
    refusal(forge({"w": bytes_}, lambda index: index.update(values=[2])), "need words of two bytes or more")
    halves = in_layout(make_array(2, "F16", (70,), 0.4, 5), "bitmap", "codebook")
    refusal(forge({"w": halves}, lambda index: index.update(entries=[257])), "entries: a codebook cannot have 257")


@pytest.mark.parametrize(("positions", "values"), [(1, 0), (0, 2), (0, 1), (8, 2)])
def test_a_layout_for_no_elements(positions: int, values: int) -> None:
    empty = zoo()["empty"]
    assert dcz.load(forge({"w": empty}))["w"].shape == (0, 3)
    edit = lambda index: index.update(positions=[positions], values=[values])
    refusal(forge({"w": empty}, edit), "a tensor without chunks of its own has numbers of a layout")


UNKNOWN: dict[str, tuple[Callable[[dict], object], str]] = {
    "positions": (lie("rel", "positions", 6), "has positions of kind 6"),
    "values": (lie("rel", "values", 3), "has values of kind 3"),
    "code": (code("rel", 0, "lz4"), "is coded by 'lz4'"),
    "code of a known family": (code("rel", 0, "packed8"), "is coded by 'packed8'"),
    "dtype": (column("dtypes", lambda found: ["F128", *found]), "has the dtype 'F128'"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_unknown_stops_one_tensor_and_no_other(name: str) -> None:
    edit, reason = UNKNOWN[name]
    if name == "dtype":
        edit = both(edit, lambda index: index.update(dtype_numbers=[0, *(n + 1 for n in index["dtype_numbers"][1:])]))
    data = forge(TENSORS, edit)
    with dcz.open(data) as reader:
        assert list(reader) == list(TENSORS)
        for other in ("bit", "all", "raw"):
            assert reader[other].tobytes() == ARRAY.tobytes()
        message = f"tensor 'rel' {reason}, which this version of dcz does not know; update dcz"
        for read in (reader.get_tensor, reader.get_slice, reader.get_csr, reader.get_clusters):
            with pytest.raises(UnsupportedError, match=message):
                read("rel")
        info = reader.info("rel")
        assert (info.shape, info.words, info.stored) == ((50, 20), 1000, len(TENSORS["rel"].segment))
        assert info.unsupported is not None and reason in info.unsupported and info.layout is None
        listed = {each.name: each for each in stored_file(reader).tensors}
        assert (listed["rel"].unsupported, listed["rel"].stored) == (info.unsupported, info.stored)
        assert listed["bit"].unsupported is None
        assert "unsupported" in reader._repr_html_()
    assert sorted(dcz.load(data, names=["bit", "wide"])) == ["bit", "wide"]
    with pytest.raises(UnsupportedError, match=message):
        dcz.load(data)
    assert dcz.verify(data).unsupported == ("rel",)
    damaged = bytearray(data)
    damaged[8 + len(TENSORS["rel"].segment) - 1] ^= 1
    with pytest.raises(ChecksumError, match="tensor 'rel', chunk 0: the stored bytes do not match"):
        dcz.verify(bytes(damaged))


def test_padding_that_is_not_zero() -> None:
    """A mapped tensor begins on a boundary of 64 bytes; what lies before it belongs to no checksum, and is checked."""
    array = np.arange(1024, dtype="<i4")
    tensors = {"a": in_layout(np.float32(1), "all", "bytes"), "w": in_layout(array, "all", "bytes")}
    data = bytearray(forge(tensors))
    assert dcz.open(bytes(data))._store.index.entries["w"].offset == 64
    assert data.index(array.tobytes()) == 64 and data[12:64] == bytes(52)
    data[50] = 1
    refusal(bytes(data), "tensor 'w': the padding in front of its segment is not zero")


def test_the_zoo_is_whole() -> None:
    assert len(dcz.load(forge(zoo()))) == len(zoo())
