"""Standard output, standard error and signals: what may be missing, narrow-minded, full, or gone."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
import sys
import textwrap
from types import FrameType

from dcz.text import printable_lines


class OutputError(Exception):
    """Standard output cannot be written to."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output: {error.strerror or error}")
        self.reader_left = error.errno == errno.EPIPE


class Stopped(BaseException):
    """A signal asked the process to end. Raised like KeyboardInterrupt, so that temporary files are removed."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.code = 128 + signum


# What follows "interrupted": how to go on, where the command that runs can.
interrupted = {"advice": ""}


def prepare() -> None:
    """Makes the standard streams usable, whatever the process was started with."""
    for number in range(3):  # closed ones: else the next file that is opened takes the number, and gets what is printed
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python has None for streams that were closed; what is said to them is said to nobody.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # letters that the encoding lacks are escaped
            stream.reconfigure(errors="backslashreplace")


def catch_signals() -> None:
    """Lets SIGTERM and SIGHUP end the process as Ctrl-C does; a signal that is ignored, as under nohup, stays so."""
    for name in ("SIGTERM", "SIGHUP"):
        signum = getattr(signal, name, None)  # Windows has no SIGHUP
        if signum is not None and signal.getsignal(signum) == signal.SIG_DFL:
            signal.signal(signum, _stop)


def _stop(signum: int, frame: FrameType | None) -> None:
    signal.signal(signum, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise Stopped(signum)


def say(text: str) -> None:
    """Prints lines on standard output. Escape sequences in them would be obeyed: only colours of our own pass."""
    try:
        sys.stdout.write(text + "\n")
    except OSError as error:
        raise OutputError(error) from error


def say_printable(text: str) -> None:
    """Prints lines that may hold names of files and tensors. On a terminal they are wrapped at spaces, but for a
    command, which is to be copied."""
    shown = printable_lines(text)
    if is_terminal():
        width = max(shutil.get_terminal_size().columns, 20)
        shown = "\n".join(part for line in shown.split("\n") for part in _wrapped(line, width))
    say(shown)


def _wrapped(line: str, width: int) -> list[str]:
    if len(line) <= width or ": dcz " in line:
        return [line]
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)


def warn(text: str) -> None:
    """Prints lines on standard error. Where they cannot be written there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(printable_lines(text) + "\n")
        sys.stderr.flush()


def flush() -> None:
    """Writes what is waiting to be written to standard output."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(error) from error


def discard() -> None:
    """Drops what waits to be written to standard output; the interpreter would try again at its end, and complain."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def is_terminal() -> bool:
    """True if standard output is a terminal."""
    return sys.stdout.isatty()


def can_show(text: str) -> bool:
    """True if standard output's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
