"""Second moments of the inputs of a model's layers, measured by hooks while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dcz.errors import DczError
from dcz.lossy.moments import Accumulator, Calibration, collected
from dcz.lossy.patches import patches, some
from dcz.torch import recurrent

Run = Callable[[nn.Module, Any], Any]
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def calibrate(
    model: nn.Module, batches: Iterable[Any], *, run: Run | None = None, names: Iterable[str] | None = None
) -> Calibration:
    """Runs batches through a model and gives the second moments of its layers' inputs, for `dcz.compress` and
    `dcz.plan`: of linear layers, convolutions, transposed ones of one group, the Conv1D of transformers, and recurrent
    layers and cells, but for packed sequences. 128 samples are usually enough. Memory does not grow with their number:
    a float32 matrix of the inputs of each layer, beyond 2,048 inputs in blocks.

    Args:
        model: it stays as it is, in its mode and on its device; it is run in eval mode without gradients.
        batches: what the model is called with: a tensor, a tuple of arguments, or a mapping of keyword arguments.
        run: called with the model and a batch instead.
        names: names of modules to measure; by default all of them.

    Raises:
        DczError: no batches, no layers, NaN or infinity in a layer's inputs.

    Warns:
        UserWarning: layers that no batch reached. Calibration has no moments of them.

    >>> import torch, dcz.torch
    >>> model = torch.nn.Linear(2, 3)
    >>> found = dcz.torch.calibrate(model, [torch.tensor([[3.0, 4.0]])])
    >>> found["weight"].blocks[0][0], found["weight"].bias
    (array([[ 9., 12.],
           [12., 16.]], dtype=float32), 'bias')
    """
    wanted = None if names is None else set(names)
    layers: dict[str, Accumulator] = {}
    hooks = []
    for name, module in model.named_modules():
        found = _layer(module, name) if wanted is None or name in wanted else None
        if found is not None:
            accumulator, vectors = found
            layers[_join(name, "weight")] = accumulator
            hooks.append(module.register_forward_pre_hook(_hook(accumulator, vectors), with_kwargs=True))
        own = recurrent.accumulators(module, _join(name, "")) if wanted is None or name in wanted else {}
        if own:
            layers.update((each.name, each) for each in own.values())
            hooks.append(module.register_forward_pre_hook(_recurrent_hook(own), with_kwargs=True))
    try:
        if not layers:
            raise DczError("model: has no linear or recurrent layer or convolution whose inputs can be measured")
        count = run_all(model, batches, run or call, lambda output: None)
    finally:
        for hook in hooks:
            hook.remove()
    if not count:
        raise DczError("batches: there are none")
    return collected(layers)


def run_all(model: nn.Module, batches: Iterable[Any], run: Run, use: Callable[[Any], None]) -> int:
    """Runs batches in eval mode without gradients, and counts them. All modules get their modes back."""
    training = [module for module in model.modules() if module.training]
    count = 0
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                use(run(model, batch))
                count += 1
    finally:
        for module in training:
            module.training = True
    return count


def call(model: nn.Module, batch: Any) -> Any:
    """Calls a model with a tensor, a tuple of arguments, or a mapping of keyword arguments."""
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


def _join(name: str, leaf: str) -> str:
    return f"{name}.{leaf}" if name else leaf


def _hook(accumulator: Accumulator, vectors: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        given = inputs[0] if inputs else next(iter(keywords.values()))
        accumulator.add(vectors(given.detach().to("cpu", torch.float32).numpy()))

    return hook


def _recurrent_hook(own: Mapping[str, Accumulator]) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        recurrent.add(module, own, inputs, keywords)

    return hook


def _layer(module: nn.Module, name: str) -> tuple[Accumulator, Callable[[NDArray[Any]], NDArray[Any]]] | None:
    """Where the moments of a layer's inputs are added up, and how its input becomes vectors; None for others."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.is_meta or not weight.is_floating_point():
        return None
    tensor = _join(name, "weight")
    bias = _join(name, "bias") if isinstance(getattr(module, "bias", None), torch.Tensor) else None
    if isinstance(module, nn.Linear):
        return Accumulator(tensor, 1, module.in_features, bias=bias), lambda x: some(x)[:, None]
    if type(module).__name__ == "Conv1D" and weight.ndim == 2:  # of transformers: inputs first
        return Accumulator(tensor, 1, weight.shape[0], inputs_first=True, bias=bias), lambda x: some(x)[:, None]
    if isinstance(module, _CONVOLUTIONS):
        inputs = int(np.prod(weight.shape[1:]))
        return Accumulator(tensor, module.groups, inputs, bias=bias), lambda x: _patches(x, module)
    if isinstance(module, _TRANSPOSED) and module.groups == 1:
        each = Accumulator(tensor, 1, module.in_channels, inputs_first=True)
        return each, lambda x: some(np.moveaxis(x, -1 - len(module.kernel_size), -1))[:, None]
    return None


def _patches(images: NDArray[Any], module: Any) -> NDArray[Any]:
    kernel, dilation = module.kernel_size, module.dilation
    if images.ndim == len(kernel) + 1:  # without a batch
        images = images[None]
    if module.padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
        padding = [(total // 2, total - total // 2) for total in totals]
    elif module.padding == "valid":
        padding = [(0, 0)] * len(kernel)
    else:
        padding = [(size, size) for size in module.padding]
    return patches(
        images, kernel, stride=module.stride, dilation=dilation, padding=padding, groups=module.groups,
        mode=_MODES[module.padding_mode],
    )  # fmt: skip
