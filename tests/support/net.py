"""Small `.net` files, and a decoder of them written from their description alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

# A network of two convolutions, one of them grouped, a pooling layer between them and one classifier.
PROTOTXT = """
name: "tiny"  # a comment
input: "data"
input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 3 stride: 1 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
        pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
        convolution_param { num_output: 6 group: 2 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 } }
layer { name: "drop" type: "Dropout" bottom: "conv2" top: "conv2" dropout_param { dropout_ratio: 0.5 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv2" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
SHAPES = {"conv1": (4, 3, 3, 3), "conv2": (6, 2, 3, 1), "fc": (5, 54)}


def nibbles(values: Sequence[int]) -> bytes:
    """Two values a byte, low nibble first."""
    padded = [*values, 0]
    return bytes(padded[i] | padded[i + 1] << 4 for i in range(0, len(values), 2))


def encode(shapes: Mapping[str, tuple[int, ...]], seed: int = 1) -> tuple[bytes, dict[str, np.ndarray]]:
    """A file with random clustered weights, and those weights."""
    rng = np.random.Generator(np.random.PCG64(seed))
    counts, body, tensors = [], b"", {}
    for name, shape in shapes.items():
        bits = 8 if len(shape) == 4 else 4
        codebook = rng.standard_normal(1 << bits).astype("<f4")
        codebook[0] = 0
        bias = rng.standard_normal(shape[0]).astype("<f4")
        codes = rng.integers(1, 1 << bits, np.prod(shape)) * (rng.random(np.prod(shape)) < 0.08)
        entries, last = [], -1  # (code, gap), a filler being code 0 and the largest gap
        for at in np.flatnonzero(codes).tolist():
            while at - last > 16:
                entries.append((0, 15))
                last += 16
            entries.append((int(codes[at]), at - last - 1))
            last = at
        indices = [code for code, _ in entries]
        counts.append(len(entries))
        body += codebook.tobytes() + bias.tobytes()
        body += (bytes(indices) if bits == 8 else nibbles(indices)) + nibbles([gap for _, gap in entries])
        tensors[f"{name}.weight"] = codebook[codes].reshape(shape)
        tensors[f"{name}.bias"] = bias
    return struct.pack(f"<{len(counts)}I", *counts) + body, tensors


def decode(data: bytes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Entry by entry, without numpy's help in finding positions."""

    def halves(part: bytes) -> Iterator[int]:
        for byte in part:
            yield from (byte & 15, byte >> 4)

    counts = struct.unpack_from(f"<{len(shapes)}I", data)
    at = 4 * len(shapes)
    out = {}
    for (name, shape), count in zip(shapes.items(), counts):
        bits = 8 if len(shape) == 4 else 4
        codebook = np.frombuffer(data, "<f4", 1 << bits, at)
        at += codebook.nbytes
        bias = np.frombuffer(data, "<f4", shape[0], at)
        at += bias.nbytes
        size = (count * bits + 7) // 8
        codes = data[at : at + size] if bits == 8 else halves(data[at : at + size])
        at += size
        gaps = halves(data[at : at + (count + 1) // 2])
        at += (count + 1) // 2
        weight = np.zeros(int(np.prod(shape)), "<f4")
        position = -1
        for _, code, gap in zip(range(count), codes, gaps):
            position += gap + 1
            weight[position] = codebook[code]
        out[f"{name}.weight"], out[f"{name}.bias"] = weight.reshape(shape), bias
    assert at == len(data)
    return out
