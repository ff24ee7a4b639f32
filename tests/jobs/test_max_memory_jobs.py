"""Jobs on tensors larger than the memory allowed: each task goes through them in blocks, to the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcz
from dcz import jobs
from dcz.convert import open_model, open_target, transfer
from dcz.convert.compressed import CompressedModel
from dcz.convert.delta import DeltaTarget
from dcz.jobs import contents

# Of each tensor: longer than the shortest block.
SHAPE = (3, (1 << 20) // 2 + 77)


def model(path: Path, seed: int) -> Path:
    """A safetensors file of two tensors, most of whose words are those of any other seed."""
    weights = np.random.default_rng(0).laplace(size=SHAPE).astype("f2")
    weights[:, :: 50 + seed] *= 2
    dcz.save_file({"half": weights, "other": weights[:, ::-1]}, path.with_suffix(".dcz"))
    with open_model(path.with_suffix(".dcz")) as opened:
        transfer(opened, open_target(path))
    return path


@pytest.mark.parametrize("how", ["plain", "recipe", "base", "recipe and base"])
def test_the_bytes_are_those_of_whole_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    source = model(tmp_path / "model.safetensors", 0)
    options: dict[str, Any] = {}
    if "recipe" in how:
        options["recipe"] = {"density": 0.5, "n_bits": 4}
    if "base" in how:
        options["base"] = model(tmp_path / "base.safetensors", 1)
    jobs.pack(source, tmp_path / "whole.dcz", **options)
    # Nothing may be read whole: a tensor that is, is refused.
    for owner, name in ((contents, "ENCODING"), (CompressedModel, "use"), (DeltaTarget, "use")):
        monkeypatch.setattr(owner, name, getattr(owner, name)._replace(whole=10**9))
    jobs.pack(source, tmp_path / "blocks.dcz", max_memory=10**9, **options)
    assert (tmp_path / "blocks.dcz").read_bytes() == (tmp_path / "whole.dcz").read_bytes()


def test_what_needs_a_whole_tensor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = model(tmp_path / "model.safetensors", 0)
    monkeypatch.setattr(CompressedModel, "use", CompressedModel.use._replace(whole=10**9))
    recipe = {"n_bits": 4, "granularity": "per_grouped_channel", "group_size": 1}
    with pytest.raises(dcz.DczError, match="max memory: 1000000000 bytes are too few for tensor 'half'"):
        jobs.pack(source, tmp_path / "out.dcz", recipe=recipe, max_memory=10**9)
