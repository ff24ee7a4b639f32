"""Files with anything changed and all checksums repaired: the fastest kernels, the pure ones and the reference decoder
must refuse each, or all give the same bits.

One to three changes a file: a number of the index, a column longer or shorter, a bit of the index's msgpack, bits or
bytes of the segments. Then the checksums of codebooks, chunks, index and trailer are made right. What decodes gets the
checksum of its content, too, and is verified. A case may take a second and, beside 64 MiB, twice the bytes that it
declares.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import dcz
from campaign.files import DELTA, LAYOUTS, Parts, attacked
from campaign.isolated import Crashed, isolated, peak, resident
from campaign.results import Result
from dcz import errors, kernels
from support.forging import crc, encoded, finish
from support.mutations import changed_number
from support.reference import reference

FULL, SHORT = 1_000_000, 150  # of each layout
BATCH = 1_000
_BYTES = 1 << 22  # what readers may decode
_SLOW = 1 << 16  # words that the reference decoder is asked for
_CLASSES = (
    (errors.ChecksumError, "checksum"),
    (errors.TruncatedError, "truncated"),
    (errors.UnsupportedError, "unsupported"),
    (errors.LimitError, "limit"),
    (errors.BaseError, "base"),
    (errors.FormatError, "format"),
)
Base = Mapping[str, np.ndarray]
Outcome = tuple[str, Any]


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign."""
    result = Result({"seed": seed})
    count = max(1, int((FULL if full else SHORT) * scale))
    for layout in (*LAYOUTS, DELTA):
        for first in range(0, count, BATCH):
            last = min(count, first + BATCH)
            try:
                figures, faults = isolated(_batch, layout, seed, first, last)
            except Crashed as error:
                figures, faults = {}, [f"{layout}: cases {first} to {last} of seed {seed}: {error}"]
            for what, number in figures.items():
                (result.most if isinstance(number, float) else result.count)(what, number)
            result.faults += faults
    return result


def _batch(layout: str, seed: int, first: int, last: int) -> tuple[dict[str, Any], list[str]]:
    result = Result()
    data, base = attacked()[layout]
    parts = Parts(data)
    for number in range(first, last):
        rng = random.Random(f"{layout} {seed} {number}")
        try:
            case(result, mutated(parts, rng), base)
        except AssertionError as error:
            result.fault(f"{layout}: case {number} of seed {seed}: {error}")
        except Exception as error:
            result.fault(f"{layout}: case {number} of seed {seed}: {type(error).__name__}: {error}")
        result.count("files")
    return result.figures, result.faults


def mutated(parts: Parts, rng: random.Random) -> Parts | bytes:
    """A file with one to three things changed; as bytes where its index is no longer to be taken apart."""
    new = copy.deepcopy(parts)
    if rng.random() < 0.1:
        raw = bytearray(encoded(new.index))
        for _ in range(rng.randint(1, 2)):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        return finish(bytes(new.front), bytes(raw), features=new.features)
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.45:
            changed_number(new.index, rng)
        elif kind < 0.5:
            _codes(new.index, rng)
        elif kind < 0.9:
            new.front[rng.randrange(8, len(new.front))] ^= 1 << rng.randrange(8)
        else:
            new.front[rng.randrange(8, len(new.front))] = rng.choice((0, 255, rng.randrange(256)))
    new.repair()
    return new


def _codes(plain: dict[str, Any], rng: random.Random) -> None:
    """A code becomes another, or its lengths change."""
    at = rng.randrange(len(plain["codes"]))
    code = plain["codes"][at]
    if isinstance(code, bytes) and code and rng.random() < 0.7:
        lengths = bytearray(code)
        lengths[rng.randrange(len(lengths))] ^= 1 << rng.randrange(8)
        plain["codes"][at] = bytes(lengths)
    else:
        plain["codes"][at] = rng.choice(
            ("raw", "zstd", "packed1", "packed3", "packed7", "packed8", "odd", b"\1", b"\2\x12")
        )


def case(result: Result, made: Parts | bytes, base: Base | None) -> None:
    """One file, read by all; an `AssertionError` where they disagree or one of them misbehaves."""
    try:
        data = made if isinstance(made, bytes) else made.joined()
    except (ValueError, OverflowError, TypeError):
        return  # numbers that the index cannot hold at all
    before, resident_before = peak(), resident()
    found = {name: _timed(result, name, lambda s=s: loaded(s, data, base)) for name, s in _sets().items()}
    native, pure = found["native"], found["pure"]
    assert native == pure, f"native: {native!r:.300}; pure: {pure!r:.300}"
    allowed = max(before, resident_before + (64 << 20) + 2 * _BYTES)
    assert peak() <= allowed, f"{peak() - before} bytes more at the peak"
    if native[0] == "limit":
        result.count("beyond a limit")
    elif isinstance(native[1], dict):
        result.count("that decode")
        _decoded(result, made, data, base, native[1])
    else:
        other = _timed(result, "reference", lambda: referred(data, base))
        result.count(f"refused ({native[0]})")
        assert other[0] != "ok", f"the library: {native!r:.300}; the reference decoder takes it"
        if other[0] != native[0]:
            result.count("of these by the reference decoder in another class")


def _decoded(result: Result, made: Parts | bytes, data: bytes, base: Base | None, arrays: dict[str, Any]) -> None:
    """What loads is verified, with the checksums of its content put right, and given to the reference decoder."""
    if not isinstance(made, bytes):
        _describe(made, arrays)
        data = made.joined()
    expected = ("ok", {name: bits for name, (_, _, bits, _) in arrays.items()})
    for name, kernel_set in _sets().items():
        with kernels.use(kernel_set):
            try:
                verified = dcz.verify(data, base=base)
            except dcz.DczError as error:
                if isinstance(made, bytes) or _counts_wrong(error):
                    result.count("that decode, but do not verify")
                    return
                raise AssertionError(f"{name}: it loads, but {error}") from None
            assert not verified.unsupported, f"{name}: it loads, but verify calls {verified.unsupported} unsupported"
    if sum(len(bits) for bits in expected[1].values()) <= _SLOW:
        other = _timed(result, "reference", lambda: referred(data, base))
        assert other == expected, f"the library reads it; the reference decoder: {other!r:.300}"
        result.count("of these read alike by the reference decoder")


def _counts_wrong(error: dcz.DczError) -> bool:
    """What `load` does not look at: checksums of results of a delta that cannot be made right from outside."""
    return isinstance(error, errors.ChecksumError)


def _describe(made: Parts, arrays: dict[str, Any]) -> None:
    """The checksum of the content, and with positions `all` the number of nonzeros, of each tensor."""
    plain = made.index
    for t, name in enumerate(plain["names"]):
        if name not in arrays:
            continue
        _, _, bits, _ = arrays[name]
        plain["content_crcs"][t] = crc(bits)
        transforms = plain.get("transforms", [0] * len(plain["names"]))
        if plain["positions"][t] == 0 and not transforms[t] and plain["rows"][t]:
            words = np.frombuffer(bits, f"<u{plain['word_sizes'][t]}")
            plain["nonzeros"][t] = int(np.count_nonzero(words))
    for t in range(len(plain["names"])):
        if plain["same_as"][t]:
            plain["nonzeros"][t] = plain["nonzeros"][plain["same_as"][t] - 1]


def loaded(kernel_set: kernels.Kernels, data: bytes, base: Base | None) -> Outcome:
    """What the library makes of a file: "ok" and its tensors, or the class of the error and its text."""
    with kernels.use(kernel_set):
        try:
            arrays = dcz.load_file(data, base=base, threads=1, max_bytes=_BYTES)
        except dcz.DczError as error:
            text = str(error)
            assert text.isprintable() and len(text) < 2_000, f"an unreadable message: {text!r:.300}"
            return next((name for kind, name in _CLASSES if isinstance(error, kind)), "other"), text
    return "ok", {name: (a.dtype.name, a.shape, a.tobytes(), None) for name, a in arrays.items()}


def referred(data: bytes, base: Base | None) -> Outcome:
    """The same of the reference decoder, bits alone."""
    contents, codes = None, {"float32": "F32", "uint8": "U8"}
    if base is not None:
        contents = {n: reference.Content(codes[a.dtype.name], list(a.shape), a.tobytes()) for n, a in base.items()}
    try:
        found, _ = reference.read(data, contents)
    except reference.Refused as error:
        return error.kind, str(error)
    if any(each is None for each in found.values()):
        return "unsupported", ""
    return "ok", {name: bytes(each.data) for name, each in found.items()}


def _sets() -> dict[str, kernels.Kernels]:
    sets = kernels.available()
    return {"native": list(sets.values())[-1] if list(sets)[-1] != "pure" else kernels.active(), "pure": sets["pure"]}


def _timed(result: Result, who: str, work: Callable[[], Outcome]) -> Outcome:
    began = time.process_time()
    out = work()
    seconds = time.process_time() - began
    result.most(f"s at most by {who}", seconds)
    assert who == "reference" or seconds < 1, f"{who} took {seconds:.2f} s"
    return out
