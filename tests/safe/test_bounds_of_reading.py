"""What reading takes follows from what is asked for and one bound, on every path, and every path refuses alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import zstandard

import dcz
from dcz import limits
from dcz.entropy import zstd
from dcz.errors import DczError, FormatError, LimitError
from support.arrays import make_array
from support.bits import assert_same_bits
from support.forging import expand, forge
from support.layouts import in_layout
from support.memory import at_most

MEGABYTE = 1 << 20
CHUNKS = 1 << 16

READS: dict[str, Callable[[dcz.Reader], object]] = {
    "a tensor": lambda reader: reader["w"],
    "rows": lambda reader: reader.get_csr("w"),
    "clusters": lambda reader: reader.get_clusters("w"),
    "a slice through all chunks": lambda reader: reader.get_slice("w")[:, 0],
    "all": lambda reader: reader.load(),
}


@pytest.fixture(scope="module")
def endless() -> bytes:
    """A matrix of a quarter of a terabyte of zeros in a few kilobytes, with 65,536 chunks."""
    zeros = in_layout(np.zeros((1, 1 << 20), "<f4"), "bitmap", "codebook")

    def edit(plain: dict) -> None:
        expand(plain, CHUNKS)
        plain["dims"][:] = [CHUNKS, 1 << 20]

    data = forge({"w": zeros}, edit)
    assert len(data) < 20_000
    return data


@pytest.mark.parametrize("read", READS)
def test_work_without_end_is_refused(endless: bytes, read: str) -> None:
    reader = dcz.open(endless)
    assert not reader.get_slice("w")[CHUNKS // 2, :5].any()
    with at_most(64 * MEGABYTE), pytest.raises(LimitError, match=r"<bytes>: decoding needs \d+ bytes; the limit is"):
        READS[read](reader)


def test_verifying_without_end_is_refused(endless: bytes) -> None:
    with pytest.raises(LimitError, match=rf"<bytes>: decoding needs {CHUNKS << 22} bytes; the limit is {1 << 30};"):
        dcz.verify(endless)


def test_more_work_is_done_when_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dcz.save({"w": np.zeros((1 << 11, 1 << 10), "f4")})
    monkeypatch.setattr(limits, "FREE_EXPANSION_BYTES", 1 << 20)
    monkeypatch.setattr(limits, "EXPANSION_RATIO", 1)
    with pytest.raises(LimitError):
        dcz.verify(data)
    assert dcz.verify(data, max_bytes=8 << 20).decoded == 8 << 20
    with pytest.raises(LimitError):
        dcz.open(data)["w"]
    with dcz.open(data, max_bytes=8 << 20) as reader:
        assert not reader["w"].any() and not reader.get_csr("w").nnz and not reader.get_clusters("w").mask.any()
    with dcz.open(data, max_bytes=5000) as reader:  # bounds memory: what fits may take more work
        assert not reader.get_slice("w")[:1].any()
        with pytest.raises(LimitError, match="decoding needs 8192 bytes; the limit is 5000"):
            reader.get_slice("w")[:2]


@pytest.mark.parametrize("wrong", [-1, 2.5, "1GB", True])
def test_a_bound_is_a_number(wrong: object) -> None:
    data = dcz.save({"w": np.zeros(3)})
    for read in (dcz.open, dcz.verify, dcz.load):
        with pytest.raises(DczError, match="max_bytes: expected a number of bytes or None, found"):
            read(data, max_bytes=wrong)


def test_rows_are_counted() -> None:
    """A matrix of no columns has no elements, but a start for each of its rows."""
    reader = dcz.open(dcz.save({"w": np.zeros((1 << 30, 0), "f4")}))
    with at_most(MEGABYTE), pytest.raises(LimitError, match=f"decoding needs {4 * ((1 << 30) + 1)} bytes"):
        reader.get_csr("w")


def grouped() -> np.ndarray:
    """Rows with 200 values each of their own."""
    rng = np.random.Generator(np.random.PCG64(9))
    books = rng.standard_normal((32, 200)).astype(np.float32)
    return np.take_along_axis(books, rng.integers(0, 200, (32, 8192)), axis=1)


def test_codebooks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a slice of four bytes, the codebooks of all groups are decoded."""
    array = grouped()
    data = dcz.save({"w": array})
    book = dcz.open(data).info("w").layout.codebook
    size = array.size // book.group * book.entries * 4
    assert size >= 32 * 200 * 4
    for read in (
        lambda: dcz.open(data, max_bytes=size).get_slice("w")[0, 0],
        lambda: dcz.verify(data, max_bytes=size),
        lambda: dcz.load(data, max_bytes=array.nbytes),
        lambda: dcz.open(data, max_bytes=array.nbytes)["w"],
        lambda: dcz.open(data, max_bytes=array.nbytes * 2 + 4 * 33).get_csr("w"),
        lambda: dcz.open(data, max_bytes=array.size * 5).get_clusters("w"),
    ):
        read()
        with monkeypatch.context() as patch:
            patch.setattr(limits, "WORKING_BYTES", 0)
            with pytest.raises(LimitError, match="decoding needs"):
                read()


def test_codebooks_that_are_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    array = grouped()
    monkeypatch.setattr(limits, "WORKING_BYTES", 0)
    book = dcz.open(dcz.save({"w": array})).info("w").layout.codebook
    size = array.size // book.group * book.entries * 4
    data = dcz.save({name: array + i for i, name in enumerate("abcdefgh")})
    with dcz.open(data, max_bytes=5 * size) as reader:
        assert reader.get_slice("a")[0, 0] == array[0, 0]
        with pytest.raises(LimitError):
            for name in "bcdefgh":
                reader.get_slice(name)[0, 0]


def test_zstd_streams_are_decompressed_chunk_by_chunk() -> None:
    rng = np.random.Generator(np.random.PCG64(9))
    array = np.resize(rng.integers(1, 1 << 31, 1500).astype(np.int32), (4000, 2000))
    data = dcz.save({"w": array})
    streams = dcz.open(data).info("w").layout.streams
    assert any(code.kind == "zstd" for stream in streams for code in stream.codes) and len(data) < MEGABYTE
    out = np.empty_like(array)
    with at_most(array.nbytes // 4):
        dcz.load(data, out={"w": out}, threads=1)
    assert_same_bits(out, array)


def test_no_symbols_take_no_bytes() -> None:
    assert zstd.compress(np.zeros(0, np.uint8)) == b"" == zstd.decompress(b"", 0, "w")
    empty = zstandard.ZstdCompressor(write_content_size=True).compress(b"")
    for wrong in (empty, empty[:-1], b"x"):
        with pytest.raises(FormatError, match="w: .* bytes? (is|are) stored for no symbols; expected none"):
            zstd.decompress(wrong, 0, "w")


def test_frames_of_kinds_that_are_not_allowed() -> None:
    data = b"abcd" * 999
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    window = zstandard.ZstdCompressionParameters(window_log=24, write_content_size=True)
    wide = zstandard.ZstdCompressor(compression_params=window).compressobj(size=(9 << 20))
    dictionary = zstandard.train_dictionary(4096, [bytes([i % 251, i % 7] * 40) + data[:i] for i in range(2000)])
    frames = {
        "not a zstd frame": skippable,
        "has a checksum of its own": zstandard.ZstdCompressor(write_checksum=True).compress(data),
        "names a dictionary": zstandard.ZstdCompressor(dict_data=dictionary).compress(data),
        "has a window of 9437184 bytes; the limit is 8388608": wide.compress(bytes(9 << 20)) + wide.flush(),
    }
    for message, frame in frames.items():
        size = 4 if frame is skippable else 9 << 20 if "window" in message else len(data)
        with pytest.raises(FormatError, match=f"w: .*{message}"):
            zstd.decompress(frame, size, "w")


def test_every_way_to_read_checks_the_padding() -> None:
    tensors = {"a": make_array(1, "U8", (5001,), 1.0, 255), "b": make_array(2, "F32", (90, 70), 1.0)}
    data = bytearray(dcz.save(tensors, profile="raw"))
    entry = dcz.open(bytes(data))._store.entry("b")
    assert entry.padding
    data[entry.offset - 1] = 1
    broken = bytes(data)
    for read in (
        dcz.load,
        dcz.verify,
        lambda data: dcz.open(data)["b"],
        lambda data: dcz.open(data).get_slice("b")[0, 0],
        lambda data: dcz.open(data).get_csr("b"),
        lambda data: dcz.open(data).get_clusters("b"),
    ):
        with pytest.raises(FormatError, match="<bytes>: tensor 'b': the padding in front of its segment is not zero"):
            read(broken)
