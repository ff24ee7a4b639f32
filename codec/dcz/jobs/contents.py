"""How tensors of a source become tensors of a file: read, treated by a recipe, compared with a base, stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from dcz.convert import open_model
from dcz.convert.blocks import ENCODING, values_of
from dcz.convert.compressed import CompressedModel
from dcz.convert.delta import DeltaTarget, compares_blocks
from dcz.convert.model import Model, Tensor, copied, tensor_metadata
from dcz.delta.renames import Renames
from dcz.delta.writer import Writer
from dcz.jobs.opened import kept
from dcz.lossy.compression import TensorReport
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
        treated: dict[str, CompressedModel] = {}
        known: dict[str, dict[str, Tensor]] = {}
        renames = None if self.base is None else Renames(self._base(), {*among})
        names = [each.name for each in wanted]
        for name, file in wanted:
            model = self.model(file)
            if copied(writer, model, name):
                continue
            if file not in known:
                known[file] = {tensor.name: tensor for tensor in model.tensors()}
                if self.recipe is not None:
                    treated[file] = CompressedModel(model, self.recipe, keep_nonfinite=self.keep_nonfinite, only=names)
            source = treated.get(file, model)
            about = tensor_metadata(model).get(name)
            if renames is None:
                use = getattr(source, "use", None) or ENCODING
                writer.add(
                    name, values_of(source, known[file][name], max_memory=self.max_memory, use=use), metadata=about
                )
            else:
                blocks = partial(compares_blocks, writer, self._base(), renames)
                array = values_of(
                    source, known[file][name], takes_blocks=blocks, max_memory=self.max_memory, use=DeltaTarget.use
                )
                writer.add(name, array, base_name=renames.base_name(name, array), metadata=about)
        return {name: report for each in treated.values() for name, report in each.reports.items()}

    def _base(self) -> Mapping[str, Any]:
        assert self.base is not None
        return kept("base", self.base, (), lambda: tensors_of(self.base).__enter__())  # type: ignore[arg-type]
