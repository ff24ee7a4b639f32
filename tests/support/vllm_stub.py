"""The parts of vLLM that dcz meets, with the signatures of vLLM 0.33 and nothing behind them. `.ci/vllm` runs the
plug-in in vLLM itself."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

LOADERS: dict[str, type] = {}


def register_model_loader(load_format: str) -> Any:
    """vllm.model_executor.model_loader.register_model_loader"""

    def _wrapper(model_loader_cls: type) -> type:
        if not issubclass(model_loader_cls, BaseModelLoader):
            raise ValueError("The model loader must be a subclass of `BaseModelLoader`.")
        LOADERS[load_format] = model_loader_cls
        return model_loader_cls

    return _wrapper


class BaseModelLoader(ABC):
    """vllm.model_executor.model_loader.base_loader.BaseModelLoader"""

    def __init__(self, load_config: LoadConfig) -> None:
        self.load_config = load_config

    @abstractmethod
    def download_model(self, model_config: Any) -> None: ...

    @abstractmethod
    def load_weights(self, model: nn.Module, model_config: Any) -> None: ...


class CheckpointWeightPatch(NamedTuple):
    """vllm.model_executor.model_loader.checkpoint_weight_patch.CheckpointWeightPatch"""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    values: torch.Tensor
    indices: torch.Tensor | None = None


@dataclass
class LoadConfig:
    """The fields of vllm.config.load.LoadConfig that a loader reads."""

    load_format: str = "auto"
    download_dir: str | None = None
    model_loader_extra_config: Any = field(default_factory=dict)
    ignore_patterns: Any = field(default_factory=lambda: ["original/**/*"])


@dataclass
class ModelConfig:
    """The fields of vllm.config.ModelConfig that a loader reads."""

    model: str
    revision: str | None = None
    quantization: str | None = None


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts these modules where vLLM's would be, until the test ends."""
    for name, parts in {
        "vllm": {},
        "vllm.model_executor": {},
        "vllm.model_executor.model_loader": {"register_model_loader": register_model_loader},
        "vllm.model_executor.model_loader.base_loader": {"BaseModelLoader": BaseModelLoader},
        "vllm.model_executor.model_loader.checkpoint_weight_patch": {"CheckpointWeightPatch": CheckpointWeightPatch},
    }.items():
        module = ModuleType(name)
        module.__path__ = []  # type: ignore[attr-defined]
        vars(module).update(parts)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "dcz.vllm.loader", raising=False)
    LOADERS.clear()
