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
        tmp_path / "w", shape=weights.shape, dtype=weights.dtype, chunks=(50, 30), serializer=Codec("csr"), compressors=None,
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
    program = f"import zarr; print(zarr.open_array({str(tmp_path / 'w')!r})[:].tobytes() == zarr.open_array({str(tmp_path / 'w')!r})[:].tobytes(), float(zarr.open_array({str(tmp_path / 'w')!r})[3, :].sum()))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", str(float(WEIGHTS[3].sum()))]


def test_zarr_options_that_are_unknown(zarr) -> None:
    from dcz.zarr import Dcz as Codec

    with pytest.raises(DczError, match="codec dcz: level: unknown"):
        Codec.from_dict({"name": "dcz", "configuration": {"level": 3}})
    with pytest.raises(DczError, match="'fast' is unknown"):
        Codec("fast")
