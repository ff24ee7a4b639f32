"""A model that prunes and clusters its tensors by a recipe as they are read, one at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dcz.convert.model import Model, Tensor, tensor_metadata
from dcz.lossy.compression import RecipeRunner, TensorReport


class CompressedModel:
    """An open model under a recipe. `reports` has a report for each tensor that was read."""

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
        """Entries that are not weights, as the inner model names them."""
        return getattr(self._model, "left_out", {})

    @property
    def tensor_metadata(self) -> Mapping[str, Mapping[str, object]]:
        """Metadata of the tensors."""
        return tensor_metadata(self._model)

    def tensors(self) -> list[Tensor]:
        return self._model.tensors()

    def read(self, name: str) -> np.ndarray:
        """Return the tensor after pruning and clustering."""
        array, self.reports[name] = self._runner.apply(name, np.asarray(self._model.read(name)))
        return array

    def __enter__(self) -> CompressedModel:
        self._model.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._model.__exit__(*error)
