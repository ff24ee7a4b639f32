"""Measure jobs: packing by workers of a Dask cluster on this machine, resuming, losing a worker, and the graph alone.

    python -m benchmarks.studies.scale.workers [--sizes 2GB,5GB,10GB] [--shard-size 500MB] [--max-memory 300MB]
        [--graph 10000,100000]

The largest size is packed by one worker and by two, and by two of which one is killed; a finished job is resumed. The
smaller ones show whether the memory of a worker grows, which `--max-memory` bounds. Sections of
`benchmarks/results/scale.md` are written.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.studies.scale import checkpoint
from dcz import jobs
from dcz.convert.shards import parse_size
from dcz.jobs.cluster import Cluster
from dcz.jobs.tasks import Task

RESULTS = Path(__file__).resolve().parents[2] / "results" / "scale.md"
HEAD = "# Models bigger than memory, and than one machine\n"


@dataclass
class Run:
    """One packing: seconds, seconds of processor time of all workers, and the most memory that one of them took."""

    workers: int
    size: int
    seconds: float
    processor: float
    memory: int
    load: float
    kept: int = 0

    @property
    def rate(self) -> float:
        """MB of arrays a second."""
        return self.size / self.seconds / 1e6

    @property
    def rate_of_processor(self) -> float:
        """MB of arrays a second of processor time."""
        return self.size / self.processor / 1e6 if self.processor else 0.0


class Machines:
    """A scheduler and workers of one thread, each a process of this machine."""

    def __init__(self, count: int, folder: str) -> None:
        dask = [sys.executable, "-W", "ignore", "-m", "dask"]
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        note = Path(folder) / "scheduler.json"
        note.unlink(missing_ok=True)
        arguments = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(note)]
        self._processes = [subprocess.Popen([*dask, *arguments], **quiet)]
        while not note.exists():
            time.sleep(0.1)
        arguments = [
            "worker",
            "--scheduler-file",
            str(note),
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--memory-limit",
            "0",
        ]
        self.workers = [subprocess.Popen([*dask, *arguments], **quiet) for _ in range(count)]
        from distributed import Client

        self.client = Client(scheduler_file=str(note), set_as_default=False)
        self.client.wait_for_workers(count)

    def processor(self) -> float:
        """Seconds of processor time that the living workers took."""
        return sum(sum(map(int, _stat(worker.pid)[11:13])) for worker in self._living()) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """The most bytes that one of the living workers ever held."""
        return max(_most(worker.pid) for worker in self._living())

    def _living(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker.poll() is None]

    def close(self) -> None:
        """Ends all processes."""
        self.client.close()
        for process in (*self.workers, *self._processes):
            process.kill()
            process.wait()


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _most(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@contextmanager
def machines(count: int) -> Iterator[Machines]:
    """Workers, for the length of the context."""
    with tempfile.TemporaryDirectory() as folder:
        found = Machines(count, folder)
        try:
            yield found
        finally:
            found.close()


def pack(
    source: Path, target: Path, count: int, size: int, shard_size: int, max_memory: int, *, kill: bool = False
) -> Run:
    """Pack by so many workers; with `kill` the first of them is killed when a third is done."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with machines(count) as found:
        before, load = found.processor(), os.getloadavg()[0]
        memory_at_start = found.memory()
        killed = threading.Event()

        def report(done: int, total: int) -> None:
            if kill and done > total / 3 and not killed.is_set():
                killed.set()
                found.workers[0].kill()

        began = time.monotonic()
        index = target / "model.dcz.index.json"
        options: dict[str, Any] = {"shard_size": shard_size, "max_memory": max_memory, "progress": report}
        jobs.pack(source, index, client=found.client, **options)
        seconds = time.monotonic() - began
        processor = found.processor() - (0 if kill else before)
        what = f"{count} workers, {size / 1e9:.1f} GB{', one killed' * kill}"
        _say(f"{what}: {seconds:.1f} s, of processors {processor:.1f} s")
        return Run(count, size, seconds, processor, max(found.memory(), memory_at_start), load)


def resume(source: Path, target: Path, size: int, shard_size: int) -> Run:
    """Resume a job that is finished, in this process."""
    began, before = time.monotonic(), time.process_time()
    done = jobs.pack(source, target / "model.dcz.index.json", resume=True, shard_size=shard_size)
    seconds, processor = time.monotonic() - began, time.process_time() - before
    _say(f"resumed: {done.kept} of {len(done.files)} kept, {seconds:.2f} s, of processor {processor:.2f} s")
    return Run(0, size, seconds, processor, 0, os.getloadavg()[0], done.kept)


def nothing() -> None:
    """The work of a task that measures the graph."""


def graph(count: int) -> tuple[float, float]:
    """Seconds of wall and of processor for so many tasks that do nothing, ten of them for each of a tenth as many
    others, on a scheduler and two workers in this process."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(protocol="inproc://", **options) as local, Client(local, set_as_default=False) as client:
        runner = Cluster(client)
        tasks: list[Task] = []
        for number in range(count // 11):
            needs = tuple(f"pack:model.layers.{number}.{i}.weight" for i in range(10))
            tasks += [Task(key, nothing) for key in needs]
            tasks.append(Task(f"write:model-{number:05d}.dcz", nothing, needs))
        began, before = time.monotonic(), time.process_time()
        ran = runner.run(tasks, lambda nbytes: None)
        assert len(ran.results) == len(tasks)
        seconds, processor = time.monotonic() - began, time.process_time() - before
    _say(f"{count} tasks: {seconds:.1f} s, of processor {processor:.1f} s")
    return seconds, processor


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def workers_section(one: Run, two: Run, killed: Run, others: list[Run], max_memory: int) -> str:
    """The table of workers, and of their memory."""
    rows = [("one", one), ("two", two), ("two, one killed after a third", killed)]
    lines = [
        "## Workers",
        "",
        f"{one.size / 1e9:.1f} GB of synthetic bfloat16 weights (`benchmarks.studies.scale.checkpoint`) are packed by",
        f"worker processes of one thread, each with `--max-memory {max_memory / 1e6:.0f}MB`, on one machine of",
        f"{os.cpu_count()} cores. The load is that of the machine when the run began, before its workers had anything",
        "to do.",
        "",
        "| workers | seconds | MB/s | processor time, s | MB by its second | most memory of one, MB | load |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, run in rows:
        own = "" if "killed" in name else f"{run.rate_of_processor:.0f}"
        lines.append(
            f"| {name} | {run.seconds:.1f} | {run.rate:.0f} | {run.processor:.1f} | {own} | {run.memory / 1e6:.0f} "
            f"| {run.load:.1f} |"
        )
    lines += [
        "",
        f"Two workers took {two.seconds / one.seconds:.2f} of the time of one, and",
        f"{two.processor / one.processor:.2f} of its processor time: {one.seconds / two.seconds:.2f} times as fast.",
        f"The killed worker cost {killed.seconds - two.seconds:.1f} s: the other one did its tasks alone from then on.",
        "The processor time of the killed one is not known.",
        "",
        "| model, GB | its largest tensor, MB | most memory of a worker, MB |",
        "|--:|--:|--:|",
        *(f"| {run.size / 1e9:.1f} | {run.size / 1e7:.0f} | {run.memory / 1e6:.0f} |" for run in [*others, one]),
        "",
        "The largest tensor is an embedding of a tenth of the model. A task reads and encodes such a tensor in blocks,",
        "so what a worker takes, Python and libraries included, hardly follows the size of the model: by the",
        "statistics of a tensor's chunks, 8 KiB for each 65,536 words.",
    ]
    return "\n".join(lines)


def resume_section(full: Run, again: Run) -> str:
    """What resuming a finished job takes."""
    share, own = again.seconds / full.seconds, again.processor / full.processor
    return "\n".join([
        "## Resume",
        "",
        f"The finished job of {full.size / 1e9:.1f} GB is resumed in one process: the stored bytes of all {again.kept}",
        f"files are read and checked against their checksums in {again.seconds:.2f} s, {100 * share:.1f} % of the",
        f"{full.seconds:.1f} s of one worker. By processor time that is {again.processor:.2f} s, {100 * own:.1f} % of",
        f"{full.processor:.1f} s.",
    ])  # fmt: skip


def graph_section(found: dict[int, tuple[float, float]]) -> str:
    """What tasks take that do nothing."""
    return "\n".join([
        "## Graph",
        "",
        "Tasks that do nothing, on a scheduler and two workers of one thread in one process: what Dask itself takes,",
        "and fetching the results.",
        "",
        "| tasks | seconds | processor time, s | ms of it for a task |",
        "|--:|--:|--:|--:|",
        *(f"| {count:,} | {s:.1f} | {p:.1f} | {1000 * p / count:.2f} |" for count, (s, p) in found.items()),
    ])  # fmt: skip


def bigger_section(one: Run, stored: float, found: dict[int, tuple[float, float]]) -> str:
    """A model of larger machines, from what was measured."""
    rate, task = one.rate_of_processor * 1e6, max(p / count for count, (_, p) in found.items())
    lines = [
        "## Bigger checkpoints",
        "",
        "Computed, not measured. Assumptions: every core packs as the one above, by processor time; tasks are of",
        "256 MB of arrays; the last tasks of all cores end within the time of one; the scheduler takes for each task",
        "what is measured above; the store gives these bytes a second to all together, the source is read once, of the",
        f"{100 * stored:.0f} % that are stored parts are written and read, files written, and moved within the store.",
        "",
        "| model, GB | cores | processors | scheduler | store of 1 GB/s | store of 10 GB/s | limit at 10 GB/s |",
        "|--:|--:|--:|--:|--:|--:|---|",
    ]
    for size in (140e9, 1.4e12):
        for cores in (8, 64, 512):
            tasks = size / (256 << 20)
            times = {
                "processors": size / rate / min(cores, tasks) + (256 << 20) / rate,
                "scheduler": tasks * task,
                "store": size * (1 + 3 * stored) / 10e9,
            }
            limit = max(times, key=lambda name: times[name])
            shown = [_time(times["processors"]), _time(times["scheduler"]), _time(10 * times["store"])]
            shown += [_time(times["store"]), limit]
            lines.append(f"| {size / 1e9:,.0f} | {cores} | {' | '.join(shown)} |")
    lines += ["", "Where the store is the limit, more workers wait for it."]
    return "\n".join(lines)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def record(sections: list[str]) -> None:
    """Put sections into the page, each in the place of an older one; those of others stay."""
    text = RESULTS.read_text() if RESULTS.exists() else HEAD
    parts = text.split("\n## ")
    titles = {part.partition("\n")[0]: part for part in parts[1:]}
    titles |= {section[3:].partition("\n")[0]: section[3:].rstrip() + "\n" for section in sections}
    RESULTS.write_text("\n## ".join([parts[0].rstrip() + "\n", *titles.values()]).rstrip() + "\n")


def main() -> None:
    """Measures, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="2GB,5GB,10GB")
    parser.add_argument("--shard-size", default="500MB")
    parser.add_argument("--max-memory", type=parse_size, default="300MB")
    parser.add_argument("--graph", default="10000,100000")
    parser.add_argument("--scratch", default=None)
    options = parser.parse_args()
    shard_size = parse_size(options.shard_size)
    sizes = sorted(map(parse_size, options.sizes.split(",")))
    others: list[Run] = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        for size in sizes:
            source, target = folder / "source", folder / "out"
            shutil.rmtree(source, ignore_errors=True)
            index = checkpoint.write(source, size, shard_size)
            nbytes = sum(file.stat().st_size for file in source.glob("*.safetensors"))
            if size != sizes[-1]:
                others.append(pack(index, target, 1, nbytes, shard_size, options.max_memory))
        one = pack(index, target, 1, nbytes, shard_size, options.max_memory)
        again = resume(index, target, nbytes, shard_size)
        stored = sum(file.stat().st_size for file in target.glob("*.dcz")) / nbytes
        two = pack(index, target, 2, nbytes, shard_size, options.max_memory)
        killed = pack(index, target, 2, nbytes, shard_size, options.max_memory, kill=True)
    record([workers_section(one, two, killed, others, options.max_memory), resume_section(one, again)])
    counts: dict[int, tuple[float, float]] = {}
    for count in map(int, options.graph.split(",")):
        counts[count] = graph(count)
        record([graph_section(counts), bigger_section(one, stored, counts)])


if __name__ == "__main__":
    main()
