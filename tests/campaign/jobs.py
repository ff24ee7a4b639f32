"""Jobs on a Dask cluster of real processes and on an S3 server, with a fault at a random moment of each run.

A run ends with the files of an undisturbed run, or with exit code 1 and one line that names what failed. After such a
line the fault is mended, `--resume` goes on, and then the files are those of an undisturbed run. Nothing else is left.
A run that ends before it meets its fault shows nothing: it counts as such, and another one meets the fault earlier.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from campaign.job_world import PATIENCE, RESUMED, STORED, SUPPORT, WHOLE, World, by, made_world
from campaign.results import Result

FULL = 25  # runs of each kind
MISSING = "package that jobs need is missing"
SHORT = (  # the others take half a minute, and have tests of their own
    "a worker killed",
    "the job's own process killed",
    "a poisoned shard",
    "two jobs at one place",
    "a store that truncates a few times",
    "a store that stops midway a few times",
)
REFUSED = r"another job writes to it|already exists|an earlier job is not finished"


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign."""
    result = Result({"seed": seed})
    for package in ("distributed", "s3fs", "moto"):
        if importlib.util.find_spec(package) is None:
            return Result({MISSING: 1})
    count = max(1, int(FULL * scale)) if full else 1
    with tempfile.TemporaryDirectory() as folder, made_world(Path(folder)) as world:
        for number in range(count):
            for kind, act in KINDS.items():
                if not full and kind not in SHORT:
                    continue
                found = _met(world, act, random.Random(f"{seed} {kind} {number}"), result)
                result.count(f"with {kind}")
                if found in (WHOLE, RESUMED, KILLED):
                    result.count(found)
                else:
                    result.fault(f"{kind}, run {number} of seed {seed}: {found}")
    return result


EARLIER = (1.0, 0.5, 0.25, 0.1, 0.0)  # parts of the time within which runs that follow meet the fault
MISSED = "more runs ended before their fault"
KILLED = "runs killed, then resumed"


def _met(world: World, act: Callable[[World, random.Random], str], rng: random.Random, result: Result) -> str:
    """How the first run ended that met its fault."""
    for world.early in EARLIER:
        world.prepare()
        world.met = True
        found = _tried(world, act, rng)
        if world.met or found not in (WHOLE, RESUMED, KILLED):
            return found
        result.count(MISSED)
    return "no run met the fault"


def _tried(world: World, act: Callable[[World, random.Random], str], rng: random.Random) -> str:
    try:
        return act(world, rng)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        world.s3.behave()


@contextlib.contextmanager
def _later(world: World, seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Acts while the body runs, or at its end: then the fault is not met."""
    acted = threading.Event()
    timer = threading.Timer(seconds, lambda: (act(), acted.set()))
    timer.start()
    try:
        yield
    finally:
        world.met = acted.is_set()
        timer.join()


def _worker_killed(world: World, rng: random.Random) -> str:
    """One of three workers is killed."""
    from support.cluster import client_of

    world.cluster.start("victim", env=world.s3.environment)
    with client_of(world.cluster, 3):
        pass
    target = world.target(rng)
    with _later(world, world.moment(rng), lambda: world.cluster.kill("victim")):
        ran = world.pack(STORED, target, *by(world.cluster))
    return world.ended(ran, STORED, target, "")


def _scheduler_lost(world: World, rng: random.Random) -> str:
    from support.cluster import client_of, cluster

    target = world.target(rng)
    with cluster("alone", env=world.s3.environment) as own:
        with client_of(own, 1):
            pass
        with _later(world, world.moment(rng), own.scheduler.kill):
            ran = world.pack(STORED, target, *by(own))
    return world.ended(ran, STORED, target, "the scheduler is lost|no scheduler answers there|has no workers")


def _store(manner: str, lasting: bool) -> Callable[[World, random.Random], str]:
    """The store fails, a few times or from then on: where it is read, where it is written to, or everywhere."""

    def act(world: World, rng: random.Random) -> str:
        target = world.target(rng)
        written = (f"out-{world.number}/",) if target.startswith("s3:") else ()
        where = rng.choice(("source/", "model-00002-of-00003", "", *written))
        after = 1_000_000 if lasting else rng.randint(1, 3)
        options = ("--resume",) if rng.random() < 0.5 else by(world.cluster)
        failing = lambda: world.s3.behave(manner, where, healthy_after=after, delay=0.1)
        with _later(world, world.moment(rng), failing):
            ran = world.pack(STORED, target, *options)
        world.met = world.met and world.s3.failed > 0
        return world.ended(ran, STORED, target, r"s3://models/" if lasting else "")

    return act


def _disk_full(world: World, rng: random.Random) -> str:
    """A worker cannot write files beyond a size."""
    from support.cluster import client_of

    target = str(world.here / "model.dcz.index.json")
    world.cluster.start("full", env=world.s3.environment, shell=f"ulimit -f {rng.choice((0, 4, 16, 64))}")
    try:
        with client_of(world.cluster, 3):
            pass
        ran = world.pack(STORED, target, *by(world.cluster))
    finally:
        world.cluster.end("full")
    return world.ended(ran, STORED, target, "")


def _poisoned(world: World, rng: random.Random) -> str:
    """A bit of one shard of the source is wrong."""
    folder = world.folder / f"poisoned-{world.number}"
    folder.mkdir()
    for name, data in world.expected.items():
        (folder / name).write_bytes(data)
    shard = folder / rng.choice(sorted(name for name in world.expected if name.endswith(".dcz")))
    data, at = shard.read_bytes(), rng.randrange(shard.stat().st_size)
    times = shard.stat()
    shard.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    target = world.target(rng)
    options = () if rng.random() < 0.5 else by(world.cluster)
    ran = world.pack(folder / "model.dcz.index.json", target, *options)
    shard.write_bytes(data)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    return world.ended(ran, folder / "model.dcz.index.json", target, re.escape(str(shard)))


def _process(world: World, target: str, *options: str) -> subprocess.Popen[str]:
    program = "import sys, support.impatient; from dcz.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "pack", STORED, target, "--shard-size", "150kB", "-q", *options]
    return subprocess.Popen(command, cwd=SUPPORT.parent, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    err = process.communicate(timeout=PATIENCE)[1]
    return process.returncode, err


def _job_killed(world: World, rng: random.Random) -> str:
    """The process that began the job is killed; its workers are not."""
    target = world.target(rng)
    process = _process(world, target, *rng.choice((("--resume",), by(world.cluster))))
    time.sleep(rng.random() * (2.0 + world.seconds) * world.early)
    process.kill()
    code, _ = _ended(process)
    world.met = code != 0
    if code == 0:
        return world.differs(target) or WHOLE
    code, err = world.pack(STORED, target, "--resume")
    return f"resuming ends with exit code {code}: {err!r}" if code else world.differs(target) or KILLED


def _two_jobs(world: World, rng: random.Random) -> str:
    """Two processes pack to one place, the second a little later."""
    target = world.target(rng)
    options = rng.choice((("--resume",), by(world.cluster)))
    first = _process(world, target, *options)
    time.sleep(rng.choice((0.0, rng.random() * (1.0 + world.seconds))) * world.early)
    second = _process(world, target, *options)
    runs = [_ended(first), _ended(second)]
    codes = sorted(code for code, _ in runs)
    world.met = codes != [0, 0]
    if codes == [0, 0] and "--resume" in options:  # the second came after the first had ended
        return world.differs(target) or WHOLE
    if codes != [0, 1]:
        return f"exit codes {codes}: {[err[-800:] for _, err in runs]}"
    refused = next(err for code, err in runs if code == 1)
    if refused.count("\n") != 1 or not re.search(REFUSED, refused):
        return f"refused by {refused[-1500:]!r}"
    return world.differs(target) or WHOLE


KINDS: dict[str, Callable[[World, random.Random], str]] = {
    "a worker killed": _worker_killed,
    "the scheduler killed": _scheduler_lost,
    "the job's own process killed": _job_killed,
    "a full disk of one worker": _disk_full,
    "a poisoned shard": _poisoned,
    "two jobs at one place": _two_jobs,
    "a store that is slow": _store("slow", lasting=False),
    **{
        f"a store that {said}{' on' if lasting else ' a few times'}": _store(manner, lasting)
        for manner, said in (
            ("500", "answers 500"),
            ("503", "answers 503"),
            ("truncated", "truncates"),
            ("silent", "is silent"),
            ("stalled", "stops midway"),
        )
        for lasting in (False, True)
    },
}
