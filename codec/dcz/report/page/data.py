"""The data of a page: a comparison as compact plain data, and its summary in words."""

from __future__ import annotations

import base64
import html
import re
import shlex
from typing import TYPE_CHECKING

from dcz.report import advice, crossover
from dcz.report.layouts import LAYOUTS
from dcz.report.tensor import TensorStorage
from dcz.report.totals import ModelStorage
from dcz.text import compared, plural, printable
from dcz.vocabulary import TERMS

if TYPE_CHECKING:
    from dcz.container import Reader, ShardedReader

# Rows of chunk directories a page holds at most, and of each tensor's.
_CHUNKS, _CHUNKS_EACH = 6000, 64
LONGEST = 200


def payload(report: ModelStorage) -> dict[str, object]:
    """All that the charts and tables show."""
    seen = {round(t.correlation, 2) + 0.0 for t in report.tensors if t.crossover is not None} | {0.0}
    return {
        "source": printable(report.source, LONGEST),
        "layouts": [{"key": key, "title": title, "help": text, **report.parts(key)} for key, title, text in LAYOUTS],
        "tensors": [_tensor(t) for t in report.tensors],
        "densities": crossover.DENSITIES.tolist(),
        "curves": {f"{rho:.2f}": _curves(crossover.curves(rho)) for rho in sorted(seen)},
        "stages": [
            [_number(stage.size), _number(stage.weight_bits), _number(stage.index_bits)]
            for stage in report.stages().values()
        ],
    }


def _curves(found: crossover.Curves) -> dict[str, object]:
    kinds = {"csr": found.huffman["relative8"], "bitmap": found.huffman["bitmap"], "gaps8": found.fixed["relative8"]}
    out: dict[str, object] = {name: [_number(float(y)) for y in values] for name, values in kinds.items()}
    out["entropy"] = [_number(float(y)) for y in found.entropy]
    out["crossover"] = _number(found.crossover())
    return out


def _number(value: float | None) -> float | int | None:
    return value if value is None or isinstance(value, int) else round(value, 5)


def _tensor(t: TensorStorage) -> dict[str, object]:
    clusters = t.sizes.clusters
    return {
        "name": printable(t.name, LONGEST),
        "dtype": t.dtype,
        "shape": "x".join(map(str, t.shape)) or "scalar",
        "weights": t.weights,
        "nonzeros": t.nonzeros,
        "dense": t.dense,
        "k": t.clusters,
        "sizes": {key: [t.size(key).positions, t.size(key).values, t.size(key).codebook] for key, _, _ in LAYOUTS},
        "fillers": [t.size(f"csr{b}").fillers for b in (4, 5, 8)],
        "auto": t.auto_layout,
        "leftover": t.leftover,
        "reason": t.reason,
        "rho": f"{round(t.correlation, 2) + 0.0:.2f}" if t.crossover is not None else None,
        "crossover": _number(t.crossover),
        "stages": [[stage.size, _number(stage.weight_bits), _number(stage.index_bits)] for stage in t.stages.values()],
        "values": list(t.cluster_names),
        "counts": clusters.counts.tolist() if clusters else [],
        "lengths": clusters.lengths.tolist() if clusters else [],
        "histogram": _histogram(t),
        "same": None if t.same_as is None else printable(t.same_as, LONGEST),
        "picture": [t.picture.rows, t.picture.columns, base64.b64encode(t.picture.cells).decode()]
        if t.picture
        else None,
    }


def _histogram(t: TensorStorage) -> list[object] | None:
    found = t.histogram
    return None if found is None else [found.low, found.high, list(found.counts), found.outside]


def terms() -> str:
    """The vocabulary as a list that links lead to."""
    return "".join(
        f'<dt id="{anchor(term.title)}">{html.escape(term.title)}</dt><dd>{html.escape(term.line)} '
        f"{html.escape(term.more)}</dd>"
        for term in TERMS
    )


def anchor(title: str) -> str:
    """The id of a term on the page."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def chunks(reader: Reader | ShardedReader) -> dict[str, object]:
    """The directory of a packed file: of each tensor its chunks with their lengths and checksums."""
    out: dict[str, object] = {}
    left = _CHUNKS
    for name in reader:
        if name in reader.aliases:
            continue
        info = reader.info(name)
        layout = info.layout
        if layout is None or info.same_as is not None:
            continue
        count = len(layout.crc32c)
        shown = min(count, _CHUNKS_EACH, left)
        left -= shown
        rows = [
            [
                *(layout.nonzeros[i], layout.fillers[i], f"{layout.crc32c[i]:08x}"),
                [[str(stream.codes[stream.use[i]]), stream.lengths[i]] for stream in layout.streams],
            ]
            for i in range(shown)
        ]
        book = f"{layout.codebook.crc32c:08x}" if layout.codebook else None
        out[printable(name, LONGEST)] = {
            "weights": layout.chunk,
            "count": count,
            "rows": rows,
            "sparse": layout.sparse,
            "codebook": book,
        }
    return {"tensors": out, "size": reader.size}


def summary(report: ModelStorage) -> str:
    """The model in a few sentences, what to do about it, and a table for readers without scripts."""
    csr, bitmap, auto, dense = (report.total(key).total for key in ("csr8+huffman", "bitmap+huffman", "auto", "dense"))
    sparse = [t for t in report.tensors if 0 < t.nonzeros < t.weights]
    wins = sum(t.size("csr8+huffman").total < t.size("bitmap+huffman").total for t in sparse)
    if not sparse:
        verdict = "No tensor has zeros: positions play no part, and neither CSR nor bitmap can help."
    else:
        small, other, by = ("CSR", "bitmap", 1 - csr / bitmap) if csr <= bitmap else ("bitmap", "CSR", 1 - bitmap / csr)
        apart = f"{small} is {100 * by:.1f}% smaller than {other}" if by >= 5e-4 else "CSR and bitmap are equally small"
        verdict = (
            f"Huffman-coded, <strong>{apart}</strong> over the model; CSR is the smaller of the two in "
            f"{wins} of {plural(len(sparse), 'tensor that has zeros', 'tensors that have zeros')}."
        )
    against = f", <strong>{compared(auto, dense)} the arrays</strong>" if dense else ""
    rows = "".join(
        f"<tr><th scope=row>{html.escape(title)}</th><td>{report.total(key).total:,}</td></tr>"
        for key, title, _ in LAYOUTS
    )
    share = f", {100 * report.nonzeros / report.weights:.0f}% of them not zero" if sparse else ""
    weights = plural(report.weights, "weight", show="{:,}".format)
    why = advice.advice(advice.of_report(report), shlex.quote(printable(report.source)))
    return (
        f"<p>The model has {plural(len(report), 'tensor')} and {weights}{share}. dcz stores it in "
        f"{plural(auto, 'byte', show='{:,}'.format)}{against}; a file adds its index. {verdict}</p>"
        + "".join(f'<p class="advice">{_sentence(line)}</p>' for line in why)
        + f"<noscript><table><caption>Bytes in each layout</caption>{rows}</table></noscript>"
    )


def _sentence(line: str) -> str:
    """A line of advice for the page; a command in it is code."""
    before, command, after = html.escape(line).partition("dcz plan")
    text = before[:1].upper() + before[1:]
    return f"{text}<code>{command}{after}</code>" if command else text + "."
