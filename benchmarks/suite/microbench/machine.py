"""The machine and the software that numbers were measured with."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.suite.microbench.compiled import compiler


def describe() -> dict[str, object]:
    """What someone needs to know who wants to compare numbers; `load` is that of the minute before."""
    import numpy

    import dcz
    from dcz import kernels

    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "caches": _caches(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "huge_pages": _first_line("/sys/kernel/mm/transparent_hugepage/enabled"),
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "compiler": _compiler(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "dcz": dcz.__version__,
        "kernels": kernels.active().name,
        "commit": _commit(),
        "load": load(),
        "stolen": stolen(),
    }


def load() -> float | None:
    """Processes that wanted to run in the last minute, on average."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def stolen() -> float | None:
    """Seconds since the start that a virtual machine's cores had to wait for those of the machine below."""
    fields = _first_line("/proc/stat").split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if value}
    family, model = fields.get("cpu family"), fields.get("model")
    name = fields.get("model name", platform.machine())
    return f"{name} (family {family}, model {model})" if family else name


def _caches() -> str:
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_first_line(index / name) for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found)


def _compiler() -> str:
    cc = compiler()
    if cc is None:
        return "none"
    return subprocess.run([cc, "--version"], capture_output=True, text=True).stdout.splitlines()[0]


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return done.stdout.strip()


def _first_line(path: str | Path) -> str:
    try:
        return Path(path).read_text().splitlines()[0]
    except (OSError, IndexError):
        return ""
