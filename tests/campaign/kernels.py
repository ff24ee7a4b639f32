"""libFuzzer over the kernels and over whole files by the C reader, under the sanitizers.

The full form needs clang. It runs each target for ten minutes, merges what it found into `tests/data/corpus`, and
counts the lines of the kernels that the corpus reaches. The short form builds the targets with any compiler and replays
the corpus.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from campaign import ROOT, fuzz, fuzz_seeds
from campaign.results import Result

SECONDS = 600  # of each target
MOST_CORPUS = 280_000  # bytes of a target's corpus: under 2 MB together
_ENVIRONMENT = {"ASAN_OPTIONS": "allocator_may_return_null=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign; `seed` is libFuzzer's, 0 for one of the time."""
    result = Result()
    with tempfile.TemporaryDirectory() as name:
        (_fuzz if full else _replay)(result, Path(name), scale, seed)
    return result


def corpus_files(target: str) -> list[Path]:
    """The inputs of a target that are kept."""
    return sorted((fuzz.CORPUS / target).glob("*"))


def _replay(result: Result, folder: Path, scale: float, seed: int) -> None:
    for target, program in fuzz.build(folder).items():
        files = corpus_files(target)
        done = subprocess.run([program, *files], capture_output=True, text=True)
        result.count("inputs", len(files))
        if done.returncode or f"{len(files)} inputs" not in done.stdout:
            result.fault(f"{target}: {done.stderr[-2000:]}")


def _fuzz(result: Result, folder: Path, scale: float, seed: int) -> None:
    programs = fuzz.build(folder / "programs", libfuzzer=True)
    programs["reader"] = _build_reader(folder / "programs")
    for target, program in programs.items():
        corpus = folder / target
        _seed(target, corpus)
        log = _run(program, corpus, max(1, int(SECONDS * scale)), seed, folder)
        runs = re.search(r"Done (\d+) runs", log)
        edges = re.findall(r"cov: (\d+)", log)
        result.figures[f"runs of `{target}`"] = int(runs[1]) if runs else 0
        result.figures[f"edges of `{target}`"] = int(edges[-1]) if edges else 0
        for found in folder.glob("found-*"):
            kept = Path(tempfile.gettempdir()) / f"dcz-{target}-{found.name}"
            shutil.move(found, kept)
            result.fault(f"{target}: {kept}: {' '.join(log[-1500:].split())}")
        _keep(program, target, corpus, folder)
    if shutil.which("llvm-profdata-14") or shutil.which("llvm-profdata"):
        lines = _coverage(folder / "coverage")
        result.figures["% of the lines of the portable kernels reached by the corpus"] = lines


def _seed(target: str, corpus: Path) -> None:
    corpus.mkdir()
    for path in corpus_files(target):
        shutil.copy(path, corpus)
    if target == "reader":
        import sys

        sys.path.insert(0, str(ROOT / "codec" / "c" / "fuzz"))
        from seeds import seeds

        for name, data in seeds().items():
            (corpus / name.replace("/", "_")).write_bytes(data)
    else:
        fuzz_seeds.write(corpus, target)


def _run(program: Path, corpus: Path, seconds: int, seed: int, folder: Path) -> str:
    limits = [
        f"-max_total_time={seconds}",
        "-rss_limit_mb=4096",
        "-timeout=10",
        "-max_len=20000",
        "-print_final_stats=1",
    ]
    command = [program, *limits, f"-seed={seed}", f"-artifact_prefix={folder}/found-", corpus]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=_ENVIRONMENT)
    return done.stderr


def _keep(program: Path, target: str, corpus: Path, folder: Path) -> None:
    """Puts the fewest inputs that reach what all reach into the repository, the smallest first."""
    merged = folder / f"{target}-merged"
    merged.mkdir()
    subprocess.run([program, "-merge=1", "-max_len=20000", merged, corpus], capture_output=True, env=_ENVIRONMENT)
    kept = fuzz.CORPUS / target
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    size = 0
    for path in sorted(merged.glob("*"), key=lambda path: (path.stat().st_size, path.name)):
        size += path.stat().st_size
        if size > MOST_CORPUS:
            break
        shutil.copy(path, kept / path.name[:16])


def _build_reader(folder: Path) -> Path:
    """The C reader's target, of whole files, in which checksums are not compared."""
    c, out = ROOT / "codec" / "c", folder / "reader"
    sources = [c / "fuzz" / "fuzz.c", c / "dcz.c", c / "dcz_zstd.c"]
    flags = [
        "-g",
        "-O1",
        "-std=c11",
        "-fsanitize=fuzzer,address,undefined",
        "-fno-sanitize-recover=all",
        "-DDCZ_FUZZING",
    ]
    subprocess.run(["clang", *flags, "-o", out, *sources, "-lzstd"], check=True)
    return out


def _coverage(folder: Path) -> float:
    """Per cent of the lines of the portable kernels that the corpus reaches."""
    folder.mkdir()
    native = ROOT / "codec" / "native"
    flags = ["clang++", "-std=c++17", "-O0", "-w", "-fprofile-instr-generate", "-fcoverage-mapping"]
    kernels = folder / "portable.o"
    subprocess.run(
        [*flags, *fuzz.tier_options("portable"), "-c", native / "tier_portable.cpp", "-o", kernels], check=True
    )
    programs, profiles = [], []
    for target in fuzz.TARGETS:
        programs.append(folder / target)
        sources = [fuzz.SOURCES / f"{target}.cpp", fuzz.SOURCES / "replay.cpp"]
        subprocess.run([*flags, *sources, kernels, "-o", programs[-1]], check=True)
        profiles.append(folder / f"{target}.profraw")
        environment = {"LLVM_PROFILE_FILE": str(profiles[-1])}
        subprocess.run([programs[-1], *corpus_files(target)], check=True, capture_output=True, env=environment)
    profdata = shutil.which("llvm-profdata-14") or "llvm-profdata"
    subprocess.run([profdata, "merge", *profiles, "-o", folder / "all.profdata"], check=True)
    cov = shutil.which("llvm-cov-14") or "llvm-cov"
    objects = [part for program in programs[1:] for part in ("-object", program)]
    report = [cov, "report", programs[0], *objects, f"-instr-profile={folder / 'all.profdata'}", native]
    table = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    (Path(tempfile.gettempdir()) / "dcz-kernel-coverage.txt").write_text(table)
    numbers = re.findall(r"([\d.]+)%", next(row for row in table.splitlines() if row.startswith("TOTAL")))
    return float(numbers[2])  # regions, functions, lines
