"""The suite, one command:

python -m benchmarks [--quick] [--inputs A,B] [--peers A,B] [--vgg FRACTION] [--rounds N]
                     [--out FOLDER] [--scratch FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.suite import inputs, sizes
from benchmarks.suite.harness import schedule
from benchmarks.suite.microbench import huffman, machine, measured, roofline, stages
from benchmarks.suite.microbench.compiled import CannotCompile
from benchmarks.suite.peers import PEERS, frames
from benchmarks.suite.report import targets
from benchmarks.suite.report.results import Results

_RESULTS = Path(__file__).parents[1] / "results"
_SCRATCH_BYTES = 6 << 30
_STAGED = (inputs.SQUEEZENET, inputs.ALEXNET, inputs.PALETTE_F32, inputs.BFLOAT16)
_start = time.monotonic()


def say(text: str) -> None:
    """Progress, where it does not mix with results."""
    print(f"[{time.monotonic() - _start:5.0f} s] {text}", file=sys.stderr, flush=True)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="dcz beside its peers; see benchmarks/README.md"
    )
    parser.add_argument("--quick", action="store_true", help="tiny inputs, one round: does everything still run?")
    parser.add_argument("--inputs", default=",".join(inputs.TITLES), help=f"some of {', '.join(inputs.TITLES)}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"some of {', '.join(PEERS)}")
    parser.add_argument("--vgg", type=float, default=0.25, help="how much of VGG-16's weights (default 0.25)")
    parser.add_argument("--rounds", type=int, help="turns of every peer (default 7)")
    parser.add_argument("--out", type=Path, help="where results go (default benchmarks/results, or nowhere if quick)")
    parser.add_argument("--scratch", type=Path, help="for files being measured (default: memory, if there is enough)")
    chosen = parser.parse_args(arguments)
    for what, known in (("inputs", inputs.TITLES), ("peers", PEERS)):
        names = getattr(chosen, what).split(",")
        if unknown := [name for name in names if name not in known]:
            parser.error(f"--{what}: {unknown[0]!r} is unknown; expected one of {', '.join(known)}")
        setattr(chosen, what, names)
    return chosen


def scratch_folder(wanted: Path | None) -> Path:
    """A new folder, in memory where there is room: no disk is measured by accident."""
    shared = Path("/dev/shm")
    if wanted is None and shared.is_dir() and shutil.disk_usage(shared).free >= _SCRATCH_BYTES:
        wanted = shared
    return Path(tempfile.mkdtemp(prefix="dcz-benchmarks-", dir=wanted))


def main(arguments: list[str] | None = None) -> None:
    chosen = options(arguments)
    out = chosen.out or (None if chosen.quick else _RESULTS)
    results = Results({**machine.describe(), "command": "python -m benchmarks " + " ".join(sys.argv[1:])})
    scratch = scratch_folder(chosen.scratch)
    try:
        run(chosen, results, scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(results.markdown())


def run(chosen: argparse.Namespace, results: Results, scratch: Path, out: Path | None) -> None:
    """All of it; what there is so far is saved after every part."""
    extra: dict[str, object] = {}

    def save() -> None:
        results.targets = targets.judge(results, extra)
        results.machine.update(load_after=machine.load(), stolen_after=machine.stolen())
        if out is not None:
            results.save(out)

    try:
        helper = roofline.build(scratch)
    except CannotCompile as error:
        helper = None
        say(f"no memory limits: {error}")
    say("start-up, sizes and Huffman alone")
    small = scratch / "small.dcz"
    measured.write_small(small)
    results.start_up = measured.start_up(small, 3 if chosen.quick else 15)
    results.sizes = sizes.measure(chosen.quick)
    results.huffman = huffman.measure(scratch, 1 if chosen.quick else 9, fetch=not chosen.quick)
    save()
    shape = inputs.QUICK if chosen.quick else inputs.Sizes(vgg=chosen.vgg)
    pace = schedule.QUICK if chosen.quick else schedule.Pace()
    pace = replace(pace, rounds=chosen.rounds) if chosen.rounds else pace
    for name in chosen.inputs:
        folder = scratch / name
        say(f"{name}: building")
        try:
            inputs.prepare(name, shape, folder)
        except inputs.Unavailable as error:
            results.missing[name] = str(error)
            continue
        found = schedule.measure(name, chosen.peers, folder, pace, helper, say)
        results.rows += found.rows
        if lines := found.roofline():
            results.rooflines[name] = lines
        alone(name, results, folder, extra, chosen.quick)
        save()
        if out is not None:
            draw(results, out)
        shutil.rmtree(folder)
    save()


def draw(results: Results, out: Path) -> None:
    """The plot of what there is so far, where matplotlib is installed."""
    try:
        from benchmarks.suite.report import plot

        plot.draw(results, out / "size_speed.png")
    except ImportError as error:
        say(f"no plot: {error}")


def alone(name: str, results: Results, folder: Path, extra: dict[str, object], quick: bool) -> None:
    """What is measured of dcz's file of one input, apart from the peers."""
    path = folder / "dcz.file"
    if results.row(name, "dcz") is None:
        return
    say(f"{name}: stages")
    if name in _STAGED:
        results.stages[name] = stages.measure(path, 1 if quick else 7)
    if name == inputs.ALEXNET:
        say(f"{name}: memory and slices")
        extra["load_peak"] = measured.run_apart("load_peak", path)
        extra["save_peak"] = measured.run_apart("save_peak", name, folder)
        extra["zstd_seconds"] = zstd_seconds(name, folder, 1 if quick else 3)
        results.slices = measured.run_apart("slices", path)


def zstd_seconds(name: str, folder: Path, runs: int) -> float | None:
    """Seconds of zstd -3 over the dense file's bytes, already in memory."""
    try:
        import zstandard

        data = frames.safetensors_bytes(inputs.open_prepared(name, folder))
    except ImportError:
        return None
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        zstandard.ZstdCompressor(level=3).compress(data)
        seconds.append(time.perf_counter() - start)
    return median(seconds)


if __name__ == "__main__":
    main()
