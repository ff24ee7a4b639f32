"""From one file to another, one tensor in memory at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from dcz.convert.blocks import values_for
from dcz.convert.model import Model, Target, tell_source
from dcz.errors import DczError


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was moved: tensors, their second names, and the bytes of their arrays. `left_out` names what the source
    has and the target has not, each with the reason: entries that are not weights, such as strings."""

    tensors: int
    aliases: int
    nbytes: int
    left_out: Mapping[str, str] = field(default_factory=dict)


def transfer(
    model: Model,
    target: Target,
    *,
    path: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    strict: bool = False,
    max_memory: int | None = None,
) -> Transfer:
    """Writes all tensors of `model` to `target` and publishes it; leaves things as they were on any error.

    Errors of the system that come from writing name `path`, the target's. `progress` is called with (bytes done, bytes
    in all). With `strict`, nothing may be left out: `DczError` names what would be. Tensors that `max_memory` bytes are
    too few for are read and written in blocks, by default those that 2 GB are too few for; see `dcz.convert.blocks`."""
    left_out = dict(getattr(model, "left_out", {}))
    if strict:
        check_nothing_left_out(left_out)
    check = getattr(model, "check_memory", None)
    if check is not None and max_memory is not None:
        check(max_memory)
    tensors = sorted(model.tensors(), key=lambda tensor: tensor.name)
    total = sum(tensor.nbytes for tensor in tensors)
    done = 0
    copy = getattr(target, "copy", None)
    tell_source(target, model)
    try:
        with naming(path):
            target.begin(tensors, model.aliases, model.metadata)
        for tensor in tensors:
            with naming(path):
                copied = copy is not None and copy(tensor.name)
            if not copied:
                values = values_for(target, model, tensor, max_memory)
                with naming(path):
                    target.add(tensor.name, values)
                del values  # before the next is read
            done += tensor.nbytes
            if progress is not None:
                progress(done, total)
        with naming(path):
            target.close()
    except BaseException:
        target.abandon()
        raise
    return Transfer(len(tensors), len(model.aliases), total, left_out)


def check_nothing_left_out(left_out: Mapping[str, str]) -> None:
    """The error of `--strict`."""
    if left_out:
        name, reason = next(iter(left_out.items()))
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise DczError(f"strict: {name:.200}{more} would be left out: {reason}")


@contextlib.contextmanager
def naming(path: str | None) -> Iterator[None]:
    """Lets errors of the system name this file: a full disk names none, and a temporary file's name says nothing."""
    try:
        yield
    except OSError as error:
        name = error.filename
        temporary = isinstance(name, str) and any(part.endswith(".tmp") for part in name.split(os.sep))
        if path is None or error.errno is None or not (name is None or temporary):
            raise
        raise OSError(error.errno, error.strerror, path) from error
