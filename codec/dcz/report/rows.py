"""A comparison as rows of plain data: what JSON, CSV and Markdown are written from, sorted and filtered."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from fnmatch import fnmatchcase

from dcz.errors import DczError
from dcz.report.storage import KEYS, LAYOUTS, StorageReport, TensorStorage
from dcz.text import csv_cell, markdown_cell, plural

# What tensors can be sorted by; bytes and densities largest first.
SORTS: dict[str, Callable[[TensorStorage], object]] = {
    "name": lambda t: t.name,
    "bytes": lambda t: (-t.auto.size.total, t.name),
    "dense": lambda t: (-t.dense, t.name),
    "density": lambda t: (-t.density, t.name),
    "ratio": lambda t: (-t.ratio, t.name),
    "bits": lambda t: (-t.bits_per_weight, t.name),
}


def select(
    report: StorageReport, sort: str = "name", pattern: str | None = None, top: int | None = None
) -> StorageReport:
    """The tensors whose names match the pattern (`*` and `?`), sorted, and the first `top` of them."""
    if sort not in SORTS:
        raise DczError(f"sort: {sort!r} is unknown; expected one of {', '.join(SORTS)}")
    kept = [t for t in report.tensors if pattern is None or fnmatchcase(t.name, pattern)]
    if not kept and report.tensors:
        tensors = plural(len(report), "tensor")
        raise DczError(f"filter: {pattern!r} matches none of the {tensors}; * stands for any letters")
    return StorageReport(report.source, tuple(sorted(kept, key=SORTS[sort])[:top]), report.aliases)  # type: ignore[arg-type]


def document(report: StorageReport) -> dict[str, object]:
    """All of it as plain data; sizes are bytes."""
    return {
        "source": report.source,
        "weights": report.weights,
        "nonzeros": report.nonzeros,
        "layouts": {
            key: {"title": title, "bytes": report.total(key).total, **report.parts(key)} for key, title, _ in LAYOUTS
        },
        "profiles": {name: report.profile(name) for name in _profiles(report)},
        "stages": {name: vars_of(stage) for name, stage in report.stages().items()},
        "aliases": report.aliases,
        "tensors": [tensor_document(tensor) for tensor in report.tensors],
    }


def tensor_document(t: TensorStorage) -> dict[str, object]:
    """One tensor."""
    return {
        "name": t.name,
        "dtype": t.dtype,
        "shape": list(t.shape),
        "weights": t.weights,
        "nonzeros": t.nonzeros,
        "density": t.density,
        "clusters": t.clusters,
        "distinct": t.sizes.distinct,
        "layouts": {key: {"bytes": t.size(key).total, **vars_of(t.size(key))} for key in KEYS},
        "profiles": {name: chosen.size.total for name, chosen in t.sizes.profiles.items()},
        "auto": {"layout": t.auto_layout, "codes": list(t.auto.codes), "reason": t.reason},
        "stages": {name: vars_of(stage) for name, stage in t.stages.items()},
        "correlation": t.correlation,
        "crossover": t.crossover,
    }


def vars_of(item: object) -> dict[str, object]:
    """The fields of a dataclass with slots."""
    return {name: getattr(item, name) for name in item.__dataclass_fields__}  # type: ignore[attr-defined]


def _profiles(report: StorageReport) -> list[str]:
    return list(report.tensors[0].sizes.profiles) if report.tensors else []


HEADER = (
    "tensor",
    "dtype",
    "shape",
    "weights",
    "nonzeros",
    "density",
    "clusters",
    *KEYS,
    "auto_layout",
    "reason",
    "crossover",
)


def cells(t: TensorStorage) -> tuple[object, ...]:
    """A tensor's row under `HEADER`."""
    return (
        *(t.name, t.dtype, "x".join(map(str, t.shape)), t.weights, t.nonzeros, round(t.density, 6), t.clusters),
        *(t.size(key).total for key in KEYS),
        *(t.auto_layout, t.reason, None if t.crossover is None else round(t.crossover, 4)),
    )


def to_csv(report: StorageReport) -> str:
    """One line a tensor, bytes under each layout's name."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(map(csv_cell, cells(tensor)) for tensor in report.tensors)
    return out.getvalue()


def to_markdown(report: StorageReport) -> str:
    """Two tables for documents: layouts, then tensors."""
    dense = report.total("dense").total
    lines = ["| layout | bytes | of dense | positions | indices | codebooks | dense |", "|---|--:|--:|--:|--:|--:|--:|"]
    for key, title, _ in LAYOUTS:
        total, parts = report.total(key).total, report.parts(key)
        share = f"{100 * total / dense:.2f}%" if dense else ""
        lines.append(f"| {title} | {total} | {share} | " + " | ".join(str(part) for part in parts.values()) + " |")
    keys = ("csr8+huffman", "bitmap+huffman", "entropy", "auto")
    lines += [
        "",
        "| tensor | nonzero | clusters | dense | CSR + Huffman | bitmap + Huffman | entropy | auto | taken | why |",
    ]
    lines.append("|---|--:|--:|--:|--:|--:|--:|--:|---|---|")
    for t in report.tensors:
        sizes = " | ".join(str(t.size(key).total) for key in keys)
        clusters = "" if t.clusters is None else t.clusters
        lines.append(
            f"| {markdown_cell(t.name)} | {100 * t.density:.2f}% | {clusters} | {t.dense} | {sizes} | {t.auto_layout} "
            f"| {t.reason} |"
        )
    return "\n".join(lines) + "\n"
