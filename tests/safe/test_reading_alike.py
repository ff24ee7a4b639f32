"""Files that a faulty or hostile encoder wrote, checksums right: every way to read refuses them, or gives the same, and
none takes more memory than a small file is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from dcz.format import index
from support.arrays import make_array
from support.bits import assert_same_bits
from support.forging import crc, forge
from support.layouts import Stored, encodings, in_layout, stored, with_frames
from support.memory import at_most
from support.reference import reference

SHAPE = (30, 40)
ARRAYS = {
    "clustered": ("F32", SHAPE, 0.4, 20, "float"),
    "halves": ("F16", SHAPE, 0.5, 40, "random"),
    "wide": ("F32", (30, 90), 0.9, 900, "random"),
    "bytes": ("U8", SHAPE, 0.3, 90, "random"),
}
NUMBERS = (0, 1, 2, 63, 64, 255, 256, 65535, 65536, 1 << 20, 1 << 31, 1 << 40)
MEGABYTE = 1 << 20


def dense(rows: object) -> np.ndarray:
    out = np.zeros(rows.shape, rows.dtype)
    out[np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)), rows.indices] = rows.data
    return out


# Each gives the whole tensor.
READS: dict[str, Callable[[bytes], np.ndarray]] = {
    "load": lambda data: dcz.load(data)["w"],
    "reader": lambda data: dcz.open(data)["w"],
    "slice": lambda data: dcz.open(data).get_slice("w")[:],
    "rows": lambda data: dense(dcz.open(data).get_csr("w")),
    "clusters": lambda data: dcz.open(data).get_clusters("w").dense(),
}


@cache
def tensors() -> list[Stored]:
    """Every layout, with and without zstd."""
    out = []
    for seed, arguments in enumerate(ARRAYS.values()):
        array = make_array(seed, *arguments)
        for encoding in encodings(array):
            out.append(stored(array, encoding))
            if encoding.positions in ("all", "bitmap"):
                out.append(stored(array, with_frames(encoding)))
    return out


TENSORS = st.integers(0, 10**6).map(lambda number: tensors()[number % len(tensors())])


def outcome(read: Callable[[bytes], np.ndarray], data: bytes) -> np.ndarray | DczError:
    try:
        return read(data)
    except DczError as error:
        return error


def check_reference(data: bytes, checked: object) -> None:
    """The reference decoder, which verifies, gives what `load` gives of a file that `verify` passes, and refuses all
    others in its own words. It keeps no limits."""
    if isinstance(checked, LimitError) or getattr(checked, "unsupported", ()):
        return
    if isinstance(checked, DczError):
        with pytest.raises(reference.Refused):
            reference.load(data)
    else:
        assert_same_bits(reference.load(data)[0]["w"], dcz.load(data)["w"])


def check_alike(data: bytes) -> None:
    dcz.open(dcz.save({"w": np.eye(2)})).get_csr("w")  # imports scipy
    with at_most(16 * MEGABYTE):
        found = {name: outcome(read, data) for name, read in READS.items()}
        whole = found["load"]
        for name, each in found.items():
            if name == "clusters" and isinstance(each, UnsupportedError) and "distinct values" in str(each):
                continue
            if isinstance(whole, DczError):
                assert isinstance(each, type(whole)) and str(each) == str(whole), found
            else:
                assert_same_bits(each, whole)
        checked = outcome(dcz.verify, data)
        check_reference(data, checked)
        if isinstance(whole, DczError):  # a tensor of an unknown kind is listed as such
            assert isinstance(checked, DczError) or (isinstance(whole, UnsupportedError) and checked.unsupported)


def test_what_an_encoder_writes_is_read_alike() -> None:
    assert len(tensors()) > 30
    for each in tensors():
        data = forge({"w": each})
        assert dcz.verify(data).tensors == 1
        check_alike(data)


@given(each=TENSORS, seed=st.integers(0, 2**32 - 1))
def test_damage_that_checksums_do_not_see(each: Stored, seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    segment = bytearray(each.segment)
    for _ in range(int(rng.integers(1, 4))):
        segment[int(rng.integers(len(segment)))] ^= 1 << int(rng.integers(8))
    layout = each.layout
    book = layout.codebook
    at = book.stored if book else 0
    if book:
        layout = replace(layout, codebook=replace(book, crc32c=crc(bytes(segment[:at]))))
    crcs = []
    for chunk in range(len(layout.crc32c)):
        size = sum(stream.lengths[chunk] for stream in layout.streams)
        crcs.append(crc(bytes(segment[at : at + size])))
        at += size
    check_alike(forge({"w": replace(each, layout=replace(layout, crc32c=tuple(crcs)), segment=bytes(segment))}))


@given(each=TENSORS, seed=st.integers(0, 2**32 - 1))
def test_an_index_that_lies(each: Stored, seed: int) -> None:
    """Any integer of the index changed: mostly refused in opening, and where not, all ways to read agree."""
    rng = np.random.Generator(np.random.PCG64(seed))

    def edit(plain: dict) -> None:
        columns = [key for key in sorted(index.INTEGERS & set(plain)) if type(plain[key]) is list and plain[key]]
        column = plain[columns[int(rng.integers(len(columns)))]]
        at = int(rng.integers(len(column)))
        near = max(0, int(column[at]) + int(rng.integers(-3, 4)))
        column[at] = near if rng.random() < 0.5 else NUMBERS[int(rng.integers(len(NUMBERS)))]

    check_alike(forge({"w": each}, edit))


@pytest.mark.parametrize("nonzeros", [0, 1, 1199])
def test_a_wrong_count_of_nonzeros(nonzeros: int) -> None:
    """It is a statement about dense layouts, which no way to read needs; who verifies counts."""
    for each in tensors():
        if each.layout.positions == "all" and each.nonzeros != nonzeros:
            data = forge({"w": replace(each, nonzeros=nonzeros)})
            check_alike(data)
            assert not isinstance(outcome(READS["rows"], data), DczError)
            with pytest.raises(FormatError, match=rf"nonzeros: {nonzeros}, its stored words have"):
                dcz.verify(data)
            with pytest.raises(reference.Refused, match="as many nonzeros as the index says"):
                reference.load(data)


def test_every_way_to_refuse_an_unknown_tensor_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.dcz").write_bytes(forge({"w": tensors()[0]}, lambda plain: plain.update(positions=[99])))
    for name, read in READS.items():
        error = (
            outcome(read, tmp_path / "model.dcz") if name != "load" else outcome(dcz.load_file, tmp_path / "model.dcz")
        )
        assert isinstance(error, UnsupportedError) and "model.dcz: tensor 'w' has positions of kind 99" in str(error), (
            name
        )


def test_a_wrong_count_of_nonzeros_does_not_pass_the_bound() -> None:
    """Room is made as they are found, within what the caller allows."""
    data = forge({"w": replace(in_layout(np.arange(1, 1201, dtype="<f4").reshape(30, 40), "all", "bytes"), nonzeros=1)})
    with pytest.raises(LimitError, match="pass max_bytes"):
        dcz.open(data, max_bytes=4900).get_csr("w")
    assert dcz.open(data, max_bytes=40_000).get_csr("w").nnz == 1200
