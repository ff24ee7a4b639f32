"""Streams that are closed, full, gone or narrow-minded, and signals: the exit code is right and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz

pytestmark = pytest.mark.skipif(os.name != "posix", reason="descriptors and signals as POSIX has them")

DCZ = f"{sys.executable} -m dcz"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tensors = {"w\u00e9ight.\u5c42": np.arange(900), "b": np.random.Generator(np.random.PCG64(1)).random(5000)}
    np.savez("m.npz", **tensors)
    dcz.save_file(tensors, "m.dcz")
    other = dict(tensors, b=tensors["b"] + 1)
    dcz.save_file(other, "other.dcz")
    return tmp_path


def sh(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    settings = {key: value for key, value in os.environ.items() if key not in ("LC_ALL", "LANG", "PYTHONUTF8")}
    command = command.replace("dcz ", f"{DCZ} ", 1)
    return subprocess.run(["sh", "-c", command], capture_output=True, env={**settings, **environment}, timeout=60)


VERBS = {
    "inspect": "inspect m.dcz", "verify": "verify m.dcz", "json": "inspect m.dcz --json", "diff": "diff m.dcz m.dcz",
    "pack": "pack m.npz new.dcz", "unpack": "unpack m.dcz -o new.npz", "compare": "compare m.dcz", "help": "--help",
    "csv": "compare m.dcz --csv", "version": "--version",
}  # fmt: skip
ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "the C locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("verb", VERBS)
def test_an_encoding_that_lacks_letters(folder: Path, verb: str, encoding: str) -> None:
    run = sh(f"dcz {VERBS[verb]}", **ENCODINGS[encoding])
    assert (run.returncode, run.stderr) == (0, b"") and run.stdout
    if verb == "json":
        names = {tensor["name"] for tensor in json.loads(run.stdout.decode("latin-1"))["tensors"]}
        assert names == {"w\u00e9ight.\u5c42", "b"}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("verb", ["inspect", "verify", "inspect --json", "unpack -o new.npz --json"])
def test_a_file_name_that_is_not_utf8(folder: Path, verb: str, encoding: str) -> None:
    name = b"bad\xff\x1b[31m.dcz"
    try:
        os.rename(b"m.dcz", name)
    except OSError:
        pytest.skip("this file system takes only names that are UTF-8")
    arguments = verb.split()
    command = [sys.executable, "-m", "dcz", arguments[0], os.fsdecode(name), *arguments[1:]]
    run = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (run.returncode, run.stderr) == (0, b"") and run.stdout and b"\x1b" not in run.stdout
    if "--json" in arguments:
        document = json.loads(run.stdout)
        assert os.fsencode(document.get("file") if arguments[0] == "inspect" else document["source"]) == name


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(folder: Path, closed: str) -> None:
    """The work is done, and no file takes the place of a stream and what is printed on it."""
    for command in ("pack m.npz new.dcz", "unpack m.dcz -o new.npz", "verify m.dcz", "inspect m.dcz"):
        run = sh(f"dcz {command} {closed}")
        assert (run.returncode, run.stderr) == (0, b""), command
    assert dcz.load_file("new.dcz").keys() == dcz.load_file("m.dcz").keys()
    assert sh(f"dcz verify missing.dcz {closed}").returncode == 1
    assert sh(f"dcz diff m.dcz other.dcz {closed}").returncode == 1
    assert sh(f"dcz diff m.dcz missing.dcz {closed}").returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_behind_standard_output(folder: Path, verb: str) -> None:
    """What a program prints is lost: that is an error, and `diff` does not say that files differ."""
    run = sh(f"dcz {VERBS[verb]} > /dev/full")
    assert run.returncode == (2 if verb == "diff" else 1)
    assert run.stderr == b"dcz: standard output: No space left on device\n"


@pytest.mark.parametrize("verb", VERBS)
def test_a_reader_that_leaves(folder: Path, verb: str) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "dcz", *VERBS[verb].split()]
    run = subprocess.run(command, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (run.returncode, run.stderr) == (2 if verb == "diff" else 1, b"")
    if verb == "pack":
        assert dcz.verify("new.dcz").tensors == 2


# Waits in the middle of writing until it is stopped.
SLOW = """
import sys, time
from dcz.container.writer import Writer
from dcz.cli import main
def wait(self, *arguments, **options):
    print("writing", file=sys.stderr, flush=True)
    time.sleep(60)
Writer.add = wait
sys.argv = ["dcz", "pack", "m.npz", "m.dcz", "--force"]
main()
"""


# A test run in the background, or under nohup, hands on that signals are ignored.
HEEDED = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("SIGTERM", 143, b"dcz: stopped by SIGTERM\n"),
        ("SIGHUP", 129, b"dcz: stopped by SIGHUP\n"),
        ("SIGINT", 130, b"dcz: interrupted\n"),
    ],
)
def test_a_signal_leaves_the_old_file(folder: Path, name: str, code: int, message: bytes) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with subprocess.Popen([sys.executable, "-c", HEEDED + SLOW], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None and process.stderr.readline() == b"writing\n"
        process.send_signal(getattr(signal, name))
        assert (process.stderr.read(), process.wait(timeout=30)) == (message, code)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_signal_that_is_ignored_stays_so(folder: Path) -> None:
    """As under nohup."""
    program = SLOW.replace("time.sleep(60)", "time.sleep(0.5); sys.exit(7)")
    command = ["sh", "-c", 'trap "" HUP; exec "$0" -c "$1"', sys.executable, program]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None and process.stderr.readline() == b"writing\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=30) == 7


# A disk that is full after 4 kB of any file: a limit on the size of files stands for it, with its own errno.
FULL = """
import resource, sys
from dcz.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.argv[0] = "dcz"
main()
"""


@pytest.mark.parametrize("arguments", [("pack", "m.npz", "new.dcz"), ("unpack", "m.dcz", "-o", "new.safetensors")])
def test_a_disk_that_is_full(folder: Path, arguments: tuple[str, ...]) -> None:
    pytest.importorskip("resource", reason="this system has no limits on the size of files")
    before = sorted(os.listdir())
    run = subprocess.run([sys.executable, "-c", FULL, *arguments], capture_output=True, text=True)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.startswith("dcz: ") and run.stderr.endswith(f"{arguments[-1]}: File too large\n"), run.stderr
    assert ".tmp" not in run.stderr and sorted(os.listdir()) == before


def test_standard_error_that_is_full_hides_no_failure(folder: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    assert sh("dcz verify missing.dcz 2> /dev/full").returncode == 1
    assert sh("dcz pack m.npz new.dcz 2> /dev/full").returncode == 0
