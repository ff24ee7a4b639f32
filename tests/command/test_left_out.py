"""What a file has beside weights is named by `dcz pack`, and a file without weights is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz


def test_what_is_left_out_is_named(tmp_path: Path, dcz_: Callable) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")
    torch.save({"w": torch.ones(3), **{f"s{i}\x1b": {i} for i in range(23)}}, tmp_path / "m.pt")
    done = dcz_("pack", tmp_path / "m.pt", tmp_path / "m.dcz", "--quiet")
    assert (done.code, done.out) == (0, "") and len(done.err.splitlines()) == 21
    assert r"warning: left out: s0\x1b: a builtins.set is not a tensor" in done.err and "3 more" in done.err
    done = dcz_("pack", tmp_path / "m.pt", tmp_path / "n.dcz", "--json")
    assert len(json.loads(done.out)["left_out"]) == 23


@pytest.mark.parametrize("name", ["m.dcz", "m.npz", "m.safetensors", "m.pt"])
def test_a_file_without_tensors_is_an_error(tmp_path: Path, dcz_: Callable, name: str) -> None:
    if name == "m.dcz":
        dcz.save_file({}, tmp_path / name)
    elif name == "m.npz":
        np.savez(tmp_path / name)
    elif name == "m.safetensors":
        (tmp_path / name).write_bytes((2).to_bytes(8, "little") + b"{}")
    else:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")
        torch.save({"seen": {1, 2}}, tmp_path / name)
    done = dcz_("pack", tmp_path / name, tmp_path / "out.dcz")
    assert done.code == 1 and f"{name}: there is no tensor in it" in done.err
    assert not (tmp_path / "out.dcz").exists()
