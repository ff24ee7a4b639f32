"""Prints the table of README.md that says how large libdcz is: its code at -Os, by each compiler that is there.

python codec/c/sizes.py
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = ("-std=c11", "-Os", "-ffunction-sections", "-c", str(HERE / "dcz.c"))
TARGETS = {
    "x86-64, gcc": ("gcc", "size", ()),
    "x86-64, clang": ("clang", "size", ()),
    "Cortex-M4, gcc": ("arm-none-eabi-gcc", "arm-none-eabi-size", ("-mcpu=cortex-m4", "-mthumb")),
}


def code_size(compiler: str, tool: str, flags: tuple[str, ...]) -> int:
    """Bytes of code and constants of the object file."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "dcz.o"
        subprocess.run([compiler, *flags, *FLAGS, "-o", str(out)], check=True)
        report = subprocess.run([tool, str(out)], check=True, capture_output=True, text=True).stdout
        text, data, bss = (int(word) for word in report.splitlines()[1].split()[:3])
        assert not bss  # there is no state outside of a dcz_file
        return text + data


def version(compiler: str) -> str:
    """Its own words, in short."""
    return subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout.strip()


def main() -> None:
    print("| bytes at -Os | with messages | `DCZ_NO_MESSAGES` |\n|---|---:|---:|")
    for title, (compiler, tool, flags) in TARGETS.items():
        if shutil.which(compiler) is None:
            continue
        sizes = [code_size(compiler, tool, (*flags, *more)) for more in ((), ("-DDCZ_NO_MESSAGES",))]
        print(f"| {title} {version(compiler)} | {sizes[0]:,} | {sizes[1]:,} |")


if __name__ == "__main__":
    main()
