"""Kernels as fuzz targets, under the address and undefined-behaviour sanitizers.

Each target of `fuzz/*.cpp` takes bytes apart into the arguments of kernels, hands them buffers of exactly their size,
and compares all kernel sets that the machine runs. With clang they are libFuzzer programs; without it,
`fuzz/replay.cpp` runs them over the corpus in `tests/data/corpus`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from campaign import ROOT

SOURCES = Path(__file__).with_name("fuzz")
CORPUS = ROOT / "tests" / "data" / "corpus"
TARGETS = ("symbols", "decode", "codebook", "jobs", "changes", "words")
TIERS = ("portable", "avx2", "avx512")
FLAGS = ["-std=c++17", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DDCZ_X86", "-w"]


def tier_options(tier: str) -> list[str]:
    """What CMake compiles a kernel set with."""
    text = (ROOT / "codec" / "CMakeLists.txt").read_text()
    found = re.search(rf'tier_{tier}\.cpp\s+PROPERTIES\s+COMPILE_OPTIONS\s+"([^"]+)"', text)
    if found is None:
        raise SystemExit(f"codec/CMakeLists.txt: no options of tier_{tier}.cpp")
    return found[1].split(";")


def build(folder: Path, names: tuple[str, ...] = TARGETS, *, libfuzzer: bool = False, jobs: int = 2) -> dict[str, Path]:
    """The targets as programs in `folder`: of libFuzzer, or that run over files."""
    folder.mkdir(parents=True, exist_ok=True)
    compiler = "clang++" if libfuzzer else os.environ.get("CXX") or shutil.which("g++") or "c++"
    flags = [compiler, *FLAGS, *(["-fsanitize=fuzzer-no-link"] if libfuzzer else [])]

    def compile_(source: Path, *options: str) -> Path:
        out = folder / f"{source.stem}.o"
        subprocess.run([*flags, *options, "-c", str(source), "-o", str(out)], check=True)
        return out

    native = ROOT / "codec" / "native"
    work = [(native / f"tier_{tier}.cpp", tier_options(tier)) for tier in TIERS]
    work += [(SOURCES / f"{name}.cpp", []) for name in (*names, *(() if libfuzzer else ("replay",)))]
    with ThreadPoolExecutor(jobs) as pool:
        objects = dict(zip([source.stem for source, _ in work], pool.map(lambda w: compile_(w[0], *w[1]), work)))
    shared = [str(objects[f"tier_{tier}"]) for tier in TIERS] + ([] if libfuzzer else [str(objects["replay"])])
    programs = {}
    for name in names:
        programs[name] = folder / name
        link = [*flags, *(["-fsanitize=fuzzer"] if libfuzzer else []), str(objects[name]), *shared]
        subprocess.run([*link, "-o", str(programs[name])], check=True)
    return programs
