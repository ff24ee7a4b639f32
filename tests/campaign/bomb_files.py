"""Small files that ask for much, by what they do."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zstandard

import dcz
from dcz.format import integers, trailer
from support.forging import compressed, encoded, expand, finish, forge, plain_index, segments, with_trailer
from support.layouts import encodings as all_encodings
from support.layouts import in_layout, stored, with_frames

Bomb = Callable[[Path], Path]


BOMBS: dict[str, Bomb] = {}


def bomb(name: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """Notes a function that makes a file."""

    def noted(make: Callable[[], bytes]) -> Callable[[], bytes]:
        def written(folder: Path) -> Path:
            path = folder / "bomb.dcz"
            path.write_bytes(make())
            return path

        BOMBS[name] = written
        return make

    return noted


def _zeros() -> Any:
    return in_layout(np.zeros((1, 1 << 20), "<f4"), "bitmap", "codebook")


@bomb("a tensor of 2^48 words in one chunk")
def _large() -> bytes:
    return forge({"w": _zeros()}, lambda p: p.update(dims=[1 << 24, 1 << 24], words=[1 << 48]))


@bomb("a tensor of 2^48 words in as many chunks as that takes")
def _chunks() -> bytes:
    return forge({"w": _zeros()}, lambda p: p.update(dims=[1 << 28, 1 << 20], words=[1 << 48], rows=[1 << 28]))


@bomb("lengths whose product is 2^126, and one of zero")
def _overflow() -> bytes:
    return forge({"w": _zeros()}, lambda p: p.update(ranks=[3], dims=[1 << 62, 1 << 62, 0], words=[0]))


@bomb("a stream of one symbol 10^11 times, in 100,000 chunks and 700 KB")
def _endless() -> bytes:
    tensors = {"w": _zeros()}
    plain = plain_index(tensors)
    expand(plain, 100_000)
    plain["dims"] = [100_000, 1 << 20]
    front, raw = segments(tensors), encoded(plain)
    assert not plain["row_lengths"][0] or len(front) < 1 << 20
    return finish(front, raw, raw, is_raw=True)


@bomb("a stream of one symbol 6.9 * 10^10 times, in 20 KB")
def _long() -> bytes:
    return forge({"w": _zeros()}, lambda p: expand(p, 1 << 16))


@bomb("256 codebooks of 65,536 entries")
def _codebooks() -> bytes:
    some = in_layout(np.arange(1 << 11, dtype="<f4"), "all", "codebook")
    words = 256 * 64

    def edit(p: dict) -> None:
        p.update(dims=[words], words=[words], entries=[65_536], groups=[64], chunks=[1 << 20])
        p["row_lengths"], p["book_rows"] = [0, 0], [4 * 65]
        p["book_codes"], p["book_lengths"] = [0] * (4 * 65), [0] * (4 * 65)
        p.update(codes=[b"\1"], counts=[1, 1], numbers=[0, 0], book_crcs=[0], segments=[0])

    return forge({"w": some.__class__(**{**vars(some), "segment": b""})}, edit)


@bomb("a million tensors in a frame of a few KB")
def _tensors() -> bytes:
    n = 1_000_000
    plain = _empty_index()
    columns = (
        "dtype_numbers", "ranks", "words", "nonzeros", "content_crcs", "same_as", "positions", "values", "chunks",
        "entries", "groups", "streams", "rows", "book_rows", "segments",
    )  # fmt: skip
    plain.update(names=[str(i) for i in range(n)], dtypes=["F32"], dims=[0] * n, word_sizes=[4] * n, codes=[])
    plain.update({key: [0] * n for key in columns})
    plain["ranks"] = [1] * n
    raw = encoded(plain)
    return finish(b"\x89DCZ\r\n\x1a\n", raw, compressed(raw))


def _empty_index() -> dict:
    parts = dcz.save({})
    end = trailer.Trailer.parse(np.frombuffer(parts, np.uint8), len(parts))
    stored_ = parts[end.index_offset : end.index_offset + end.index_stored]
    raw = zstandard.ZstdDecompressor().decompress(stored_) if end.index_coder else stored_
    plain = msgpack.unpackb(raw)
    return {key: [] if isinstance(value, bytes) else value for key, value in plain.items()}


def _index(raw: bytes, frame: bytes | None = None) -> bytes:
    return finish(b"\x89DCZ\r\n\x1a\n", raw, raw if frame is None else frame, is_raw=frame is None)


def _with(**changes: object) -> bytes:
    return encoded({**_empty_index(), **changes})


@bomb("an index that is a frame of a gigabyte of zeros")
def _index_frame() -> bytes:
    frame = zstandard.ZstdCompressor(level=1).compress(bytes(64 << 20))
    return with_trailer(finish(b"\x89DCZ\r\n\x1a\n", bytes(1 << 20), frame), index_bytes=1 << 30)


@bomb("an index that says 100 bytes and holds 64 MiB")
def _index_more() -> bytes:
    return with_trailer(
        _index(b"x" * 100, zstandard.ZstdCompressor(level=1).compress(bytes(64 << 20))), index_bytes=100
    )


def _frame(window: int, content: int, block: bytes) -> bytes:
    """A zstd frame with a window of 2^(10 + window) bytes that states 8 bytes of content size."""
    head = b"\x28\xb5\x2f\xfd" + bytes([0b11_0_0_0_0_00, window << 3]) + struct.pack("<Q", content)
    return head + (len(block) << 3 | 1).to_bytes(3, "little") + block


@bomb("an index in a frame with a window of 2 TiB")
def _index_window() -> bytes:
    raw = _with()
    return _index(raw, _frame(31, len(raw), raw))


@bomb("an index in a frame that states 2^60 bytes")
def _index_content() -> bytes:
    raw = _with()
    return _index(raw, _frame(0, 1 << 60, raw))


@bomb("a row in a frame with a window of 2 TiB")
def _row_window() -> bytes:
    return _row_frame(lambda n: _frame(31, n, bytes(n)))


@bomb("a row in a frame that states 2^60 bytes")
def _row_content() -> bytes:
    return _row_frame(lambda n: _frame(0, 1 << 60, bytes(n)))


@bomb("a row in a frame that holds 64 MiB more")
def _row_more() -> bytes:
    return _row_frame(lambda n: zstandard.ZstdCompressor(level=1).compress(bytes(64 << 20)))


def _row_frame(frame: Callable[[int], bytes]) -> bytes:
    from dataclasses import replace

    from support.forging import crc

    array = np.arange(40, dtype="<f2")
    each = stored(
        array, with_frames(next(e for e in all_encodings(array) if (e.positions, e.values) == ("all", "bytes")))
    )
    made = frame(80)
    layout = each.layout
    streams = (replace(layout.streams[0], lengths=(len(made),)),)
    layout = replace(layout, streams=streams, crc32c=(crc(made),))
    return forge({"w": replace(each, layout=layout, segment=made)})


@bomb("lists nested 100,000 deep for an index")
def _deep() -> bytes:
    return _index(b"\x91" * 100_000 + b"\xc0")


@bomb("maps nested 100,000 deep in the metadata")
def _deep_metadata() -> bytes:
    raw = _with(metadata={"MARK": None})
    return _index(raw.replace(b"\xa4MARK\xc0", b"\xa4MARK" + b"\x81\xa1a" * 100_000 + b"\xc0"))


@bomb("half a million empty lists in the metadata")
def _wide() -> bytes:
    return _index(_with(metadata={"a": [[]] * 500_000}))


@bomb("a list that says it has 2^32 - 1 items")
def _claimed_list() -> bytes:
    return _index(_with(metadata={"MARK": None}).replace(b"\xa4MARK\xc0", b"\xa4MARK\xdd\xff\xff\xff\xff"))


@bomb("a name that says it has 2^32 - 1 bytes")
def _claimed_name() -> bytes:
    return _index(_with(names=["MARK"]).replace(b"\xa4MARK", b"\xdb\xff\xff\xff\xffMARK"))


@bomb("a name of 4 MiB")
def _long_name() -> bytes:
    return _index(_with(names=["x" * (4 << 20)]))


@bomb("columns that say they have 2^48 entries")
def _columns() -> bytes:
    plain = plain_index({"w": _zeros()})
    plain.update(ranks=[1 << 20], streams=[1 << 24], rows=[1 << 48], book_rows=[1 << 24])
    return _index(encoded(plain))


@bomb("streams of 2^24 codes")
def _stream_codes() -> bytes:
    plain = plain_index({"w": _zeros()})
    return _index(msgpack.packb({**msgpack.unpackb(encoded(plain)), "streams": integers.pack([(1 << 24) - 1])}))


def _sparse(stored_bytes: int, size: int) -> Bomb:
    """A file of holes whose trailer says that so many bytes of them are the index, of which the checksum is right."""

    def written(folder: Path) -> Path:
        path = folder / "bomb.dcz"
        head, end = b"\x89DCZ\r\n\x1a\n", trailer.SIZE
        with open(path, "wb") as file:
            file.write(head)
            file.truncate(size - end)
            file.seek(size - end)
            file.write(trailer.Trailer(size, 0, stored_bytes, 100, 0, trailer.ZSTD_INDEX).pack())
        return path

    return written


BOMBS["a terabyte of holes of which 4 GiB are the index"] = _sparse((1 << 32) - 1, 1 << 40)


BOMBS["64 MiB of holes that are the index"] = _sparse(64 << 20, (64 << 20) + 48)


def _shards(files: dict[str, object]) -> Bomb:
    def written(folder: Path) -> Path:
        for name, content in files.items():
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return folder / next(iter(files))

    return written


_A, _B = "a.dcz.index.json", "b.dcz.index.json"


BOMBS["an index of shards that names itself"] = _shards({_A: {"weight_map": {"w": _A}}})


BOMBS["two indexes of shards that name each other"] = _shards(
    {_A: {"weight_map": {"w": _B}}, _B: {"weight_map": {"w": _A}}}
)


BOMBS["an index of shards nested 100,000 deep"] = _shards({_A: "[" * 100_000})


BOMBS["an index of shards outside of its folder"] = _shards({_A: {"weight_map": {"w": "../../etc/passwd"}}})


BOMBS["an index of shards with sizes of 10^400"] = _shards(
    {_A: '{"weight_map": {"w": "a"}, "metadata": {"file_sizes": {"a": 1' + "0" * 400 + "}}}", "a": ""}
)


BOMBS["an index of shards with a number of 100,000 digits"] = _shards(
    {_A: '{"weight_map": {"w": "a"}, "metadata": {"file_sizes": {"a": 1' + "0" * 100_000 + "}}}", "a": ""}
)


def _gigabyte(folder: Path) -> Path:
    """A name that leads to a device without an end."""
    path = folder / "bomb.dcz"
    path.symlink_to("/dev/zero")
    return path


BOMBS["a link to /dev/zero"] = _gigabyte
