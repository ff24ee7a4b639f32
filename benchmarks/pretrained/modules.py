"""Networks that are computed by PyTorch's functions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pretrained import inputs
from benchmarks.pretrained.inputs import F32, Rng

Tensors = Mapping[str, np.ndarray]


class Crepe:
    """The pitch tracker CREPE (Kim et al. 2018): six convolutions with batch norms behind them, and a classifier."""

    def __init__(self, path: Path) -> None:
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
        self.weights = {name: t.numpy() for name, t in state.items() if t.dtype == torch.float32}

    def run(self, tensors: Tensors, rng: Rng, count: int) -> list[F32]:
        """Probabilities of 360 pitches for frames of 1,024 samples."""
        import torch
        from torch.nn import functional as f

        w = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
        audio = inputs.notes(rng, count * 0.064 + 1, inputs.RATE)
        frames = np.lib.stride_tricks.sliding_window_view(audio, 1024)[rng.choice(len(audio) - 1024, count, False)]
        frames = frames - frames.mean(axis=1, keepdims=True)
        x = torch.from_numpy(frames / np.maximum(frames.std(axis=1, keepdims=True), 1e-10))[:, None, :, None]
        with torch.inference_mode():
            for n in range(1, 7):
                x = f.pad(x, (0, 0, 254, 254) if n == 1 else (0, 0, 31, 32))
                x = f.relu(f.conv2d(x, w[f"conv{n}.weight"], w[f"conv{n}.bias"], stride=(4 if n == 1 else 1, 1)))
                norm = [w[f"conv{n}_BN.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
                x = f.max_pool2d(f.batch_norm(x, *norm, eps=0.001), (2, 1))
            x = x.permute(0, 2, 1, 3).flatten(1)
            return [torch.sigmoid(f.linear(x, w["classifier.weight"], w["classifier.bias"])).numpy()]


class SentenceEncoder:
    """all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019): six layers of a transformer, the mean of the
    tokens' vectors. Without the pooler of its pretraining, which nothing uses."""

    LAYERS, HEADS = 6, 12
    # Tokens of the sentences of a batch: all are as long, so there is no padding.
    LENGTHS = (12, 20, 32, 48)

    def __init__(self, path: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        found = load_file(path)
        self.weights = {n: t for n, t in found.items() if t.dtype == np.float32 and not n.startswith("pooler")}
        self._tokenizer = Tokenizer.from_file(str(path.with_name("tokenizer.json")))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def run(self, tensors: Tensors, rng: Rng, count: int) -> list[F32]:
        """Embeddings of sentences, of length 1."""
        import torch
        from torch.nn import functional as f

        w = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
        out = []
        with torch.inference_mode():
            for length in self.LENGTHS:
                tokens = torch.from_numpy(self._sentences(rng, count // len(self.LENGTHS), length))
                x = f.embedding(tokens, w["embeddings.word_embeddings.weight"])
                x = x + w["embeddings.position_embeddings.weight"][:length]
                x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], w, "embeddings.LayerNorm")
                for n in range(self.LAYERS):
                    x = self._layer(x, w, f"encoder.layer.{n}")
                out.append(f.normalize(x.mean(1), dim=1).numpy())
        return [np.concatenate(out)]

    def _sentences(self, rng: Rng, count: int, length: int) -> np.ndarray:
        rows: list[list[int]] = []
        while len(rows) < count:
            ids = self._tokenizer.encode(inputs.prose(rng)).ids
            if len(ids) >= length:
                rows.append([*ids[: length - 1], ids[-1]])
        return np.array(rows)

    @staticmethod
    def _norm(x: Any, w: Mapping[str, Any], name: str) -> Any:
        from torch.nn import functional as f

        return f.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)

    def _layer(self, x: Any, w: Mapping[str, Any], at: str) -> Any:
        from torch.nn import functional as f

        def linear(x: Any, name: str) -> Any:
            return f.linear(x, w[f"{at}.{name}.weight"], w[f"{at}.{name}.bias"])

        def heads(name: str) -> Any:
            return linear(x, f"attention.self.{name}").unflatten(-1, (self.HEADS, -1)).transpose(1, 2)

        mixed = f.scaled_dot_product_attention(heads("query"), heads("key"), heads("value"))
        mixed = linear(mixed.transpose(1, 2).flatten(2), "attention.output.dense")
        x = self._norm(x + mixed, w, f"{at}.attention.output.LayerNorm")
        wide = linear(f.gelu(linear(x, "intermediate.dense")), "output.dense")
        return self._norm(x + wide, w, f"{at}.output.LayerNorm")
