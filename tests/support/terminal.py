"""Commands in a pseudo-terminal of a given width, as a person sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

HEIGHT = 50


def on_terminal(*arguments: str, columns: int, **environment: str) -> str:
    """What `dcz` prints on a terminal; it has to succeed. Lines end in line feeds, without colours by default."""
    import pytest

    for module in ("pty", "termios"):
        pytest.importorskip(module, reason="this system has no pseudo-terminals")
    code, out, _ = run_on_terminal([sys.executable, "-m", "dcz", *arguments], columns, environment)
    assert code == 0, out
    return out


def run_on_terminal(
    command: Sequence[str], columns: int, environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Runs a command whose output is a terminal: its exit code, what it printed there, and what to standard error."""
    import pty
    import tempfile

    parent, child = pty.openpty()
    _resize(child, columns)
    settings = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    settings |= {"TERM": "xterm-256color", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", **(environment or {})}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=child, stderr=errors, env=settings)
        os.close(child)
        shown = b""
        while True:
            try:
                part = os.read(parent, 1 << 16)
            except OSError:  # the last process that had the terminal is gone
                break
            if not part:
                break
            shown += part
        os.close(parent)
        code = process.wait()
        errors.seek(0)
        return code, shown.decode().replace("\r\n", "\n"), errors.read().decode()


def _resize(descriptor: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, columns, 0, 0))
