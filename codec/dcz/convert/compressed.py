"""A model that prunes and clusters its tensors by a recipe as they are read, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from dcz.convert.blocks import ENCODING, too_small
from dcz.convert.model import Model, Tensor, tensor_metadata
from dcz.lossy.compression import RecipeRunner, TensorReport
from dcz.lossy.flat import Stored
from dcz.lossy.inputs import Inputs
from dcz.lossy.moments import Calibration
from dcz.tensor.words import StoredWords

# Treating holds a piece of the weights with its parts, and counts of values, beside what encoding takes.
_TREATING = ENCODING._replace(fixed=80 << 20, times=6)


class CompressedModel:
    """An open model under a recipe, and a calibration if there is one. `reports` has a report for each tensor that was
    read. A bias that is read before its layer waits for it: the layer is then kept until it is read too."""

    use = _TREATING

    def __init__(
        self,
        model: Model,
        recipe: object,
        *,
        keep_nonfinite: bool = False,
        calibration: Calibration | None = None,
        only: Iterable[str] | None = None,
    ) -> None:
        """`only` are the names that will be asked for, if not all: patterns of the recipe may then match none."""
        self._model = model
        self._calibrated = calibration is not None
        tensors = {tensor.name: tensor for tensor in model.tensors()}
        self._runner = RecipeRunner(
            recipe, tensors if only is None else only, model.read, keep_nonfinite, some=only is not None,
            calibrated=self._calibrated,
        )  # fmt: skip
        known = None if calibration is None else calibration.renamed(model.aliases)
        tied = [(target, name) for name, target in model.aliases.items()]
        self._inputs = Inputs(known, tensors, tied, self._takes_shift)
        self._waiting: dict[str, np.ndarray] = {}
        self.reports: dict[str, TensorReport] = {}

    def _takes_shift(self, name: str) -> bool:
        return self._runner.takes_shift(name, np.asarray(self._model.read(name)))

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
        """Return the tensor after pruning and clustering, or a bias after those of its layer."""
        layer = self._inputs.layer_of(name)
        if layer is not None and layer not in self.reports:
            self._waiting[layer] = self._treated(layer)
        if name in self._waiting:
            return self._waiting.pop(name)
        return self._treated(name)

    def check_memory(self, bound: int) -> None:
        """Refuse a density over all tensors together where one of them is too large: it counts whole ones."""
        for tensor in self.tensors():
            needed, dtype = self.use.whole * tensor.nbytes, tensor.dtype.numpy()
            if needed > bound and self._runner.counts_with_others(tensor.name, tensor.shape, dtype):
                raise too_small(tensor, bound, needed, "counted whole by `scope: global`")

    def in_blocks(self, name: str, block: int) -> StoredWords | None:
        """Return the words of a tensor after its treatment, to be made at most `block` at once; None where that, or
        reading it, needs the whole tensor."""
        read = getattr(self._model, "in_blocks", None)
        words: StoredWords | None = None if read is None or self._calibrated else read(name, block)
        if words is None or words.dtype.words != 1:
            return None
        source, dtype = words, words.dtype.numpy()
        stored = Stored(lambda first, last: source.part(first, last).view(dtype), dtype, words.count)
        done = self._runner.apply_stored(name, stored, words.shape)
        if done is None:
            return None
        made, self.reports[name] = done
        return replace(words, part=lambda first, last: made[first:last].view(np.uint8))

    def _treated(self, name: str) -> np.ndarray:
        array = self._inputs.shifted(name, np.asarray(self._model.read(name)))
        out, self.reports[name] = self._runner.apply(name, array, inputs=self._inputs)
        return out

    def __enter__(self) -> CompressedModel:
        self._model.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._model.__exit__(*error)
