"""How tensors of a source become tensors of a file: read, treated by a recipe, compared with a base, stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dcz.convert import open_model
from dcz.convert.blocks import values_of
from dcz.convert.model import Model, Tensor, copied, tensor_metadata
from dcz.delta.renames import Renames
from dcz.delta.writer import Writer
from dcz.errors import DczError
from dcz.jobs.opened import kept
from dcz.lossy.compression import RecipeRunner, TensorReport
from dcz.models import tensors_of


class Wanted(NamedTuple):
    """A tensor to store, and the file of the source that it is read from."""

    name: str
    file: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What is made of the tensors: options of `dcz pack` that decide bytes."""

    profile: str = "auto"
    portable: bool = False
    threads: int | None = None
    max_bytes: int | None = None
    max_memory: int | None = None
    shapes: str | None = None
    recipe: Mapping[str, object] | None = None
    keep_nonfinite: bool = False
    base: str | None = None
    transform: str = "auto"

    def writer(
        self,
        path: str,
        metadata: Mapping[str, object] | None = None,
        extensions: Mapping[str, object] | None = None,
        *,
        merging: bool = False,
    ) -> Writer:
        """Return the writer of a file, or of a part of one; when `merging` parts, the base is not read."""
        if self.base is None:
            return Writer(
                path, metadata=metadata, profile=self.profile, threads=self.threads, portable=self.portable,
                extensions=extensions,
            )  # fmt: skip
        return Writer(
            path, base=True if merging else self._base(), transform=self.transform, metadata=metadata,
            profile=self.profile, threads=self.threads, extensions=extensions,
        )  # fmt: skip

    def model(self, file: str) -> Model:
        """Return an open file of the source."""
        options: dict[str, Any] = {"shapes": self.shapes, "max_bytes": self.max_bytes}
        return kept("model", file, tuple(options.values()), lambda: open_model(file, **options))

    def store(self, writer: Writer, wanted: Sequence[Wanted], among: Sequence[str]) -> dict[str, TensorReport]:
        """Add tensors to a file whose names, second ones too, are `among`; return what a recipe did to them."""
        reports: dict[str, TensorReport] = {}
        known: dict[str, dict[str, Tensor]] = {}
        renames = None if self.base is None else Renames(self._base(), {*among})
        runner = self._runner([each.name for each in wanted])
        for name, file in wanted:
            model = self.model(file)
            if copied(writer, model, name):
                continue
            if file not in known:
                known[file] = {tensor.name: tensor for tensor in model.tensors()}
            blocks = runner is None and renames is None
            array = values_of(model, known[file][name], takes_blocks=blocks, max_memory=self.max_memory)
            if runner is not None:
                array, reports[name] = runner.apply(name, np.asarray(array))
            about = tensor_metadata(model).get(name)
            if renames is None:
                writer.add(name, array, metadata=about)
            else:
                array = np.asarray(array)
                writer.add(name, array, base_name=renames.base_name(name, array), metadata=about)
        return reports

    def _runner(self, names: list[str]) -> RecipeRunner | None:
        """Return what applies the recipe; a rule over all tensors together has been refused."""
        if self.recipe is None:
            return None
        return RecipeRunner(self.recipe, names, self._none, self.keep_nonfinite, some=True)

    @staticmethod
    def _none(name: str) -> np.ndarray:
        raise DczError(f"recipe: {name!r}: a global rule needs all tensors")  # pragma: no cover

    def _base(self) -> Mapping[str, Any]:
        assert self.base is not None
        return kept("base", self.base, (), lambda: tensors_of(self.base).__enter__())  # type: ignore[arg-type]
