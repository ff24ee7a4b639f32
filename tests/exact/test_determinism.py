"""The same tensors and options give the same bytes: whatever the threads, the order of names, and the run."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.kernels import Kernels
from dcz.tensor import PROFILES
from support.arrays import CODES, LARGE, large, make_array


def model() -> dict[str, np.ndarray]:
    tensors = {name: large(name) for name in ("pruned and clustered float32", "dense bfloat16", "sparse bytes")}
    for i, code in enumerate(CODES):
        tensors[f"small.{code}"] = make_array(i, code, (20, 30), 0.3)
    tensors["tied"] = tensors["small.F32"]
    return tensors


METADATA = {"zeta": 1, "alpha": {"y": [1, 2.5, None], "b": b"\0"}, "méta": True}


@pytest.fixture(scope="module")
def expected() -> bytes:
    return dcz.save(model(), metadata=METADATA, threads=1)


@pytest.mark.parametrize("threads", [1, 2, 3, 4, None])
def test_threads(expected: bytes, threads: int | None) -> None:
    assert dcz.save(model(), metadata=METADATA, threads=threads) == expected


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", LARGE)
def test_threads_in_every_layout(name: str, profile: str) -> None:
    array = large(name)
    assert dcz.save({"w": array}, profile=profile, threads=4) == dcz.save({"w": array}, profile=profile, threads=1)


def test_order_of_names_and_keys(expected: bytes) -> None:
    tensors = dict(reversed(model().items()))
    metadata = {key: METADATA[key] for key in reversed(METADATA)}
    metadata["alpha"] = dict(reversed(METADATA["alpha"].items()))
    assert dcz.save(tensors, metadata=metadata) == expected


def test_kernel_sets(expected: bytes, kernel_set: Kernels) -> None:
    with kernels.use(kernel_set):
        assert dcz.save(model(), metadata=METADATA) == expected


def test_repetition(expected: bytes) -> None:
    assert dcz.save(model(), metadata=METADATA) == expected


def test_another_process_with_another_hash_seed() -> None:
    program = (
        "import hashlib, numpy, dcz\n"
        "data = dcz.save({n: numpy.arange(5000) % len(n) for n in ('a', 'bbb', 'cc')}, metadata={'x': 1, 'a': {'q': "
        "2}})\n"
        "print(hashlib.sha256(data).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "1234")
    }
    assert len(digests) == 1 and len(digests.pop()) == 65


def test_a_file_packed_again_is_the_same_file(expected: bytes) -> None:
    with dcz.open(expected) as reader:
        assert dcz.save(dcz.load(expected), metadata=reader.metadata) == expected
