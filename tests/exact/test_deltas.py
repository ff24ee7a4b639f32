"""Files of differences: whatever the base and whatever became of it, the result is the same to the bit."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz import kernels
from dcz.errors import BaseError
from dcz.kernels import Kernels
from support.arrays import make_array
from support.pairs import TRANSFORMS, changed, copied, delta, pairs, same

THREADS = st.sampled_from([1, 3])


@given(pair=pairs(), transform=st.sampled_from(TRANSFORMS), threads=THREADS)
def test_load_and_apply(pair: tuple[np.ndarray, np.ndarray], transform: str, threads: int) -> None:
    base, new = {"w": pair[0]}, {"w": pair[1]}
    before = pair[0].tobytes()
    file = delta(new, base, transform=transform, threads=threads)
    assert same(dcz.load_file(file, base=base, threads=threads), new)
    assert pair[0].tobytes() == before
    model = copied(base)
    memory = model["w"]
    dcz.apply_delta(model, file, threads=threads)
    assert same(model, new) and model["w"] is memory
    with dcz.open(file, base=base) as reader:
        assert same(dict(reader), new)


@given(pair=pairs(codes=("BF16", "F32", "F8_E4M3", "I64", "C64")), key=st.sampled_from(
    [slice(None), slice(3, 9), slice(-5, None), slice(None, None, 7), slice(None, None, -3), Ellipsis, 0]
))  # fmt: skip
def test_slices(pair: tuple[np.ndarray, np.ndarray], key: object) -> None:
    base, new = pair
    if not base.shape:
        return
    with dcz.open(delta({"w": new}, {"w": base}), base={"w": base}) as reader:
        assert reader.get_slice("w")[key].tobytes() == new[key].tobytes()


@given(pair=pairs(), transform=st.sampled_from(TRANSFORMS))
def test_patches(pair: tuple[np.ndarray, np.ndarray], transform: str) -> None:
    base, new = pair
    words = new.reshape(-1).view(f"<u{max(1, new.dtype.itemsize // (2 if new.dtype.kind == 'c' else 1))}")
    old = base.reshape(-1).view(words.dtype)
    with dcz.open(delta({"w": new}, {"w": base}, transform=transform), base={"w": base}) as reader:
        indices, values, kind = reader.patch("w")
    where = np.flatnonzero(words != old)
    assert kind == "values" and indices.dtype == np.int32
    out = old.copy()
    out[indices] = values.view(words.dtype)
    assert out.tobytes() == words.tobytes()
    if transform != "auto":
        assert indices.tolist() == where.tolist()


@pytest.mark.parametrize("transform", TRANSFORMS[1:3])
def test_values_of_a_patch_are_made_of_the_right_base_alone(transform: str) -> None:
    base = make_array(1, "F32", (3000,), 1.0, 900, "float")
    new, other = base.copy(), base.copy()
    new[5::700] += 1
    other[7] += 1
    file = delta({"w": new}, {"w": base}, transform=transform)
    assert dcz.open(file, base={"w": base}).patch("w").values.tobytes() == new[5::700].tobytes()
    with pytest.raises(BaseError, match="another base"):
        dcz.open(file, base={"w": other}).patch("w")
    with pytest.raises(BaseError, match="applied before"):
        dcz.open(file, base={"w": new}).patch("w")
    with pytest.raises(BaseError, match="was made from F32"):
        dcz.open(file, base={"w": base.astype("f8")}).patch("w")


def test_patches_without_a_base() -> None:
    base = np.float32([1, -0.0, 0, 5])
    new = np.nextafter(base, np.float32([2, 1, 0, -9]))
    assert new[1] > 0
    step, xor, replace = (
        dcz.open(delta({"w": new}, {"w": base}, transform=transform)).patch("w") for transform in TRANSFORMS[1:]
    )
    assert (step.kind, step.values.dtype, step.values.tolist()) == ("step", np.int32, [1, 2, -1])
    assert xor.kind == "xor" and (base.view("u4")[xor.indices] ^ xor.values).tobytes() == new[[0, 1, 3]].tobytes()
    assert (replace.kind, replace.indices.tolist()) == ("values", [0, 1, 3])
    assert replace.values.tobytes() == new[[0, 1, 3]].tobytes()


@given(pair=pairs(codes=("BF16", "F16", "F64", "F8_E5M2", "I8", "BOOL", "C64")), third=st.integers(0, 99),
       transform=st.sampled_from(TRANSFORMS))  # fmt: skip
def test_fold_is_applying_both(pair: tuple[np.ndarray, np.ndarray], third: int, transform: str) -> None:
    one, two = pair
    three = changed(two, third, [0.0, 0.01, 0.4][third % 3], ["near", "odd"][third % 2])
    files = [delta({"w": b}, {"w": a}, transform=transform) for a, b in ((one, two), (two, three))]
    out = io.BytesIO()
    dcz.fold(*files, out)
    model = {"w": one.copy()}
    dcz.apply_delta(model, out.getvalue())
    assert same(model, {"w": three})
    assert same(dcz.load_file(out.getvalue(), base={"w": one}), {"w": three})


@given(pair=pairs(), transform=st.sampled_from(["step", "xor"]))
def test_invert_is_undoing(pair: tuple[np.ndarray, np.ndarray], transform: str) -> None:
    base, new = pair
    file, out = delta({"w": new}, {"w": base}, transform=transform), io.BytesIO()
    if base.size == 0:
        return
    dcz.invert(file, out)
    model = {"w": new.copy()}
    dcz.apply_delta(model, out.getvalue())
    assert same(model, {"w": base})
    dcz.apply_delta(model, file)
    dcz.undo_delta(model, file)
    assert same(model, {"w": base})


@given(pair=pairs(most=900), transform=st.sampled_from(TRANSFORMS))
def test_all_kernel_sets_agree(kernel_set: Kernels, pair: tuple[np.ndarray, np.ndarray], transform: str) -> None:
    base, new = {"w": pair[0]}, {"w": pair[1]}
    file = delta(new, base, transform=transform)
    with kernels.use(kernel_set):
        assert delta(new, base, transform=transform) == file
        model = copied(base)
        dcz.apply_delta(model, file)
        assert same(model, new)
        assert same(dcz.load_file(file, base=base), new)
