"""Differences between checkpoints, measured; writes `benchmarks/results/delta.md`.

    python -m benchmarks.studies.delta [--pairs FOLDER] [--quick]

The pairs are made first (`benchmarks.studies.delta.pairs`, a quarter of an hour on one core) unless FOLDER has them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.studies.delta import sizes, speeds
from benchmarks.studies.delta.pairs import RATES, make
from benchmarks.studies.delta.peers import PEERS, available
from benchmarks.suite.microbench import machine

PAGE = Path(__file__).parents[2] / "results" / "delta.md"


def page(rows: list[sizes.Row], fast: list[speeds.Speeds], opened: dict[str, float]) -> str:
    """Everything as Markdown."""
    lines = [
        "# Differences to a base", "",
        "Made by `python -m benchmarks.studies.delta`. " + _machine(), "",
        "## Bits for each changed weight", "",
        "Pairs: a language model of 18.3 million weights, trained by `benchmarks/studies/delta/pairs.py`, before and "
        "after one step and ten of AdamW at the learning rate given, cast to bfloat16. dcz: whole files, with index, "
        "names and the "
        "checksums of base and result. Peers: what they store of each tensor, without names or checksums.", "",
    ]  # fmt: skip
    names = [name for name in PEERS if any(row.peers.get(name) is not None for row in rows)]
    head = ["pair", "dtype", "changed", "**dcz**", "dcz xor", "dcz replace", *names, "whole model in dcz"]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row.pair, row.dtype, f"{100 * row.changed:.2f} %", f"**{row.ours['auto']:.2f}**"]
        cells += [f"{row.ours[kind]:.2f}" for kind in ("xor", "replace")]
        cells += [_cell(row.peers.get(name)) for name in names] + [f"{row.whole:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "bsdiff: of tensors up to 2 MB alone."]
    missing = {name: reason for name, peer in PEERS.items() if (reason := available(peer))}
    lines += [f"{name} did not run here ({reason})." for name, reason in missing.items()]
    lines += [
        "", "## Speed", "",
        f"GB/s of model, one thread, processor time, {speeds.TENSORS} bfloat16 tensors of "
        f"{speeds.SHAPE[0]} x {speeds.SHAPE[1]}, the best "
        f"of {speeds.TURNS} runs in turns. `apply_delta` changes the model where it is, \"full\" with the CRC-32C of "
        "base and result of every chunk, \"base\" with that of the base alone; the others make another array.", "",
    ]  # fmt: skip
    ways = list(fast[0].ways)
    lines += ["| changed | " + " | ".join(ways) + " |", "|" + "---|" * (len(ways) + 1)]
    lines += [f"| {100 * s.share:g} % | " + " | ".join(f"{s.ways[way]:.2f}" for way in ways) + " |" for s in fast]
    lines += [
        "", "## Opening a file of 10,000 tensors", "",
        ", ".join(f"{name}: {milliseconds:.1f} ms" for name, milliseconds in opened.items()), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _machine() -> str:
    found = machine.describe()
    return f"{found['cpu']}, {found['cores']} cores, {found['kernels']} kernels; load average {found['load']}."


def _cell(bits: float | None) -> str:
    return "" if bits is None else f"{bits:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--speeds-only", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.pairs or Path(scratch)
        rows: list[sizes.Row] = []
        if not arguments.speeds_only:
            if not (folder / f"{RATES[-1]:g}-t10.safetensors").exists():
                make(folder)
            for row in sizes.rows(folder):
                rows.append(row)
                print(row.pair, row.dtype, f"{100 * row.changed:.2f} %", f"{row.ours['auto']:.2f} bits", flush=True)
        fast = []
        for share in speeds.SHARES:
            fast.append(speeds.speeds(share))
            print(share, {way: round(rate, 2) for way, rate in fast[-1].ways.items()}, flush=True)
        opened = speeds.opening()
        print(opened)
    if rows:
        arguments.page.write_text(page(rows, fast, opened))
        print(f"written: {arguments.page}")


if __name__ == "__main__":
    main()
