"""vLLM's model loader for dcz files: one tensor at a time into the model's own `load_weights`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from vllm.model_executor.model_loader import register_model_loader
from vllm.model_executor.model_loader.base_loader import BaseModelLoader

from dcz.container.opening import open_file
from dcz.errors import DczError
from dcz.torch.tensors import from_array

_FILES = ["*.dcz", "*.dcz.index.json"]


class _Source(NamedTuple):
    """A folder, or a repository of the hub, with weights whose names in the model begin with `prefix`."""

    model: str
    revision: str | None
    subfolder: str | None
    prefix: str


@register_model_loader("dcz")
class DczModelLoader(BaseModelLoader):
    """Loads the .dcz file of a model's folder, or the files of its index.

    `model_loader_extra_config` may have `max_bytes`, how much all arrays of a file may take; see `dcz.open`."""

    def __init__(self, load_config: Any) -> None:
        super().__init__(load_config)
        extra = load_config.model_loader_extra_config or {}
        unknown = sorted(set(extra) - {"max_bytes"}) if isinstance(extra, dict) else [type(extra).__name__]
        if unknown:
            raise DczError(f"model_loader_extra_config: {unknown[0]!r:.80} is unknown; expected max_bytes")
        self._max_bytes: int | None = extra.get("max_bytes")
        if self._max_bytes is not None and (type(self._max_bytes) is not int or self._max_bytes < 0):
            raise DczError(f"model_loader_extra_config: max_bytes must be a number of bytes, found {self._max_bytes!r}")

    def download_model(self, model_config: Any) -> None:
        """Has the files of the hub on this machine."""
        self._folder(_Source(model_config.model, model_config.revision, None, ""))

    def load_weights(self, model: nn.Module, model_config: Any) -> None:
        """Loads a model's weights in place."""
        sources = [_Source(model_config.model, model_config.revision, None, "")]
        for each in getattr(model, "secondary_weights", ()):
            sources.append(_Source(each.model_or_path, each.revision, getattr(each, "subfolder", None), each.prefix))
        loaded = model.load_weights(self._weights(sources))
        if loaded is not None and model_config.quantization is None:
            _check_all_loaded(model, set(loaded), sources[0].model)

    def _weights(self, sources: list[_Source]) -> Iterator[tuple[str, torch.Tensor]]:
        for source in sources:
            with open_file(self._folder(source), max_bytes=self._max_bytes) as reader:
                for name in reader:
                    yield source.prefix + name, from_array(reader[name], name)

    def _folder(self, source: _Source) -> str:
        folder = source.model
        if not os.path.isdir(folder):
            from huggingface_hub import snapshot_download

            inside = f"{source.subfolder}/" if source.subfolder else ""
            folder = snapshot_download(
                source.model, revision=source.revision, cache_dir=self.load_config.download_dir,
                allow_patterns=[inside + name for name in _FILES], ignore_patterns=self.load_config.ignore_patterns,
            )  # fmt: skip
        return os.path.join(folder, source.subfolder) if source.subfolder else folder


def _check_all_loaded(model: nn.Module, loaded: set[str], where: str) -> None:
    """Refuses a checkpoint that lacks parameters. Layers that process their weights after loading may make some of
    them."""
    for name, module in model.named_modules():
        if hasattr(getattr(module, "quant_method", None), "process_weights_after_loading"):
            loaded |= {f"{name}.{own}" if name else own for own, _ in module.named_parameters()}
    missing = sorted({name for name, _ in model.named_parameters()} - loaded)
    if missing:
        listed = ", ".join(map(repr, missing[:4]))
        raise DczError(f"{where}: {len(missing)} parameters of the model are not in the file: {listed}")
