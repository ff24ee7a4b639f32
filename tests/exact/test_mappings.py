"""Every function that takes a mapping gives the same for a dict and for a mapping that makes its arrays when asked."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.planning.outcome import dense_bytes
from dcz.ties import Ties

NAMES = ("a", "b", "c", "d")


def tensors(seed: int, side: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    generator = np.random.Generator(np.random.PCG64(seed))
    return {name: generator.standard_normal((side, side)).astype(dtype) for name in NAMES}


class OnDemand(Mapping):
    """Reads each array when it is asked for and keeps none, as an open file does."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = {name: (array.tobytes(), array.dtype, array.shape) for name, array in arrays.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        data, dtype, shape = self._arrays[name]
        return np.frombuffer(bytearray(data), dtype).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def reader(arrays: Mapping[str, np.ndarray]) -> dcz.Reader:
    return dcz.open(dcz.save(arrays))


def importances(model: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.abs(array) + np.float32(place) for place, (name, array) in enumerate(model.items())}


def written(model: Mapping[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    dcz.save_file(model, file)
    return file.getvalue()


def planned(model: Mapping[str, np.ndarray]) -> object:
    found = dcz.plan(model, target_ratio=8, densities=[1, 0.25], n_bits=[2, 4], recipe={"weight_threshold": 64})
    return found.recipe, found.file_bytes, found.dense, found.rel_error


def weighted(model: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Both the tensors and their importance are made when asked for."""
    importance = importances({name: model[name] for name in NAMES})
    recipe = {"n_bits": 2, "weight_threshold": 64}
    return dcz.compress(model, recipe, importance=importance if isinstance(model, dict) else OnDemand(importance))


def sizes(model: Mapping[str, np.ndarray]) -> object:
    report = dcz.compare(model)
    return report.profile("auto"), {tensor.name: tensor.sizes for tensor in report.tensors}, report.aliases


FUNCTIONS: dict[str, Callable[[Mapping[str, np.ndarray]], object]] = {
    "save": dcz.save,
    "save_file": written,
    "compress, pruned": lambda model: dcz.compress(model, {"density": 0.5, "weight_threshold": 64}),
    "compress, pruned together": lambda model: dcz.compress(
        model, {"density": 0.5, "scope": "global", "weight_threshold": 64}
    ),
    "compress, clustered": lambda model: dcz.compress(model, {"n_bits": 3, "weight_threshold": 64}),
    "compress, left alone": lambda model: dcz.compress(model, {"density": 0.5, "weight_threshold": 10**9}),
    "compress, with importance": weighted,
    "prune": lambda model: dict(dcz.prune(model, density=0.5, weight_threshold=64).tensors),
    "cluster": lambda model: dict(dcz.cluster(model, n_bits=3, weight_threshold=64).tensors),
    "plan": planned,
    "dense_bytes": dense_bytes,
    "sensitivity": lambda model: dcz.sensitivity(model, n_bits=[2], densities=[0.5], weight_threshold=64).readings,
    "compare": sizes,
}


def assert_same(found: object, expected: object) -> None:
    if not isinstance(expected, dict) or not all(isinstance(value, np.ndarray) for value in expected.values()):
        assert found == expected
        return
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("make", [OnDemand, reader])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_dict_and_a_mapping_that_reads_when_asked(function: str, make: Callable) -> None:
    """Arrays both small, from the allocator's free list, and large, from pages that are mapped anew."""
    for side in (24, 300):
        model = tensors(1, side)
        assert_same(FUNCTIONS[function](make(model)), FUNCTIONS[function](model))


@given(
    seed=st.integers(0, 1000),
    side=st.sampled_from([8, 16, 40]),
    dtype=st.sampled_from(["float32", "float16"]),
    function=st.sampled_from(["save", "compress, pruned", "compress, clustered", "prune", "cluster", "compare"]),
)
def test_any_values(seed: int, side: int, dtype: str, function: str) -> None:
    model = tensors(seed, side, dtype)
    assert_same(FUNCTIONS[function](OnDemand(model)), FUNCTIONS[function](model))


def test_ties_of_a_dict_are_found_everywhere() -> None:
    shared = tensors(3, 64)["a"]
    model = {"first": shared, "second": shared[:], "third": shared.copy()}
    assert dict(dcz.open(dcz.save(model)).aliases) == {"second": "first"}
    assert dcz.compare(model).aliases == {"second": "first"}
    assert dense_bytes(model) == 2 * shared.nbytes
    small = dcz.compress(model, {"density": 0.5, "weight_threshold": 64})
    assert small["second"] is small["first"] and small["third"] is not small["first"]


@pytest.mark.parametrize("make", [dict, OnDemand])
def test_importance_of_another_memory_parts_a_tie(make: Callable) -> None:
    shared = tensors(4, 32)["a"]
    heavy = {str(number): np.abs(tensors(number, 32)["b"]) for number in range(16)}
    recipe = {"n_bits": 2, "weight_threshold": 64}
    parted = dcz.compress(dict.fromkeys(heavy, shared), recipe, importance=make(heavy))
    for name, weights in heavy.items():
        alone = dcz.compress({name: shared}, recipe, importance={name: weights})
        assert parted[name].tobytes() == alone[name].tobytes()


class Slotted:
    """Something with an address that cannot be weakly referenced."""

    __slots__ = ("address",)

    def __init__(self, address: int) -> None:
        self.address = address


def test_what_has_no_weak_references_is_kept_alive() -> None:
    ties = Ties(id)
    owners = []
    for number in range(50):  # each would get the address of the last if that were let go of
        owners.append(ties.owner(str(number), Slotted(number)))
        gc.collect(0)
    assert owners == [str(number) for number in range(50)]


def test_what_has_no_identity_is_never_tied() -> None:
    ties = Ties()
    empty = np.zeros(0)
    assert [ties.owner(name, empty) for name in "ab"] == ["a", "b"]
    assert [ties.owner(name, 1.5) for name in "ab"] == ["a", "b"]
