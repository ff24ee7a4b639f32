"""From one file to another, one tensor in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dcz.convert.model import Model, Target


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was moved: tensors, their second names, and the bytes of their arrays. `left_out` names what the source
    has and the target has not, each with the reason: entries that are no weights, such as strings."""

    tensors: int
    aliases: int
    nbytes: int
    left_out: Mapping[str, str] = field(default_factory=dict)


def transfer(model: Model, target: Target, *, progress: Callable[[int, int], None] | None = None) -> Transfer:
    """Writes all tensors of `model` to `target` and publishes it; leaves things as they were on any error.

    `progress` is called with (bytes done, bytes in all)."""
    tensors = sorted(model.tensors(), key=lambda tensor: tensor.name)
    total = sum(tensor.nbytes for tensor in tensors)
    done = 0
    try:
        target.begin(tensors, model.aliases, model.metadata)
        for tensor in tensors:
            target.add(tensor.name, model.read(tensor.name))
            done += tensor.nbytes
            if progress is not None:
                progress(done, total)
        target.close()
    except BaseException:
        target.abandon()
        raise
    return Transfer(len(tensors), len(model.aliases), total, dict(getattr(model, "left_out", {})))
