"""Files with right checksums and an index that lies: each lie has its error, raised before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zstandard

import dcz
from dcz import limits
from dcz.errors import FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.format import prelude, trailer
from support.arrays import make_array
from support.forging import compressed, encoded, finish, forge, plain_index, segments, with_trailer
from support.layouts import in_layout
from support.memory import at_most

TENSORS = {
    "a": in_layout(make_array(1, "F32", (40, 5), 0.4, 7, "float"), "bitmap", "codebook"),
    "b": in_layout(make_array(2, "I16", (11,), 1.0, 99), "all", "bytes"),
}


def change(*path: object, to: object) -> Callable[[dict], None]:
    """Sets one value deep in the index."""

    def edit(index: dict) -> None:
        for step in path[:-1]:
            index = index[step]
        index[path[-1]] = to

    return edit


def without(number: int) -> Callable[[dict], None]:
    """One tensor less, its columns too."""

    def edit(index: dict) -> None:
        del index["names"][number]

    return edit


def shape(*dims: int) -> Callable[[dict], None]:
    """Another shape for the first tensor, and nothing else."""

    def edit(index: dict) -> None:
        index["dims"][: index["ranks"][0]] = dims
        index["ranks"][0] = len(dims)

    return edit


def reorder(keys: list, *path: object) -> Callable[[dict], None]:
    """The same map with its keys in another order, or without some."""

    def edit(index: dict) -> None:
        for step in path:
            index = index[step]
        found = {key: index.get(key, 0) for key in keys}
        index.clear()
        index.update(found)

    return edit


MANY = "x" * 4097
KEYS = list(plain_index({}))
LIES: dict[str, tuple[Callable[[dict], object], type[Exception], str]] = {
    "unknown key": (change("extra", to=1), FormatError, "index: expected the keys"),
    "missing key": (reorder(KEYS[:-1]), FormatError, "expected the keys"),
    "keys in another order": (reorder([*KEYS[1::-1], *KEYS[2:]]), FormatError, "expected the keys"),
    "names in a map": (change("names", to={}), FormatError, "names: expected a list"),
    "a name less": (change("names", to=["a"]), FormatError, "streams: expected 1 integer of 1 byte, found 2"),
    "dtypes in a string": (change("dtypes", to="F4"), FormatError, "dtypes: expected a list of ASCII strings"),
    "ranks in a map": (change("ranks", to={}), FormatError, "ranks: expected a column of integers"),
    "a rank less": (change("ranks", to=[2]), FormatError, "ranks: expected 2 integers of 1 byte, found 1"),
    "a dimension less": (change("dims", to=[40, 5]), FormatError, "dims: expected 3 integers of 1 byte, found 2"),
    "a dimension more": (change("ranks", to=[3, 1]), FormatError, "dims: expected 4 integers of 1 byte, found 3"),
    "words of another shape": (change("dims", 0, to=41), FormatError, "'a': words: 200 are not those of its shape"),
    "another word size": (change("word_sizes", 0, to=8), FormatError,
        "'a': word_sizes: 8 bytes are not those of its dt"),
    "no word size": (change("word_sizes", 0, to=0), FormatError, "'a': word_sizes: expected 1 to 255, found 0"),
    "name that is bytes": (change("names", 0, to=b"a"), FormatError, r"names\[0\]: expected a string"),
    "name that is null": (change("names", 1, to=None), FormatError, r"names\[1\]: expected a string"),
    "name too long": (change("names", 0, to=MANY), LimitError, "4097 bytes; the limit is 4096"),
    "name twice": (change("names", 0, to="b"), FormatError, "duplicate tensor 'b'"),
    "dtype that is a list": (change("dtypes", 0, to=["F32"]), FormatError, "dtypes: expected a list of ASCII strings"),
    "dtype twice": (change("dtypes", 0, to="I16"), FormatError, "dtypes: duplicate dtype"),
    "dtype that is not there": (change("dtype_numbers", 1, to=2), FormatError,
        r"dtype_numbers\[1\]: expected an integer"),
    "shape with a fraction": (change("dims", 0, to=40.0), FormatError, "dims: expected a column of integers"),
    "too many dimensions": (shape(*[1] * 65), LimitError, "65 dimensions; the limit is 64"),
    "shape beyond every machine": (shape(1 << 49), LimitError, "has more than"),
    "shape whose product overflows": (shape(1 << 32, 1 << 32, 1 << 32), LimitError, "has more than"),
    "shape that overflows to zero": (shape(1 << 62, 4), LimitError, "has more than"),
    "dimension of 64 bits": (shape(1 << 63, 2), FormatError, r"dims\[0\]: expected an integer from 0"),
    "empty shape that overflows on the way": (shape(1 << 40, 1 << 40, 0), LimitError, "has more than"),
    "the same as itself": (change("same_as", 0, to=1), FormatError, "'a': same_as: expected the number of an earlier"),
    "the same as a later one": (change("same_as", 0, to=2), FormatError,
        "'a': same_as: expected the number of an earl"),
    "the same as one of another dtype": (change("same_as", 1, to=1), FormatError,
        "'b': same_as: names a tensor of another"),
    "segment of another size": (change("segments", 1, to=23), FormatError, "'b': segments: 23 bytes are not what"),
    "metadata of a tensor that is not there": (
        change("tensor_metadata", to={"c": {"k": 1}}), FormatError, "tensor_metadata: 'c' is not a tensor of the file",
    ),
    "metadata of a tensor in a list": (
        change("tensor_metadata", to={"a": [1]}), FormatError, "tensor_metadata: 'a': expected a map that is not empty",
    ),
    "metadata of a tensor that is empty": (
        change("tensor_metadata", to={"a": {}}), FormatError, "tensor_metadata: 'a': expected a map that is not empty",
    ),
    "metadata of tensors out of order": (
        change("tensor_metadata", to={"b": {"k": 1}, "a": {"k": 1}}), FormatError,
        "keys are strings in ascending order",
    ),
    "extensions in a list": (change("extensions", to=[]), FormatError, "extensions: expected a map"),
    "extensions out of order": (change("extensions", to={"b": 1, "a": 1}), FormatError,
        "extensions: keys are strings in"),
    "nonzeros in a map": (change("nonzeros", to={}), FormatError, "nonzeros: expected a column of integers"),
    "nonzeros in a list": (change("nonzeros", 0, to="9"), FormatError, "nonzeros: expected a column of integers"),
    "nonzeros missing": (change("nonzeros", to=[11]), FormatError, "nonzeros: expected 2 integers of 1 byte, found 1"),
    "more nonzeros than weights": (change("nonzeros", 1, to=12), FormatError, "nonzeros: 12 are more than its words"),
    "nonzeros of 64 bits": (change("nonzeros", 0, to=1 << 63), FormatError,
        r"nonzeros\[0\]: expected an integer from 0"),
    "nonzeros that do not add up": (change("nonzeros", 0, to=3), FormatError,
        "nonzeros: 3 are not those of its chunks"),
    "a tensor without a name": (without(1), FormatError, "expected 1 integer of 1 byte, found 2"),
    "more streams than any reader takes": (
        change("streams", 1, to=(1 << 24) + 1), LimitError, "directory: more than 16777216 numbers; split the model",
    ),
    "more streams than there can be": (change("streams", 1, to=(1 << 48) + 1), FormatError,
        r"streams\[1\]: expected an i"),
    "more rows of codebooks than any reader takes": (
        change("book_rows", 0, to=(1 << 24) + 1), LimitError, "directory: more than 16777216 numbers; split the model",
    ),
    "aliases in a list": (change("aliases", to=[]), FormatError, "aliases: expected a map"),
    "aliases out of order": (change("aliases", to={"y": "a", "x": "a"}), FormatError, "keys in ascending order"),
    "alias that is bytes": (change("aliases", to={b"x": "a"}), FormatError, "expected a string"),
    "aliases of mixed kinds": (change("aliases", to={b"x": "a", "y": "a"}), FormatError, "aliases: "),
    "alias of nothing": (change("aliases", to={"x": "q"}), FormatError, "names 'q', which is not a tensor"),
    "alias of an alias": (change("aliases", to={"x": "a", "y": "x"}), FormatError, "names 'x', which is not a tensor"),
    "alias of itself": (change("aliases", to={"x": "x"}), FormatError, "names 'x', which is not a tensor"),
    "alias of a list": (change("aliases", to={"x": ["a"]}), FormatError, "which is not a tensor"),
    "alias with a tensor's name": (change("aliases", to={"a": "b"}), FormatError, "both a tensor and an alias"),
    "alias with a long name": (change("aliases", to={MANY: "b"}), LimitError, "4097 bytes"),
    "metadata in a list": (change("metadata", to=[]), FormatError, "metadata: expected a map"),
    "metadata out of order": (change("metadata", to={"b": 1, "a": 1}), FormatError,
        "metadata: keys are strings in asc"),
    "metadata out of order deep down": (
        change("metadata", to={"k": [{"b": 1, "a": 1}]}), FormatError, r"metadata.k\[0\]: keys are strings in asc",
    ),
    "metadata under bytes": (change("metadata", to={b"a": 1}), FormatError, "keys are strings"),
    "metadata of mixed keys": (change("metadata", to={b"a": 1, "b": 2}), FormatError, "keys are strings"),
    "metadata with a timestamp": (
        change("metadata", to={"a": msgpack.Timestamp(1, 1)}), FormatError, "metadata.a: a value of type Timestamp",
    ),
    "metadata with an extension": (
        change("metadata", to={"a": [msgpack.ExtType(7, b"x")]}), FormatError, r"metadata.a\[0\]: a value of type Ext",
    ),
}  # fmt: skip


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def refusal(data: bytes, error: type[Exception], message: str) -> None:
    """All ways in refuse alike."""
    for read in (dcz.load, dcz.verify):
        with pytest.raises(error, match=message) as raised:
            read(data)
        assert type(raised.value) is error and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", LIES)
def test_a_lie(name: str) -> None:
    edit, error, message = LIES[name]
    refusal(forge(TENSORS, edit), error, message)


def test_the_truth() -> None:
    assert sorted(dcz.load(forge(TENSORS))) == ["a", "b"]
    data = forge(TENSORS, change("aliases", to={"c": "a", "d": "b"}))
    found = dcz.load(data)
    assert found["c"] is found["a"] and found["d"] is found["b"]


def test_metadata_too_deep() -> None:
    assert dcz.open(forge(TENSORS, change("metadata", to={"k": nested(15)}))).metadata["k"] == nested(15)
    refusal(forge(TENSORS, change("metadata", to={"k": nested(16)})), LimitError, "nested deeper than 16")
    maps: object = 1
    for _ in range(17):
        maps = {"k": maps}
    refusal(forge(TENSORS, change("metadata", to=maps)), LimitError, "nested deeper than 16")
    refusal(finish(segments(TENSORS), b"\x91" * 100_000 + b"\xc0"), LimitError, "nested too deep to parse")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "stored for no symbols"),
        (b"\xc1", "not valid msgpack"),
        (b"\x85", "not valid msgpack"),
        (b"\x01", "expected a map, found int"),
        (b"\x90", "expected a map, found list"),
        (b"\x80\x00", "not valid msgpack"),
        (b"\x81\x01\x01", "not valid msgpack"),
        (b"\x82\xa1a\x01\xa1a\x01", "not canonical"),
        (b"\x81\xa1\xff\x01", "not valid msgpack"),
        (b"\x80\xc0\xc0", "not valid msgpack"),
    ],
)
def test_an_index_that_is_something_else(raw: bytes, message: str) -> None:
    refusal(finish(segments({}), raw), FormatError, message)


# The same value said longer than needed: which of them a reader takes must not depend on the reader.
LONGER = {
    "integer in two bytes": (b"\x07", b"\xcc\x07"),
    "integer in three bytes": (b"\x07", b"\xcd\x00\x07"),
    "integer in nine bytes": (b"\x07", b"\xcf" + bytes(7) + b"\x07"),
    "integer as signed": (b"\x07", b"\xd0\x07"),
    "text in one byte more": (b"\xa9metadata_", b"\xd9\x09metadata_"),
    "list in two bytes more": (b"\x91\x07", b"\xdc\x00\x01\x07"),
    "map in two bytes more": (b"\x81\xa9", b"\xde\x00\x01\xa9"),
    "map in four bytes more": (b"\x81\xa9", b"\xdf" + bytes(3) + b"\x01\xa9"),
}


@pytest.mark.parametrize("name", LONGER)
def test_numbers_and_lengths_in_another_than_the_shortest_form(name: str) -> None:
    raw = encoded(plain_index({}) | {"metadata": {"metadata_": [7]}})
    short, long = LONGER[name]
    assert raw.count(short) == 1
    changed = raw.replace(short, long)
    assert msgpack.unpackb(changed) == msgpack.unpackb(raw)
    refusal(finish(segments({}), changed), FormatError, "not canonical msgpack")


def test_a_short_float() -> None:
    index = plain_index({})
    index["metadata"] = {"x": 1.5}
    raw = encoded(index)
    changed = raw.replace(b"\xcb\x3f\xf8" + bytes(6), b"\xca\x3f\xc0\x00\x00")
    assert changed != raw
    refusal(finish(segments({}), changed), FormatError, "not canonical msgpack")


def test_a_frame_that_is_no_frame() -> None:
    raw = encoded(plain_index({}))
    refusal(finish(segments({}), raw, b"\0" * 20), FormatError, "index: ")
    refusal(finish(segments({}), raw, compressed(raw)[:-1]), FormatError, "index: ")
    refusal(finish(segments({}), raw, compressed(raw) + b"\0"), FormatError, "index: ")
    refusal(finish(segments({}), raw, compressed(raw) + compressed(b"")), FormatError, "index: ")
    refusal(finish(segments({}), raw, b""), FormatError, "index: ")


def test_a_frame_of_another_length() -> None:
    raw = encoded(plain_index({}))
    for other in (raw + b"\0", raw[:-1], b""):
        refusal(
            finish(segments({}), raw, compressed(other)),
            FormatError,
            f"holds {len(other)} bytes, the file says {len(raw)}",
        )
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(raw)
    refusal(finish(segments({}), raw, silent), FormatError, "does not say how much it holds")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"version": 0}, UnsupportedError, "format version 0, this dcz reads 1; pack it again from its source"),
        ({"version": 3, "features": 1 << 9}, UnsupportedError, "format version 3, this dcz reads 1; update dcz"),
        ({"features": 1 << 63 | 2}, UnsupportedError, r"needs features 0x8000000000000002 \(bit 1, 63\).* update dcz"),
        ({"features": 1}, FormatError, "index: expected the keys .*transforms"),
        ({"reserved": 1}, FormatError, "trailer: the reserved byte is not zero"),
        ({"coder": 2}, FormatError, r"index coder: expected 0 \(raw\) or 1 \(zstd\), found 2"),
        ({"coder": 0}, FormatError, "a raw index has .* bytes, but takes"),
        ({"index_bytes": (1 << 19) + 10_000}, FormatError, "a file of .* bytes has an index of at most 52"),
        ({"file_length": 10**9}, TruncatedError, "should have 1000000000 bytes, but has"),
        ({"file_length": 64}, FormatError, "should have 64 bytes, but has"),
        ({"index_stored": 2**32 - 1}, FormatError, "does not fit the file"),
        ({"index_bytes": limits.MAX_INDEX_BYTES + 1}, LimitError, "index: 33554433 bytes; the limit is 33554432"),
        ({"index_bytes": 5}, FormatError, "bytes, the file says 5"),
    ],
)
def test_trailers(changes: dict, error: type[Exception], message: str) -> None:
    refusal(with_trailer(forge(TENSORS), **changes), error, message)


def test_an_index_whose_stored_bytes_pass_the_limit(tmp_path: Path) -> None:
    """A frame can be longer than what it holds; holes in a file cost nothing, and reading them takes memory."""
    path, size = tmp_path / "holes.dcz", 1 << 40
    end = trailer.Trailer(size, 0, 2**32 - 1, 100, 0, trailer.ZSTD_INDEX).pack()
    with open(path, "wb") as file:
        file.write(prelude.MAGIC)
        file.truncate(size - len(end))
        file.seek(size - len(end))
        file.write(end)
    with at_most(1 << 20), pytest.raises(LimitError, match="index: 4294967295 bytes as stored; the limit is 33554432"):
        dcz.open(path)


def test_an_index_longer_than_the_first_read() -> None:
    """The tail that is read first is a guess; a longer index takes another read."""
    rng = np.random.Generator(np.random.PCG64(1))
    names = sorted(rng.bytes(40).hex() for _ in range(2000))
    data = forge(dict.fromkeys(names, TENSORS["b"]))
    assert trailer.Trailer.parse(np.frombuffer(data, np.uint8), len(data)).index_stored > 64 << 10
    assert list(dcz.open(data)) == names


def test_an_index_that_begins_elsewhere() -> None:
    data = forge(TENSORS)
    stored = trailer.Trailer.parse(np.frombuffer(data, np.uint8), len(data)).index_stored
    with pytest.raises(dcz.ChecksumError, match="index: does not match"):
        dcz.load(with_trailer(data, index_stored=stored - 1))
