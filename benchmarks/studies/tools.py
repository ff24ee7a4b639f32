"""Load times of models in the hub's libraries: from dcz files and from safetensors files, in turns.

    python benchmarks/studies/tools.py [--hidden 768] [--layers 6] [--turns 5]

Models are made here: random bfloat16 or float32 weights as they are, and pruned and clustered by a recipe. The best of
all turns counts; files are in the cache of the system. Needs tests/requirements-integrations.txt.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

import dcz.hub
import dcz.transformers

RECIPE = {"density": 0.2, "n_bits": 5}


def language_model(hidden: int, layers: int, dtype: torch.dtype) -> Any:
    """A Llama of random weights."""
    config = transformers.LlamaConfig(
        hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers, num_attention_heads=hidden // 64,
        vocab_size=16384, tie_word_embeddings=True,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).to(dtype)


def pipeline(hidden: int) -> Any:
    """A pipeline with a UNet of random weights."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=32, layers_per_block=1, block_out_channels=(hidden // 4, hidden // 2, hidden // 2, hidden // 2)
    )
    return DDPMPipeline(unet=unet, scheduler=DDPMScheduler())


def size(folder: Path) -> int:
    """Bytes of weights."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".dcz", ".safetensors"))


def in_turns(turns: int, *loads: Callable[[], object]) -> list[str]:
    """The least time of each in milliseconds: as the clock says, and of all threads together."""
    best = [(float("inf"), float("inf"))] * len(loads)
    for turn in range(turns + 1):
        for number, load in enumerate(loads):
            start, before = time.perf_counter(), time.process_time()
            load()
            took = 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - before)
            if turn:  # the first warms up
                best[number] = min(best[number][0], took[0]), min(best[number][1], took[1])
    return [f"{clock:.0f} ({processor:.0f})" for clock, processor in best]


def compare(what: str, model: Any, turns: int, own: Callable[[str], object], mine: Callable[[str], object]) -> None:
    """Two lines: the weights as they are, and by a recipe. `own` loads a folder of safetensors, `mine` one of dcz."""
    for recipe in (None, RECIPE):
        with tempfile.TemporaryDirectory() as scratch:
            packed, plain = Path(scratch, "packed"), Path(scratch, "plain")
            dcz.transformers.save_pretrained(model, packed, recipe)
            with dcz.hub.unpacked(packed) as lent:
                os.system(f"cp -r {lent} {plain}")
            times = in_turns(turns, lambda: own(str(plain)), lambda: mine(str(packed)))
            kind = "as it is" if recipe is None else "recipe"
            sizes = f"{size(plain):12,} {size(packed):12,}"
            print(f"{what:28} {kind:8} {sizes} {times[0]:>12} {times[1]:>12}", flush=True)


def main() -> None:
    """Prints bytes and milliseconds for each library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(0)
    columns = f"{'safetensors':>12} {'dcz':>12}"
    print(f"{'bytes, milliseconds (of threads)':37} {columns} {columns}")
    auto = transformers.AutoModelForCausalLM
    for dtype in (torch.bfloat16, torch.float32):
        compare(
            f"transformers, {str(dtype)[6:]}", language_model(options.hidden, options.layers, dtype), options.turns,
            auto.from_pretrained, lambda folder: dcz.transformers.from_pretrained(auto, folder),
        )  # fmt: skip
    import diffusers

    diffusers.utils.logging.disable_progress_bar()
    kind = diffusers.DDPMPipeline
    compare(
        "diffusers, float32", pipeline(options.hidden), options.turns,
        kind.from_pretrained, lambda folder: dcz.transformers.from_pretrained(kind, folder),
    )  # fmt: skip
    import huggingface_hub

    model = language_model(options.hidden, options.layers, torch.bfloat16)
    target = language_model(options.hidden, options.layers, torch.bfloat16)
    compare(
        "huggingface_hub, bfloat16", model, options.turns,
        lambda folder: huggingface_hub.load_torch_model(target, folder, strict=False),
        lambda folder: dcz.hub.load_model(target, folder, strict=False),
    )  # fmt: skip


if __name__ == "__main__":
    main()
