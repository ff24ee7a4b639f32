"""Files on a web server: few requests, few bytes, and a clear error for each way to fail."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dcz
from dcz.errors import ChecksumError, DczError, FormatError, TruncatedError, UnsupportedError
from dcz.format.trailer import Trailer
from dcz.io import remote
from support.arrays import large, make_array
from support.bits import assert_same_bits
from support.http import Web

TAIL = 64 << 10
TENSORS = {
    "a.pruned": large("pruned and clustered float32"),
    "b.plain": make_array(1, "F32", (5000, 1000), 1.0, 70_000, "random"),
    "c.wide codebook": make_array(2, "F32", (3000, 1000), 1.0, 20_000, "float"),
    "d.raw": make_array(3, "U8", (100_001,), 1.0, 70_000, "random"),
    "e.small": np.arange(9),
}
DATA = dcz.save(TENSORS)
NAMES = [f"{i:05}.{hashlib.sha1(str(i).encode()).hexdigest()[:10]}" for i in range(10_000)]
MANY = dcz.save({name: np.full((2, 3), i, "<f4") for i, name in enumerate(NAMES)})


def trailer(data: bytes) -> Trailer:
    return Trailer.parse(np.frombuffer(data, np.uint8), len(data))


def test_opening_takes_one_read_of_the_tail(web: Web) -> None:
    web.files["model.dcz"] = DATA
    reader = dcz.open(web.url("model.dcz"))
    assert web.requests == [("HEAD", 0, 0), ("GET", len(DATA) - TAIL, len(DATA))]
    assert list(reader) == sorted(TENSORS) and reader.info("e.small").shape == (9,)
    assert len(web.requests) == 2


def test_opening_takes_a_second_read_for_a_long_index(web: Web) -> None:
    web.files["model.dcz"] = MANY
    offset = trailer(MANY).index_offset
    assert len(MANY) - offset > TAIL
    assert len(dcz.open(web.url("model.dcz"))) == 10_000
    assert web.ranges == [(len(MANY) - TAIL, len(MANY)), (offset, len(MANY) - TAIL)]


def test_a_small_file_takes_one_read_in_all(web: Web) -> None:
    web.files["model.dcz"] = dcz.save({"w": np.arange(99), "v": np.zeros(3)})
    assert_same_bits(dcz.load_file(web.url("model.dcz"))["w"], np.arange(99))
    assert len(web.ranges) == 1


def test_only_the_tensor_that_is_asked_for(web: Web) -> None:
    web.files["model.dcz"] = DATA
    reader = dcz.open(web.url("model.dcz"))
    for name, array in TENSORS.items():
        web.forget()
        assert_same_bits(reader[name], array)
        stored = reader.info(name).stored
        codebook = reader.info(name).layout.codebook
        assert web.sent <= stored + 64 + 63 + (codebook.stored if codebook else 0)
        assert len(web.requests) <= 2 + stored // (8 << 20)
    web.forget()
    with pytest.raises(KeyError):
        reader["missing"]
    assert web.requests == []


def test_everything_in_few_reads_of_each_byte_once(web: Web) -> None:
    web.files["model.dcz"] = DATA
    web.delay = 0.05
    found = dcz.load_file(web.url("model.dcz"))
    for name, array in TENSORS.items():
        assert_same_bits(found[name], array)
    assert web.sent <= len(DATA) + TAIL
    assert len(web.ranges) <= 3 + len(DATA) // (4 << 20) and web.most_together > 1


def test_neighbours_are_read_together(web: Web) -> None:
    web.files["model.dcz"] = MANY
    wanted = NAMES[:6000:50]
    found = dcz.load_file(web.url("model.dcz"), names=wanted)
    assert_same_bits(found[wanted[7]], np.full((2, 3), 350, "<f4"))
    assert len(web.ranges) == 3  # the tail, the rest of the index, and all of them


def test_distant_tensors_are_read_at_the_same_time(web: Web) -> None:
    tensors = {f"{i}": make_array(i, "F32", (40_000,), 1.0, 70_000, "random") for i in range(20)}
    web.files["model.dcz"] = dcz.save(tensors)
    wanted = ["0", "11", "13", "16", "19", "3"]
    with dcz.open(web.url("model.dcz")) as reader:
        stored = sum(reader.info(name).stored for name in wanted)
    web.forget()
    web.delay = 0.1
    found = dcz.load_file(web.url("model.dcz"), names=wanted)
    assert all(found[name].tobytes() == tensors[name].tobytes() for name in wanted)
    assert web.sent <= stored + TAIL + 64 + len(wanted) * 64 and web.most_together >= 4


def test_a_row_block_takes_its_chunks(web: Web) -> None:
    """At most the index, the block's chunks and 64 KiB."""
    web.files["model.dcz"] = DATA
    index = len(DATA) - trailer(DATA).index_offset
    for name, rows in (
        ("b.plain", slice(2100, 2150)),
        ("a.pruned", slice(0, 30)),
        ("c.wide codebook", slice(2990, 3000)),
    ):
        web.forget()
        with dcz.open(web.url("model.dcz")) as reader:
            found = reader.get_slice(name)[rows]
            layout = reader.info(name).layout
        assert_same_bits(found, TENSORS[name][rows])
        first, last = rows.start * 1000 // layout.chunk, (rows.stop * 1000 - 1) // layout.chunk
        chunks = sum(sum(stream.lengths[first : last + 1]) for stream in layout.streams)
        book = layout.codebook.stored if layout.codebook else 0
        assert web.sent <= index + chunks + book + TAIL
        assert len(web.ranges) <= 3


def test_columns_are_read_in_few_reads(web: Web) -> None:
    web.files["model.dcz"] = DATA
    reader = dcz.open(web.url("model.dcz"))
    web.forget()
    assert_same_bits(reader.get_slice("b.plain")[::-500, 7], TENSORS["b.plain"][::-500, 7])
    layout = reader.info("b.plain").layout
    touched = {row * 1000 // layout.chunk for row in range(4999, -1, -500)}
    assert web.sent == sum(stream.lengths[chunk] for stream in layout.streams for chunk in touched)
    assert 1 < len(web.ranges) <= len(touched) < len(layout.crc32c)


def test_verify_reads_each_byte_about_once(web: Web) -> None:
    web.files["model.dcz"] = DATA
    assert dcz.verify(web.url("model.dcz")).stored == len(DATA)
    assert web.sent == len(DATA) and len(web.ranges) == -(-len(DATA) // (8 << 20))


def test_a_reader_is_shared_by_threads(web: Web) -> None:
    web.files["model.dcz"] = DATA
    reader = dcz.open(web.url("model.dcz"))
    with ThreadPoolExecutor(6) as pool:
        for name, found in zip([*TENSORS] * 3, pool.map(reader.get_tensor, [*TENSORS] * 3)):
            assert_same_bits(found, TENSORS[name])


# -- failures


def load_all(web: Web) -> dict[str, np.ndarray]:
    return dcz.load_file(web.url("model.dcz"))


@pytest.mark.parametrize("manner", ["no ranges", "refuses ranges"])
def test_a_server_without_ranges(web: Web, manner: str) -> None:
    web.files["model.dcz"] = DATA
    web.manner = manner
    for read in (dcz.open, dcz.load_file, dcz.verify):
        with pytest.raises(UnsupportedError, match=r"model\.dcz: the server does not send parts of a file.*download"):
            read(web.url("model.dcz"))


def test_a_server_without_ranges_gives_small_files(web: Web) -> None:
    """All of a small file is one read from its beginning."""
    web.files["model.dcz"] = dcz.save({"w": np.arange(99)})
    web.manner = "no ranges"
    assert_same_bits(load_all(web)["w"], np.arange(99))


def test_the_way_out_that_the_error_names(web: Web) -> None:
    web.files["model.dcz"] = DATA
    web.manner = "no ranges"
    with dcz.open(f"simplecache::{web.url('model.dcz')}") as reader:
        assert_same_bits(reader["a.pruned"], TENSORS["a.pruned"])


def test_a_server_that_tells_no_length(web: Web) -> None:
    web.files["model.dcz"] = DATA
    web.manner = "no length"
    with pytest.raises(UnsupportedError, match="does not tell the file's length; download the file first"):
        load_all(web)


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        ("drops", "the connection broke while it sent 65536 bytes at .*; try again"),
        ("truncates", "wanted 65536 bytes at .*, got 32768"),
    ],
)
def test_a_connection_that_always_breaks(web: Web, manner: str, message: str) -> None:
    web.files["model.dcz"] = DATA
    web.manner = manner
    with pytest.raises(TruncatedError, match=message):
        load_all(web)
    assert len(web.ranges) == 3  # it was tried again, and not forever


@pytest.mark.parametrize("manner", ["drops", "truncates"])
def test_a_connection_that_breaks_once_or_twice(web: Web, manner: str) -> None:
    web.files["model.dcz"] = DATA
    web.manner, web.healthy_after = manner, 2
    assert_same_bits(load_all(web)["b.plain"], TENSORS["b.plain"])


def test_a_connection_that_breaks_later(web: Web) -> None:
    web.files["model.dcz"] = DATA
    reader = dcz.open(web.url("model.dcz"))
    web.manner = "drops"
    for read in (lambda: reader["b.plain"], lambda: reader.get_slice("b.plain")[:10]):
        with pytest.raises(TruncatedError, match="the connection broke"):
            read()
    web.manner = "ranges"
    assert_same_bits(reader["b.plain"], TENSORS["b.plain"])


@pytest.mark.parametrize(
    ("status", "kind"),
    [("404", FileNotFoundError), ("403", PermissionError), ("401", PermissionError), ("500", OSError)],
)
def test_what_the_server_says(web: Web, status: str, kind: type[OSError]) -> None:
    web.files["model.dcz"] = DATA
    web.manner = status
    with pytest.raises(kind) as raised:
        load_all(web)
    assert raised.value.filename == web.url("model.dcz") and not isinstance(raised.value, DczError)


@pytest.mark.parametrize("error", [OSError(111, "Connect call failed"), ConnectionResetError(), OSError("odd")])
def test_errors_of_the_system_name_the_address(error: OSError) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(OSError, match="http://host/model.dcz") as raised:
        remote.guarded("http://host/model.dcz", fail)
    assert raised.value.filename == "http://host/model.dcz" and raised.value.strerror


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(OSError, match="Cannot connect to host 127.0.0.1:9"):
        dcz.open("http://127.0.0.1:9/model.dcz")


def test_a_file_cut_short(web: Web) -> None:
    web.files["model.dcz"] = DATA[:-1000]
    with pytest.raises(TruncatedError, match="finish the copy or download"):
        load_all(web)


def test_no_dcz_file(web: Web) -> None:
    web.files["model.dcz"] = b"PK\x03\x04" + bytes(100_000)
    with pytest.raises(FormatError, match="this is not a dcz file, but a zip archive"):
        load_all(web)


@pytest.mark.parametrize("at", [3, 12, 20, 40, 62, 5000])
def test_a_flipped_bit_is_found(web: Web, at: int) -> None:
    """Opening does not read a remote file's prelude; loading everything and verifying do."""
    web.files["model.dcz"] = DATA[:at] + bytes([DATA[at] ^ 4]) + DATA[at + 1 :]
    assert list(dcz.open(web.url("model.dcz"))) == sorted(TENSORS)
    for read in (dcz.load_file, dcz.verify):
        with pytest.raises(FormatError if at == 3 else ChecksumError):
            read(web.url("model.dcz"))


def test_padding_is_checked(web: Web) -> None:
    entry = dcz.open(DATA)._store.entry("d.raw")
    assert entry.padding, "this file should have padding"
    at = entry.offset - 1
    web.files["model.dcz"] = DATA[:at] + b"\1" + DATA[at + 1 :]
    for read in (dcz.load_file, dcz.verify, lambda url: dcz.open(url)["d.raw"]):
        with pytest.raises(FormatError, match="tensor 'd.raw': the padding in front of its segment is not zero"):
            read(web.url("model.dcz"))


@pytest.mark.parametrize("manner", ["endless", "gzip"])
def test_a_body_that_is_not_the_range_is_not_read(web: Web, manner: str) -> None:
    """fsspec reads a body of any length, and inflates what is compressed."""
    web.files["model.dcz"] = DATA
    web.manner = manner
    with pytest.raises(UnsupportedError, match="model.dcz: the server (does not send parts|compresses its answers)"):
        dcz.open(web.url("model.dcz"))
    assert web.endless < 64 << 20


@pytest.mark.parametrize("name", ["model.dcz"])
def test_a_silent_server_is_given_up(web: Web, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    web.files[name] = DATA
    web.manner = "silent"
    monkeypatch.setenv("DCZ_TIMEOUT", "0.3")
    with pytest.raises(TimeoutError, match="The server was silent for 0.3 s; set DCZ_TIMEOUT") as error:
        dcz.open(web.url(f"{name}?silent"))
    assert error.value.filename == web.url(f"{name}?silent")


def test_a_server_that_sends_a_byte_at_a_time_is_given_up(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never silent, and would take days."""
    web.files["model.dcz"] = dcz.save({"w": np.ones(3)})
    web.manner = "slow"
    monkeypatch.setenv("DCZ_TIMEOUT", "0.3")
    with pytest.raises(TimeoutError, match="The server sent too little in 0.3 s and more; set DCZ_TIMEOUT"):
        dcz.open(web.url("model.dcz?slow"))


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_timeout_that_is_none(web: Web, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DCZ_TIMEOUT", text)
    with pytest.raises(DczError, match="DCZ_TIMEOUT: expected a positive number of seconds, found"):
        dcz.open(web.url("model.dcz"))
