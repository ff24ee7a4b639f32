"""Chunks of zarr arrays: the codec of numcodecs and that of zarr's format 3 keep every bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.errors import ChecksumError, DczError, FormatError, TruncatedError
from support.arrays import arrays, large, make_array
from support.bits import assert_same_bits

numcodecs = pytest.importorskip("numcodecs", reason="needs numcodecs: the extra `numcodecs`")

from dcz.numcodecs import Dcz

OTHERS = [
    np.arange(30).view("M8[ns]"),
    np.arange(30).astype("c16"),
    np.array([b"abc", b"", b"x"] * 10),
    np.zeros(7, [("a", "<i4"), ("b", "<f8")]),
    np.arange(9, dtype=">i4"),
    np.arange(9, dtype=">f8"),
    np.arange(12, dtype="<f4").reshape(3, 4, order="F"),
]


@given(array=arrays(), profile=st.sampled_from(["auto", "csr", "raw"]))
def test_any_chunk(array: np.ndarray, profile: str) -> None:
    array = array if array.flags.c_contiguous or array.flags.f_contiguous else np.ascontiguousarray(array)
    codec = Dcz(profile)
    stored = codec.encode(array)
    memory = array.tobytes(order="A")
    assert np.asarray(codec.decode(stored)).tobytes() == memory
    out = np.zeros(len(memory) + 1, np.uint8)[1:]  # nowhere aligned
    assert codec.decode(memoryview(stored), out) is out and out.tobytes() == memory


@pytest.mark.parametrize("array", OTHERS, ids=lambda array: str(array.dtype))
def test_dtypes_that_dcz_files_lack(array: np.ndarray) -> None:
    out = np.zeros_like(array)
    assert Dcz().decode(Dcz().encode(array)).tobytes() == array.tobytes(order="A")
    Dcz().decode(Dcz().encode(array), out)
    assert out.tobytes() == array.tobytes()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_plain_bytes(kind: type) -> None:
    data = bytes(range(256)) * 20
    assert Dcz().decode(kind(Dcz().encode(kind(data)))).tobytes() == data


def test_its_configuration_makes_it_again() -> None:
    codec = Dcz("bitmap")
    assert codec.get_config() == {"id": "dcz", "profile": "bitmap"}
    assert numcodecs.get_codec(codec.get_config()) == codec != Dcz()
    assert repr(codec) == "Dcz(profile='bitmap')"
    with pytest.raises(DczError, match="'fast' is unknown"):
        numcodecs.get_codec({"id": "dcz", "profile": "fast"})


def test_it_is_found_without_being_imported() -> None:
    program = "import numcodecs; print(numcodecs.get_codec({'id': 'dcz'}))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "Dcz(profile='auto')"


def test_chunks_are_dcz_files() -> None:
    array = large("dense palette float32")
    stored = Dcz().encode(array)
    assert_same_bits(dcz.load(stored)["chunk"], array.reshape(-1))
    assert len(stored) < array.nbytes / 3.5
    noise = make_array(1, "U8", (1000,), 1.0, 70_000, "random")
    assert len(Dcz().encode(noise)) < 1000 + 350


def test_bad_chunks() -> None:
    stored = Dcz().encode(np.arange(1000))
    for bad, error in (
        (b"", FormatError),
        (b"no chunk at all", FormatError),
        (stored[:-5], TruncatedError),
        (stored[:80] + bytes([stored[80] ^ 1]) + stored[81:], ChecksumError),
        (dcz.save({"w": np.zeros(3)}), FormatError),
        (dcz.save({"chunk": np.zeros(3), "w": np.zeros(3)}), FormatError),
    ):
        with pytest.raises((error, TruncatedError) if not bad else error):
            Dcz().decode(bad)
    with pytest.raises(DczError, match="out: expected room for 8000 bytes, found 7992"):
        Dcz().decode(stored, np.zeros(999))
    with pytest.raises(TypeError):
        Dcz().encode(np.array([None, {}], object))


@pytest.mark.parametrize("profile", [None, 3, ["auto"], {}, "fast"])
def test_a_wrong_configuration(profile: object) -> None:
    with pytest.raises(DczError, match="codec dcz: profile: .* is unknown; expected one of"):
        numcodecs.get_codec({"id": "dcz", "profile": profile})
    with pytest.raises(DczError, match="codec dcz: level: unknown; the one option is profile"):
        numcodecs.get_codec({"id": "dcz", "level": 3})


@pytest.mark.parametrize("n", [9, 10_000])
@pytest.mark.parametrize("dtype", [">i4", ">f8", ">u2", ">c8", "<i4", "|i1"])
def test_byte_orders(dtype: str, n: int) -> None:
    """Bytes, dtype and numbers are those that went in."""
    array = (np.arange(n) % 100).astype(dtype)
    found = Dcz().decode(Dcz().encode(array))
    assert found.dtype.str == np.dtype(dtype).str and found.tobytes() == array.tobytes()
    assert (found == array).all()
    out = np.zeros_like(array)
    Dcz().decode(Dcz().encode(array), out)
    assert out.tobytes() == array.tobytes()


SHORT = np.where(np.arange(256) % 5 == 0, np.arange(256), 0).astype(np.float32)


def test_small_chunks_are_short_frames() -> None:
    """As the docstring of dcz.chunks defines them, with 11 bytes more than their payload."""
    from dcz.kernels import active

    frame = Dcz().encode(SHORT)
    assert frame[:3] == b"\xdc\x01\x0a" and int.from_bytes(frame[3:5], "little") == 1024
    assert len(frame) == 11 + int.from_bytes(frame[5:7], "little") < 250
    assert int.from_bytes(frame[-4:], "little") == active().crc32c(np.frombuffer(frame[:-4], np.uint8))
    noise = make_array(1, "U8", (8192,), 1.0, 70_000, "random")
    assert len(Dcz().encode(noise)) == 8192 + 11 and Dcz().encode(noise)[7:-4] == noise.tobytes()
    assert Dcz().encode(np.zeros(8193, np.uint8))[:4] == b"\x89DCZ" == Dcz("csr").encode(SHORT)[:4]
    with pytest.raises(FormatError):
        dcz.open(frame)


def test_every_bit_of_a_short_frame_counts() -> None:
    for frame in (Dcz().encode(SHORT), Dcz().encode(np.arange(16, dtype=">u2"))):
        for bit in range(8 * len(frame)):
            changed = bytearray(frame)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(DczError):
                Dcz().decode(bytes(changed))
        for length in range(len(frame)):
            with pytest.raises((TruncatedError, FormatError)):
                Dcz().decode(frame[:length])
        with pytest.raises(FormatError, match="remove what follows"):
            Dcz().decode(frame + b"x")


@pytest.mark.parametrize(
    ("head", "payload"),
    [((1, 10, 1024), b"no zstd"), ((0, 10, 1024), bytes(3)), ((4, 0, 3), bytes(3)), ((0, 99, 3), bytes(3)),
     ((0, 10, 3), bytes(3)), ((0, 0, 60_000), bytes(60_000))],
)  # fmt: skip
def test_short_frames_that_lie(head: tuple[int, int, int], payload: bytes) -> None:
    import struct

    from dcz.kernels import active

    body = struct.pack("<BBBHH", 0xDC, *head, len(payload)) + payload
    with pytest.raises(DczError, match="^chunk"):
        Dcz().decode(body + struct.pack("<I", active().crc32c(np.frombuffer(body, np.uint8))))


# -- zarr


@pytest.fixture
def zarr():
    return pytest.importorskip("zarr", minversion="3", reason="needs zarr 3: the extra `test`")


WEIGHTS = large("pruned and clustered float32")


@pytest.mark.parametrize("order", ["C", "F"])
def test_zarr_format_2(zarr, tmp_path: Path, order: str) -> None:
    array = zarr.create_array(
        tmp_path / "w",
        shape=WEIGHTS.shape,
        dtype="<f4",
        chunks=(500, 300),
        order=order,
        zarr_format=2,
        compressors=Dcz(),
    )
    array[:] = WEIGHTS
    found = zarr.open_array(tmp_path / "w")
    assert_same_bits(found[:], WEIGHTS)
    assert_same_bits(found[490:510, ::7], WEIGHTS[490:510, ::7])
    assert '"id": "dcz"' in (tmp_path / "w" / ".zarray").read_text()
    stored = sum(path.stat().st_size for path in (tmp_path / "w").iterdir())
    assert stored < WEIGHTS.nbytes / 15


@pytest.mark.parametrize("code", ["F32", "F16", "F64", "I8", "U16", "I64", "BOOL", "C64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_zarr_format_3(zarr, tmp_path: Path, code: str, order: str) -> None:
    from dcz.zarr import Dcz as Codec

    weights = make_array(5, code, (120, 70), 0.2, 20, "random")
    array = zarr.create_array(
        tmp_path / "w", shape=weights.shape, dtype=weights.dtype, chunks=(50, 30), serializer=Codec("csr"),
        compressors=None,
        config={"order": order},
    )  # fmt: skip
    array[:] = weights
    found = zarr.open_array(tmp_path / "w")
    assert np.array_equal(found[:].view(np.uint8), weights.view(np.uint8))
    assert found[45:55, ::7].tobytes() == weights[45:55, ::7].tobytes()
    assert found.serializer == Codec("csr")


def test_zarr_format_3_finds_its_codec(zarr, tmp_path: Path) -> None:
    from dcz.zarr import Dcz as Codec

    zarr.create_array(tmp_path / "w", data=WEIGHTS, chunks=(500, 300), serializer=Codec(), compressors=None)
    program = f"import zarr; w = zarr.open_array({str(tmp_path / 'w')!r}); "
    program += "print(w[:].tobytes() == w[:].tobytes(), float(w[3, :].sum()))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", str(float(WEIGHTS[3].sum()))]


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.zeros(99, "f4"), "holds 396 bytes, the array expects 400"),
        (np.zeros(101, "f4"), "holds 404 bytes, the array expects 400"),
        (np.zeros(100, "i4"), "holds elements of int32, the array has float32"),
        (np.zeros(50, "f8"), "holds elements of float64, the array has float32"),
        (np.zeros(1 << 25, "f4"), "holds 134217728 bytes, the array expects 400"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("profile", ["auto", "csr"])
def test_a_chunk_of_another_array(zarr, chunk: np.ndarray, message: str, profile: str) -> None:
    """Refused before anything is decoded: a chunk of a kilobyte may hold gigabytes of zeros."""
    import tracemalloc

    from dcz.zarr import Dcz as Codec

    store: dict = {}
    array = zarr.create_array(store, shape=100, dtype="f4", serializer=Codec(), compressors=None, fill_value=7)
    array[:] = np.ones(100, "f4")
    (key,) = (key for key in store if key.startswith("c/"))
    store[key] = type(store[key]).from_bytes(Dcz(profile).encode(chunk))
    del chunk
    tracemalloc.start()
    with pytest.raises(FormatError, match=message):
        array[:]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_the_codec_is_synchronous_too(zarr) -> None:
    """zarr's fused pipeline calls these and no coroutine."""
    from zarr.core.array_spec import ArrayConfig, ArraySpec
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.dtype import parse_dtype

    from dcz.zarr import Dcz as Codec

    prototype = default_buffer_prototype()
    spec = ArraySpec((4, 64), parse_dtype("float32", zarr_format=3), np.float32(0), ArrayConfig("C", True), prototype)
    chunk = prototype.nd_buffer.from_numpy_array(SHORT.reshape(4, 64))
    stored = Codec()._encode_sync(chunk, spec)
    assert stored.to_bytes() == Dcz().encode(SHORT)
    assert Codec()._decode_sync(stored, spec).as_numpy_array().tobytes() == SHORT.tobytes()


def test_zarr_options_that_are_unknown(zarr) -> None:
    from dcz.zarr import Dcz as Codec

    with pytest.raises(DczError, match="codec dcz: level: unknown"):
        Codec.from_dict({"name": "dcz", "configuration": {"level": 3}})
    for wrong in ([], "auto", 3, True):
        with pytest.raises(DczError, match="configuration: expected a mapping"):
            Codec.from_dict({"name": "dcz", "configuration": wrong})
    with pytest.raises(DczError, match="name: expected 'dcz', found 'zstd'"):
        Codec.from_dict({"name": "zstd"})
    for wrong in (None, 3, ["auto"], {}):
        with pytest.raises(DczError, match="codec dcz: profile: .* is unknown"):
            Codec.from_dict({"configuration": {"profile": wrong}})
    with pytest.raises(DczError, match="'fast' is unknown"):
        Codec("fast")
