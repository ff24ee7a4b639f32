"""SPEC's section on differences is enough to read them: the reference decoder makes the same of the same base."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from support.bits import assert_same_bits
from support.forging import reindexed
from support.pairs import TRANSFORMS, changed, delta, pairs
from support.reference import reference


def check(file: bytes, base: dict[str, np.ndarray]) -> None:
    expected = dcz.load_file(file, base=base)
    found, metadata = reference.load(file, base)
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert_same_bits(found[name], array)
    assert metadata == dict(dcz.open(file).metadata)


@given(pair=pairs(most=3000), transform=st.sampled_from(TRANSFORMS))
def test_any_pair(pair: tuple[np.ndarray, np.ndarray], transform: str) -> None:
    check(delta({"w": pair[1]}, {"w": pair[0]}, transform=transform), {"w": pair[0]})


def test_a_model() -> None:
    rng = np.random.default_rng(0)
    base = {"a": rng.standard_normal((300, 200)).astype("f2"), "b": np.arange(3000.0), "c": np.ones(4, bool)}
    new = {
        "a": changed(base["a"], 1, 0.05, "near"),
        "renamed": changed(base["b"].reshape(30, 100), 2, 0.2, "odd"),
        "c": base["c"],
        "new": np.arange(5),
    }
    new["tied"] = new["a"]
    file = delta(new, base, symbols=2000, metadata={"base": {"name": "old"}})
    check(file, base)
    assert set(reference.load(file)[0]) == {"new"}


@pytest.mark.parametrize(
    ("key", "rule"),
    [("row_base_crcs", "is the base's"), ("row_result_crcs", "is the result's"), ("content_crcs", "CRC-32C")],
)
def test_checksums_are_checked(key: str, rule: str) -> None:
    base = {"w": np.arange(3000.0), "x": np.ones(3)}
    file = reindexed(delta({**base, "w": base["w"] + (base["w"] == 7)}, base), lambda plain: add(plain[key]))
    with pytest.raises(reference.Refused, match=rule):
        reference.load(file, base)
    if key != "content_crcs":  # which loading need not look at
        with pytest.raises(dcz.DczError, match="CRC-32C"):
            dcz.load_file(file, base=base)
    with pytest.raises(dcz.DczError, match="CRC-32C"):
        dcz.verify(file, base=base)


def add(column: list[int]) -> None:
    column[0] ^= 1


@pytest.mark.parametrize("name", ["w", ""])
def test_names_of_the_base(name: str) -> None:
    """A name that is not needed is refused by both."""
    base = {"w": np.arange(3000.0)}

    def edit(plain: dict) -> None:
        plain["base_names"] = [name]

    file = reindexed(delta({"w": base["w"] + (base["w"] == 7)}, base), edit)
    if name:
        with pytest.raises(reference.Refused):
            reference.load(file, base)
        with pytest.raises(dcz.DczError, match="base name"):
            dcz.load_file(file, base=base)
    else:
        check(file, base)
