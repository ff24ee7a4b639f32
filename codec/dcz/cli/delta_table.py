"""The output of `dcz inspect` for a file of differences: changes, their magnitude and their size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcz.cli.columns import Column, Table, name_column
from dcz.cli.common import exact, size
from dcz.text import plural, printable, shortened_name

if TYPE_CHECKING:
    from dcz.delta.reader import DeltaReader


@dataclass(frozen=True, slots=True)
class ChangedTensor:
    """One tensor: `changed` of its `words`, by steps of which `one_step` is the share of those by one representable
    value and `largest_step` the largest, in `stored` bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    transform: str
    base_name: str
    words: int
    changed: int
    stored: int
    nbytes: int
    one_step: float | None = None
    largest_step: int | None = None


def tensors(reader: DeltaReader) -> list[ChangedTensor]:
    """All tensors of a file; steps are decoded to be counted."""
    out = []
    for name in reader:
        if name in reader.aliases:
            continue
        info, kind = reader.info(name), reader.transform(name)
        steps: dict[str, Any] = {}
        changed = info.words if kind == "whole" else 0
        if kind in ("step", "xor", "replace"):
            found = reader.patch(name)
            changed = len(found.indices)
            if found.kind == "step" and changed:
                far = np.abs(found.values.astype(np.float64))
                steps = {"one_step": float(np.mean(far == 1)), "largest_step": int(far.max())}
        base_name = reader.base_name(name) if kind != "whole" else ""
        out.append(
            ChangedTensor(
                name, info.dtype, info.shape, kind, base_name, info.words, changed, info.stored, info.nbytes, **steps
            )
        )
    return out


def full_bytes(reader: DeltaReader) -> int:
    """Bytes that a file of the result would have without a base; the reader has its base."""
    import io

    from dcz.container.writer import Writer

    with Writer(buffer := io.BytesIO()) as writer:
        for name in reader:
            if name in reader.aliases:
                writer.alias(name, reader.aliases[name])
            else:
                writer.add(name, reader[name])
    return len(buffer.getvalue())


COLUMNS = (
    name_column(),
    Column("shape", 4, right=False),
    Column("dtype", 3),
    Column("kind", 1, "how a tensor is made of the base's"),
    Column("changed", 0, "words that changed"),
    Column("%", 1),
    Column("1 step", 3, "share of them that is next to the base's word"),
    Column("largest", 4, "the largest step"),
    Column("stored", 0),
    Column("bits/ch.", 2, "stored bits for each changed word"),
    Column("in the base", 2, "its name there, where it is another", least=12, shorten=shortened_name, right=False),
)


def table(found: list[ChangedTensor], most: int | None) -> Table:
    """One line a tensor; of more than `most` those that take the most bytes."""
    out = Table(COLUMNS)
    shown = found
    if most is not None and len(found) > most:
        shown = sorted(found, key=lambda t: -t.stored)[:most]
        rest = sum(t.stored for t in found) - sum(t.stored for t in shown)
        out.footer = f"{plural(len(found) - len(shown), 'more tensor')}, {size(rest)}; --all shows them"
    for t in shown:
        out.add(
            printable(t.name), "x".join(map(str, t.shape)) or "scalar", t.dtype, t.transform, str(t.changed),
            f"{100 * t.changed / t.words:.3g}%" if t.words else "",
            "" if t.one_step is None else f"{100 * t.one_step:.0f}%",
            "" if t.largest_step is None else str(t.largest_step),
            size(t.stored), f"{8 * t.stored / t.changed:.2f}" if t.changed else "",
            "" if t.base_name in ("", t.name) else printable(t.base_name),
        )  # fmt: skip
    return out


def summary(path: str, reader: DeltaReader, found: list[ChangedTensor], full: int | None) -> str:
    """The file in two lines, and what a full one would take where that is known."""
    from dcz.container.wanted import wanted_base

    words, changed = sum(t.words for t in found), sum(t.changed for t in found)
    dense = sum(t.nbytes for t in found)
    share = f"{100 * changed / words:.3g}%" if words else "0%"
    bits = f", {8 * reader.size / changed:.2f} bits for each" if changed else ""
    lines = [
        f"{path}: {changed} of {plural(words, 'word')} in {plural(len(found), 'tensor')} changed ({share}){bits}; "
        f"{exact(reader.size)}, the arrays have {size(dense)}"
    ]
    if full is not None:
        lines.append(f"a file without a base would take {exact(full)}, {full / reader.size:.1f} times as much")
    wanted = wanted_base(reader.metadata)
    lines.append(f"the base: {printable(wanted)}" if wanted else "the file does not say which base it wants")
    return "\n".join(lines)


def document(path: str, reader: DeltaReader, found: list[ChangedTensor], full: int | None) -> dict[str, object]:
    """The same as plain data."""
    return {
        "file": path,
        "file_bytes": reader.size,
        "dense_bytes": sum(t.nbytes for t in found),
        "full_bytes": full,
        "words": sum(t.words for t in found),
        "changed": sum(t.changed for t in found),
        "metadata": dict(reader.metadata),
        "tensors": [asdict(t) for t in found],
    }
