"""The calibrated methods: second moments of layers' inputs, measured on the samples that methods may search on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import dcz
from benchmarks.pretrained.gptq import gptq
from benchmarks.pretrained.networks import NETWORKS, Network, Onnx
from dcz.lossy.moments import Accumulator, collected
from dcz.lossy.patches import patches, some

Tensors = Mapping[str, np.ndarray]
Score = Callable[[Tensors], float]
STEPS = (2.0, 1.4, 1.0, 0.75, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02)
RATIOS = (4, 5.5, 7.5, 10, 13, 17, 22)
# The seed of samples that are neither searched on nor judge.
MEASURED = 3


def calibrated(tensors: Tensors, score: Score) -> Iterator[tuple[str, Tensors, int]]:
    """One step for all tensors, relative to each one's root mean square, rounded with error feedback."""
    found = calibration(_owner(tensors))
    for step in STEPS:
        small = dcz.compress(tensors, {"step": step}, calibration=found)
        yield f"step {step}", small, len(dcz.save(small))


def planned(tensors: Tensors, score: Score) -> Iterator[tuple[str, Tensors, int]]:
    """`dcz.plan` by the moments alone: the errors of layers' outputs."""
    yield from _planned(tensors)


def planned_by_score(tensors: Tensors, score: Score) -> Iterator[tuple[str, Tensors, int]]:
    """`dcz.plan` by the moments, with `evaluate` on the samples that methods may search on."""
    yield from _planned(tensors, evaluate=score)


def _planned(tensors: Tensors, **options: Any) -> Iterator[tuple[str, Tensors, int]]:
    found = calibration(_owner(tensors))
    plans = dcz.plan(tensors, target_ratio=RATIOS, calibration=found, **options)
    for ratio, plan in list(zip(RATIOS, plans))[::-1]:  # without the sizes that cannot be made, coarse ones first
        small = dcz.compress(tensors, plan.recipe, calibration=found)
        yield f"{ratio} times", small, len(dcz.save(small))


def shrunk(tensors: Tensors, score: Score) -> Iterator[tuple[str, Tensors, int]]:
    """What `dcz shrink` tries: steps by what each tensor alone changes at the outputs, with error feedback."""
    from dcz.planning.shrinking import Search

    found = calibration(_owner(tensors))
    search = Search(tensors, found, 0.5, score, lambda each: max(1 - score(each), 0.0), "score", None, "auto", None)
    for step in STEPS:
        small = search.made(step)
        yield f"mean step {step}", small, len(dcz.save(small))


def by_gptq(tensors: Tensors, score: Score) -> Iterator[tuple[str, Tensors, int]]:
    """GPTQ with the same second moments."""
    return gptq(tensors, calibration(_owner(tensors)))


def _owner(tensors: Tensors) -> Network:
    return next(network for network in NETWORKS if network.weights is tensors)


def calibration(network: Network) -> dcz.Calibration:
    """The moments of a network's layers."""
    runner = network._runner
    return _of_onnx(network) if isinstance(runner, Onnx) else _of_functions(network)


class _Watched:
    """A session of onnxruntime as the networks use it, which adds up moments at every run."""

    def __init__(self, model: Any) -> None:
        from dcz.onnx.calibration import layers_of
        from dcz.onnx.runs import Session

        self._session = Session(model)
        self.layers = layers_of(self._session.weights)
        self._own = [output.name for output in model.graph.output]
        self._session.watch(sorted({name for layer in self.layers for name in layer.inputs}))

    def get_inputs(self) -> Any:
        """The model's inputs."""
        return self._session.session.get_inputs()

    def run(self, names: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The model's outputs."""
        values = self._session.run(feed, "a sample")
        for layer in self.layers:
            layer.add([values.get(name) for name in layer.inputs])
        return [values[name] for name in self._own]


def _of_onnx(network: Network) -> dcz.Calibration:
    watched = _Watched(network._runner._model)
    network._runner._feed(watched, np.random.Generator(np.random.PCG64(MEASURED)), network.samples)
    return collected({layer.accumulator.name: layer.accumulator for layer in watched.layers})


def _of_functions(network: Network) -> dcz.Calibration:
    import torch
    from torch.overrides import TorchFunctionMode

    layers: dict[str, Accumulator] = {}

    def named(weight: Any) -> str:
        wanted = weight.numpy()
        return next(name for name, own in network.weights.items() if np.array_equal(own, wanted))

    class Watch(TorchFunctionMode):
        """Sees the calls of convolutions and linear layers."""

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in (torch.conv2d, torch.nn.functional.conv2d, torch.nn.functional.linear):
                inputs, weight = args[0].numpy(), args[1]
                name = named(weight)
                if function is torch.nn.functional.linear:
                    vectors = some(inputs)[:, None]
                else:
                    stride = (kwargs or {}).get("stride", (1, 1))
                    vectors = patches(inputs, weight.shape[2:], stride=stride, dilation=(1, 1), padding=[(0, 0)] * 2)
                bias = name.replace("weight", "bias")
                layers.setdefault(name, Accumulator(name, 1, vectors.shape[2], bias=bias)).add(vectors)
            return function(*args, **(kwargs or {}))

    with Watch():
        network.outputs(network.weights, MEASURED)
    return collected(layers)
