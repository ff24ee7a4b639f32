"""What `dcz.compare` returns: the data behind its tables, pages and figures."""

from __future__ import annotations

from dataclasses import dataclass

from dcz.report.layouts import KEYS, LAYOUTS, TITLES
from dcz.report.tensor import Picture, Stage, TensorStorage
from dcz.report.totals import ModelStorage
from dcz.text import compared, plural, printable

__all__ = ["KEYS", "LAYOUTS", "TITLES", "Picture", "Stage", "StorageReport", "TensorStorage"]


@dataclass(frozen=True, repr=False)
class StorageReport(ModelStorage):
    """A model in every layout: what `dcz.compare` returns.

    `tensors` are in the order of their names; `aliases` are second names of some, whose bytes count once.
    """

    def __getitem__(self, name: str) -> TensorStorage:
        wanted = self.aliases.get(name, name)
        for tensor in self.tensors:
            if tensor.name == wanted:
                return tensor
        some = ", ".join(tensor.name for tensor in self.tensors[:8])
        raise KeyError(f"no tensor {name!r} among the {len(self.tensors)} of the report: {some}")

    def __repr__(self) -> str:
        auto, dense = self.total("auto").total, self.total("dense").total
        against = f", {compared(auto, dense)} dense" if dense else ""
        tensors, taken = plural(len(self), "tensor"), plural(auto, "byte")
        return f"<dcz.StorageReport {printable(self.source, 60)}: {tensors}, auto takes {taken}{against}>"

    def _repr_html_(self) -> str:
        from dcz.report.notebook import comparison

        return comparison(self)
