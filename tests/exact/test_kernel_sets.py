"""All kernel sets write the same files, byte for byte, and read each other's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz import kernels
from dcz.errors import UnsupportedError
from dcz.kernels import selection
from dcz.tensor import PROFILES
from support.arrays import LARGE, arrays, large
from support.bits import assert_same_bits


def files(array: np.ndarray, profile: str) -> dict[str, bytes]:
    """The file each kernel set writes."""
    out = {}
    for name, kernel_set in kernels.available().items():
        with kernels.use(kernel_set):
            out[name] = dcz.save({"w": array}, profile=profile, threads=1)
    return out


@given(array=arrays(), profile=st.sampled_from(list(PROFILES)))
def test_any_array(array: np.ndarray, profile: str) -> None:
    written = files(array, profile)
    assert len(set(written.values())) == 1
    for kernel_set in kernels.available().values():
        with kernels.use(kernel_set):
            assert_same_bits(dcz.load(written["pure"])["w"], array)


@pytest.mark.parametrize("profile", ["auto", "paper", "csr"])
@pytest.mark.parametrize("name", LARGE)
def test_many_chunks(name: str, profile: str) -> None:
    assert len(set(files(large(name), profile).values())) == 1


def test_forcing_a_kernel_set_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in kernels.available():
        monkeypatch.setenv("DCZ_KERNELS", name)
        selection._chosen.cache_clear()
        try:
            assert kernels.active().name == name
        finally:
            monkeypatch.delenv("DCZ_KERNELS")
            selection._chosen.cache_clear()


def test_an_unknown_kernel_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCZ_KERNELS", "abacus")
    selection._chosen.cache_clear()
    try:
        with pytest.raises(UnsupportedError, match="DCZ_KERNELS=abacus.*pure"):
            kernels.active()
    finally:
        selection._chosen.cache_clear()


def test_the_fastest_is_the_default() -> None:
    assert kernels.active().name == list(kernels.available())[-1]


def test_use_is_undone_after_an_error() -> None:
    before = kernels.active()
    with pytest.raises(KeyError), kernels.use(kernels.available()["pure"]):
        assert kernels.active().name == "pure"
        raise KeyError
    assert kernels.active() is before
