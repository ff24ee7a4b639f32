"""What jobs of the campaign run in: a cluster, a store, a model, and places that are new."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dcz.cli import app

PATIENCE = 120.0  # seconds after which a run hangs
SILENCE = "1.0"  # seconds for which the store may be silent
SUPPORT = Path(__file__).parents[1] / "support"
STORED = "s3://models/source/model.safetensors.index.json"
WHOLE = "runs whole at once"
RESUMED = "runs ended by an error that names what failed, then resumed"


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
    early: float = 1.0
    met: bool = True

    def moment(self, rng: random.Random) -> float:
        """When the fault comes, in seconds."""
        return rng.random() * self.seconds * self.early

    def prepare(self) -> None:
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
def made_world(folder: Path) -> Iterator[World]:
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
            world.prepare()
            code, err = world.pack(source, str(world.here / "model.dcz.index.json"), "--resume")
            if code:
                raise RuntimeError(err)
            world.expected = {p.name: p.read_bytes() for p in world.here.iterdir() if p.suffix == ".dcz"}
            world.expected["model.dcz.index.json"] = (world.here / "model.dcz.index.json").read_bytes()
            for _ in range(2):  # the first is longer: workers import what they need
                world.prepare()
                began = time.monotonic()
                code, err = world.pack(STORED, f"s3://models/out-{world.number}/model.dcz.index.json", *by(made))
                world.seconds = time.monotonic() - began
                if code:
                    raise RuntimeError(err)
            yield world


def by(cluster: object) -> tuple[str, str]:
    return "--scheduler", cluster.address
