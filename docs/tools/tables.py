"""Tables of the README and the pages, made of committed measurements.

python docs/tools/tables.py            # what is out of date; exit code 1 if anything is
python docs/tools/tables.py --write    # puts it right

A table stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from stale import settle

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PEERS = {
    "dcz": "**dcz**",
    "safetensors": "safetensors",
    "zstd -3": "safetensors + zstd -3",
    "zstd -19": "safetensors + zstd -19",
    "ZipNN": "ZipNN",
    "pcodec": "pcodec",
    "NNCodec (DeepCABAC)": "NNCodec (DeepCABAC)",
    "OpenZL tokenize+entropy": "OpenZL tokenize+entropy",
    "compressed-tensors (sparse bitmask)": "compressed-tensors, bitmask",
    "scipy CSR (npz)": "scipy CSR in .npz",
}
# When another tool is the better choice: what its numbers in the table say, or what it does that dcz does not.
RATHER = {
    "safetensors": "weights are dense and space is free",
    "zstd -3": "receivers have zstd and nothing else",
    "ZipNN": "your tools already read it",
    "pcodec": "size of dense values matters more than speed",
    "NNCodec (DeepCABAC)": "you need the MPEG standard",
}


def measurements() -> dict[tuple[str, str], dict[str, str]]:
    """Rows of one thread by input and peer."""
    with (RESULTS / "measurements.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["input"], row["peer"]): row for row in rows if row["threads"] == "1" and row["status"] == "ok"}


def made_on() -> str:
    machine = json.loads((RESULTS / "machine.json").read_text())
    return f"one thread of an {machine['cpu'].split(' (')[0]} with {machine['kernels'].upper()}, {machine['date'][:10]}"


def _cells(row: dict[str, str] | None) -> list[str]:
    if row is None:
        return ["", ""]
    milliseconds = 1e3 * float(row["decode_fresh_s"])
    return [f"{int(row['bytes']) / 1e6:.2f}", f"{milliseconds:,.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"]


def peers() -> str:
    """The README's comparison."""
    found = measurements()
    shown = ("dcz", *RATHER)
    dense = {name: int(found[name, "dcz"]["dense_bytes"]) / 1e6 for name in ("alexnet", "bf16")}
    lines = [
        *_wrapped(
            f"MB of the file and milliseconds to load it: AlexNet's shapes pruned and clustered "
            f"({dense['alexnet']:.0f} MB dense), and Gaussian bfloat16 ({dense['bf16']:.1f} MB); {made_on()}; "
            "[all results](benchmarks/results/results.md)."
        ),
        "",
        "| | AlexNet, MB | ms | bfloat16, MB | ms | take it instead where |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for peer in shown:
        cells = [*_cells(found.get(("alexnet", peer))), *_cells(found.get(("bf16", peer)))]
        lines.append(f"| {PEERS[peer]} | {' | '.join(cells)} | {RATHER.get(peer, '')} |")
    lines += ["", *_rounded_in_short()]
    return "\n".join(lines)


def _rounded_in_short() -> list[str]:
    bits = {title: cells for title, *cells in _rounded_rows("Laplacian")}
    shown = [f"{bits[title][0]} bits ({bits[title][1].replace(' %', '')} % error) in {name}" for title, name in (
        ("dcz, 4 bits", "dcz"), ("Core ML palette, 4 bits", "Core ML palettes"), ("GGUF Q4_0", "GGUF Q4_0")
    )]  # fmt: skip
    return _wrapped(
        f"Rounded, a Laplacian weight takes {', '.join(shown)}: [measured](docs/explanation/comparison.md). Take those "
        "if their runtimes compute with weights as stored; `dcz` decodes to plain tensors."
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)


def all_peers() -> str:
    """Every input and peer, bytes and milliseconds."""
    found = measurements()
    inputs = {
        "squeezenet": "SqueezeNet (real)",
        "alexnet": "AlexNet-shaped",
        "palette-f32": "palette of 16, float32",
        "pruned": "pruned to 10 %, float32",
        "bf16": "dense bfloat16",
    }
    lines = [
        f"Bytes of the file, and milliseconds to load it into fresh memory; {made_on()}.",
        "",
        "| | " + " | ".join(f"{title} | ms" for title in inputs.values()) + " |",
        "|---|" + "--:|--:|" * len(inputs),
    ]
    for peer, title in PEERS.items():
        cells = []
        for name in inputs:
            row = found.get((name, peer))
            cells += ["", ""] if row is None else [f"{int(row['bytes']):,}", _cells(row)[1]]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _section(file: str, begin: str, end: str | None) -> str:
    text = (RESULTS / file).read_text()
    start = text.index(begin)
    return text[start : text.index(end, start + 1) if end else None].strip()


def bits() -> str:
    return _section("density/density.md", "| density |", "\n\n")


def crossings() -> str:
    return _section("density/density.md", "| CSR against bitmap |", "\n\n")


def coded() -> str:
    return _section("density/density.md", "| density | independent |", None)


def rounded() -> str:
    """The lossy alternatives, side by side."""
    lines = [
        "| | Laplacian, bits per weight | error | Gaussian, bits per weight | error |",
        "|---|--:|--:|--:|--:|",
    ]
    for one, two in zip(_rounded_rows("Laplacian"), _rounded_rows("Gaussian"), strict=True):
        lines.append(f"| {' | '.join([*one, *two[1:]])} |")
    return "\n".join(lines)


def _rounded_rows(kind: str) -> list[list[str]]:
    section = _section("alternatives.md", f"## {kind}", "\n## ")
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]


def z4ai() -> str:
    return _section("alternatives.md", "| bfloat16 weights", None)


def deltas() -> str:
    return _section("delta.md", "| pair |", "\n\n")


def delta_speed() -> str:
    return _section("delta.md", "| changed | save_delta", "\n\n")


def deduplication() -> str:
    return _section("deduplication.md", "| model | change |", None)


def sparse_product() -> str:
    return _section("sparse_product.md", "| layer, density |", "\n\n")


def pruned() -> str:
    """One-shot pruning of a transformer against rounding alone, without data and with."""
    with (RESULTS / "pruning-transformer.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    head = "smaller | cosine | accuracy"
    out = [f"| | {head} | with samples: {head} |", f"|---|{'--:|' * 6}"]
    out.append(f"| as it is | 1.0 x | 1.0 | {float(rows[0]['accuracy']):.1%} | | | |")
    for pair in zip(rows[1::2], rows[2::2], strict=True):
        cells = [f"{float(row['ratio']):.1f} x | {row['cosine']} | {float(row['accuracy']):.1%}" for row in pair]
        out.append(f"| {pair[0]['treatment']} | {' | '.join(cells)} |")
    return "\n".join(out)


def pretrained() -> str:
    """Networks without training where outputs correlate by 0.99 with the original's."""
    section = _section("pretrained/results.md", "| network | fidelity |", "\n\n")
    head, _, *rows = [line.removeprefix("| ").split(" |")[:-1] for line in section.splitlines()]
    shown = [n for n, title in enumerate(head) if n != 1 and "saves" not in title]
    out = ["| " + " | ".join(head[n].strip() for n in shown) + " |", "|---" * len(shown) + "|"]
    for row in rows:
        if row[1].strip() == "0.99":
            out.append("| " + " | ".join(row[n].strip() for n in shown) + " |")
    return "\n".join(out)


TABLES: dict[str, Callable[[], str]] = {
    "peers": peers,
    "all-peers": all_peers,
    "bits": bits,
    "crossings": crossings,
    "coded": coded,
    "rounded": rounded,
    "z4ai": z4ai,
    "deduplication": deduplication,
    "deltas": deltas,
    "delta-speed": delta_speed,
    "sparse-product": sparse_product,
    "pruned": pruned,
    "pretrained": pretrained,
}


def pages() -> list[Path]:
    """Pages that may have tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def updated(text: str) -> str:
    """A page with its tables as they should be."""

    def put(found: re.Match[str]) -> str:
        return f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}"

    return re.sub(r"(<!-- begin: ([\w-]+) -->)\n.*?(<!-- end: \2 -->)", put, text, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(settle({page: updated(page.read_text()) for page in pages()}, ROOT, "--write" in sys.argv[1:]))
