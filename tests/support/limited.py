"""Commands under a limit of the system on their memory, and large tensors to run them on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcz.convert import open_model, open_target, transfer
from dcz.convert.model import Tensor
from dcz.dtypes import by_code

# What a command may map beside what the process has mapped, with the modules of all verbs, before it begins. An array
# of all words of the tests' tensors does not fit.
LIMIT = 128 << 20
PROGRAM = """
import resource, sys
from dcz.cli import main
tiny, limit, *command = sys.argv[1:]
def run(*arguments):
    sys.argv = ["dcz", *arguments]
    try:
        return main()
    except SystemExit as end:
        return end.code
run("pack", tiny, tiny + ".dcz", "--threads", "1", "--quiet")
run("verify", tiny + ".dcz", "--threads", "1", "--quiet")
run("unpack", tiny + ".dcz", tiny + ".safetensors", "--quiet")
run("diff", tiny + ".dcz", tiny, "--quiet")
run("compare", tiny, "--quiet")
run("pack", tiny, tiny + ".delta.dcz", "--base", tiny, "--quiet")
run("apply", tiny, tiny + ".delta.dcz", tiny + ".again.dcz", "--quiet")
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + int(limit),) * 2)
sys.exit(run(*command))
"""
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads how much is mapped from /proc (Linux)"
)


def limited(folder, *arguments, limit=LIMIT):
    """Run a command of `dcz` in at most `limit` bytes more than it takes to begin; `folder` has `tiny.safetensors`."""
    tiny = folder / "tiny.safetensors"
    for left in folder.glob("tiny.safetensors.*"):
        left.unlink()
    command = [sys.executable, "-c", PROGRAM, str(tiny), str(limit), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def write_tiny(folder):
    header(folder / "tiny.safetensors", "F32", (2,))
    with open(folder / "tiny.safetensors", "r+b") as file:
        file.truncate(start(folder / "tiny.safetensors") + 8)


def start(path):
    """Return where the arrays of a safetensors file begin."""
    with open(path, "rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def header(path, code, shape):
    """Write the header of a safetensors file with one tensor, `w`."""
    target = open_target(path)
    target.begin([Tensor("w", by_code(code, "w"), shape)], {}, {})
    target._sink.publish()


ROWS, COLUMNS = 6 << 10, 4 << 10


def large_pair(folder):
    """Write `model.safetensors` with a tensor of 100 MB that is mostly a hole, the same as `model.dcz`, and
    `changed.safetensors`, a few values of which differ. Return the folder."""
    write_tiny(folder)
    source = folder / "model.safetensors"
    header(source, "F32", (ROWS, COLUMNS))
    values = np.random.default_rng(0).integers(1, 50, 1_000_000).astype("<f4")
    with open(source, "r+b") as file:
        for part in range(1, 5):
            file.seek(ROWS * COLUMNS // 5 * part * 4 // 8 * 8)
            file.write(values.tobytes())
        file.truncate(start(source) + 4 * ROWS * COLUMNS)
    shutil.copy(source, folder / "changed.safetensors")
    with open(folder / "changed.safetensors", "r+b") as file:
        for at in (0, 7_000_000, ROWS * COLUMNS - 1):
            file.seek(start(source) + 4 * at)
            file.write(np.float32(3).tobytes())
    with open_model(source) as model:
        transfer(model, open_target(folder / "model.dcz"))
    return folder
