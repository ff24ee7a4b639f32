"""Tasks run by the workers of a Dask cluster, which places them, and repeats those of workers that die."""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dcz.errors import DczError
from dcz.extras import require
from dcz.format.trailer import FORMAT_VERSION
from dcz.jobs.tasks import Ran, Task, persistently
from dcz.version import __version__

# Seconds for which a scheduler may be out of reach before it counts as lost, and for which it may have no worker.
PATIENCE = 20.0
# What is wrong with one machine, not with the task: another worker may do it.
_OF_A_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
# Results that are fetched at once.
_TOGETHER = 1000
# Failures of the connection to a scheduler.
_GONE = ("cancelled", "lost")


class TaskError(Exception):
    """What a task raised: its key, the worker's address, and the error."""

    def __init__(self, key: str, worker: str, error: Exception) -> None:
        super().__init__(key, worker, error)
        self.key, self.worker, self.error = key, worker, error


@dataclass(frozen=True, slots=True)
class Call:
    """A task as workers get it. Results of the tasks before it are not used: they only say that these are done."""

    key: str
    work: Callable[[], Any]
    version: str

    def __call__(self, *needs: object) -> Any:
        from distributed import get_worker

        if self.version != __version__:  # of a worker that came after the check
            raise TaskError(self.key, get_worker().address, _differs(self.version, {get_worker().address: __version__}))
        try:
            return persistently(self.work)
        except (DczError, OSError, MemoryError) as error:
            raise TaskError(self.key, get_worker().address, error) from None


class Cluster:
    """The runner that gives tasks to the workers of `client`, a `distributed.Client`."""

    workers = True

    def __init__(self, client: Any) -> None:
        distributed = require("distributed", "dask", "client")
        if not isinstance(client, distributed.Client):
            raise DczError(f"client: expected a distributed.Client, found {type(client).__name__}")
        self._client = client
        self._check_versions()

    def run(self, tasks: Sequence[Task], done: Callable[[int], None]) -> Ran:
        """Run tasks on all workers. Those that failed for want of something on one machine run again on the others."""
        ran = self._run(tasks, done, None)
        full = {
            error.worker
            for error in ran.errors.values()
            if isinstance(error, TaskError) and _is_of_a_machine(error.error)
        }
        others = [address for address in self._addresses() if address not in full] if full else []
        if others:
            left = [task for task in tasks if task.key not in ran.results and not _is_lasting(ran.errors.get(task.key))]
            again = self._run([_without(task, ran.results) for task in left], done, others)
            ran.results |= again.results
            ran.errors = {key: error for key, error in ran.errors.items() if _is_lasting(error)} | again.errors
        ran.errors = {key: error.error if isinstance(error, TaskError) else error for key, error in ran.errors.items()}
        return ran

    def _run(self, tasks: Sequence[Task], done: Callable[[int], None], workers: list[str] | None) -> Ran:
        """Run tasks; errors stay `TaskError`."""
        ran = Ran()
        if not tasks:
            return ran
        token = os.urandom(6).hex()  # two jobs on one cluster may have tasks of one name
        graph = {
            _key(task.key, token): (Call(task.key, task.work, __version__), *(_key(need, token) for need in task.needs))
            for task in tasks
        }
        nbytes = {_key(task.key, token): task.nbytes for task in tasks}
        futures = self._client.get(graph, list(graph), sync=False, workers=workers, allow_other_workers=False)
        try:
            for ended in self._ended(futures):
                finished = [future for future in ended if future.status == "finished"]
                for future, result in zip(finished, self._client.gather(finished)):
                    ran.results[future.key[1]] = result
                    done(nbytes[future.key])
                for future in ended:
                    if future.status == "error":
                        _note(ran, future.key[1], future.exception())
        except (OSError, CancelledError, asyncio.CancelledError) as error:  # tasks' own are `TaskError`
            raise self._lost() from error
        finally:
            if self._client.status == "running":
                self._client.cancel([future for future in futures if not future.done()], force=True)
            for future in futures:
                future.release()
        return ran

    def _ended(self, futures: Sequence[Any]) -> Iterable[list[Any]]:
        """Yield futures as they end, as many at a time as have; raise an error if the scheduler is lost."""
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(waiting.put)
        left, away = len(futures), 0.0
        while left:
            try:
                ended = [waiting.get(timeout=0.5)]
            except queue.Empty:
                away = 0.0 if self._client.status == "running" else away or time.monotonic()
                if self._client.status == "closed" or (away and time.monotonic() - away > PATIENCE):
                    raise self._lost() from None
                continue
            while len(ended) < _TOGETHER and not waiting.empty():
                ended.append(waiting.get())
            if any(future.status in _GONE for future in ended):
                raise self._lost()
            left -= len(ended)
            yield ended

    def _lost(self) -> DczError:
        return DczError(
            f"{self._address()}: the scheduler is lost; start it and its workers again, and then go on with --resume"
        )

    def _address(self) -> str:
        scheduler = self._client.scheduler
        return str(scheduler.address if scheduler is not None else "scheduler")

    def _addresses(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def _check_versions(self) -> None:
        """Refuse workers of another version, and a cluster without any."""
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise DczError(f"{self._address()}: has no workers; start some: dask worker {self._address()}") from None
        found = self._client.run(_version, on_error="return")
        other = {}
        for worker, version in found.items():
            if isinstance(version, BaseException):
                other[worker] = f"no dcz that has jobs ({version})"
            elif tuple(version) != (__version__, FORMAT_VERSION):
                other[worker] = f"{version[0]} (format version {version[1]})"
        if other:
            raise _differs(f"{__version__} (format version {FORMAT_VERSION})", other)


class AddressError(DczError):
    """What is given as a scheduler's address is not one."""


def connect(address: str) -> Any:
    """Return a client of the scheduler at this address.

    Raises `AddressError` for what is not an address, and `DczError` where no scheduler answers."""
    distributed = require("distributed", "dask", "--scheduler")
    try:
        _ask(address, PATIENCE / 2)
        return distributed.Client(address, timeout=PATIENCE / 2, set_as_default=False, name="dcz")
    except (OSError, asyncio.TimeoutError, MemoryError) as error:
        said = " ".join(str(error).split())
        if not said or isinstance(error, MemoryError):  # what is no message of Dask's is read as a huge one
            said = f"what listens there is silent for {PATIENCE / 2:g} s, or is not a scheduler"
        raise DczError(f"{address}: no scheduler answers there ({said:.200}); start one: dask scheduler") from None


def _ask(address: str, seconds: float) -> None:
    """Ask a scheduler what it is. A `Client` that cannot connect blocks for 20 s when it is collected, and waits for
    ever for a server that is not Dask's: none is made before a scheduler has answered."""
    from distributed.comm import connect
    from distributed.core import send_recv
    from distributed.security import Security

    async def ask() -> str:
        comm = await connect(address, timeout=seconds, **Security().get_connection_args("client"))
        try:
            return str((await send_recv(comm, op="identity"))["type"])
        finally:
            comm.abort()

    try:
        _ = urlsplit(address).port  # Dask tries ports above 65535 until its patience ends
        kind = asyncio.run(asyncio.wait_for(ask(), seconds + 1))
    except (TypeError, ValueError) as error:  # TypeError: what it needs, such as certificates for tls, is not set up
        raise AddressError(f"{error}") from error
    if kind != "Scheduler":
        raise AddressError(f"it is that of a {kind.lower()}")


def _key(name: str, token: str) -> tuple[str, str, str]:
    """Return the key of a task on the scheduler, which keeps counts for all that have the first part in common: the
    verb, as it would slow down under as many kinds as there are tensors."""
    return name.partition(":")[0], name, token


def _version() -> tuple[str, int]:
    return __version__, FORMAT_VERSION


def _differs(mine: str, theirs: Mapping[str, str]) -> DczError:
    worker, version = next(iter(theirs.items()))
    more = f", and {len(theirs) - 1} more differ" if len(theirs) > 1 else ""
    return DczError(
        f"client and workers differ: dcz {mine} here, {version} at {worker}{more}; install the same version"
    )


def _note(ran: Ran, key: str, error: BaseException) -> None:
    """Note an error at the task that raised it; those that need the task end with the same one."""
    if isinstance(error, TaskError):
        ran.errors[error.key] = error
    elif type(error).__name__ == "KilledWorker":
        worker = getattr(error, "last_worker", None)
        where = "" if worker is None else f", the last at {worker.address}"
        killed = getattr(error, "task", key)
        name = killed[1] if isinstance(killed, tuple) else str(killed)
        ran.errors[name] = DczError(f"{name}: workers died of it again and again{where}; has each enough memory?")
    else:
        raise error


def _is_of_a_machine(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OF_A_MACHINE)


def _is_lasting(error: Exception | None) -> bool:
    """Return whether a task has failed, and would elsewhere."""
    return error is not None and not (isinstance(error, TaskError) and _is_of_a_machine(error.error))


def _without(task: Task, results: Mapping[str, Any]) -> Task:
    """Return a task that needs those alone that are not done."""
    return Task(task.key, task.work, tuple(need for need in task.needs if need not in results), task.nbytes)
