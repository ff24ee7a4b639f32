"""A DFloat11 folder, unpacked, is a plain model for transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dcz.convert.folder import convert_folder
from support.dfloat11 import BF16, module

torch = pytest.importorskip("torch", reason="torch is not installed; tests/requirements-frameworks.txt has it")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed; tests/requirements-integrations.txt has it"
)

LAYERS = [
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
]


@pytest.mark.filterwarnings("ignore")
def test_a_llama(tmp_path: Path) -> None:
    from safetensors.numpy import save_file
    from safetensors.torch import save_file as save_torch

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    plain, coded, back = tmp_path / "plain", tmp_path / "df11", tmp_path / "back"
    model.save_pretrained(plain)
    coded.mkdir()
    tensors = {name: tensor.view(torch.int16).numpy().view(BF16) for name, tensor in model.state_dict().items()}
    modules = {"model.embed_tokens": [], "lm_head": [], "model.layers.0": LAYERS, "model.layers.1": LAYERS}
    taken = {
        f"{prefix}.{name}.weight" if name else f"{prefix}.weight"
        for prefix in modules
        for name in modules[prefix] or [""]
    }
    for prefix, names in modules.items():
        save_file(module(tensors, prefix, names), coded / f"{prefix.replace('.', '_')}.safetensors")
    save_torch({n: t for n, t in model.state_dict().items() if n not in taken}, coded / "model.safetensors")
    document = json.loads((plain / "config.json").read_text())
    patterns = {"model\\.embed_tokens": [], "lm_head": [], "model\\.layers\\.\\d+": LAYERS}
    document["dfloat11_config"] = {"threads_per_block": [512], "bytes_per_thread": 8, "pattern_dict": patterns}
    (coded / "config.json").write_text(json.dumps(document))
    convert_folder(str(coded), str(back), ".safetensors")
    one, two = (
        transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval() for folder in (plain, back)
    )
    assert all(torch.equal(two.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    prompt = torch.arange(10)[None]
    assert torch.equal(one(prompt).logits, two(prompt).logits)
