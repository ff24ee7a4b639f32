"""The valid vectors have what ordinary files lack. Each feature is looked for in the files, whatever they are named."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

from conformance import FOLDER
from reference_codes import code_lengths, decode_row
from reference_decoder import check_index, trailer
from reference_tensors import ALL, CODEBOOK, RELATIVE

WANTED = {
    "groups", "several codes", "a code twice", "zstd", "raw", "padding", "alias", "nested metadata",
    "metadata of a tensor", "codebook of 8 bytes", "codebook of complex", "two planes of indices",
    "codebook in several rows", "no stored words", "row of 2047", "row of 2048", "row of 262080", "single symbol",
    "trailing filler", "fillers only", "renamed base", "index as it is", "no tensors", "same as", "extensions",
    "unknown dtype", "unknown positions", "unknown values", "unknown code", "unknown transforms",
    *(f"transform {n}" for n in range(5)), *(f"positions {n}" for n in (0, 1, 4, 5, 8, 16)),
    *(f"values {n}" for n in range(3)), *(f"packed{n}" for n in range(1, 8)),
}  # fmt: skip


def test_the_valid_vectors_have_them() -> None:
    found = {name for path in FOLDER.glob("valid/*.dcz") for name in of_file(path.read_bytes())}
    assert WANTED - found == set()


def of_file(data: bytes) -> Iterator[str]:
    """What a file uses."""
    index = check_index(data)
    yield from ["extensions"] if index.extensions else []
    yield from ["alias"] if index.aliases else []
    yield from ["nested metadata"] if any(isinstance(each, (list, dict)) for each in index.metadata.values()) else []
    yield from ["metadata of a tensor"] if index.tensor_metadata else []
    yield from ["index as it is"] if not trailer(data).coder else []
    yield from ["no tensors"] if not index.tensors else []
    for t in index.tensors:
        yield from ["same as"] if t.same_as else []
        yield from (f"unknown {what.split()[0]}" for what in t.unknown)
        if not t.unknown:
            yield f"transform {t.transforms}"
            yield from ["padding"] if t.begin > t.padding else []
            yield from ["renamed base"] if t.base_name else []
        if not t.unknown and t.has_chunks:
            yield from of_layout(t)
            yield from of_chunks(t, data[t.begin : t.begin + t.segments])


def of_layout(t: SimpleNamespace) -> Iterator[str]:
    """What a tensor's layout is."""
    yield from (f"positions {t.positions}", f"values {t.values}")
    yield from ["several codes"] if any(len(set(stream)) > 1 for stream in t.codes) else []
    yield from ["a code twice"] if any(len(set(stream)) < len(stream) for stream in t.codes) else []
    if t.values == CODEBOOK:
        yield f"codebook of {t.word_sizes} bytes"
        yield from ["groups"] if t.groups else []
        yield from ["codebook of complex"] if t.dtype.startswith("C") else []
        yield from ["two planes of indices"] if t.entries > 256 else []
        yield from ["codebook in several rows"] if t.book_rows > t.word_sizes else []


def of_chunks(t: SimpleNamespace, segment: bytes) -> Iterator[str]:
    """What the rows of a tensor are."""
    at = sum(length for _, length in t.book)
    for i, (nonzeros, fillers, _, pairs) in enumerate(t.directory):
        codes = [stream[use] for stream, (use, _) in zip(t.codes, pairs)]
        huffman = [code for code in codes if isinstance(code, bytes)]
        yield from (code for code in codes if isinstance(code, str))
        yield from ["single symbol"] if any(sum(map(bool, code_lengths(code))) == 1 for code in huffman) else []
        yield from [f"row of {min(t.chunks, t.words - i * t.chunks)}"] if huffman and t.positions == ALL else []
        yield from ["no stored words"] if t.positions != ALL and not nonzeros else []
        if fillers:
            yield from ["fillers only"] if not nonzeros else []
            is_wide = t.positions == RELATIVE[-1]
            row = segment[at : at + pairs[0][1]]
            last = 0 if is_wide else int(decode_row(codes[0], row, nonzeros + fillers, "")[-1])
            yield from ["trailing filler"] if nonzeros and last == (1 << t.positions) - 1 else []
        at += sum(length for _, length in pairs)
