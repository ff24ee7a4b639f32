"""Model folders of the hub's libraries: packed, unpacked, and run with the same outputs bit for bit.

The models are tiny and random. Each library is optional; tests/requirements-integrations.txt has the versions that are
tested.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_HERE = "is not installed; tests/requirements-integrations.txt has it"
torch = pytest.importorskip("torch", reason=f"torch {_HERE}")
pytest.importorskip("safetensors", reason=f"safetensors {_HERE}")
import safetensors

from support.command import Run, dcz_

__all__ = ["dcz_"]

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of each other
Convert = Callable[[Path], Path]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No library asks the hub for anything, and all draw the same random weights."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    with contextlib.suppress(ImportError):
        import transformers

        transformers.utils.logging.set_verbosity_error()
    yield


def library(name: str) -> object:
    return pytest.importorskip(name, reason=f"{name} {_HERE}")


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


def equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """The same shape, dtype and bits."""
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shard", ["50KB", "5GB"])
def test_transformers(tmp_path: Path, tied: bool, shard: str, there_and_back: Convert) -> None:
    transformers = library("transformers")
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=128, tie_word_embeddings=tied,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    folder = tmp_path / "model"
    model.save_pretrained(folder, max_shard_size=shard)
    assert (folder / "model.safetensors.index.json").exists() == (shard == "50KB")
    (folder / "notes").mkdir()
    (folder / "notes" / "run.txt").write_bytes(b"\x00\xffbeside the weights\r\n")
    again = transformers.AutoModelForCausalLM.from_pretrained(there_and_back(folder)).eval()
    ids = torch.arange(20).reshape(2, 10)
    with torch.no_grad():
        assert equal(again(ids).logits, model(ids).logits)
    assert (again.lm_head.weight is again.model.embed_tokens.weight) == tied


def test_transformers_in_half_precision(tmp_path: Path, there_and_back: Convert) -> None:
    transformers = library("transformers")
    config = transformers.BertConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, vocab_size=100
    )
    model = transformers.BertModel(config).eval().to(torch.bfloat16)
    model.save_pretrained(tmp_path / "model")
    again = transformers.AutoModel.from_pretrained(there_and_back(tmp_path / "model"), dtype="auto").eval()
    assert again.dtype is torch.bfloat16
    ids = torch.arange(10)[None]
    with torch.no_grad():
        assert equal(again(ids).last_hidden_state.float(), model(ids).last_hidden_state.float())


def test_sentence_transformers(tmp_path: Path, there_and_back: Convert) -> None:
    """Modules in folders of their own, `2_Dense/model.safetensors` among them."""
    transformers = library("transformers")
    sentence_transformers = library("sentence_transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "small", "model", "file"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    config = transformers.BertConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=len(words)
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    from sentence_transformers import models

    first = models.Transformer(str(tmp_path / "bert"))
    modules = [first, models.Pooling(16), models.Dense(16, 8)]
    model = sentence_transformers.SentenceTransformer(modules=modules, device="cpu")
    model.save(str(tmp_path / "model"))
    assert (tmp_path / "model" / "2_Dense" / "model.safetensors").exists()
    again = sentence_transformers.SentenceTransformer(str(there_and_back(tmp_path / "model")), device="cpu")
    texts = ["a small model", "a file"]
    assert model.encode(texts).tobytes() == again.encode(texts).tobytes()


def test_peft(tmp_path: Path, there_and_back: Convert) -> None:
    """An adapter keeps its name, `adapter_model`."""
    transformers, peft = library("transformers"), library("peft")
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, vocab_size=64
    )
    model = transformers.LlamaForCausalLM(config).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(model, lora).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    back = there_and_back(tmp_path / "adapter")
    plain = transformers.LlamaForCausalLM(config).eval()
    plain.load_state_dict(before)
    again = peft.PeftModel.from_pretrained(plain, back).eval()
    ids = torch.arange(10)[None]
    with torch.no_grad():
        assert equal(again(ids).logits, adapted(ids).logits)


def test_diffusers(tmp_path: Path, there_and_back: Convert) -> None:
    """A pipeline: `unet/diffusion_pytorch_model.safetensors`, and the schedule's configuration beside it."""
    diffusers = library("diffusers")
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    pipeline = diffusers.DDPMPipeline(unet=unet.eval(), scheduler=diffusers.DDPMScheduler(num_train_timesteps=10))
    pipeline.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors").exists()
    images = []
    for folder in (tmp_path / "model", there_and_back(tmp_path / "model")):
        each = diffusers.DDPMPipeline.from_pretrained(folder)
        each.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(3)
        images.append(each(num_inference_steps=2, output_type="np", generator=generator).images)
    assert images[0].tobytes() == images[1].tobytes() and images[0].shape == (1, 8, 8, 3)


def test_weights_of_other_programs_are_said_and_strictly_refused(tmp_path: Path, dcz_: Callable[..., Run]) -> None:
    """What is left out has a line, and with --strict an exit code."""
    transformers = library("transformers")
    config = transformers.BertConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=9
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"an exported graph")
    packed = dcz_("pack", tmp_path / "model", tmp_path / "packed")
    assert packed.code == 0 and "model.onnx" in packed.out + packed.err
    refused = dcz_("pack", "--strict", tmp_path / "model", tmp_path / "strict")
    assert refused.code != 0 and "model.onnx" in refused.err and not (tmp_path / "strict").exists()
    assert json.loads((tmp_path / "packed" / "config.json").read_text())["hidden_size"] == 16
