"""Whole files (SPEC 2 and 7) of tensors, right ones or with any part changed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import zstandard
from reference_codes import crc32c
from reference_decoder import DELTA_KEYS, KEYS, MAGIC, MAPS, NO_INTEGERS

from making.rows import column
from making.tensors import Stored

Edit = Callable[[dict[str, Any]], object]


def flatten(tensors: Sequence[Stored], based: bool) -> dict[str, Any]:
    """The columns, those of integers as lists."""
    out: dict[str, Any] = {key: [] for key in (*KEYS, *(DELTA_KEYS if based else ()))}
    codes: dict[str | bytes, int] = {}
    dtypes: dict[str, int] = {}
    for t in tensors:
        one = {
            "names": t.name, "dtype_numbers": dtypes.setdefault(t.dtype, len(dtypes)), "ranks": len(t.shape),
            "words": t.words, "word_sizes": t.word_size, "nonzeros": t.nonzeros, "content_crcs": t.content_crc,
            "same_as": t.same_as, "positions": t.positions, "values": t.values, "chunks": t.chunk,
            "entries": t.entries, "groups": t.group, "streams": len(t.streams), "rows": len(t.rows),
            "book_rows": len(t.book), "segments": len(t.segment),
        }  # fmt: skip
        for key, value in one.items():
            out[key].append(value)
        out["dims"] += t.shape
        for code, length in t.book:
            out["book_codes"].append(codes.setdefault(code, len(codes)))
            out["book_lengths"].append(length)
        out["book_crcs"] += [t.book_crc] if t.book else []
        for stream in t.streams:
            out["counts"].append(len(stream))
            out["numbers"] += [codes.setdefault(code, len(codes)) for code in stream]
        for nonzeros, fillers, crc, pairs in t.rows:
            for key, value in (("row_nonzeros", nonzeros), ("row_fillers", fillers), ("row_crcs", crc)):
                out[key].append(value)
            out["row_codes"] += [use for use, _ in pairs]
            out["row_lengths"] += [length for _, length in pairs]
        if based:
            out["transforms"].append(t.transform)
            out["base_names"].append(t.base_name)
            out["row_base_crcs"] += t.base_crcs
            out["row_result_crcs"] += t.result_crcs
    out["dtypes"], out["codes"] = list(dtypes), list(codes)
    return out


def pack_index(plain: dict[str, Any]) -> bytes:
    """The map as msgpack; a column that an edit has made bytes stays as it is."""
    is_list = {key for key, value in plain.items() if type(value) is list and key not in (*NO_INTEGERS, *MAPS)}
    stored = {key: column(value) if key in is_list else value for key, value in plain.items()}
    return msgpack.packb(stored, use_bin_type=True)


def frame(raw: bytes, **options: Any) -> bytes:
    """A zstd frame."""
    options = {"level": 19, "write_content_size": True, "write_checksum": False, **options}
    return zstandard.ZstdCompressor(**options).compress(raw)


def file(
    tensors: Sequence[Stored],
    *,
    aliases: dict[str, str] | None = None,
    metadata: dict[str, Any] | None = None,
    extensions: dict[str, Any] | None = None,
    based: bool = False,
    portable: bool = False,
    edit: Edit = lambda plain: None,
    repack: Callable[[bytes], bytes] = lambda raw: raw,
    wrap: Callable[[bytes], bytes] = frame,
    front: Callable[[bytes], bytes] = lambda front: front,
    trailer: dict[str, int] | None = None,
) -> bytes:
    """A file. `edit` changes the index before it is packed, `repack` the msgpack, `wrap` makes the frame, `front`
    changes magic and segments, `trailer` overrides fields of the trailer; all checksums fit what comes out."""
    data = MAGIC
    for t in tensors:
        if len(t.segment) >= 4096 and len(t.segment) == t.words * t.word_size:
            data += bytes(-len(data) % 64)
        data += t.segment
    data = front(data)
    plain = flatten(tensors, based)
    plain["aliases"] = dict(sorted((aliases or {}).items()))
    plain["metadata"] = metadata or {}
    plain["tensor_metadata"] = {t.name: t.metadata for t in sorted(tensors, key=lambda t: t.name) if t.metadata}
    plain["extensions"] = extensions or {}
    edit(plain)
    raw = repack(pack_index(plain))
    stored = raw if portable else wrap(raw)
    fields = {
        "length": len(data) + len(stored) + 40, "features": int(based), "stored": len(stored), "plain": len(raw),
        "crc": crc32c(stored), "version": 1, "coder": int(not portable), "zero": 0, **(trailer or {}),
    }  # fmt: skip
    own = fields.pop("own", None)
    head = struct.pack("<QQIIIHBB", *fields.values())
    return data + stored + head + struct.pack("<I", crc32c(head) if own is None else own) + b"ZCD\x89"


def expected(tensors: Sequence[Stored], aliases: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The lines that a reader prints of a file."""
    lines: dict[str, dict[str, Any]] = {}
    for t in tensors:
        about = {"dtype": t.dtype, "shape": list(t.shape), "content_crc32c": f"{crc32c(t.content):08x}"}
        lines[t.name] = {"name": t.name, **({"unsupported": True} if t.unsupported else about)}
    for name, target in sorted((aliases or {}).items()):
        lines[name] = {**lines[target], "name": name}
    return list(lines.values())
