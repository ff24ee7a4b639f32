"""ONNX models on the command line: a graph without weights and the .dcz file beside it, and the whole model again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from support.command import Run
from support.frameworks import framework, integration

onnx = framework("onnx")
dcz_onnx = integration("onnx")

from support.onnx_networks import X, network, run


def test_the_pair_on_the_command_line(tmp_path: Path, dcz_: Callable[..., Run]) -> None:
    model = network()
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    packed, whole = tmp_path / "packed.onnx", tmp_path / "whole.onnx"
    out = dcz_("pack", tmp_path / "model.onnx", packed)
    assert out.code == 0, out.err
    assert re.search(r"packed.dcz: 8 tensors.*\n.*packed.onnx: its graph, ", out.out)
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert dcz_onnx.session(packed).run(None, {"x": X})[0].tobytes() == run(model).tobytes()
    for start in ("packed.onnx", "packed.dcz"):
        assert dcz_("unpack", tmp_path / start, whole, "--force").code == 0
        assert whole.read_bytes() == (tmp_path / "model.onnx").read_bytes()
    before = packed.read_bytes(), (tmp_path / "packed.dcz").read_bytes()
    for arguments, message in (
        (("pack", tmp_path / "model.onnx", packed), "packed.onnx: already exists; use --force"),
        (("pack", tmp_path / "packed.dcz", tmp_path / "new.onnx"), "only an .onnx file is packed to a graph"),
        (
            ("pack", packed, tmp_path / "new.onnx"),
            "packed.onnx: a graph whose weights are in 'packed.dcz'; pass the path",
        ),
        (("unpack", whole, tmp_path / "new.onnx"), "whole.onnx: does not say which file has its weights"),
        (("unpack", tmp_path / "model.npz", tmp_path / "new.onnx"), "model.npz"),
    ):
        failed = dcz_(*arguments)
        assert failed.code == 1 and message in failed.err.replace("\n", " ")
    assert dcz_("pack", whole, tmp_path / "new.onnx", "--shard-size", "1MB").code == 2
    assert not (tmp_path / "new.onnx").exists() and not (tmp_path / "new.dcz").exists()
    assert (packed.read_bytes(), (tmp_path / "packed.dcz").read_bytes()) == before


def test_a_recipe_makes_the_pair_smaller(tmp_path: Path, dcz_: Callable[..., Run]) -> None:
    (tmp_path / "model.onnx").write_bytes(network().SerializeToString())
    (tmp_path / "recipe.json").write_text('{"density": 0.05, "n_bits": 2}')
    assert dcz_("pack", tmp_path / "model.onnx", tmp_path / "p.onnx", "--recipe", tmp_path / "recipe.json").code == 0
    assert np.count_nonzero(dcz.load_file(tmp_path / "p.dcz")["fc.w"]) == 2000
    assert {each.name for each in dcz_onnx.load_model(tmp_path / "p.onnx").graph.initializer} >= {"fc.w", "conv.w"}
