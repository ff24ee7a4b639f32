"""Every single bit of a file flipped, every truncation, every byte appended: all refused.

The full form flips every bit of the files of `files.py`, truncates each vector everywhere and appends each byte to it.
The fastest kernel set, the pure one and the reference decoder read them. The short form takes every 97th, `--scale 0.1`
every tenth.
"""

from __future__ import annotations

from collections.abc import Callable

from conformance import FOLDER

import dcz
from campaign.files import attacked
from campaign.results import Result
from dcz import kernels
from support.reference import reference


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign; `seed` says where the short form begins."""
    result, step = Result(), round(1 / scale) if full else 97
    for name, (data, base) in attacked().items():
        _flips(result, name, data, base, range(seed % step, 8 * len(data), step))
    for path in sorted(FOLDER.glob("valid/*.dcz")):
        data = path.read_bytes()
        for end in range(seed % step, len(data), step):
            _refused(result, f"{path.stem} cut at {end}", data[:end])
            result.count("truncated files")
        for more in range(seed % step, 256, step):
            _refused(result, f"{path.stem} and byte {more}", data + bytes([more]))
            result.count("files with a byte more")
    return result


def _flips(result: Result, name: str, data: bytes, base: dict | None, bits: range) -> None:
    contents = None
    if base is not None:
        contents = reference.load(dcz.save(base))[0]
    changed = bytearray(data)
    pure = kernels.available()["pure"]
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
        hostile = bytes(changed)
        ways: dict[str, Callable[[], object]] = {
            "verify": lambda: dcz.verify(hostile, base=base),
            "load": lambda: dcz.load_file(hostile, base=base, threads=1),
            "reference": lambda: reference.load(hostile, contents),
        }
        for way, read in ways.items():
            if _taken(read):
                result.fault(f"{name}: bit {bit} flipped, and {way} takes it")
        with kernels.use(pure):
            if _taken(ways["verify"]):
                result.fault(f"{name}: bit {bit} flipped, and pure kernels take it")
        changed[bit // 8] ^= 1 << bit % 8
        result.count("flipped bits")


def _taken(read: Callable[[], object]) -> bool:
    try:
        read()
    except (dcz.DczError, reference.Refused):
        return False
    return True


def _refused(result: Result, what: str, data: bytes) -> None:
    """Whole, it would need a base or not: opening refuses it already."""
    if _taken(lambda: dcz.open(data)):
        result.fault(f"{what}: is opened")
    if _taken(lambda: reference.check_index(data)):
        result.fault(f"{what}: the reference decoder takes it")
