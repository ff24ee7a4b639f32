"""`dcz.transformers.save_pretrained` is saving by the library and packing; and what loading takes in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.tiny_models import adapter, bert, equal, library, llama, packed, pipeline, sentence_model

torch = library("torch")
transformers = library("transformers")

import dcz
import dcz.transformers

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of each other
load, save = dcz.transformers.from_pretrained, dcz.transformers.save_pretrained


MODELS: dict[str, Callable[[Path], Any]] = {
    "transformers": lambda folder: llama(),
    "diffusers": lambda folder: pipeline(),
    "sentence_transformers": sentence_model,
    "peft": lambda folder: adapter(llama()),
}


@pytest.mark.parametrize("name", MODELS)
def test_saving_is_saving_and_packing(tmp_path: Path, name: str) -> None:
    """The same files as the library's own and `dcz pack` after it, byte for byte."""
    library(name)
    model = MODELS[name](tmp_path)
    options = {"max_shard_size": "50KB"} if name == "transformers" else {}
    expected = packed(model, tmp_path, **options)
    save(model, tmp_path / "saved", **options)
    files = sorted(path.relative_to(expected) for path in expected.rglob("*") if path.is_file())
    found = sorted(path.relative_to(tmp_path / "saved") for path in (tmp_path / "saved").rglob("*") if path.is_file())
    assert found == files
    for path in files:
        if path.name not in (
            "README.md",
            "tokenizer.json",
        ):  # sentence-transformers itself writes others the second time
            assert (tmp_path / "saved" / path).read_bytes() == (expected / path).read_bytes(), path
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("shard", [None, "50KB"])
def test_saving_by_a_recipe(tmp_path: Path, shard: str | None) -> None:
    model = llama(hidden_size=64)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    options = {} if shard is None else {"max_shard_size": shard}
    save(model, tmp_path / "small", {"density": 0.25, "n_bits": 4}, **options)
    assert (tmp_path / "small" / "model.dcz.index.json").exists() == (shard is not None)
    again = load(transformers.AutoModelForCausalLM, tmp_path / "small")
    weight = again.model.layers[0].mlp.up_proj.weight
    assert (weight != 0).float().mean().item() == pytest.approx(0.25, abs=0.01) and len(weight.unique()) <= 17
    assert all(equal(tensor, before[name]) for name, tensor in model.state_dict().items())  # the model stays


def test_saving_over_a_folder(tmp_path: Path) -> None:
    model = bert()
    save(model, tmp_path / "model", max_shard_size="20KB")
    assert len(list((tmp_path / "model").glob("*.dcz"))) > 1
    save(model, tmp_path / "model")
    assert sorted(os.listdir(tmp_path / "model")) == ["config.json", "model.dcz"]
    model.save_pretrained(tmp_path / "plain")
    with pytest.raises(dcz.DczError, match=r"has model.safetensors, which libraries would load instead"):
        save(model, tmp_path / "plain")
    with pytest.raises(dcz.DczError, match="push_to_hub: would send the unpacked files"):
        save(model, tmp_path / "pushed", push_to_hub=True)
    with pytest.raises(dcz.DczError, match="has no save_pretrained"):
        save(torch.nn.Linear(2, 2), tmp_path / "linear")


def test_a_failed_save_leaves_the_folder(tmp_path: Path) -> None:
    save(bert(), tmp_path / "model")
    before = (tmp_path / "model" / "model.dcz").read_bytes()
    with pytest.raises(dcz.DczError):
        save(bert(), tmp_path / "model", {"density": 2})
    with pytest.raises(dcz.DczError, match="max_shard_size"):
        save(bert(), tmp_path / "model", max_shard_size="a lot")
    assert (tmp_path / "model" / "model.dcz").read_bytes() == before and os.listdir(tmp_path) == ["model"]


# -- memory


PEAK = """
import os, re, torch, transformers
import dcz.transformers
transformers.utils.logging.disable_progress_bar()

def held(what):
    return int(re.search(what + r":\\s*(\\d+) kB", open("/proc/self/status").read())[1]) << 10

def load(name, dtype):
    kind = transformers.AutoModelForCausalLM
    open("/proc/self/clear_refs", "w").write("5")  # the peak is the present from here on
    model = dcz.transformers.from_pretrained(kind, os.environ[name], dtype=dtype)
    return held("VmHWM") - before, sum(tensor.nbytes for tensor in model.parameters())

before = 0
load("SMALL", "float32")  # what the libraries themselves take, once
before = held("VmRSS")
print(*load("BIG", "float32"), *load("BIG", "bfloat16"))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's record of the peak")
def test_the_peak_is_the_model_and_its_largest_tensor(tmp_path: Path) -> None:
    from support.frameworks import run_program

    sizes = {"hidden_size": 256, "intermediate_size": 1024, "vocab_size": 20000, "tie_word_embeddings": True}
    with torch.device("meta"):  # the initial values are not needed
        model = llama(num_hidden_layers=8, **sizes)
    model.to_empty(device="cpu").tie_weights()
    with torch.no_grad():
        for tensor in model.parameters():  # quick to pack, and nothing that a page of zeros could hold
            tensor.copy_(torch.arange(tensor.numel()).remainder_(7).reshape(tensor.shape))
    stored = sum(tensor.nbytes for tensor in model.parameters())
    largest = max(tensor.nbytes for tensor in model.parameters())
    (tmp_path / "small").mkdir()
    places = {"BIG": str(packed(model, tmp_path)), "SMALL": str(packed(llama(), tmp_path / "small"))}
    del model
    found = [*map(int, run_program(PEAK, HF_DEACTIVATE_ASYNC_LOAD="1", **places).split())]
    assert found[1::2] == [stored, stored // 2]
    for peak, held in zip(found[::2], found[1::2], strict=True):
        assert held * 0.9 < peak < held + largest + (12 << 20)
