"""`dcz.transformers.from_pretrained`: models from packed folders, as the libraries' own functions load them."""

from __future__ import annotations

import doctest
import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.tiny_models import adapter, bert, equal, library, llama, logits, packed, picture, pipeline, sentence_model

torch = library("torch")
transformers = library("transformers")

import dcz
import dcz.transformers
from dcz.convert.folder import convert_folder

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of each other
load, save = dcz.transformers.from_pretrained, dcz.transformers.save_pretrained


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
