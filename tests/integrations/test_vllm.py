"""The vLLM plug-in over vLLM's published interface, and in vLLM itself where it is installed (`.ci/vllm`)."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import dcz
from dcz.errors import BaseError, DczError, MissingLibraryError

torch = pytest.importorskip("torch", reason="torch is not installed; tests/requirements-frameworks.txt has it")
import dcz.torch
import dcz.vllm
from support import vllm_stub

ROOT = Path(__file__).parents[2]
IN_VLLM = Path(__file__).parent / "vllm_program.py"


class Model(torch.nn.Module):
    """A model that loads weights as vLLM's do: by name, two of the checkpoint's into one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.qk = torch.nn.Parameter(torch.zeros(20, 8))
        self.norm = torch.nn.Parameter(torch.zeros(8))

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        loaded = set()
        for name, tensor in weights:
            if name in ("q", "k"):
                rows = slice(0, 12) if name == "q" else slice(12, 20)
                self.qk.data[rows].copy_(tensor)
                loaded.add("qk")
            else:
                self.get_parameter(name).data.copy_(tensor)
                loaded.add(name)
        return loaded


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    return {"q": torch.randn(12, 8), "k": torch.randn(8, 8), "norm": torch.randn(8)}


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> type:
    vllm_stub.install(monkeypatch)
    dcz.vllm.register()
    dcz.vllm.register()  # processes may call it more than once
    yield vllm_stub.LOADERS["dcz"]
    sys.modules.pop("dcz.vllm.loader", None)


def load(loader: type, folder: Path, model: torch.nn.Module | None = None, **extra: object) -> torch.nn.Module:
    model = Model() if model is None else model
    loader(vllm_stub.LoadConfig("dcz", model_loader_extra_config=extra)).load_weights(
        model, vllm_stub.ModelConfig(str(folder))
    )
    return model


def test_the_entry_point_names_the_function_that_registers() -> None:
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the tests lie apart from the source tree")
    tomllib = pytest.importorskip("tomllib", reason="this Python reads no TOML")
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, name = points["vllm.general_plugins"]["dcz"].partition(":")
    assert getattr(importlib.import_module(module), name) is dcz.vllm.register


@pytest.mark.parametrize("sharded", [False, True])
def test_weights_come_by_the_models_own_loader(loader: type, tmp_path: Path, sharded: bool) -> None:
    new = tensors()
    if sharded:
        dcz.save_sharded({name: tensor.numpy() for name, tensor in new.items()}, tmp_path, shard_size=400)
        assert len(list(tmp_path.glob("*.dcz"))) > 1
    else:
        dcz.torch.save_file(new, tmp_path / "model.dcz")
    model = load(loader, tmp_path)
    assert torch.equal(model.qk, torch.cat([new["q"], new["k"]])) and torch.equal(model.norm, new["norm"])


def test_weights_of_a_second_source(loader: type, tmp_path: Path) -> None:
    new = tensors()
    (tmp_path / "second" / "sub").mkdir(parents=True)
    dcz.torch.save_file({name: new[name] for name in "qk"}, tmp_path / "model.dcz")
    dcz.torch.save_file({"m": new["norm"]}, tmp_path / "second" / "sub" / "model.dcz")
    model = Model()
    model.secondary_weights = [
        SimpleNamespace(model_or_path=str(tmp_path / "second"), revision=None, subfolder="sub", prefix="nor")
    ]
    assert torch.equal(load(loader, tmp_path, model).norm, new["norm"])


def test_what_cannot_be_loaded(loader: type, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="no .dcz"):
        load(loader, tmp_path)
    new = tensors()
    dcz.torch.save_delta(new, tmp_path / "model.dcz", base={**new, "norm": new["norm"] + 1})
    with pytest.raises(DczError, match="is stored as the difference to .* of a base"):
        load(loader, tmp_path)
    del new["norm"]
    dcz.torch.save_file(new, tmp_path / "model.dcz")
    with pytest.raises(DczError, match="1 parameters of the model are not in the file: 'norm'"):
        load(loader, tmp_path)
    with pytest.raises(DczError, match="model_loader_extra_config: 'threads' is unknown"):
        load(loader, tmp_path, threads=3)
    with pytest.raises(DczError, match="max_bytes"):
        load(loader, tmp_path, max_bytes=100)


def test_weights_of_the_hub_are_downloaded(loader: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    new, asked = tensors(), []
    dcz.torch.save_file(new, tmp_path / "model.dcz")

    def snapshot_download(repo: str, **options: object) -> str:
        asked.append((repo, options["revision"], options["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    made = loader(vllm_stub.LoadConfig("dcz"))
    made.download_model(vllm_stub.ModelConfig("someone/model", "v1"))
    made.load_weights(model := Model(), vllm_stub.ModelConfig("someone/model", "v1"))
    assert asked == [("someone/model", "v1", ["*.dcz", "*.dcz.index.json"])] * 2 and torch.equal(
        model.norm, new["norm"]
    )


def test_patches_are_vllms_own(loader: type) -> None:
    old, file = tensors(), io.BytesIO()
    new = {name: tensor.clone() for name, tensor in old.items()}
    new["q"][3, 4] = 7
    dcz.torch.save_delta(new, file, base=old)
    (patch,), dense = dcz.vllm.weight_patches(file.getvalue(), base=old)
    assert type(patch) is vllm_stub.CheckpointWeightPatch and dense == []
    assert patch[:3] == ("q", (12, 8), torch.float32)
    assert (patch.indices.tolist(), patch.values.tolist()) == ([28], [7.0])
    with pytest.raises(BaseError, match="applied before"):
        dcz.vllm.weight_patches(file.getvalue(), base=new)


def test_vllm_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingLibraryError, match=r"dcz.vllm.weight_patches needs vllm, .*: pip install 'dcz\[vllm\]'"):
        dcz.vllm.weight_patches(b"")


@pytest.mark.skipif(
    find_spec("vllm") is None, reason="vllm is not installed; .ci/vllm runs this in its own environment"
)
def test_in_vllm(tmp_path: Path) -> None:
    """A Llama of random weights: tokens and log-probabilities of both formats, and after ten patches."""
    done = subprocess.run([sys.executable, str(IN_VLLM), str(tmp_path)], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "equal: dcz, 10 patches"
