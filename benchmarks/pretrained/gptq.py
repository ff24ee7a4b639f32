"""GPTQ (Frantar et al. 2022) as llm-compressor computes it: integers in groups of 128 with error feedback, packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

import dcz
from benchmarks.pretrained.integers import codes_of, rounded
from benchmarks.pretrained.peers import large

Tensors = Mapping[str, np.ndarray]
GROUP = 128


def gptq(tensors: Tensors, found: dcz.Calibration) -> Iterator[tuple[str, Tensors, int]]:
    """Of 2, 3, 4, 5, 6 and 8 bits. Weights whose inputs were not measured are rounded to nearest."""
    if find_spec("llmcompressor") is None:
        return
    for bits in (2, 3, 4, 5, 6, 8):
        out, total = dict(tensors), 0
        for name, array in tensors.items():
            if not large(array):
                total += 8 * array.nbytes
            elif name in found:
                out[name], taken = _by_feedback(array, found[name], bits)
                total += taken
            else:
                codes, scales = codes_of(array, bits, GROUP)
                out[name] = rounded(array, codes, scales)
                total += array.size * bits + 8 * scales.nbytes
        yield f"int{bits}", out, total // 8


def _by_feedback(array: np.ndarray, moments: Any, bits: int) -> tuple[np.ndarray, int]:
    """The tensor after rounding, and the bits that integers and scales take."""
    import torch
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.utils import calculate_qparams
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight

    rows = torch.from_numpy(np.ascontiguousarray(moments.matrix(array).transpose(0, 2, 1), np.float32))
    hessian = np.zeros((moments.groups, moments.inputs, moments.inputs), np.float32)
    for group, part, second in moments.parts(centred=False, shrunk=False):
        hessian[group, part, part] = second
    kind = QuantizationArgs(
        num_bits=bits, type="int", symmetric=True, strategy="group", group_size=GROUP, actorder="weight"
    )
    filled = torch.nn.functional.pad(rows, (0, -rows.shape[-1] % GROUP)).unflatten(-1, (-1, GROUP))
    scale, zero = calculate_qparams(filled.amin(-1), filled.amax(-1), kind)
    scale = scale.half().float()
    made, _, _ = quantize_weight(rows, torch.from_numpy(hessian), scale, zero, None, kind)
    return moments.tensor(made.numpy().transpose(0, 2, 1), array), array.size * bits + 16 * scale.numel()
