"""Model folders of the hub's libraries: packed, unpacked, and run with the same outputs bit for bit.

The models are tiny and random. Each library is optional; tests/requirements-integrations.txt has the versions that are
tested.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import Run, dcz_
from support.tiny_models import adapter, bert, equal, library, llama, logits, picture, pipeline, sentence_model

torch = library("torch")
safetensors = library("safetensors")

__all__ = ["dcz_"]

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of each other
Convert = Callable[[Path], Path]


@pytest.fixture
def there_and_back(dcz_: Callable[..., Run]) -> Convert:
    """A function that packs and unpacks a folder, and compares it file by file with what it was."""
    return lambda folder: _there_and_back(folder, dcz_)


def _there_and_back(folder: Path, command: Callable[..., Run]) -> Path:
    packed, back = folder.with_name("packed"), folder.with_name("back")
    for arguments in (("pack", "--strict", folder, packed), ("unpack", "--strict", packed, "-o", back)):
        done = command(*arguments)
        assert done.code == 0, done.out + done.err
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {str(path.relative_to(back)) for path in back.rglob("*") if path.is_file()} == files
    assert any(name.endswith(".safetensors") for name in files)
    for name in files:
        stored = str(packed / name).removesuffix(".safetensors") + ".dcz"
        if name.endswith(".safetensors"):
            assert os.path.exists(stored) and not (packed / name).exists()  # under its own stem
            assert contents(back / name) == contents(folder / name)
        elif not name.endswith(".safetensors.index.json"):
            assert (back / name).read_bytes() == (folder / name).read_bytes(), name
    return back


def contents(path: Path) -> tuple[object, dict[str, tuple[str, list[int], bytes]]]:
    """Metadata, and of every tensor its dtype, shape and bytes, as the library reads them."""
    entries = safetensors.deserialize(path.read_bytes())
    with safetensors.safe_open(path, "pt") as file:
        return file.metadata(), {name: (e["dtype"], e["shape"], bytes(e["data"])) for name, e in entries}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shard", ["50KB", "5GB"])
def test_transformers(tmp_path: Path, tied: bool, shard: str, there_and_back: Convert) -> None:
    transformers = library("transformers")
    model = llama(tie_word_embeddings=tied)
    folder = tmp_path / "model"
    model.save_pretrained(folder, max_shard_size=shard)
    assert (folder / "model.safetensors.index.json").exists() == (shard == "50KB")
    (folder / "notes").mkdir()
    (folder / "notes" / "run.txt").write_bytes(b"\x00\xffbeside the weights\r\n")
    again = transformers.AutoModelForCausalLM.from_pretrained(there_and_back(folder)).eval()
    assert equal(logits(again), logits(model))
    assert (again.lm_head.weight is again.model.embed_tokens.weight) == tied


def test_transformers_in_half_precision(tmp_path: Path, there_and_back: Convert) -> None:
    transformers = library("transformers")
    model = bert().to(torch.bfloat16)
    model.save_pretrained(tmp_path / "model")
    again = transformers.AutoModel.from_pretrained(there_and_back(tmp_path / "model"), dtype="auto").eval()
    assert again.dtype is torch.bfloat16 and equal(logits(again), logits(model))


@pytest.mark.parametrize("shard", ["50KB", "5GB"])
def test_a_variant(tmp_path: Path, shard: str, there_and_back: Convert) -> None:
    """Files of one precision among others: `model.fp16.safetensors`, and shards under an index of their own."""
    transformers = library("transformers")
    model = llama()
    model.save_pretrained(tmp_path / "model", variant="fp16", max_shard_size=shard)
    bert().save_pretrained(tmp_path / "model" / "other")
    assert (tmp_path / "model" / "model.safetensors.index.fp16.json").exists() == (shard == "50KB")
    back = there_and_back(tmp_path / "model")
    assert equal(logits(transformers.AutoModelForCausalLM.from_pretrained(back, variant="fp16")), logits(model))


def test_sentence_transformers(tmp_path: Path, there_and_back: Convert) -> None:
    """Modules in folders of their own, `2_Dense/model.safetensors` among them."""
    sentence_transformers = library("sentence_transformers")
    model = sentence_model(tmp_path)
    model.save(str(tmp_path / "model"))
    assert (tmp_path / "model" / "2_Dense" / "model.safetensors").exists()
    again = sentence_transformers.SentenceTransformer(str(there_and_back(tmp_path / "model")), device="cpu")
    texts = ["a small model", "a file"]
    assert model.encode(texts).tobytes() == again.encode(texts).tobytes()


def test_peft(tmp_path: Path, there_and_back: Convert) -> None:
    """An adapter keeps its name, `adapter_model`."""
    peft = library("peft")
    model, plain = llama(), llama()
    plain.load_state_dict(model.state_dict())
    adapted = adapter(model)
    adapted.save_pretrained(tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    again = peft.PeftModel.from_pretrained(plain, there_and_back(tmp_path / "adapter")).eval()
    assert equal(logits(again), logits(adapted))


def test_diffusers(tmp_path: Path, there_and_back: Convert) -> None:
    """A pipeline: `unet/diffusion_pytorch_model.safetensors`, and the schedule's configuration beside it."""
    diffusers = library("diffusers")
    pipeline().save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors").exists()
    before, after = (
        picture(diffusers.DDPMPipeline.from_pretrained(folder))
        for folder in (tmp_path / "model", there_and_back(tmp_path / "model"))
    )
    assert before.tobytes() == after.tobytes()


def test_weights_of_other_programs_are_said_and_strictly_refused(tmp_path: Path, dcz_: Callable[..., Run]) -> None:
    """What is left out has a line, and with --strict an exit code."""
    bert(hidden_size=16).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"an exported graph")
    packed = dcz_("pack", tmp_path / "model", tmp_path / "packed")
    assert packed.code == 0 and "model.onnx" in packed.out + packed.err
    refused = dcz_("pack", "--strict", tmp_path / "model", tmp_path / "strict")
    assert refused.code != 0 and "model.onnx" in refused.err and not (tmp_path / "strict").exists()
    assert json.loads((tmp_path / "packed" / "config.json").read_text())["hidden_size"] == 16
