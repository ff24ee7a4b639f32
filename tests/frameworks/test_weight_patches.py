"""Files of differences as patches of checkpoint tensors, checked before the first is handed out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import dcz
from dcz.errors import BaseError, ChecksumError, DczError

torch = pytest.importorskip("torch", reason="torch is not installed; tests/requirements-frameworks.txt has it")
import dcz.torch as integration

KINDS = ("auto", "step", "xor", "replace")


def checkpoint() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    made = {f"w{i}": torch.randn(60, 50, generator=generator).to(kind) for i, kind in enumerate((
        torch.bfloat16, torch.float16, torch.float32, torch.float64
    ))}  # fmt: skip
    return made | {
        "count": torch.arange(900), "small": torch.randn(500, generator=generator).to(torch.float8_e4m3fn),
        "same": torch.randn(40, 20, generator=generator), "nan": torch.zeros(800), "scale": torch.tensor(1.5),
    }  # fmt: skip


def changed(old: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    new = {name: tensor.clone() for name, tensor in old.items()}
    for i in range(4):
        new[f"w{i}"].reshape(-1)[i::97] *= 1.5
        new[f"w{i}"][0, 0] = -0.0
    new["count"][7] += 1
    new["small"][5:9] = torch.ones(4).to(torch.float8_e4m3fn)
    new["nan"][3] = float("nan")
    new["scale"] += 1
    return new


def save(new: object, old: object, **options: object) -> bytes:
    file = io.BytesIO()
    integration.save_delta(new, file, base=old, **options)
    return file.getvalue()


def apply(patches: object, old: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As an engine does: values to their places, whole tensors over old ones."""
    out = {name: tensor.clone() for name, tensor in old.items()}
    for patch in (*patches.sparse, *patches.dense):
        target = out[patch.name]
        assert (patch.shape, patch.dtype, patch.values.ndim) == (tuple(target.shape), target.dtype, 1)
        if patch.indices is None:
            target.copy_(patch.values.view(patch.shape))
        else:
            assert patch.indices.dtype == torch.int32 and not patch.values.isnan().any()
            assert (patch.indices.diff() > 0).all()
            target.view(-1).index_copy_(0, patch.indices.long(), patch.values)
    return out


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return (
        all(integration.save({"": a[name]}) == integration.save({"": b[name]}) for name in b) and a.keys() == b.keys()
    )


@pytest.mark.parametrize("transform", KINDS)
def test_patches_make_the_new_checkpoint(tmp_path: Path, transform: str) -> None:
    old = checkpoint()
    new = changed(old)
    file = save(new, old, transform=transform)
    integration.save_file(old, tmp_path / "old.dcz")
    with dcz.open(tmp_path / "old.dcz") as reader:
        for base in (old, reader):
            patches = integration.weight_patches(file, base=base)
            assert same(apply(patches, old), new)
            assert {patch.name for patch in patches.sparse} >= {"w0", "w1", "w2", "w3"}
            assert {patch.name for patch in patches.dense} >= {"count", "small", "nan"}
            assert "same" not in {patch.name for patch in (*patches.sparse, *patches.dense)}


def test_replaced_values_need_no_base() -> None:
    old = {"w": torch.zeros(3000, dtype=torch.bfloat16), "c": torch.arange(3000)}
    new = {name: tensor.clone() for name, tensor in old.items()}
    new["w"][::100] = 2
    file = save(new, old, transform="replace")
    assert same(apply(integration.weight_patches(file), old), new)
    new["c"][5] = -1
    with pytest.raises(DczError, match="'c': its new values of I64 need all of the tensor; pass base="):
        integration.weight_patches(save(new, old, transform="replace"))
    with pytest.raises(DczError, match="'w': is a step from the base; pass base="):
        integration.weight_patches(save({**old, "w": new["w"]}, old, transform="step"))


def test_second_names_have_patches_of_their_own() -> None:
    old = {"a": torch.zeros(3000)}
    old["b"] = old["a"]
    new = {"a": old["a"].clone()}
    new["a"][7] = 1
    new["b"] = new["a"]
    assert [patch.name for patch in integration.weight_patches(save(new, old), base=old).sparse] == ["a", "b"]


def test_what_no_patch_can_do_is_refused() -> None:
    old = {"a": torch.arange(3000.0), "b": torch.zeros(3000)}
    for new, message in (
        ({"a": old["a"]}, "removes tensor 'b'"),
        ({**old, "c": torch.ones(5)}, "adds tensor 'c'"),
        ({"a": old["a"].view(3, 1000), "b": old["b"]}, r"'a': has shape \(3, 1000\), in the base \(3000,\)"),
        ({"a": old["b"] + 1, "b": old["a"]}, "'b': is made of 'a', which no patch can"),
    ):
        renames = {"b": "a"} if "made of" in message else None
        with pytest.raises(DczError, match=message):
            integration.weight_patches(save(new, old, renames=renames), base=old)
    with pytest.raises(DczError, match="is a whole model"):
        integration.weight_patches(integration.save(old))
    with pytest.raises(DczError, match="is a whole model"):
        integration.weight_patches(integration.save(old), base=old)


def test_the_wrong_base_and_damage_are_found_before_anything_is_handed_out() -> None:
    old = checkpoint()
    new = changed(old)
    file = save(new, old)
    for name in ("w0", "same", "count"):  # changed, copied, changed as a whole
        other = {**old, name: old[name].flip(0)}
        with pytest.raises(BaseError, match=f"'{name}'.*another base"):
            integration.weight_patches(file, base=other)
    with pytest.raises(BaseError, match="applied before"):
        integration.weight_patches(save({**old, "w0": new["w0"]}, old), base={**old, "w0": new["w0"]})
    with pytest.raises(BaseError, match="has the dtype F32"):
        integration.weight_patches(file, base={**old, "w0": old["w0"].float()})
    damaged = bytearray(file)
    damaged[40] ^= 1
    with pytest.raises(ChecksumError):
        integration.weight_patches(bytes(damaged), base=old)
