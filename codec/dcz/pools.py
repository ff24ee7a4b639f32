"""Threads that may be asked for anywhere, by a signal handler or a finalizer too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Whether this thread is just starting or ending others.
_state = threading.local()


class Pool(ThreadPoolExecutor):
    """A pool whose threads can be started by what interrupts the start of others.

    Python holds locks of its own, those of the whole process, while it starts or joins a thread. A signal handler that
    runs then in the same thread and starts another waits for them for ever; here it does the work itself.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As in `ThreadPoolExecutor`; what interrupts this thread in starting or ending another is done at once."""
        if not getattr(_state, "busy", False):
            _state.busy = True
            try:
                return super().submit(fn, *args, **kwargs)
            finally:
                _state.busy = False
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in `ThreadPoolExecutor`."""
        before = getattr(_state, "busy", False)
        _state.busy = True
        try:
            super().shutdown(wait, cancel_futures=cancel_futures)
        finally:
            _state.busy = before
