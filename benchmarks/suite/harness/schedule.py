"""One input, all peers: encoded, checked bit for bit, then decoded in turns."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.suite import inputs
from benchmarks.suite.harness.rows import Row
from benchmarks.suite.harness.workers import PeerFailed, RemoteWorker
from benchmarks.suite.peers import OWN, PEERS

# Slow peers are timed once, and only where a user would wonder.
SLOW_INPUTS = (inputs.SQUEEZENET, inputs.ALEXNET, inputs.PALETTE_F32, inputs.BFLOAT16, inputs.PRUNED)
_ONCE_SECONDS = 4.0
_FEW_SECONDS = 0.6
_FEW_ROUNDS = 3
# Below this, decoding takes longer or shorter by the pages that a process happens to get, a third on a virtual
# machine, and within a turn it gets the same ones: more turns, of which there is time for many.
_SWIFT_SECONDS = 0.1
_SWIFT_ROUNDS = 3


@dataclass(frozen=True)
class Pace:
    """How often everything is repeated, and how long one answer may take."""

    rounds: int = 7
    encodes: int = 3
    timeout: float = 420.0
    roofline_bytes: int = 240 << 20


QUICK = Pace(rounds=1, encodes=1, timeout=60.0, roofline_bytes=8 << 20)


@dataclass
class Measured:
    """The rows of one input, and the rooflines that were measured in dcz's own process between its turns."""

    rows: list[Row] = field(default_factory=list)
    rooflines: list[dict[str, float]] = field(default_factory=list)

    def roofline(self) -> dict[str, float]:
        """Bytes a second, medians over the rounds."""
        if not self.rooflines:
            return {}
        return {name: median(r[name] for r in self.rooflines) for name in self.rooflines[0]}


def measure(
    name: str, peers: list[str], folder: Path, pace: Pace, library: Path | None, say: Callable[[str], None]
) -> Measured:
    """Measures `peers` on the input that `inputs.prepare` has left in `folder`."""
    measured = Measured()
    dense = inputs.open_prepared(name, folder).nbytes
    workers: dict[str, RemoteWorker] = {}
    try:
        for peer in peers:
            kind = PEERS[peer]
            rows = [Row(name, peer, kind.name, threads, dense=dense) for threads in kind.threads]
            measured.rows += rows
            if kind.slow and name not in SLOW_INPUTS:
                _refuse(rows, "not run", "it takes minutes; it is measured on the other inputs")
                continue
            say(f"{name}: {kind.name}")
            try:
                workers[peer] = _enter(rows, peer, name, folder, pace)
            except PeerFailed as failure:
                _refuse(rows, failure.kind, failure.reason)
        ready = [row for row in measured.rows if row.status == "ok"]
        say(f"{name}: encoding in turns")
        _turns(ready, pace.encodes - 1, workers, _encode_turn)
        for what in ("fresh", "warm"):
            say(f"{name}: decoding in turns, {what} memory")
            turn = partial(_decode_turn, what=what, pace=pace, library=library, measured=measured)
            _turns(ready, pace.rounds, workers, turn)
            swift = [row for row in ready if row.status == "ok" and median(getattr(row, what)) < _SWIFT_SECONDS]
            _turns(swift, (_SWIFT_ROUNDS - 1) * pace.rounds, workers, turn)
    finally:
        for worker in workers.values():
            worker.end()
    return measured


def _enter(rows: list[Row], peer: str, name: str, folder: Path, pace: Pace) -> RemoteWorker:
    """Starts a peer, encodes and checks once with every thread count."""
    worker = RemoteWorker(peer, name, folder, pace.timeout)
    try:
        for row in rows:
            row.version = worker.opened["version"]
        if worker.opened["refuses"]:
            raise PeerFailed("not for this input", worker.opened["refuses"])
        for row in rows:
            encoded = worker.ask("encode", threads=row.threads, peak=True)
            row.size, row.encode_peak = encoded["bytes"], encoded["peak"]
            row.encode = encoded["seconds"]
            checked = worker.ask("check", threads=row.threads)
            if checked["wrong"]:
                raise PeerFailed("not exact", f"other bits in {', '.join(checked['wrong'])}")
            row.exact, row.decode_peak = True, checked["peak"]
    except PeerFailed:
        worker.end()
        raise
    return worker


def _refuse(rows: list[Row], kind: str, reason: str) -> None:
    for row in rows:
        row.status, row.reason = kind, reason


def _turns(
    rows: list[Row], rounds: int, workers: dict[str, RemoteWorker], turn: Callable[[Row, RemoteWorker, int], None]
) -> None:
    """Every row once a round, in an order that changes."""
    order = random.Random(0)
    for number in range(rounds):
        for row in order.sample(rows, len(rows)):
            if row.status != "ok":
                continue
            try:
                turn(row, workers[row.peer], number)
            except PeerFailed as failure:
                row.status, row.reason = failure.kind, failure.reason


def _encode_turn(row: Row, worker: RemoteWorker, number: int) -> None:
    if row.encode[0] > _ONCE_SECONDS:
        return
    if number == 0:
        row.encode = []  # the first was the one that loaded everything
    row.encode += worker.ask("encode", threads=row.threads)["seconds"]


def _decode_turn(
    row: Row, worker: RemoteWorker, number: int, what: str, pace: Pace, library: Path | None, measured: Measured
) -> None:
    seconds: list[float] = getattr(row, what)
    if seconds and (seconds[0] > _ONCE_SECONDS or (seconds[0] > _FEW_SECONDS and number >= _FEW_ROUNDS)):
        return
    seconds += worker.ask("decode", threads=row.threads, warm=what == "warm")["seconds"]
    if what == "warm" and row.peer == OWN[0] and row.threads == 1 and library is not None:
        measured.rooflines.append(worker.ask("roofline", library=str(library), size=pace.roofline_bytes))
