"""Every flipped bit, every truncation and every byte too many is noticed: by `verify` and by `load_file`."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.errors import ChecksumError, DczError, FormatError, TruncatedError
from dcz.kernels import Kernels
from support.arrays import large
from support.bits import assert_same_bits
from support.forging import forge, zoo


@pytest.fixture(scope="module")
def file() -> bytes:
    """A small file with every kind of layout and code in it, and metadata."""
    return forge(zoo(), lambda index: index.update(aliases={"again": "rows"}, metadata={"k": [1, "two", 3.5]}))


def test_the_file_is_whole_and_varied(file: bytes, kernel_set: Kernels) -> None:
    with kernels.use(kernel_set), dcz.open(file) as reader:
        layouts = [reader.info(name).layout for name in reader]
        assert dcz.verify(file).tensors == len(reader) - 1
    assert {layout.positions for layout in layouts} == {
        "all",
        "bitmap",
        "relative4",
        "relative5",
        "relative8",
        "relative16",
    }
    assert {layout.values for layout in layouts} == {"codebook", "planes", "bytes"}
    codes = {code.kind for layout in layouts for stream in layout.streams for code in stream.codes}
    assert codes == {"raw", "packed", "huffman", "zstd"}
    assert any(sum(layout.fillers) for layout in layouts) and any(len(layout.crc32c) > 1 for layout in layouts)


@pytest.mark.parametrize("open_", [dcz.verify, dcz.load_file], ids=["verify", "load_file"])
def test_every_flipped_bit_is_noticed(file: bytes, open_: object) -> None:
    data = bytearray(file)
    unnoticed = []
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            try:
                open_(bytes(data), threads=1)
                unnoticed.append((at, bit))
            except DczError:
                pass
            data[at] ^= 1 << bit
    assert unnoticed == []


def test_flipped_bits_of_a_mapped_tensor_are_noticed() -> None:
    """A tensor stored as it is begins on a boundary of 64 bytes: there is padding in front of it."""
    rng = np.random.Generator(np.random.PCG64(9))
    data = bytearray(dcz.save({"a": rng.random(3), "b": rng.integers(0, 256, 5000, np.uint8)}))
    padding = [at for at in range(8 + 24, 64) if data[at] == 0]
    assert len(padding) == 64 - 8 - 24
    for at in [*padding, *range(128, 5128, 411)]:
        data[at] ^= 4
        for open_ in (dcz.verify, dcz.load):
            with pytest.raises(FormatError if at < 128 else ChecksumError):
                open_(bytes(data))
        data[at] ^= 4


def test_every_truncation_is_noticed(file: bytes) -> None:
    for length in range(len(file)):
        with pytest.raises(TruncatedError):
            dcz.load(file[:length])


def test_appended_bytes_are_noticed(file: bytes) -> None:
    for more in (b"\0", b"\n", file[-40:], file):
        with pytest.raises(DczError):
            dcz.load(file + more)


def test_bytes_in_front_are_noticed(file: bytes) -> None:
    for more in (b"\0", b"\xef\xbb\xbf"):
        with pytest.raises(FormatError, match="not a dcz file"):
            dcz.load(more + file)
    with pytest.raises(FormatError, match="put in front of it or two files were joined"):
        dcz.load(file[:8] + file)


def test_line_ends_changed_in_transfer_are_noticed(file: bytes) -> None:
    for data in (file.replace(b"\r\n", b"\n"), file.replace(b"\n", b"\r\n")):
        with pytest.raises(FormatError, match="not a dcz file"):
            dcz.load(data)


@pytest.mark.parametrize("name", ["pruned and clustered float32", "wide codebook float32", "dense bfloat16"])
def test_damage_to_one_tensor_leaves_the_others(name: str, kernel_set: Kernels) -> None:
    array = large(name)
    data = bytearray(dcz.save({"damaged": array, "other": np.arange(9)}))
    with kernels.use(kernel_set):
        with dcz.open(bytes(data)) as reader:
            chunk = reader.info("damaged").layout.chunk
        data[8 + dcz.open(bytes(data)).info("damaged").stored - 1] ^= 0x10  # in the last chunk
        with dcz.open(bytes(data)) as reader:
            assert_same_bits(reader["other"], np.arange(9))
            last = (array.size - 1) // chunk
            with pytest.raises(ChecksumError, match=f"tensor 'damaged', chunk {last}: .* fetch the file again"):
                reader["damaged"]
            flat = np.unravel_index(0, array.shape)
            assert reader.get_slice("damaged")[flat].tobytes() == array[flat].tobytes()  # another chunk


@pytest.mark.parametrize(
    ("data", "guess"),
    [
        (b"", "ends after 0 bytes"),
        (b"PK\x03\x04" + bytes(99), "zip archive"),
        (b"\x93NUMPY" + bytes(99), "numpy array"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        (b"GGUF" + bytes(99), "GGUF"),
        (b"\x40\0\0\0\0\0\0\0{}" + bytes(99), "safetensors"),
        (b"hello, world, this is no model", "begins with"),
    ],
)
def test_other_files_are_named(data: bytes, guess: str) -> None:
    with pytest.raises(DczError, match=guess):
        dcz.load(data)
