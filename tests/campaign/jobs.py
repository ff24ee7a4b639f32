"""Jobs on a Dask cluster of real processes and on an S3 server, with a fault at a random moment of each run.

A run ends with the files of an undisturbed run, or with exit code 1 and one line that names what failed. After such a
line the fault is mended, `--resume` goes on, and then the files are those of an undisturbed run. Nothing else is left.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from campaign.results import Result
from dcz.cli import app

FULL = 25  # runs of each kind
MISSING = "package that jobs need is missing"
PATIENCE = 120.0  # seconds after which a run hangs
SILENCE = "1.0"  # seconds for which the store may be silent
SUPPORT = Path(__file__).parents[1] / "support"
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
    with tempfile.TemporaryDirectory() as folder, _world(Path(folder)) as world:
        for number in range(count):
            for kind, act in KINDS.items():
                if not full and kind not in SHORT:
                    continue
                world.prepare(number)
                found = _tried(world, act, random.Random(f"{seed} {kind} {number}"))
                result.count(f"with {kind}")
                if found in (WHOLE, RESUMED):
                    result.count(found)
                else:
                    result.fault(f"{kind}, run {number} of seed {seed}: {found}")
    return result


WHOLE = "runs whole at once"
RESUMED = "runs ended by an error that names what failed, then resumed"


def _tried(world: World, act: Callable[[World, random.Random], str], rng: random.Random) -> str:
    try:
        return act(world, rng)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        world.s3.behave()


@dataclass
class World:
    """A cluster of two workers, a store, a model, and what packing it gives. Each run has a place of its own."""

    folder: Path
    s3: object
    cluster: object
    source: Path
    expected: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 1.0
    number: int = 0

    def prepare(self, number: int) -> None:
        """A place that is new."""
        self.number += 1
        self.here = self.folder / f"out-{self.number}"
        self.here.mkdir()

    def target(self, rng: random.Random) -> str:
        """In a folder, or in the store."""
        name = "model.dcz.index.json"
        return str(self.here / name) if rng.random() < 0.5 else f"s3://models/out-{self.number}/{name}"

    def pack(self, source: object, target: str, *options: str) -> tuple[int, str]:
        """`dcz pack`; its exit code and standard error."""
        before, err = sys.argv, io.StringIO()
        sys.argv = ["dcz", "pack", str(source), target, "--shard-size", "150kB", "-q", *options]
        began = time.monotonic()
        try:
            with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
                code = app._run()
        finally:
            sys.argv = before
        if time.monotonic() - began > PATIENCE:
            return -1, f"took more than {PATIENCE} s"
        return code, err.getvalue()

    def ended(self, run: tuple[int, str], source: object, target: str, allowed: str) -> str:
        """How a run ended, whose errors may be `allowed`; after one, whether resuming ends well."""
        self.s3.behave()
        code, err = run
        if code == 0:
            return self.differs(target) or WHOLE
        if not allowed or code != 1 or err.count("\n") != 1 or not re.search(allowed, err):
            return f"exit code {code}: {err[-1500:]!r}"
        code, again = self.pack(source, target, "--resume")
        if code:
            return f"resuming ends with exit code {code}: {again[-1500:]!r} after {err!r}"
        return self.differs(target) or RESUMED

    def differs(self, target: str) -> str:
        """What is not as in an undisturbed run."""
        if target.startswith("s3:"):
            import s3fs

            fs = s3fs.S3FileSystem()
            fs.invalidate_cache()
            folder = target.removeprefix("s3://").rpartition("/")[0] + "/"
            found = {path.removeprefix(folder): fs.cat_file(path) for path in fs.find(folder)}
        else:
            found = {str(p.relative_to(self.here)): p.read_bytes() for p in self.here.rglob("*") if p.is_file()}
        found.pop("model.dcz.job.json", None)
        if set(found) != set(self.expected):
            return f"files: {sorted(set(found) ^ set(self.expected))} differ"
        other = [name for name, data in found.items() if data != self.expected[name]]
        return f"other bytes than in an undisturbed run: {other}" if other else ""


@contextlib.contextmanager
def _world(folder: Path) -> Iterator[World]:
    import support.impatient  # noqa: F401
    from dcz import jobs
    from support.cluster import client_of, cluster
    from support.s3 import serving
    from support.sharded import write

    os.environ["DCZ_TIMEOUT"] = SILENCE
    # Tasks of two tensors, as people's tensors are larger.
    (jobs.pack.__kwdefaults__ or {})["task_bytes"] = 50_000
    with serving() as s3:
        os.environ["DASK_DISTRIBUTED__WORKER__PRELOAD"] = str(SUPPORT / "impatient.py")
        source = write(folder / "source")
        import s3fs

        s3fs.S3FileSystem().put(str(source.parent), "models/source", recursive=True)
        with cluster("one", "two", env=s3.environment) as made:
            world = World(folder, s3, made, source)
            with client_of(made, 2):
                pass
            world.prepare(0)
            code, err = world.pack(source, str(world.here / "model.dcz.index.json"), "--resume")
            if code:
                raise RuntimeError(err)
            world.expected = {p.name: p.read_bytes() for p in world.here.iterdir() if p.suffix == ".dcz"}
            world.expected["model.dcz.index.json"] = (world.here / "model.dcz.index.json").read_bytes()
            for _ in range(2):  # the first is longer: workers import what they need
                world.prepare(0)
                began = time.monotonic()
                code, err = world.pack(STORED, f"s3://models/out-{world.number}/model.dcz.index.json", *_by(made))
                world.seconds = time.monotonic() - began
                if code:
                    raise RuntimeError(err)
            yield world


STORED = "s3://models/source/model.safetensors.index.json"


def _by(cluster: object) -> tuple[str, str]:
    return "--scheduler", cluster.address


@contextlib.contextmanager
def _later(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Acts while the body runs, or at its end."""
    timer = threading.Timer(seconds, act)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def _worker_killed(world: World, rng: random.Random) -> str:
    """One of three workers is killed."""
    from support.cluster import client_of

    world.cluster.start("victim", env=world.s3.environment)
    with client_of(world.cluster, 3):
        pass
    target = world.target(rng)
    with _later(rng.random() * world.seconds, lambda: world.cluster.kill("victim")):
        ran = world.pack(STORED, target, *_by(world.cluster))
    return world.ended(ran, STORED, target, "")


def _scheduler_lost(world: World, rng: random.Random) -> str:
    from support.cluster import client_of, cluster

    target = world.target(rng)
    with cluster("alone", env=world.s3.environment) as own:
        with client_of(own, 1):
            pass
        with _later(rng.random() * 1.5 * world.seconds, own.scheduler.kill):
            ran = world.pack(STORED, target, *_by(own))
    return world.ended(ran, STORED, target, "the scheduler is lost|no scheduler answers there|has no workers")


def _store(manner: str, lasting: bool) -> Callable[[World, random.Random], str]:
    """The store fails, a few times or from then on: where it is read, where it is written to, or everywhere."""

    def act(world: World, rng: random.Random) -> str:
        target = world.target(rng)
        where = rng.choice(("source/", "model-00002-of-00003", f"out-{world.number}/", ""))
        after = 1_000_000 if lasting else rng.randint(1, 3)
        options = ("--resume",) if rng.random() < 0.5 else _by(world.cluster)
        moment = rng.random() * world.seconds
        with _later(moment, lambda: world.s3.behave(manner, where, healthy_after=after, delay=0.1)):
            ran = world.pack(STORED, target, *options)
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
        ran = world.pack(STORED, target, *_by(world.cluster))
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
    options = () if rng.random() < 0.5 else _by(world.cluster)
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
    process = _process(world, target, *rng.choice(((), _by(world.cluster))))
    time.sleep(rng.random() * (2.0 + world.seconds))
    process.kill()
    code, _ = _ended(process)
    if code == 0:
        return world.differs(target) or WHOLE
    code, err = world.pack(STORED, target, "--resume")
    return f"resuming ends with exit code {code}: {err!r}" if code else world.differs(target) or RESUMED


def _two_jobs(world: World, rng: random.Random) -> str:
    """Two processes pack to one place, the second a little later."""
    target = world.target(rng)
    by = rng.choice((("--resume",), _by(world.cluster)))
    first = _process(world, target, *by)
    time.sleep(rng.choice((0.0, rng.random() * (1.0 + world.seconds))))
    second = _process(world, target, *by)
    runs = [_ended(first), _ended(second)]
    codes = sorted(code for code, _ in runs)
    if codes == [0, 0] and "--resume" in by:  # the second came after the first had ended
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
