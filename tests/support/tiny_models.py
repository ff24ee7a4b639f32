"""Tiny random models of the hub's libraries, each of them optional."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dcz.convert.folder import convert_folder

HERE = "is not installed; tests/requirements-integrations.txt has it"


def library(name: str) -> Any:
    """The library, or a skip that says where its version stands."""
    return pytest.importorskip(name, reason=f"{name} {HERE}")


def llama(**options: Any) -> Any:
    """A language model of transformers."""
    transformers = library("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(**{**sizes, "num_key_value_heads": 2, "vocab_size": 128, **options})
    return transformers.LlamaForCausalLM(config).eval()


def bert(**options: Any) -> Any:
    """An encoder of transformers."""
    transformers = library("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    return transformers.BertModel(transformers.BertConfig(**{**sizes, "vocab_size": 100, **options})).eval()


def sentence_model(folder: Path) -> Any:
    """A sentence-transformers model of three modules, two of them with weights; `folder` is for its vocabulary."""
    transformers, sentence_transformers = library("transformers"), library("sentence_transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "small", "model", "file"]
    (folder / "vocab.txt").write_text("\n".join(words))
    bert(hidden_size=16, intermediate_size=32, vocab_size=len(words)).save_pretrained(folder / "bert")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    from sentence_transformers import models

    modules = [models.Transformer(str(folder / "bert")), models.Pooling(16), models.Dense(16, 8)]
    return sentence_transformers.SentenceTransformer(modules=modules, device="cpu")


def adapter(model: Any) -> Any:
    """A LoRA adapter of PEFT around a model."""
    peft = library("peft")
    lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    return peft.get_peft_model(model, lora).eval()


def pipeline() -> Any:
    """A pipeline of diffusers: a UNet and its schedule."""
    diffusers = library("diffusers")
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    made = diffusers.DDPMPipeline(unet=unet.eval(), scheduler=diffusers.DDPMScheduler(num_train_timesteps=10))
    made.set_progress_bar_config(disable=True)
    return made


def picture(made: Any) -> Any:
    """An image that a pipeline makes, as an array."""
    import torch

    made.set_progress_bar_config(disable=True)
    images = made(num_inference_steps=2, output_type="np", generator=torch.Generator().manual_seed(3)).images
    assert images.shape == (1, 8, 8, 3)
    return images


def logits(model: Any) -> Any:
    """What a model makes of a few tokens: logits, or the last hidden state."""
    import torch

    with torch.no_grad():
        out = model(torch.arange(20).reshape(2, 10))
    return out.logits if "logits" in out else out.last_hidden_state


def equal(a: Any, b: Any) -> bool:
    """Whether two tensors have the same shape, dtype and bits."""
    import torch

    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.contiguous().reshape(-1).view(torch.uint8), b.contiguous().reshape(-1).view(torch.uint8))


def packed(model: Any, folder: Path, **options: Any) -> Path:
    """A folder that the library saved, packed as `dcz pack` does."""
    model.save_pretrained(folder / "plain", **options)
    convert_folder(str(folder / "plain"), str(folder / "packed"), ".dcz")
    shutil.rmtree(folder / "plain")
    return folder / "packed"
