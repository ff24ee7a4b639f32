"""The sizes of a whole model in every layout: sums over its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from dcz.report.tensor import Stage, TensorStorage
from dcz.tensor.fixed_width import Size


@dataclass(frozen=True)
class ModelStorage:
    """A model in every layout. `tensors` are in the order of their names; `aliases` are second names of some, whose
    bytes count once."""

    source: str
    tensors: tuple[TensorStorage, ...]
    aliases: dict[str, str]

    def __len__(self) -> int:
        return len(self.tensors)

    @property
    def weights(self) -> int:
        """Weights of all tensors."""
        return sum(tensor.weights for tensor in self.tensors)

    @property
    def nonzeros(self) -> int:
        """Those that are not zero."""
        return sum(tensor.nonzeros for tensor in self.tensors)

    def total(self, layout: str) -> Size:
        """The bytes of one of `LAYOUTS`, all tensors together."""
        sizes = [tensor.size(layout) for tensor in self.tensors]
        return Size(
            *(sum(getattr(size, part) for size in sizes) for part in ("positions", "values", "codebook", "fillers"))
        )

    def profile(self, profile: str) -> int:
        """Bytes of all segments in a file that is packed with this profile; the index comes on top."""
        return sum(tensor.sizes.profiles[profile].size.total for tensor in self.tensors if tensor.same_as is None)

    def parts(self, layout: str) -> dict[str, int]:
        """A layout's bytes by purpose. Values of tensors that `auto` neither prunes nor clusters are `dense`."""
        out = {"positions": 0, "indices": 0, "codebooks": 0, "dense": 0}
        for tensor in self.tensors:
            size = tensor.size(layout)
            out["positions"] += size.positions
            out["dense" if tensor.leftover or layout == "dense" else "indices"] += size.values
            out["codebooks"] += size.codebook
        return out

    def stages(self) -> dict[str, Stage]:
        """The paper's stages over all tensors."""
        out = {}
        for stage in ("P", "P+Q", "P+Q+H"):
            each = [(tensor.stages[stage], tensor.nonzeros) for tensor in self.tensors]
            count = max(self.nonzeros, 1)
            out[stage] = Stage(
                sum(stage.size for stage, _ in each),
                sum(stage.weight_bits * n for stage, n in each) / count,
                sum(stage.index_bits * n for stage, n in each) / count,
            )
        return out
