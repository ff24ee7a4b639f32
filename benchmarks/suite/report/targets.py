"""What dcz set out to reach, and what this run has found: every line a number that can be missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.suite import inputs
from benchmarks.suite.peers import OWN, REFERENCES

if TYPE_CHECKING:
    from benchmarks.suite.harness.rows import Row
    from benchmarks.suite.report.results import Results

_GB = 1e9
_SLOW_SPEED = 0.5 * _GB
_SQUEEZENET_BYTES = 540_000


@dataclass(frozen=True)
class Target:
    """One line: what is `wanted` and what was `found`, in words; `met` is None where something was not measured."""

    what: str
    wanted: str
    found: str
    met: bool | None


def judge(results: Results, extra: dict[str, object]) -> list[Target]:
    """All lines. `extra` has what is measured for this table alone: see `__main__`."""
    out = [make(results) for make in _SPEED]
    out += [_save(results, extra), _huffman(results), *(_smaller(results, name) for name in _SMALL)]
    out += [_squeezenet(results), _load_peak(extra), _save_peak(extra), *_slices(results), *_start_up(results)]
    return out


def _unmeasured(what: str, wanted: str) -> Target:
    return Target(what, wanted, "", None)


def _faster(
    what: str,
    least: float,
    name: str,
    against: Callable[[Results], Row | None],
    threads: int = 1,
    memory: str = "fresh",
) -> Callable[[Results], Target]:
    """dcz's decoding time against another's into the same kind of memory."""

    def make(results: Results) -> Target:
        own, other = results.row(name, "dcz", threads), against(results)
        times = [getattr(row, f"{memory}_seconds") if row else None for row in (own, other)]
        if None in times:
            return _unmeasured(what, f"{least}x")
        found = f"{times[1] / times[0]:.2f}x ({1e3 * times[0]:.2f} ms, {other.title} {1e3 * times[1]:.2f} ms)"
        return Target(what, f"{least}x", found, times[1] / times[0] >= least)

    return make


def _of_limit(what: str, least: float, name: str) -> Callable[[Results], Target]:
    """dcz's decoding speed into warm memory against non-temporal writes."""

    def make(results: Results) -> Target:
        row, line = results.row(name, "dcz"), results.rooflines.get(name)
        if not row or not row.warm_speed or not line:
            return _unmeasured(what, f"{least}")
        fraction = row.warm_speed / line["nontemporal"]
        found = f"{fraction:.2f} ({row.warm_speed / _GB:.1f} of {line['nontemporal'] / _GB:.1f} GB/s)"
        return Target(what, f"{least}", found, fraction >= least)

    return make


def _peer(name: str, peer: str) -> Callable[[Results], Row | None]:
    return lambda results: results.row(name, peer)


def _fastest_compressed(results: Results) -> Row | None:
    """The quickest of the peers that make AlexNet's file smaller than half."""
    rows = [row for row in results.rows if row.input == inputs.ALEXNET and row.status == "ok" and row.fresh]
    rows = [row for row in rows if row.peer not in (*OWN, *REFERENCES) and 2 * row.size < row.dense]
    return min(rows, key=lambda row: row.fresh_seconds, default=None)


_ALEXNET = "AlexNet-shaped, fresh memory"


def _two_threads(results: Results) -> Target:
    """Beside it what the copy itself takes on two: no more than that can be had from a second core."""
    what, copy = f"{_ALEXNET}, two threads against a bare copy on one", _peer(inputs.ALEXNET, "copy")
    target = _faster(what, 1.2, inputs.ALEXNET, copy, threads=2)(results)
    both = results.row(inputs.ALEXNET, "copy", 2)
    if target.met is None or both is None or not both.fresh:
        return target
    return replace(target, found=f"{target.found.removesuffix(')')}, on two {1e3 * both.fresh_seconds:.2f} ms)")


_SPEED = (
    _faster(f"{_ALEXNET}, against safetensors", 2.5, inputs.ALEXNET, _peer(inputs.ALEXNET, "safetensors")),
    _faster(f"{_ALEXNET}, against a bare copy", 0.8, inputs.ALEXNET, _peer(inputs.ALEXNET, "copy")),
    _two_threads,
    _faster(f"{_ALEXNET}, against the fastest compressed peer", 2, inputs.ALEXNET, _fastest_compressed),
    _of_limit("AlexNet-shaped, warm memory, of the write limit", 0.6, inputs.ALEXNET),
    _faster(
        "SqueezeNet, against OpenZL tokenize+entropy", 2.5, inputs.SQUEEZENET, _peer(inputs.SQUEEZENET, "openzl-tokens")
    ),
    _of_limit("dense palette of 16, float32, warm memory, of the write limit", 0.45, inputs.PALETTE_F32),
    _faster("bfloat16, against ZipNN", 2.5, inputs.BFLOAT16, _peer(inputs.BFLOAT16, "zipnn")),
)
_SMALL = (inputs.SQUEEZENET, inputs.ALEXNET)


def _save(results: Results, extra: dict[str, object]) -> Target:
    what, wanted = "AlexNet-shaped `save_file`, against zstd -3 of the dense file's bytes", "1x its time or less"
    row, seconds = results.row(inputs.ALEXNET, "dcz"), extra.get("zstd_seconds")
    if not row or seconds is None:
        return _unmeasured(what, wanted)
    own = row.encode_seconds
    return Target(what, wanted, f"{own / seconds:.2f}x ({own:.3f} s, zstd {seconds:.3f} s)", own <= seconds)


def _huffman(results: Results) -> Target:
    what, wanted = "Huffman decoding alone, 16 symbols, portable kernels, against Huff0's best", "1.3x"
    own = results.huffman.get("dcz portable")
    others = [v for k, v in results.huffman.items() if k.startswith("Huff0") and not isinstance(v, str)]
    if own is None or not others:
        return _unmeasured(what, wanted)
    found = f"{own / max(others):.2f}x ({own / _GB:.2f} and {max(others) / _GB:.2f} Gsymbols/s)"
    return Target(what, wanted, found, own >= 1.3 * max(others))


def _smaller(results: Results, name: str) -> Target:
    what, wanted = f"{inputs.TITLES[name]}: peers smaller than dcz that decode faster than 0.5 GB/s", "none"
    own = results.row(name, "dcz")
    if own is None:
        return _unmeasured(what, wanted)
    rows = [r for r in results.rows if r.input == name and r.status == "ok" and r.peer not in OWN]
    rows = [r for r in rows if r.size < own.size and (r.fresh_speed or 0) > _SLOW_SPEED]
    found = ", ".join(f"{r.title} ({r.size:,} B, {r.fresh_speed / _GB:.2f} GB/s)" for r in rows) or "none"
    return Target(what, wanted, f"{found}; dcz {own.size:,} B", not rows)


def _squeezenet(results: Results) -> Target:
    what, wanted = "SqueezeNet, the whole file", f"{_SQUEEZENET_BYTES:,} B"
    own = results.row(inputs.SQUEEZENET, "dcz")
    return Target(what, wanted, f"{own.size:,} B", own.size <= _SQUEEZENET_BYTES) if own else _unmeasured(what, wanted)


def _load_peak(extra: dict[str, object]) -> Target:
    what, wanted = "AlexNet-shaped `load_file`, peak memory", "decoded + 2% + 32 MB"
    found = extra.get("load_peak")
    if not found or found["peak"] is None:
        return _unmeasured(what, wanted)
    most = 1.02 * found["decoded"] + 32e6
    return Target(what, wanted, f"{found['peak'] / 1e6:.0f} MB of {most / 1e6:.0f} MB", found["peak"] <= most)


def _save_peak(extra: dict[str, object]) -> Target:
    what, wanted = "AlexNet-shaped `save_file`, peak memory above the model's own", "2 x the largest tensor + 64 MB"
    found = extra.get("save_peak")
    if not found or found["peak"] is None:
        return _unmeasured(what, wanted)
    most = 2 * found["largest"] + 64e6
    return Target(what, wanted, f"{found['peak'] / 1e6:.0f} MB of {most / 1e6:.0f} MB", found["peak"] <= most)


def _slices(results: Results) -> list[Target]:
    """Bytes: no more than the slice's share and the chunks its ends cut. Time: half as much again, and 1 ms."""
    whats = (
        "`get_slice`, bytes read beyond the slice's share",
        "`get_slice`, time against the slice's share of the whole",
    )
    wanteds = "at most 2 chunks", "1.5x + 1 ms"
    if not results.slices:
        return [_unmeasured(what, wanted) for what, wanted in zip(whats, wanteds)]
    s = results.slices
    whole = s["slices"][0]
    chunk = whole["read"] / s["chunks"]
    beyond = max((part["read"] - part["part"] * whole["read"]) / chunk for part in s["slices"])
    worst = max(s["slices"][1:], key=lambda part: part["seconds"] / part["part"])
    share = worst["part"] * whole["seconds"]
    slow = any(part["seconds"] > 1.5 * part["part"] * whole["seconds"] + 1e-3 for part in s["slices"])
    return [
        Target(whats[0], wanteds[0], f"{beyond:.2f} chunks", beyond <= 2),
        Target(whats[1], wanteds[1], f"{worst['seconds'] / share:.2f}x at {worst['part']:.4f} of the tensor", not slow),
    ]


def _start_up(results: Results) -> list[Target]:
    times = results.start_up
    what, wanted = "`import dcz` against `import numpy`, whole processes", "below 1.5x"
    whats, limit = "`dcz inspect` of a small file, whole process", 0.35
    if not times:
        return [_unmeasured(what, wanted), _unmeasured(whats, f"below {limit} s")]
    ratio = times["import dcz"] / times["import numpy"]
    full = times["import dcz, dcz.api"] / times["import numpy"]
    inspect = times["dcz inspect"]
    return [
        Target(what, wanted, f"{ratio:.2f}x ({full:.2f}x with `load_file` looked up)", ratio < 1.5),
        Target(whats, f"below {limit} s", f"{inspect:.3f} s", inspect < limit),
    ]
