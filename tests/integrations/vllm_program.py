"""Serves a small model by vLLM from safetensors and from a .dcz file, and follows ten files of differences.

python tests/integrations/vllm_program.py FOLDER        # in an environment with vLLM and transformers
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


def answers(llm: object) -> object:
    """Tokens and log-probabilities after a prompt."""
    from vllm import SamplingParams

    options = SamplingParams(temperature=0, max_tokens=12, logprobs=5, detokenize=False)
    out = llm.generate([{"prompt_token_ids": [1, 2, 3, 4, 5]}], options, use_tqdm=False)[0].outputs[0]
    return list(out.token_ids), [sorted((key, each.logprob) for key, each in found.items()) for found in out.logprobs]


def serve(folder: Path, load_format: str) -> object:
    from vllm import LLM

    return LLM(
        model=str(folder), load_format=load_format, skip_tokenizer_init=True, enforce_eager=True, max_model_len=64,
        dtype="bfloat16", max_num_seqs=2, enable_prefix_caching=False,
    )  # fmt: skip


def main(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    import dcz
    import dcz.torch
    import dcz.vllm
    from dcz.convert.folder import convert_folder

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "plain")
    convert_folder(str(folder / "plain"), str(folder / "packed"), ".dcz")
    plain = answers(serve(folder / "plain", "safetensors"))
    llm = serve(folder / "packed", "dcz")
    assert answers(llm) == plain

    base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for step in range(10):
        new = {name: tensor.clone() for name, tensor in base.items()}
        for name, tensor in new.items():
            if "norm" not in name and "embed" not in name:
                continue  # on CPUs vLLM packs matrices for its kernels, and no patch reaches them
            flat = tensor.view(-1)
            flat[step::50] += (torch.randn(len(flat[step::50])) * 0.05).to(tensor.dtype)
        dcz.torch.save_delta(new, folder / "step.dcz", base=base)
        sparse, dense = dcz.vllm.weight_patches(folder / "step.dcz", base=base)
        assert not dense
        llm.apply_model(Patch(sparse))
        dcz.torch.apply_delta(base, folder / "step.dcz")
    last = answers(llm)
    assert last != plain
    model.load_state_dict(base)
    model.save_pretrained(folder / "last")
    assert last == answers(serve(folder / "last", "safetensors"))
    print("equal: dcz, 10 patches")


class Patch:
    """What a worker does with its model."""

    def __init__(self, patches: list[object]) -> None:
        self.patches = patches

    def __call__(self, model: object) -> int:
        from vllm.model_executor.model_loader.checkpoint_weight_patch import load_checkpoint_weight_patches

        return len(load_checkpoint_weight_patches(model, self.patches))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
