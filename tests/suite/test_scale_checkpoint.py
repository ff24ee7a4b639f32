"""The synthetic checkpoint of the scale study: the safetensors library reads it, and it is what its docstring says."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.studies.scale import checkpoint
from dcz.convert import open_model


def test_the_checkpoint_has_its_size_and_its_kinds_of_matrices(tmp_path):
    index = checkpoint.write(tmp_path / "model", 2_000_000, shard_size=500_000, hidden=128)
    document = json.loads(index.read_text())
    assert 2_000_000 <= document["metadata"]["total_size"] < 2_300_000
    assert len(set(document["weight_map"].values())) > 2
    zeros = {}
    for matrix in checkpoint.matrices(2_000_000, 128):
        with open_model(index.parent / document["weight_map"][matrix.name]) as model:
            array = model.read(matrix.name)
        assert array.shape == matrix.shape
        words = array.view(np.uint16)
        zeros.setdefault(matrix.kind, []).append(float((words == 0).mean()))
        if matrix.kind == "clustered":
            assert len(np.unique(words)) <= 17
    assert max(zeros["dense"]) < 0.01
    assert np.allclose(zeros["pruned"], 0.9, atol=0.02)
    assert np.allclose(zeros["clustered"], 0.75, atol=0.02)


def test_the_same_arguments_make_the_same_bytes(tmp_path):
    for name in "ab":
        checkpoint.write(tmp_path / name, 300_000, hidden=64)
    files = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab"]
    assert files[0] == files[1] and len(files[0]) == 2
