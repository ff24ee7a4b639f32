"""SPEC 7 and 9: the index, and all that is checked of it in opening a file."""

from itertools import islice, pairwise
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
from reference_codes import LONGEST_ROW, STRINGS, check_code, code_lengths, must
from reference_deltas import COPY, NONE, REPLACE
from reference_tensors import ALL, BYTES, CODEBOOK, DTYPES, RELATIVE, codebooks_of, streams_of

LAYOUT = ("positions", "values", "chunks", "entries", "groups", "streams", "rows", "book_rows", "segments")
KEYS = (
    "names", "dtypes", "dtype_numbers", "ranks", "dims", "words", "word_sizes", "nonzeros", "content_crcs", "same_as",
    *LAYOUT, "codes", "counts", "numbers", "book_crcs", "book_codes", "book_lengths", "row_nonzeros", "row_fillers",
    "row_crcs", "row_codes", "row_lengths",
)  # fmt: skip
DELTA_KEYS = ("transforms", "base_names", "row_base_crcs", "row_result_crcs")
MAPS = ("aliases", "metadata", "tensor_metadata", "extensions")
NO_INTEGERS = ("names", "dtypes", "codes", "base_names")
SAME = ("dtype", "words", "word_sizes", "nonzeros", "content_crcs")
PER_TENSOR = ("dtype_numbers", "ranks", *SAME[1:], "same_as", *LAYOUT, "transforms")
SCALARS = (str, bytes, int, float, bool, type(None))
# Limits of this reader (SPEC 9).
NAME, RANK, WORDS, NUMBERS, METADATA, DEPTH, COUNT = 4096, 64, 1 << 48, 1 << 24, 16 << 20, 16, 1_000_000


def unpack(raw: bytes) -> dict[str, Any]:
    """The index of its msgpack (7.1); maps inside are checked."""
    left = 65_536 + len(raw) // 16

    def counted(container: Any) -> Any:
        nonlocal left
        left -= 1
        must(left >= 0, "R-LIMIT-1", "too many lists and maps in the index", "limit")
        return container

    try:  # a map becomes a tuple of pairs, so that their order can be looked at
        found = msgpack.unpackb(
            raw, strict_map_key=False, list_hook=counted, object_pairs_hook=lambda pairs: counted(tuple(pairs))
        )
    except msgpack.StackError:
        must(False, "9", "the index is nested too deep", "limit")
    except (ValueError, msgpack.UnpackException) as error:
        must(False, "R-INDEX-1", f"the index is not msgpack: {error!r:.120}")
    must(type(found) is tuple, "R-INDEX-1", "the index is not a map")
    must(all(type(key) is str for key, _ in found), "R-INDEX-2", "a key of the index is not a string")
    plain = {key: _value(value, 0) for key, value in found}
    must(len(plain) == len(found), "R-INDEX-2", "a key of the index is there twice")
    must(msgpack.packb(plain) == raw, "R-INDEX-1", "a number or a length is not in its shortest form")
    return plain


def _value(value: Any, depth: int) -> Any:
    """A value with its maps as such."""
    must(depth <= DEPTH, "9", f"nested more than {DEPTH} deep", "limit")
    if type(value) is list:
        return [_value(each, depth + 1) for each in value]
    if type(value) is not tuple:
        must(type(value) in SCALARS, "R-INDEX-17", f"a value of type {type(value).__name__}")
        return value
    keys = [key for key, _ in value]
    must(all(type(key) is str for key in keys), "R-INDEX-2", "a key that is not a string")
    must(all(a < b for a, b in pairwise(keys)), "R-INDEX-2", f"keys that do not ascend: {keys!r:.80}")
    return {key: _value(each, depth + 1) for key, each in value}


def integers(plain: dict[str, Any], key: str, count: int) -> list[int]:
    """A column of integers (R-INDEX-3), each in its bounds (R-INDEX-6)."""
    data = plain[key]
    must(type(data) is bytes and data[:1] in (b"\1", b"\2", b"\4", b"\x08"), "R-INDEX-3", f"{key}: not a column")
    width = data[0]
    must(len(data) == 1 + count * width, "R-INDEX-3", f"{key}: {len(data)} bytes are not {count} of {width}")
    planes = np.frombuffer(data[1:], np.uint8).reshape(width, count)
    out = planes.T.copy().view(f"<u{width}").reshape(-1).tolist()
    most = max(out, default=0)
    must(width == 1 or most >> 4 * width, "R-INDEX-3", f"{key}: wider than its numbers need")
    bounds = {"dims": (1 << 63) - 2, "book_lengths": 1 << 32, "row_lengths": 1 << 32}
    bound = (1 << 32) - 1 if key.endswith("crcs") else bounds.get(key, 1 << 48)
    must(most <= bound, "R-INDEX-6", f"{key}: {most} is more than {bound}")
    return out


def read_index(plain: dict[str, Any], features: int) -> SimpleNamespace:
    """The index: its tensors, each with all that the columns say of it, and the maps."""
    based = bool(features & 1)
    must(list(plain) == [*KEYS, *(DELTA_KEYS if based else ()), *MAPS], "R-INDEX-2", f"keys: {list(plain)!r:.200}")
    lists = [key for key in NO_INTEGERS if key in plain]
    for key in (*lists, *MAPS):
        must(type(plain[key]) is (dict if key in MAPS else list), "R-INDEX-3", f"{key}: of another type")
    for key in lists:
        are_strings = key == "codes" or all(type(each) is str for each in plain[key])
        must(are_strings, "R-INDEX-3", f"{key}: not all are strings")
    must(all(map(str.isascii, plain["dtypes"])), "R-INDEX-3", "dtypes: not all are ASCII")
    names = plain["names"], plain["aliases"], plain.get("base_names", ())
    must(sum(len(msgpack.packb(plain[key])) for key in MAPS[1:]) <= METADATA, "9", "too much metadata", "limit")
    must(max(map(len, names)) <= COUNT, "9", f"more than {COUNT} tensors", "limit")
    are_short = all(len(name.encode()) <= NAME for each in names for name in each)
    must(are_short, "9", f"a name of more than {NAME} bytes", "limit")
    for code in plain["codes"]:
        check_code(code)
    for key in ("names", "dtypes", "codes"):
        must(len(set(plain[key])) == len(plain[key]), "R-INDEX-4", f"{key}: an entry is there twice")
    tensors = _tensors(plain, based)
    for check in (_check_any, _check_known):
        for t in tensors:
            check(t, tensors)
    for name, target in plain["aliases"].items():
        must(name not in names[0] and target in names[0], "R-INDEX-15", f"aliases: {name!r:.80} of {target!r:.80}")
    for name, about in plain["tensor_metadata"].items():
        must(name in names[0] and type(about) is dict and about, "R-INDEX-16", f"tensor_metadata: of {name!r:.80}")
    return SimpleNamespace(tensors=tensors, **{key: plain[key] for key in MAPS})


def _tensors(plain: dict[str, Any], based: bool) -> list[SimpleNamespace]:
    """The columns, cut into tensors (7.2)."""
    names, codes, dtypes = (plain[key] for key in ("names", "codes", "dtypes"))
    of = {key: integers(plain, key, len(names)) if key in plain else [NONE] * len(names) for key in PER_TENSOR}
    base_names = plain.get("base_names", [""] * len(names))
    must(len(base_names) == len(names), "R-INDEX-3", f"base_names: {len(base_names)} of {len(names)}")
    sizes = {"dims": sum(of["ranks"]), "counts": sum(of["streams"]), "book_crcs": sum(map(bool, of["book_rows"]))}
    sizes |= dict.fromkeys(("book_codes", "book_lengths"), sum(of["book_rows"]))
    sizes |= dict.fromkeys(("row_nonzeros", "row_fillers", "row_crcs"), sum(of["rows"]))
    cells = sum(rows * streams for rows, streams in zip(of["rows"], of["streams"]))
    sizes |= dict.fromkeys(("row_codes", "row_lengths"), cells)
    if based:
        made = sum(rows for rows, transform in zip(of["rows"], of["transforms"]) if transform)
        sizes |= dict.fromkeys(("row_base_crcs", "row_result_crcs"), made)
    columns = {key: integers(plain, key, size) for key, size in sizes.items()}
    columns["numbers"] = integers(plain, "numbers", sum(columns["counts"]))
    must(sum(sizes.values()) <= NUMBERS, "9", f"more than {NUMBERS} numbers of rows", "limit")
    must(max(of["ranks"], default=0) <= RANK, "9", f"more than {RANK} dimensions", "limit")
    must(all(1 <= count <= 16 for count in columns["counts"]), "R-INDEX-4", "counts: not all are 1 to 16")
    for key in ("numbers", "book_codes"):
        must(all(each < len(codes) for each in columns[key]), "R-INDEX-5", f"{key}: not in the list of codes")
    must(all(each < len(dtypes) for each in of["dtype_numbers"]), "R-INDEX-5", "dtype_numbers: not in the list")
    rest = {key: iter(column) for key, column in columns.items()}

    def take(key: str, count: int = 1) -> list[int]:
        return list(islice(rest[key], count))

    out = []
    for i, name in enumerate(names):
        t = SimpleNamespace(number=i, name=name, base_name=base_names[i], **{key: of[key][i] for key in PER_TENSOR})
        t.dtype, t.shape = dtypes[t.dtype_numbers], take("dims", t.ranks)
        t.codes = [[codes[number] for number in take("numbers", count)] for count in take("counts", t.streams)]
        t.book_crc = take("book_crcs")[0] if t.book_rows else 0
        book = zip(take("book_codes", t.book_rows), take("book_lengths", t.book_rows))
        t.book = [(codes[number], length) for number, length in book]
        rows = zip(*(take(key, t.rows) for key in ("row_nonzeros", "row_fillers", "row_crcs")))
        t.directory = [(*row, list(zip(take("row_codes", t.streams), take("row_lengths", t.streams)))) for row in rows]
        if t.transforms:
            t.base_crcs, t.result_crcs = take("row_base_crcs", t.rows), take("row_result_crcs", t.rows)
        out.append(t)
    return out


def _check_any(t: SimpleNamespace, tensors: list[SimpleNamespace]) -> None:
    """What holds of every tensor: R-INDEX-4 to R-INDEX-8; and whether it can be decoded."""
    what = f"tensor {t.name!r}"
    must(1 <= t.word_sizes <= 255, "R-INDEX-4", f"{what}: word_sizes: {t.word_sizes}")
    pairs = [pair for *_, pairs in t.directory for pair in zip(t.codes, pairs)]
    must(all(use < len(stream) for stream, (use, _) in pairs), "R-INDEX-5", f"{what}: row_codes: not of the stream")
    size = sum(length for _, length in t.book) + sum(length for _, (_, length) in pairs)
    must(t.segments == size, "R-INDEX-7", f"{what}: segments: {t.segments}, its rows have {size} bytes")
    must(t.same_as <= t.number, "R-INDEX-8", f"{what}: same_as: {t.same_as} is not an earlier tensor")
    t.source = tensors[t.same_as - 1] if t.same_as else t
    must(not t.same_as or not t.source.same_as, "R-INDEX-8", f"{what}: same_as: of one that is the same itself")
    for key in SAME:
        same = getattr(t, key) == getattr(t.source, key)
        must(same, "R-INDEX-8", f"{what}: {key}: not that of the tensor it is the same as")
    must(not t.same_as or t.transforms == NONE, "R-INDEX-8", f"{what}: transform and same_as")
    is_needed = t.base_name != t.name and t.transforms != NONE
    must(not t.base_name or is_needed, "R-DELTA-1", f"{what}: base_names: a name that is not needed")
    t.has_chunks = bool(t.words and not t.same_as and t.transforms != COPY)
    strings = [code for stream in (*t.codes, [code for code, _ in t.book]) for code in stream if type(code) is str]
    of_numbers = (("positions", (ALL, 1, *RELATIVE)), ("values", range(3)), ("transforms", range(REPLACE + 1)))
    t.unknown = [f"{key} {getattr(t, key)}" for key, known in of_numbers if getattr(t, key) not in known]
    t.unknown += [f"code {code!r}" for code in strings if code not in STRINGS]
    t.unknown += [] if t.dtype in DTYPES else [f"dtype {t.dtype!r}"]
    t.unknown = t.unknown or (t.source.unknown if t.same_as else [])


def _check_known(t: SimpleNamespace, tensors: list[SimpleNamespace]) -> None:
    """R-INDEX-9 to R-INDEX-12, and what they name."""
    what = f"tensor {t.name!r}"
    if t.dtype in DTYPES:
        product = DTYPES[t.dtype].words
        for length in t.shape:
            product *= max(length, 1)
        must(product <= WORDS, "R-INDEX-9", f"{what}: shape: more than {WORDS} words")
        words = 0 if 0 in t.shape else product
        must(t.word_sizes == DTYPES[t.dtype].word, "R-INDEX-9", f"{what}: word_sizes: {t.word_sizes}")
        must(t.words == words, "R-INDEX-9", f"{what}: words: {t.words}, its shape has {words}")
    if not t.has_chunks:
        must(not any(getattr(t, key) for key in LAYOUT), "R-INDEX-10", f"{what}: a layout without chunks of its own")
        must(t.same_as or not t.nonzeros, "R-INDEX-10", f"{what}: nonzeros: {t.nonzeros} without chunks of its own")
    if t.unknown or not t.has_chunks:
        return
    of_streams = {code for stream in t.codes for code in stream}
    is_plain = t.positions == ALL and of_streams <= {"raw", "zstd"}
    must(t.values != BYTES or is_plain, "R-POS-1", f"{what}: bytes with sparse positions or other codes")
    must(t.chunks % 512 == 0 and 512 <= t.chunks <= 1 << 20, "R-CHUNK-1", f"{what}: chunks: {t.chunks}")
    is_book, most = t.values == CODEBOOK, 256 if t.word_sizes == 2 else 65_536
    fits = t.word_sizes > 1 and t.entries <= most and t.groups % 64 == 0 if is_book else not t.entries and not t.groups
    must(fits, "R-BOOK-1", f"{what}: entries: {t.entries}, groups: {t.groups}")
    size = codebooks_of(t) * t.entries
    must(size <= t.words, "R-BOOK-2", f"{what}: {size} entries of codebooks and {t.words} words")
    must(t.streams == streams_of(t.positions, t.values, t.word_sizes, t.entries), "R-INDEX-11", f"{what}: streams")
    must(t.rows == -(-t.words // t.chunks), "R-INDEX-11", f"{what}: rows: {t.rows}")
    must(t.book_rows == t.word_sizes * -(-size // LONGEST_ROW), "R-INDEX-11", f"{what}: book_rows: {t.book_rows}")
    must("zstd" not in [code for code, _ in t.book], "R-BOOK-3", f"{what}: a codebook coded by zstd")
    of_indices = t.codes[-1] if is_book and t.entries <= 256 else []
    beyond = [code for code in of_indices if type(code) is bytes and any(code_lengths(code)[t.entries :])]
    must(not beyond, "R-BOOK-7", f"{what}: a Huffman code of clusters beyond its entries")
    for i, (nonzeros, fillers, *_) in enumerate(t.directory):
        n = min(t.chunks, t.words - i * t.chunks)
        must(nonzeros <= (0 if t.positions == ALL else n), "R-CHUNK-2", f"{what}: chunk {i}: nonzeros: {nonzeros}")
        must(fillers <= (n if t.positions in RELATIVE else 0), "R-CHUNK-3", f"{what}: chunk {i}: fillers: {fillers}")
    sums = range(t.words + 1) if t.positions == ALL else [sum(row[0] for row in t.directory)]
    must(t.nonzeros in sums, "R-INDEX-12", f"{what}: nonzeros: {t.nonzeros}")
