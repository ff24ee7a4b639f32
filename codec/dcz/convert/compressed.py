"""A model whose tensors are pruned and clustered by a recipe as they are read, one at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dcz.convert.model import Model, Tensor, tensor_metadata
from dcz.lossy.compression import RecipeRunner, TensorReport


class CompressedModel:
    """An open model seen through a recipe. `reports` says what became of each tensor that was read."""

    def __init__(self, model: Model, recipe: object, *, keep_nonfinite: bool = False) -> None:
        self._model = model
        names = [tensor.name for tensor in model.tensors()]
        self._runner = RecipeRunner(recipe, names, model.read, keep_nonfinite)
        self.reports: dict[str, TensorReport] = {}

    @property
    def metadata(self) -> Mapping[str, object]:
        return self._model.metadata

    @property
    def aliases(self) -> Mapping[str, str]:
        return self._model.aliases

    @property
    def left_out(self) -> Mapping[str, str]:
        """What the file has beside weights, as the model below names it."""
        return getattr(self._model, "left_out", {})

    @property
    def tensor_metadata(self) -> Mapping[str, Mapping[str, object]]:
        """What the file says of its tensors."""
        return tensor_metadata(self._model)

    def tensors(self) -> list[Tensor]:
        return self._model.tensors()

    def read(self, name: str) -> np.ndarray:
        """The tensor after its treatment."""
        array, self.reports[name] = self._runner.apply(name, np.asarray(self._model.read(name)))
        return array

    def __enter__(self) -> CompressedModel:
        self._model.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._model.__exit__(*error)
