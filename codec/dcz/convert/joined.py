"""One model in several files without an index, as DFloat11 writes one for each block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dcz.convert.model import Model, Tensor, tensor_metadata
from dcz.errors import FormatError


class JoinedModel:
    """The tensors of several files; no two have a tensor of the same name."""

    def __init__(self, paths: Sequence[str], open_one: Callable[[str], Model]) -> None:
        self._where: dict[str, Model] = {}
        self._stored: list[Tensor] = []
        self.metadata: Mapping[str, object] = {}
        self.aliases: dict[str, str] = {}
        self.tensor_metadata: dict[str, Mapping[str, object]] = {}
        self.left_out: dict[str, str] = {}
        self.remade = False
        self._stack = contextlib.ExitStack()
        try:
            for path in paths:
                self._add(self._stack.enter_context(open_one(path)), path)
        except BaseException:
            self._stack.close()
            raise

    def _add(self, model: Model, path: str) -> None:
        for tensor in model.tensors():
            if tensor.name in self._where:
                raise FormatError(f"{path}: tensor {tensor.name!r:.80} is in another file of the model, too")
            self._where[tensor.name] = model
            self._stored.append(tensor)
        self.metadata = {**model.metadata, **self.metadata}
        self.aliases |= model.aliases
        self.tensor_metadata |= tensor_metadata(model)
        self.left_out |= getattr(model, "left_out", {})
        self.remade |= getattr(model, "remade", False)

    def tensors(self) -> list[Tensor]:
        return self._stored

    def read(self, name: str) -> np.ndarray:
        return self._where[name].read(name)

    def __enter__(self) -> JoinedModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
