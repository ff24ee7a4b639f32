"""Folders that `dcz.transformers` refuses: other configurations, damage, and names of code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.tiny_models import bert, library, llama, logits, packed, pipeline, sentence_model

torch = library("torch")
transformers = library("transformers")

import dcz
import dcz.transformers

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of each other
load, save = dcz.transformers.from_pretrained, dcz.transformers.save_pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return packed(llama(), tmp_path, max_shard_size="50KB")


def edit(folder: Path, file: str, **changes: Any) -> None:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_class_for_another_configuration(folder: Path) -> None:
    with pytest.raises(dcz.DczError, match="AutoModelForImageClassification has no model for a 'llama' configuration"):
        load(transformers.AutoModelForImageClassification, folder)
    with pytest.raises(dcz.DczError, match="the configuration is of a 'llama' model, and BertModel is for 'bert'"):
        load(transformers.BertModel, folder)
    with pytest.raises(dcz.DczError, match="torch.nn.modules.linear.Linear is not a class of models"):
        load(torch.nn.Linear, folder)
    with pytest.raises(dcz.DczError, match="expected a class"):
        load("AutoModel", folder)


def test_tensors_of_other_shapes_and_names(folder: Path) -> None:
    edit(folder, "config.json", intermediate_size=48)
    with pytest.raises(dcz.DczError, match=r"do not fit LlamaForCausalLM: tensor 'model.layers.0.mlp.*and 5 more"):
        load(transformers.AutoModelForCausalLM, folder)
    load(transformers.AutoModelForCausalLM, folder, ignore_mismatched_sizes=True)
    bert(hidden_size=16).config.save_pretrained(folder)
    with pytest.raises(dcz.DczError, match=r"none of the \d+ tensors is one of the model's"):
        load(transformers.AutoModel, folder)


def test_a_missing_shard(folder: Path) -> None:
    next(folder.glob("model-00002-*.dcz")).unlink()
    with pytest.raises(dcz.FormatError, match=r"'model-00002-of-.*' is missing, of 3 files; finish the download"):
        load(transformers.AutoModelForCausalLM, folder)


def test_a_damaged_shard(folder: Path) -> None:
    path = next(folder.glob("model-00002-*.dcz"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(dcz.DczError, match="model-00002"):
        load(transformers.AutoModelForCausalLM, folder)


def test_a_folder_without_weights_or_configuration(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copy(folder / "config.json", tmp_path / "empty")
    with pytest.raises(dcz.DczError, match="no weights in it"):
        load(transformers.AutoModelForCausalLM, tmp_path / "empty")
    llama().save_pretrained(tmp_path / "plain")
    with pytest.raises(dcz.DczError, match=r"no dcz weights in it, but model.safetensors, .*dcz pack FOLDER NEW"):
        load(transformers.AutoModelForCausalLM, tmp_path / "plain")
    (folder / "config.json").unlink()
    with pytest.raises(dcz.DczError, match=r"no config.json in it"):
        load(transformers.AutoModelForCausalLM, folder)
    with pytest.raises(dcz.DczError, match="neither a folder nor the name of a repo"):
        load(transformers.AutoModelForCausalLM, tmp_path / "not" / "there")
    for name in ("nobody/nothing", "nothing"):
        with pytest.raises(dcz.DczError, match=f"{name}: (no such folder here|neither a folder)"):
            load(transformers.AutoModelForCausalLM, name, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(dcz.DczError, match="a file; name the folder"):
        load(transformers.AutoModelForCausalLM, next(folder.glob("*.dcz")))


@pytest.mark.parametrize("text", ["[]", "{", '"llama"'])
def test_a_malformed_configuration(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(dcz.FormatError, match=r"config.json: (not valid JSON|expected an object)"):
        load(transformers.AutoModelForCausalLM, folder)


# -- code


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module on the path of imports; importing it leaves a file."""
    proof = tmp_path / "imported"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "trap.py").write_text(f"open({str(proof)!r}, 'w').close()\nclass Trap: ...\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    return proof


def test_a_configuration_that_names_code(folder: Path, trap: Path) -> None:
    shutil.copy(trap.parent / "code" / "trap.py", folder / "trap.py")
    names = {"AutoConfig": "trap.Trap", "AutoModelForCausalLM": "trap.Trap"}
    edit(folder, "config.json", auto_map=names)
    load(transformers.AutoModelForCausalLM, folder)  # a model that the library has itself: its code is used
    edit(folder, "config.json", model_type="trap")
    with pytest.raises(dcz.DczError, match=r"auto_map: 'trap.Trap' names code .*never imported"):
        load(transformers.AutoModelForCausalLM, folder)
    with pytest.raises(dcz.DczError, match="trust_remote_code: code of a repo is never imported"):
        load(transformers.AutoModelForCausalLM, folder, trust_remote_code=True)
    edit(folder, "config.json", auto_map=None)
    with pytest.raises(dcz.DczError, match="model_type: 'trap' is not a model of transformers"):
        load(transformers.AutoModelForCausalLM, folder)
    assert not trap.exists()


@pytest.mark.parametrize("entry", [{"unet": ["trap", "Trap"]}, {"_class_name": ["trap", "Trap"]}])
def test_a_pipeline_that_names_code(tmp_path: Path, trap: Path, entry: dict[str, Any]) -> None:
    diffusers = library("diffusers")
    folder = packed(pipeline(), tmp_path)
    shutil.copy(trap.parent / "code" / "trap.py", folder / "trap.py")
    edit(folder, "model_index.json", **entry)
    with pytest.raises(dcz.DczError, match=r"model_index.json: .*names code"):
        load(diffusers.DiffusionPipeline, folder)
    assert not trap.exists()


def test_modules_that_name_code(tmp_path: Path, trap: Path) -> None:
    sentence_transformers = library("sentence_transformers")
    folder = packed(sentence_model(tmp_path), tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "trap.Trap"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(dcz.DczError, match=r"modules.json: type: 'trap.Trap' names code"):
        load(sentence_transformers.SentenceTransformer, folder, device="cpu")
    modules[1]["type"] = "sentence_transformers.sentence_transformer.modules.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    dense = folder / "2_Dense" / "config.json"
    dense.write_text(json.dumps({**json.loads(dense.read_text()), "activation_function": "trap.Trap"}))
    load(sentence_transformers.SentenceTransformer, folder, device="cpu")  # the library refuses it with a warning
    assert not trap.exists()


def test_numpy_is_not_changed_by_loading(folder: Path) -> None:
    """Each load has memory of its own: training one model leaves the next as the file is."""
    first = load(transformers.AutoModelForCausalLM, folder)
    with torch.no_grad():
        for tensor in first.parameters():
            tensor.add_(1)
    second = load(transformers.AutoModelForCausalLM, folder)
    assert np.isfinite(logits(second).numpy()).all()
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
