"""Matrices as sparse rows and tensors as clusters: what they hold is what the dense tensor has, and they stay
sparse."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.dtypes import DTYPES
from dcz.errors import ChecksumError, DczError, LimitError, UnsupportedError
from dcz.kernels import Kernels
from dcz.tensor import PROFILES
from support.arrays import CODES, LARGE, large, make_array
from support.bits import assert_same_bits


def matrix(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array.reshape(-1, array.shape[-1])


def dense(rows: object) -> np.ndarray:
    """Put together by hand: scipy's own conversion adds to zeros, which loses -0.0."""
    out = np.zeros(rows.shape, rows.dtype)
    out[np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)), rows.indices] = rows.data
    return out


def check(reader: dcz.Reader) -> None:
    array = reader["w"]
    rows = reader.get_csr("w")
    assert_same_bits(dense(rows), array)
    assert rows.has_sorted_indices and rows.indptr[0] == 0 and rows.indptr[-1] == rows.nnz
    elements = array.reshape(-1).view(np.uint8).reshape(array.size, array.itemsize).any(axis=1) if array.size else array
    assert rows.nnz == np.count_nonzero(elements)
    if DTYPES[reader.info("w").dtype].words == 1 and len(np.unique(elements)):
        check_clusters(reader, array, elements.reshape(array.shape))


def check_clusters(reader: dcz.Reader, array: np.ndarray, mask: np.ndarray) -> None:
    try:
        found = reader.get_clusters("w")
    except UnsupportedError as error:
        assert "more than 65536 distinct values" in str(error)
        assert len(np.unique(array.view(f"u{array.itemsize}"))) > 65536
        return
    assert np.array_equal(found.mask, mask)
    assert len(found.indices) == np.count_nonzero(mask)
    assert found.codebook.dtype == array.dtype
    assert_same_bits(found.dense(), array)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", LARGE)
def test_of_many_chunks(name: str, profile: str) -> None:
    check(dcz.open(dcz.save({"w": matrix(large(name))}, profile=profile)))


@pytest.mark.parametrize("code", CODES)
def test_of_any_dtype(code: str) -> None:
    for shape in ((48, 60), (1, 700), (700, 1), (0, 5), (5, 0), (1, 1)):
        for kind in (
            (0.1, 15, "float"),
            (0.3, 5000, "random"),
            (1.0, 3, "counter"),
            (0.9, 40, "hostile"),
            (0.0, 1, "random"),
        ):
            for profile in PROFILES:
                check(dcz.open(dcz.save({"w": make_array(7, code, shape, *kind)}, profile=profile)))


def test_of_codebooks_for_groups_of_rows() -> None:
    """Rows with 200 values each of their own: a codebook per group, and its indices mean that group's."""
    rng = np.random.Generator(np.random.PCG64(9))
    books = rng.standard_normal((32, 200)).astype(np.float32)
    weights = np.take_along_axis(books, rng.integers(0, 200, (32, 8192)), axis=1)
    for density in (0.1, 1.0):
        array = np.where(rng.random(weights.shape) < density, weights, np.float32(0))
        reader = dcz.open(dcz.save({"w": array}))
        assert reader.info("w").layout.codebook.group > 0
        assert reader.get_clusters("w").codebook.ndim == 2
        check(reader)


@pytest.mark.parametrize("name", ["pruned and clustered float32", "wide codebook float32", "booleans"])
def test_with_every_kernel_set(kernel_set: Kernels, name: str) -> None:
    array = matrix(large(name))[:400]
    with kernels.use(kernel_set):
        check(dcz.open(dcz.save({"w": array})))


def test_zstd_streams() -> None:
    rng = np.random.Generator(np.random.PCG64(9))
    pattern = rng.integers(1, 1 << 31, 1500).astype(np.int32)
    array = np.resize(pattern, (600, 500))
    reader = dcz.open(dcz.save({"w": array}))
    assert any(code.kind == "zstd" for stream in reader.info("w").layout.streams for code in stream.codes)
    check(reader)


def test_it_stays_sparse() -> None:
    """Memory for the nonzeros and a few chunks, not for the tensor."""
    shape = (4096, 8192)
    rng = np.random.Generator(np.random.PCG64(3))
    array = np.zeros(shape, np.float32)
    array.reshape(-1)[rng.choice(array.size, 100_000, replace=False)] = rng.integers(1, 16, 100_000)
    data = dcz.save({"w": array})
    reader = dcz.open(data)
    reader.get_csr("w")  # imports scipy
    tracemalloc.start()
    try:
        rows = reader.get_csr("w")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows.nnz == 100_000
    assert peak < array.nbytes / 10


def test_conversion_for_dtypes_that_scipy_cannot_compute_with() -> None:
    array = make_array(4, "BF16", (64, 300), 0.1, 15, "float")
    reader = dcz.open(dcz.save({"w": array}))
    rows = reader.get_csr("w", dtype="float32")
    x = np.ones(300, np.float32)
    np.testing.assert_allclose(rows @ x, array.astype("f4") @ x, rtol=1e-4)


def test_what_has_no_rows_or_clusters_is_refused() -> None:
    reader = dcz.open(dcz.save({"vector": np.ones(3), "conv": np.ones((2, 3, 1, 1)), "complex": np.ones(3, "c8")}))
    for name, shape in (("vector", r"1 \(3,\)"), ("conv", r"4 \(2, 3, 1, 1\)")):
        with pytest.raises(
            DczError, match=f"tensor '{name}': compressed sparse rows have two dimensions, it has {shape}"
        ):
            reader.get_csr(name)
    with pytest.raises(UnsupportedError, match="'complex': clusters are of real numbers"):
        reader.get_clusters("complex")
    for get in (reader.get_csr, reader.get_clusters):
        with pytest.raises(KeyError, match="no tensor 'x'"):
            get("x")


def test_damage_is_found() -> None:
    """Flipped bits all over the tensor's bytes."""
    array = make_array(4, "F32", (64, 128), 0.2, 15, "float")
    for profile in ("csr", "bitmap", "dense", "raw"):
        data = dcz.save({"w": array}, profile=profile)
        stored = dcz.open(data).info("w").stored
        start = dcz.open(data)._store.index.entries["w"].offset
        for at in range(start, start + stored, 61):
            bad = bytearray(data)
            bad[at] ^= 1 << at % 8
            reader = dcz.open(bytes(bad))
            for get in (reader.get_csr, reader.get_clusters):
                with pytest.raises(ChecksumError):
                    get("w")


def test_memory_is_bounded_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = dcz.open(dcz.save({"w": np.ones((1000, 1000), np.float32)}))
    monkeypatch.setattr("dcz.limits.default_max_bytes", lambda size, held=0: 100_000)
    for get in (reader.get_csr, reader.get_clusters):
        with pytest.raises(LimitError, match="the limit is 100000"):
            get("w")
