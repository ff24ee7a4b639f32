"""What a run has found, written as it goes: CSV for machines, Markdown for people."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.suite import inputs, sizes
from benchmarks.suite.harness.rows import Row
from benchmarks.suite.microbench import roofline
from benchmarks.suite.report.targets import Target

_MACHINE = ("date", "commit", "cpu", "cores", "system", "compiler", "python", "numpy", "kernels", "load")


@dataclass
class Results:
    """Everything a run has measured so far; `save` writes all of it."""

    machine: dict[str, object]
    rows: list[Row] = field(default_factory=list)
    rooflines: dict[str, dict[str, float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    stages: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    huffman: dict[str, float | str] = field(default_factory=dict)
    slices: dict[str, object] = field(default_factory=dict)
    start_up: dict[str, float] = field(default_factory=dict)
    sizes: list[sizes.Size] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def row(self, name: str, peer: str, threads: int = 1) -> Row | None:
        """The row of a peer that has numbers, or None."""
        found = (r for r in self.rows if (r.input, r.peer, r.threads) == (name, peer, threads) and r.status == "ok")
        return next(found, None)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "machine.json").write_text(json.dumps(self.machine, indent=1) + "\n")
        self._save_csv(folder / "measurements.csv")
        (folder / "results.md").write_text(self.markdown())

    def _save_csv(self, path: Path) -> None:
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*_COLUMNS, *_MACHINE])
            for row in self.rows:
                writer.writerow([*_cells(row), *(self.machine.get(name) for name in _MACHINE)])

    # -- for people

    def markdown(self) -> str:
        """The report."""
        parts = ["# Measured", self._machine(), *self._missing(), *self._targets(), *self._sizes()]
        for name in inputs.TITLES:
            if rows := [row for row in self.rows if row.input == name]:
                parts += [f"## {inputs.TITLES[name]}", f"{rows[0].dense:,} B dense.", self._table(rows)]
                parts += [self._roofline(name)] if name in self.rooflines else []
        parts += [*self._stages(), *self._huffman(), *self._slices(), *self._start_up()]
        return "\n\n".join(parts) + "\n"

    def _machine(self) -> str:
        m = self.machine
        load = f"{m['load']} before, {m['load_after']} after" if "load_after" in m else f"{m['load']} before"
        if m.get("stolen") is not None and "stolen_after" in m:
            load += f"; {m['stolen_after'] - m['stolen']:.1f} s taken from its cores by others of the machine below"
        return "\n".join(
            (
                f"- {m['date']}, dcz {m['dcz']} at {m['commit']}, kernels {m['kernels']}",
                f"- {m['cpu']}, {m['cores']} cores, {m['caches']}, {int(m['memory_bytes']) >> 30} GiB; "
                f"huge pages: {m['huge_pages']}",
                f"- {m['system']}; compiler {m['compiler']}; Python {m['python']}, numpy {m['numpy']}",
                f"- load average {load}; {m['command']}",
            )
        )

    def _missing(self) -> list[str]:
        lines = [f"- {inputs.TITLES[name]}: {reason}" for name, reason in self.missing.items()]
        return ["Not measured:\n\n" + "\n".join(lines)] if lines else []

    def _targets(self) -> list[str]:
        if not self.targets:
            return []
        lines = ["| what | to reach | measured | met |", "|---|---:|---:|---|"]
        lines += [f"| {t.what} | {t.wanted} | {t.found} | {sizes.met(t.met)} |" for t in self.targets]
        return ["## Targets", "\n".join(lines)]

    def _sizes(self) -> list[str]:
        return ["## Sizes", sizes.markdown(self.sizes)] if self.sizes else []

    def _table(self, rows: list[Row]) -> str:
        lines = [
            "| peer | threads | bytes | ratio | encode s | decode s | GB/s | warm s | warm GB/s "
            "| encode MB | decode MB |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        good = [row for row in rows if row.status == "ok"]
        for row in sorted(good, key=lambda row: (row.size, row.title, row.threads)):
            speeds = (_gb(row.fresh_speed), _seconds(row.warm_seconds), _gb(row.warm_speed))
            cells = (
                f"{row.size:,}",
                f"{row.ratio:.2f}",
                _seconds(row.encode_seconds),
                _seconds(row.fresh_seconds),
                *speeds,
            )
            lines.append(
                f"| {row.title} | {row.threads} | {' | '.join(cells)} "
                f"| {_mb(row.encode_peak)} | {_mb(row.decode_peak)} |"
            )
        said = set()
        for row in rows:
            if row.status != "ok" and row.peer not in said:
                said.add(row.peer)
                lines.append(f"| {row.title} | | {row.status}: {row.reason} | | | | | | | | |")
        return "\n".join(lines)

    def _roofline(self, name: str) -> str:
        line = self.rooflines[name]
        text = [f"- {title}: {line[key] / 1e9:.1f} GB/s" for key, title in roofline.LINES.items()]
        row = self.row(name, "dcz")
        if row and row.warm_speed and row.fresh_speed:
            text.append(
                f"- dcz into warm memory: {row.warm_speed / line['nontemporal']:.2f} of the write limit, "
                f"{row.warm_speed / line['copy']:.2f} of memcpy; into fresh memory: "
                f"{row.fresh_speed / line['first_touch_huge']:.2f} of the first touch of huge pages"
            )
        return "Memory limits, measured in dcz's process between its turns:\n\n" + "\n".join(text)

    def _stages(self) -> list[str]:
        parts = ["## Where a load spends its time", "Milliseconds, one thread."] if self.stages else []
        for name, memories in self.stages.items():
            lines = [f"| {inputs.TITLES[name]} | fresh | warm |", "|---|---:|---:|"]
            lines += [
                f"| {label} | {1e3 * memories['fresh'][label]:.3f} | {1e3 * memories['warm'][label]:.3f} |"
                for label in memories["fresh"]
            ]
            totals = (1e3 * sum(memories[memory].values()) for memory in ("fresh", "warm"))
            lines.append("| in all | " + " | ".join(f"{total:.3f}" for total in totals) + " |")
            parts.append("\n".join(lines))
        return parts

    def _huffman(self) -> list[str]:
        if not self.huffman:
            return []
        lines = ["| decoder | Gsymbols/s |", "|---|---:|"]
        lines += [f"| {name} | {v if isinstance(v, str) else f'{v / 1e9:.2f}'} |" for name, v in self.huffman.items()]
        return ["## Huffman decoding alone, 16 symbols, 3.64 bits each", "\n".join(lines)]

    def _slices(self) -> list[str]:
        if not self.slices:
            return []
        s = self.slices
        lines = ["| part of the tensor | bytes read | of its stored bytes | ms |", "|---:|---:|---:|---:|"]
        for part in s["slices"]:
            share = part["read"] / s["stored"]
            lines.append(f"| {part['part']:.4f} | {part['read']:,} | {share:.4f} | {1e3 * part['seconds']:.2f} |")
        head = f"`{s['tensor']}`: {s['nbytes']:,} B dense, {s['stored']:,} B stored in {s['chunks']} chunks."
        return ["## Slices", head, "\n".join(lines)]

    def _start_up(self) -> list[str]:
        lines = [f"| {name} | {1e3 * seconds:.0f} |" for name, seconds in self.start_up.items()]
        return ["## Whole processes", "\n".join(["| process | ms |", "|---|---:|", *lines])] if lines else []


_COLUMNS = (
    "input", "peer", "version", "threads", "status", "reason", "exact", "dense_bytes", "bytes", "ratio",
    "encode_s", "encode_best_s", "encode_runs",
    "decode_fresh_s", "decode_fresh_best_s", "decode_fresh_runs", "decode_fresh_GBps",
    "decode_warm_s", "decode_warm_best_s", "decode_warm_runs", "decode_warm_GBps",
    "encode_peak_bytes", "decode_peak_bytes",
)  # fmt: skip


def _cells(row: Row) -> list[object]:
    def short(value: float | None) -> object:
        return "" if value is None else float(f"{value:.5g}")

    return [
        row.input, row.title, row.version, row.threads, row.status, row.reason, row.exact, row.dense, row.size or "",
        short(row.ratio), short(row.encode_seconds), short(min(row.encode, default=None)), len(row.encode),
        short(row.fresh_seconds), short(min(row.fresh, default=None)), len(row.fresh),
        short(row.fresh_speed and row.fresh_speed / 1e9),
        short(row.warm_seconds), short(min(row.warm, default=None)), len(row.warm),
        short(row.warm_speed and row.warm_speed / 1e9), row.encode_peak, row.decode_peak,
    ]  # fmt: skip


def _gb(speed: float | None) -> str:
    return "" if speed is None else f"{speed / 1e9:.2f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _mb(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:.0f}"
