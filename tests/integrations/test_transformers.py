"""`dcz.transformers`: models from packed folders and to them, as the libraries' own functions load and save them."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.tiny_models import adapter, bert, equal, library, llama, logits, picture, pipeline, sentence_model

torch = library("torch")
transformers = library("transformers")

import dcz
import dcz.transformers
from dcz.convert.folder import convert_folder

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of each other
load, save = dcz.transformers.from_pretrained, dcz.transformers.save_pretrained


def packed(model: Any, folder: Path, **options: Any) -> Path:
    """A folder that the library saved, packed as `dcz pack` does."""
    model.save_pretrained(folder / "plain", **options)
    convert_folder(str(folder / "plain"), str(folder / "packed"), ".dcz")
    shutil.rmtree(folder / "plain")
    return folder / "packed"


@pytest.mark.parametrize(
    "name", ["hub.models", "hub.mixin", "hub.staging", "transformers.loading", "transformers.saving"]
)
def test_examples_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"dcz.{name}"))
    assert found.failed == 0 and found.attempted


# -- transformers


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shard", ["50KB", "5GB"])
def test_a_language_model(tmp_path: Path, tied: bool, shard: str) -> None:
    model = llama(tie_word_embeddings=tied)
    folder = packed(model, tmp_path, max_shard_size=shard)
    assert (folder / "model.dcz.index.json").exists() == (shard == "50KB")
    for kind in (transformers.AutoModelForCausalLM, transformers.LlamaForCausalLM):
        again = load(kind, folder)
        assert type(again) is type(model) and not again.training
        assert equal(logits(again), logits(model))
        assert (again.lm_head.weight is again.model.embed_tokens.weight) == tied
        assert again.name_or_path == again.config._name_or_path == str(folder)


def test_tied_weights_stored_under_both_names(tmp_path: Path) -> None:
    """As `save_model` writes them: the model ties what it ties, and what it does not tie has memory of its own."""
    model = llama(tie_word_embeddings=True)
    model.config.save_pretrained(tmp_path)
    dcz.torch.save_model(model, tmp_path / "model.dcz")
    with dcz.open(tmp_path / "model.dcz") as reader:
        assert reader.aliases
    again = load(transformers.AutoModelForCausalLM, tmp_path)
    assert again.lm_head.weight is again.model.embed_tokens.weight and equal(logits(again), logits(model))
    config = transformers.AutoConfig.from_pretrained(tmp_path, tie_word_embeddings=False)
    untied = load(transformers.AutoModelForCausalLM, tmp_path, config=config)
    assert untied.lm_head.weight.data_ptr() != untied.model.embed_tokens.weight.data_ptr()
    assert equal(untied.lm_head.weight, untied.model.embed_tokens.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, "float64", "auto"])
def test_dtypes_are_those_asked_for(tmp_path: Path, dtype: Any) -> None:
    model = llama().to(torch.bfloat16)
    model.save_pretrained(tmp_path / "plain")
    convert_folder(str(tmp_path / "plain"), str(tmp_path / "packed"), ".dcz")
    expected = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype=dtype).state_dict()
    found = load(transformers.AutoModelForCausalLM, tmp_path / "packed", dtype=dtype).state_dict()
    assert list(found) == list(expected) and all(equal(found[name], expected[name]) for name in expected)


def test_the_dtype_of_the_file_where_the_configuration_has_none(tmp_path: Path) -> None:
    folder = packed(llama().to(torch.bfloat16), tmp_path)
    document = json.loads((folder / "config.json").read_text())
    assert document.pop("dtype") == "bfloat16"
    (folder / "config.json").write_text(json.dumps(document))
    assert load(transformers.AutoModelForCausalLM, folder, dtype="auto").dtype is torch.bfloat16


def test_device_maps_are_followed(tmp_path: Path) -> None:
    library("accelerate")
    model = llama()
    folder = packed(model, tmp_path)
    places = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "disk"}
    places |= {"model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    again = load(
        transformers.AutoModelForCausalLM, folder, device_map=places, offload_folder=str(tmp_path / "offloaded")
    )
    assert again.hf_device_map == places
    assert again.model.layers[1].mlp.up_proj.weight.device.type == "meta" and os.listdir(tmp_path / "offloaded")
    assert equal(logits(again), logits(model))


@pytest.mark.parametrize("place", ["auto", "cpu", {"": "cpu"}])
def test_a_whole_model_on_a_device(tmp_path: Path, place: Any) -> None:
    library("accelerate")
    model = llama()
    again = load(transformers.AutoModelForCausalLM, packed(model, tmp_path), device_map=place)
    assert equal(logits(again), logits(model)) and {each.device.type for each in again.parameters()} == {"cpu"}


def test_options_and_results_of_the_library(tmp_path: Path) -> None:
    model = llama()
    model.generation_config.max_new_tokens = 7
    folder = packed(model, tmp_path)
    again, info = load(
        transformers.AutoModelForCausalLM,
        folder,
        output_loading_info=True,
        attn_implementation="eager",
        rms_norm_eps=0.5,
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert again.config._attn_implementation == "eager" and again.config.rms_norm_eps == 0.5
    assert again.generation_config.max_new_tokens == 7


def test_a_head_that_the_file_lacks_is_new(tmp_path: Path) -> None:
    """As in the library: a base model under a class for a task."""
    folder = packed(bert(), tmp_path)
    again, info = load(transformers.AutoModelForSequenceClassification, folder, output_loading_info=True)
    assert type(again) is transformers.BertForSequenceClassification
    assert info["missing_keys"] == {"classifier.weight", "classifier.bias"}


def test_weights_that_the_library_merges(tmp_path: Path) -> None:
    """A mixture of experts: the file has a tensor an expert, the model one of all."""
    config = transformers.MixtralConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=32, num_local_experts=2,
    )  # fmt: skip
    model = transformers.MixtralForCausalLM(config).eval()
    folder = packed(model, tmp_path)
    with dcz.open(folder / "model.dcz") as reader:
        assert len(reader) > len(model.state_dict())
    again = load(transformers.AutoModelForCausalLM, folder).state_dict()
    assert all(equal(again[name], tensor) for name, tensor in model.state_dict().items())


def test_a_variant_and_a_subfolder(tmp_path: Path) -> None:
    model = bert()
    model.save_pretrained(tmp_path / "plain" / "encoder", variant="fp16")
    convert_folder(str(tmp_path / "plain"), str(tmp_path / "packed"), ".dcz")
    again = load(transformers.AutoModel, tmp_path / "packed", subfolder="encoder", variant="fp16")
    assert equal(logits(again), logits(model))
    with pytest.raises(dcz.DczError, match="expected one file"):
        load(transformers.AutoModel, tmp_path / "packed", subfolder="encoder", variant="int8")
    with pytest.raises(dcz.DczError, match="leads out of"):
        load(transformers.AutoModel, tmp_path / "packed", subfolder="../plain")


def test_shards_of_a_variant(tmp_path: Path) -> None:
    model = llama()
    folder = packed(model, tmp_path, variant="fp16", max_shard_size="50KB")
    assert len(list(folder.glob("model.fp16-*.dcz"))) > 1
    again = load(transformers.AutoModelForCausalLM, folder, variant="fp16")
    assert equal(logits(again), logits(model)) and again.name_or_path == str(folder)


def test_weights_quantized_by_torchao(tmp_path: Path) -> None:
    """Its loader reads the metadata of safetensors files, which no state dict has."""
    torchao = library("torchao.quantization")
    model = llama(hidden_size=64)
    model.save_pretrained(tmp_path / "whole")
    method = transformers.TorchAoConfig(torchao.Int8WeightOnlyConfig(version=2))
    auto = transformers.AutoModelForCausalLM
    before = auto.from_pretrained(tmp_path / "whole", quantization_config=method)
    again = load(auto, packed(before, tmp_path))
    assert (
        type(again.model.layers[0].mlp.up_proj.weight).__name__
        == type(before.model.layers[0].mlp.up_proj.weight).__name__
    )
    assert equal(logits(again), logits(before))


# -- the other libraries


def test_a_pipeline_of_diffusers(tmp_path: Path) -> None:
    diffusers = library("diffusers")
    made = pipeline()
    made.save_pretrained(tmp_path / "own")
    before = diffusers.DDPMPipeline.from_pretrained(tmp_path / "own")
    folder = packed(made, tmp_path)
    again = load(diffusers.DDPMPipeline, folder)
    state = again.unet.state_dict()
    assert all(equal(state[name], tensor) for name, tensor in made.unet.state_dict().items())
    assert picture(again).tobytes() == picture(before).tobytes()
    unet = load(diffusers.UNet2DModel, folder, subfolder="unet", torch_dtype=torch.float16)
    assert unet.dtype is torch.float16
    assert type(load(diffusers.DiffusionPipeline, folder)) is diffusers.DDPMPipeline


def test_sentence_transformers(tmp_path: Path) -> None:
    sentence_transformers = library("sentence_transformers")
    before = sentence_model(tmp_path)
    folder = packed(before, tmp_path)
    again = load(sentence_transformers.SentenceTransformer, folder, device="cpu")
    texts = ["a small model", "a file"]
    assert again.encode(texts).tobytes() == before.encode(texts).tobytes()


def test_a_cross_encoder(tmp_path: Path) -> None:
    sentence_transformers = library("sentence_transformers")
    sentence_model(tmp_path)  # for its tokenizer
    transformers.AutoTokenizer.from_pretrained(tmp_path / "bert").save_pretrained(tmp_path / "own")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "bert", num_labels=1)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "own")
    before = sentence_transformers.CrossEncoder(str(tmp_path / "own"), device="cpu")
    convert_folder(str(tmp_path / "own"), str(tmp_path / "packed"), ".dcz")
    again = load(sentence_transformers.CrossEncoder, tmp_path / "packed", device="cpu")
    pairs = [("a small model", "a file"), ("a", "model")]
    assert again.predict(pairs).tobytes() == before.predict(pairs).tobytes()


def test_an_adapter_of_peft(tmp_path: Path) -> None:
    peft = library("peft")
    base = llama()
    state = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    before = adapter(base)
    folder = packed(before, tmp_path)
    assert (folder / "adapter_model.dcz").exists()

    def fresh(**sizes: Any) -> Any:
        made = llama(**sizes)
        if not sizes:
            made.load_state_dict(state)
        return made

    again = load(peft.PeftModel, folder, fresh(), adapter_name="mine")
    assert equal(logits(again), logits(before)) and again.active_adapter == "mine"
    with pytest.raises(dcz.DczError, match="the adapter does not fit the base LlamaForCausalLM.*adapter_config.json"):
        load(peft.PeftModel, folder, fresh(hidden_size=64))
    with pytest.raises(dcz.DczError, match="does not fit the base BertModel"):
        load(peft.PeftModel, folder, bert())
    with pytest.raises(dcz.DczError, match="an adapter needs its base"):
        load(peft.PeftModel, folder)


def test_no_path_of_the_temporary_folder_stays(tmp_path: Path) -> None:
    """Libraries write the path that a model came from into configurations."""
    diffusers, sentence_transformers = library("diffusers"), library("sentence_transformers")
    folder = packed(pipeline(), tmp_path)
    whole = load(diffusers.DDPMPipeline, folder)
    unet = load(diffusers.UNet2DModel, folder, subfolder="unet")
    assert whole.config._name_or_path == str(folder)
    assert whole.unet.config._name_or_path == unet.config._name_or_path == str(folder / "unet")
    whole.save_pretrained(tmp_path / "again")
    saved = [path.read_text() for path in (tmp_path / "again").rglob("*.json")]
    assert any(str(folder) in text for text in saved) and not any("/dcz-" in text for text in saved)
    (tmp_path / "sentences").mkdir()
    folder = packed(sentence_model(tmp_path), tmp_path / "sentences")
    model = load(sentence_transformers.SentenceTransformer, folder, device="cpu")
    assert model[0].auto_model.name_or_path == model[0].auto_model.config._name_or_path == str(folder)


def test_a_damaged_expert(tmp_path: Path) -> None:
    """The library collects tensors to merge them; the error of one is still that of the file."""
    config = transformers.MixtralConfig(
        hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=32, num_local_experts=2,
    )  # fmt: skip
    folder = packed(transformers.MixtralForCausalLM(config), tmp_path)
    name = "model.layers.0.block_sparse_moe.experts.1.w1.weight"
    data = bytearray((folder / "model.dcz").read_bytes())
    with dcz.open(folder / "model.dcz") as reader:
        at = reader.stored_segment(name).entry.offset
    data[at] ^= 4
    (folder / "model.dcz").write_bytes(data)
    with pytest.raises(dcz.ChecksumError, match="experts.1.w1"):
        load(transformers.AutoModelForCausalLM, folder)


# -- saving


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


# -- what is refused


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
