"""A reader of dcz files, written from SPEC.md alone: `python spec/reference_decoder.py FILE [--base FILE]`.

It reads all that version 1 allows and checks every requirement, one after the other, without haste. This file is
sections 6 and 10; each other file says which it follows. It prints the protocol of `spec/README.md`."""

import argparse
import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from reference_codes import Refused, crc32c, must, unframe
from reference_deltas import COPY, changed
from reference_index import DELTA_KEYS, KEYS, MAPS, NO_INTEGERS, read_index, unpack
from reference_tensors import DTYPES, Content, chunks_of

__all__ = ("DELTA_KEYS", "DTYPES", "KEYS", "MAGIC", "MAPS", "NO_INTEGERS", "Refused", "check_index", "lines", "read")
MAGIC, END, SIZE = b"\x89DCZ\r\n\x1a\n", b"ZCD\x89", 40
MAX_INDEX, MAX_DECODED = 32 << 20, 1 << 34  # limits of this reader


def trailer(data: bytes) -> SimpleNamespace:
    """Magic and trailer (6.2), and where the index begins."""
    must(data[:8] == MAGIC[: len(data)], "R-FILE-1", "the file does not begin with the magic")
    must(len(data) >= 8 + SIZE and data.endswith(END), "R-FILE-4", "the file ends without a trailer", "truncated")
    fields = "length features stored plain crc version coder zero own"
    t = SimpleNamespace(**dict(zip(fields.split(), struct.unpack("<QQIIIHBBI", data[-SIZE:-4]))))
    must(crc32c(data[-SIZE:-8]) == t.own, "R-FILE-4", "the trailer does not match its CRC-32C", "checksum")
    must(t.version == 1, "R-FILE-4", f"version {t.version}", "unsupported")
    must(t.zero == 0, "R-FILE-4", "the reserved byte is not zero")
    must(t.features <= 1, "R-FILE-4", f"feature bits {t.features:#x}", "unsupported")
    must(t.length <= len(data), "R-FILE-5", f"{len(data)} of {t.length} bytes", "truncated")
    t.begin = t.length - SIZE - t.stored
    must(t.length == len(data) and t.begin >= 8, "R-FILE-5", "the lengths are not those of the file")
    must(t.coder <= 1 and (t.coder or t.stored == t.plain), "R-FILE-6", f"the index is stored as {t.coder}")
    must(t.plain <= MAX_INDEX, "9", f"an index of {t.plain} bytes", "limit")
    must(t.plain <= 524_288 + 2 * t.length, "R-FILE-7", f"an index of {t.plain} bytes")
    return t


def decode_index(data: bytes) -> dict[str, Any]:
    """The map of the index, of which no column has been checked."""
    t = trailer(data)
    stored = data[t.begin : -SIZE]
    must(crc32c(stored) == t.crc, "R-FILE-8", "the index does not match its CRC-32C", "checksum")
    return unpack(unframe(stored, t.plain, "index") if t.coder else stored)


def check_index(data: bytes) -> SimpleNamespace:
    """All that is checked in opening a file; returns the index, each tensor with where its segment begins."""
    t = trailer(data)
    index, at = read_index(decode_index(data), t.features), len(MAGIC)
    for tensor in index.tensors:
        tensor.padding = at
        if tensor.segments >= 4096 and tensor.segments == tensor.words * tensor.word_sizes:
            at += -at % 64
        tensor.begin, at = at, at + tensor.segments
    must(at == t.begin, "R-FILE-3", f"the segments end at {at}, the index begins at {t.begin}")
    return index


def _decode(t: SimpleNamespace, segment: bytes, base: dict[str, Content] | None) -> Content | None:
    """A tensor's words; nothing of one that cannot be decoded here, of which the stored bytes are verified."""
    dtype, what = DTYPES.get(t.dtype), f"tensor {t.name!r}"
    if t.unknown or (t.transforms and base is None):
        at = sum(length for _, length in t.book)
        must(crc32c(segment[:at]) == t.book_crc, "R-BOOK-4", f"{what}: codebook: not its CRC-32C", "checksum")
        for i, (_, _, crc, pairs) in enumerate(t.directory):
            begin, at = at, at + sum(length for _, length in pairs)
            must(crc32c(segment[begin:at]) == crc, "R-CHUNK-4", f"{what}: chunk {i}: not its CRC-32C", "checksum")
        return None
    words = np.zeros(t.words, f"<u{dtype.word}")
    if t.transforms:
        source = base.get(t.base_name or t.name)
        fits = source and source.dtype == t.dtype and len(source.data) == words.nbytes
        must(fits, "R-DELTA-2", f"{what}: the base has no such tensor of this dtype and size", "base")
        words = np.frombuffer(source.data, words.dtype).copy()
    nonzeros = 0
    for i, (first, n, places, stored) in enumerate(chunks_of(t, segment, dtype.rotated and t.transforms in (0, 4))):
        here = words[first : first + n]
        nonzeros += (stored != 0).sum()
        if t.transforms:
            is_base = crc32c(here.tobytes()) == t.base_crcs[i]
            must(is_base, "R-DELTA-3", f"{what}: chunk {i}: no CRC-32C of it is the base's", "base")
            stored = changed(t.transforms, here[places], stored, t.dtype)
        here[places] = stored
        is_result = not t.transforms or crc32c(here.tobytes()) == t.result_crcs[i]
        must(is_result, "R-DELTA-4", f"{what}: chunk {i}: no CRC-32C of it is the result's", "checksum")
        must(not dtype.bits or not (here >> dtype.bits).any(), "R-ELEM-1", f"{what}: chunk {i}: bits above an element")
    section, kind = ("R-DELTA-5", "base") if t.transforms == COPY else ("R-INDEX-14", "checksum")
    must(crc32c(words.tobytes()) == t.content_crcs, section, f"{what}: the words do not match their CRC-32C", kind)
    is_count = t.positions or not t.has_chunks or nonzeros == t.nonzeros
    must(is_count, "R-INDEX-13", f"{what}: not as many nonzeros as the index says")
    return Content(t.dtype, t.shape, words.tobytes())


def read(data: bytes, base: dict[str, Content] | None = None) -> tuple[dict[str, Content | None], SimpleNamespace]:
    """All tensors and aliases of a file, verified, and its index."""
    index, out = check_index(data), {}
    total = sum(t.words * t.word_sizes for t in index.tensors)
    must(total <= MAX_DECODED, "9", f"{total} bytes; this reader decodes {MAX_DECODED}", "limit")
    for t in index.tensors:
        must(not any(data[t.padding : t.begin]), "R-FILE-2", f"tensor {t.name!r}: padding is not zero")
        same = out[t.source.name] if t.same_as else _decode(t, data[t.begin : t.begin + t.segments], base)
        out[t.name] = Content(t.dtype, t.shape, same.data) if same else None
    out |= {name: out[target] for name, target in index.aliases.items()}
    return out, index


def lines(file: str | Path, base: str | Path | None = None) -> list[dict[str, Any]]:
    """What the protocol says of a file."""
    try:
        of_base = read(Path(base).read_bytes())[0] if base else None
        found, index = read(Path(file).read_bytes(), of_base and {k: v for k, v in of_base.items() if v})
    except Refused as error:
        return [{"error": error.kind, "message": str(error)}]
    why = {t.name: ", ".join(t.unknown) or "needs the base" for t in index.tensors}

    def about(c: Content) -> dict[str, Any]:
        return {"dtype": c.dtype, "shape": c.shape, "content_crc32c": f"{crc32c(c.data):08x}"}

    found = {name: about(c) if c else {"unsupported": why[index.aliases.get(name, name)]} for name, c in found.items()}
    return [{"name": name, **each} for name, each in found.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description="Print the tensors of a dcz file as lines of JSON.")
    parser.add_argument("file")
    parser.add_argument("--base")
    found = lines(**vars(parser.parse_args()))
    print("\n".join(map(json.dumps, found)))
    return int(any("error" in line for line in found))


if __name__ == "__main__":
    raise SystemExit(main())
