"""Words that are read in blocks make the bytes that the array makes, whatever layout is the smallest."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz.tensor import in_blocks, to_words

N = (1 << 20) + 70_001  # words; two blocks
CENTRES = np.random.default_rng(1).standard_normal(3000).astype("f4")


def _random():
    return np.random.default_rng(7)


def _clusters(n, share=1.0):
    rng = _random()
    return CENTRES[rng.integers(0, n, N)] * (rng.random(N) < share).astype("f4")


def _grouped():
    rng = _random()
    books = rng.standard_normal((36, 16)).astype("f4")
    return books[np.arange(36)[:, None], rng.integers(0, 16, (36, 32_768))]


def _long_groups():
    rng = _random()
    books = rng.standard_normal((2, 200)).astype("f4")
    return books[np.arange(2)[:, None], rng.integers(0, 200, (2, 1_200_000))] * (rng.random((2, 1_200_000)) < 0.4)


ARRAYS = {
    "clustered": lambda: _clusters(16),
    "clustered and sparse": lambda: _clusters(16, 0.3),
    "a wide codebook": lambda: _clusters(3000, 0.5),
    "very sparse": lambda: _random().standard_normal(N).astype("f4") * (_random().random(N) < 0.0005),
    "sparse float16": lambda: (_random().standard_normal(N) * (_random().random(N) < 0.1)).astype("f2"),
    "dense": lambda: _random().standard_normal(N).astype("f4"),
    "bytes": lambda: _random().integers(0, 200, N).astype("u1"),
    "sparse bytes": lambda: (_random().integers(0, 200, N) * (_random().random(N) < 0.2)).astype("u1"),
    "repeated": lambda: np.resize(_random().integers(0, 2**31, 5000).astype("i4"), N),
    "ascending": lambda: np.arange(N, dtype="i8"),
    "zeros": lambda: np.zeros(N, "f4"),
    "complex": lambda: np.resize(_random().standard_normal(900) + 1j, N // 2 + 9).astype("c8"),
    "codebooks of rows": _grouped,
    "codebooks of long rows": lambda: _long_groups().astype("f4"),
    "dense at one end": lambda: (_clusters(16) * (_random().random(N) < np.linspace(0, 1, N) ** 3)).astype("f4"),
}


def _written(values, **options):
    file = io.BytesIO()
    with dcz.Writer(file, threads=1, **options) as writer:
        layout = writer.add("w", values)
    return file.getvalue(), layout


def _blocks(array):
    words = to_words(array, "w")
    return in_blocks(lambda first, last: words.part(first, last).copy(), words.dtype.code, array.shape, 1 << 20)


@pytest.mark.parametrize("name", ARRAYS)
def test_blocks_make_the_bytes_of_the_array(name):
    array = ARRAYS[name]()
    assert _blocks(array).count > _blocks(array).block
    found, layout = _written(_blocks(array))
    expected, wanted = _written(array)
    assert layout == wanted
    assert found == expected


@pytest.mark.parametrize("profile", ["csr", "bitmap", "dense", "paper", "raw"])
def test_blocks_make_the_bytes_of_the_array_in_every_profile(profile):
    array = _clusters(16, 0.3)
    assert _written(_blocks(array), profile=profile)[0] == _written(array, profile=profile)[0]
    assert _written(_blocks(array), portable=True)[0] == _written(array, portable=True)[0]


def test_an_equal_tensor_is_a_reference_in_blocks_too():
    array = _clusters(16, 0.3)
    file = io.BytesIO()
    with dcz.Writer(file) as writer:
        writer.add("a", array)
        writer.add("b", _blocks(array))
    assert dcz.open(file.getvalue()).info("b").same_as == "a"


def test_words_that_differ_from_one_reading_to_the_next_are_refused():
    array, reads = _clusters(16), []

    def part(first, last):
        reads.append(first)
        data = to_words(array, "w").part(first, last).copy()
        data[:4] = 0 if len(reads) % 2 else 1
        return data

    with pytest.raises(dcz.DczError, match="tensor 'w': the array changed while it was being saved"):
        _written(in_blocks(part, "F32", array.shape, 1 << 20), profile="raw")


@pytest.mark.parametrize("name", ["clustered and sparse", "dense", "complex", "zeros"])
def test_a_stored_tensor_is_read_in_blocks(name):
    array = ARRAYS[name]()
    data = dcz.save({"w": array})
    with dcz.open(data) as reader:
        words = reader.in_blocks("w", 1 << 20)
        whole = to_words(array, "w")
        for first, last in ((0, 1 << 20), (1 << 20, words.count), (12_345, 12_346), (70_000, 400_001)):
            assert np.array_equal(words.part(first, last), whole.part(first, last))
        assert _written(words)[0] == data
