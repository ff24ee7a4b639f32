"""Huffman decoding alone, 16 symbols: dcz's kernels against Huff0, the coder inside zstd.

Huff0 has no library of its own and zstd's does not export it, so its pinned sources are fetched from the package
index (the source archive of the `zstd` package has all of zstd, its assembly included), compiled here with the
helper in native/huff0.c, and called on the same symbols. Its best is the best of its two decoders (X1: one symbol a
lookup, X2: two), whose table is built beforehand; dcz's time includes its table.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.suite.microbench.compiled import NATIVE, CannotCompile, compile_shared, load
from dcz import kernels
from dcz.entropy import Code
from dcz.kernels.interface import LANES, Kernels

ZSTD_SOURCES = "zstd==1.5.7.2"
_PARTS = (
    "common/entropy_common.c", "common/fse_decompress.c", "common/error_private.c", "common/zstd_common.c",
    "common/debug.c", "compress/huf_compress.c", "compress/fse_compress.c", "compress/hist.c",
    "decompress/huf_decompress.c",
)  # fmt: skip
_ASSEMBLY = "decompress/huf_decompress_amd64.S"
BLOCK = 128 << 10  # the largest that Huff0 takes
_BLOCKS = 16
_SECONDS = 0.05
_LIMIT = 11


def symbols(seed: int = 16) -> np.ndarray:
    """Gaussian weights on 16 evenly spaced clusters: 3.64 bits a symbol."""
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = rng.standard_normal(_BLOCKS * BLOCK, np.float32)
    return np.clip(np.rint((weights + 2.6) * (15 / 5.2)), 0, 15).astype(np.uint8)


def measure(folder: Path, rounds: int = 9, fetch: bool = True) -> dict[str, float | str]:
    """Symbols a second by decoder, medians of interleaved rounds; a reason in place of what cannot be measured."""
    data = symbols()
    runs: dict[str, Callable[[], None]] = {
        f"dcz {name}": _own(kernel, data) for name, kernel in kernels.available().items() if name != "pure"
    }
    missing: dict[str, float | str] = {}
    try:
        library = _huff0(folder, fetch)
        runs |= {f"Huff0 {name}": _theirs(library, data, x2) for name, x2 in (("X1", 0), ("X2", 1))}
    except CannotCompile as error:
        missing["Huff0"] = str(error)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            count, start = 0, time.perf_counter()
            while (whole := time.perf_counter() - start) < _SECONDS:
                run()
                count += 1
            seconds[name].append(whole / count)
    return {**{name: len(data) / median(values) for name, values in seconds.items()}, **missing}


def _own(kernel: Kernels, data: np.ndarray) -> Callable[[], None]:
    """Decodes all blocks with dcz's kernel, having checked once that it does."""
    lengths = kernel.code_lengths(np.bincount(data, minlength=256).astype(np.uint64), _LIMIT)
    record = np.frombuffer(Code.huffman(lengths).record, np.uint8)
    bounds, use = np.array([0, BLOCK], np.int64), np.zeros(1, np.uint8)
    out = np.empty(BLOCK, np.uint8)
    blocks = []
    for at in range(0, len(data), BLOCK):
        part = data[at : at + BLOCK]
        lanes = kernel.lane_sizes(part, bounds, use, record)
        coded = np.empty(int(lanes.sum()) + 2 * (LANES - 1), np.uint8)  # in front, the sizes of all lanes but one
        kernel.encode(part, bounds, use, record, lanes, coded, np.zeros(1, np.int64))
        kernel.decode(record, coded, out)
        if not np.array_equal(out, part):
            raise AssertionError(f"the {kernel.name} kernels decode other symbols")
        blocks.append(coded)

    def run() -> None:
        for coded in blocks:
            kernel.decode(record, coded, out)

    return run


def _theirs(library: ctypes.CDLL, data: np.ndarray, x2: int) -> Callable[[], None]:
    """Decodes all blocks with Huff0, having checked once that it does."""
    library.huff0_compress.restype = library.huff0_table.restype = ctypes.c_size_t
    library.huff0_table_size.restype = library.huff0_decompress.restype = ctypes.c_size_t
    out = np.empty(BLOCK, np.uint8)
    blocks = []
    for at in range(0, len(data), BLOCK):
        part = data[at : at + BLOCK]
        coded = np.empty(BLOCK, np.uint8)
        size = library.huff0_compress(_at(coded), ctypes.c_size_t(BLOCK), _at(part), ctypes.c_size_t(BLOCK))
        table = np.empty(library.huff0_table_size() // 4, np.uint32)
        head = library.huff0_table(_at(table), x2, _at(coded), ctypes.c_size_t(size))
        if not size or not head:
            raise CannotCompile("Huff0 refuses the symbols")
        body = coded[head:size]
        blocks.append((_at(body), ctypes.c_size_t(len(body)), _at(table), (coded, table, out)))
        library.huff0_decompress(_at(out), ctypes.c_size_t(BLOCK), *blocks[-1][:3])
        if not np.array_equal(out, part):
            raise CannotCompile("Huff0 decodes other symbols")
    target, length = _at(out), ctypes.c_size_t(BLOCK)

    def run() -> None:
        for body, size, table, _ in blocks:
            library.huff0_decompress(target, length, body, size, table)

    return run


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _huff0(folder: Path, fetch: bool) -> ctypes.CDLL:
    target = folder / "huff0.so"
    if target.exists():
        return load(target)
    if not fetch:
        raise CannotCompile("its sources are not fetched in a quick run")
    sources = folder / "zstd"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "zstd"]
    done = subprocess.run([*command, "--dest", str(sources), ZSTD_SOURCES], capture_output=True, text=True)
    archives = list(sources.glob("zstd-*.tar.gz"))
    if done.returncode or not archives:
        raise CannotCompile(f"the sources of {ZSTD_SOURCES} could not be fetched")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(sources, filter="data")
    (root,) = sources.glob("zstd-*/zstd/lib")
    parts = [root / part for part in _PARTS]
    try:
        compile_shared(target, [NATIVE / "huff0.c", *parts, root / _ASSEMBLY], _flags(root))
    except CannotCompile:  # no assembler for it: another processor
        compile_shared(target, [NATIVE / "huff0.c", *parts], [*_flags(root), "-DZSTD_DISABLE_ASM=1"])
    return load(target)


def _flags(root: Path) -> list[str]:
    return ["-DHUF_STATIC_LINKING_ONLY", f"-I{root}"]
