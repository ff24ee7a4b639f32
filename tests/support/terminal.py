"""Commands in a pseudo-terminal of a given width, as a person sees them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def on_terminal(*arguments: str, columns: int, **environment: str) -> str:
    """What `dcz` prints on a terminal; it has to succeed. Lines end in line feeds, without colours by default."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    termios = pytest.importorskip("termios", reason="this system has no pseudo-terminals")
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (50, columns)) if hasattr(termios, "tcsetwinsize") else _resize(child, columns)
    settings = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    settings |= {"TERM": "xterm-256color", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "dcz", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=subprocess.DEVNULL,
        env=settings,
    )
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
    assert process.wait() == 0, shown
    return shown.decode().replace("\r\n", "\n")


def _resize(descriptor: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
