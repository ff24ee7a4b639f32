"""The index's columns with one entry a tensor: read and checked for all tensors at once (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz import dtypes, limits
from dcz.dtypes import DTYPES, Dtype
from dcz.errors import FormatError, LimitError
from dcz.format.integers import I64, Integers
from dcz.tensor.chunking import MAX_CHUNK, STEP
from dcz.tensor.layout import POSITIONS, VALUES
from dcz.text import plural

Bools = NDArray[np.bool_]

CRC = (1 << 32) - 1
# Bounds of numbers that sums and products of a reader must hold; their meaning is checked where it is known.
_ANY = limits.MAX_WORDS

# Numbers of a tensor that has no chunks of its own: it is empty, or the same as another, or copied from the base.
_OWN = ("positions", "values", "chunks", "entries", "groups", "streams", "rows", "book_rows", "segments")
KEYS = ("words", "word_sizes", "nonzeros", "content_crcs", "same_as", *_OWN)

# How a tensor of a file with a base is stored (SPEC 8): as it is, as in the base, or as what turns the base's
# words into its own.
TRANSFORMS = {"none": 0, "copy": 1, "step": 2, "xor": 3, "replace": 4}

_KNOWN_POSITIONS = np.isin(np.arange(256), list(POSITIONS.values()))


@dataclass(frozen=True)
class Tensors:
    """Arrays have one entry a tensor unless noted otherwise. The meaning of a tensor's numbers is checked only if this
    version knows all of them; `unknown` lists the other tensors."""

    names: list[str]
    dtypes: list[Dtype]
    dims: I64  # lengths of all shapes, tensor after tensor
    dims_at: I64  # where a tensor's begin
    weights: I64  # words
    word: I64  # bytes of one
    rotate: I64
    nonzeros: I64  # stored words where positions are sparse, else words that are not zero
    content_crcs: I64  # CRC-32C of the words, decoded
    source: I64  # the tensor whose segment holds the words: its own number, but for those that are the same as another
    positions: I64
    values: I64
    chunk: I64  # words of a chunk
    entries: I64  # words of a codebook
    group: I64  # words that share a codebook, 0 for all
    streams: I64  # how many
    chunks: I64  # how many
    book_rows: I64  # coded rows of the codebooks' byte planes
    stored: I64  # bytes of the segment
    transforms: I64  # zeros in a file without a base
    base_names: list[str]  # empty where the base has the tensor under the same name; an empty list without a base
    planes: I64  # streams of values
    books: I64  # codebooks
    unknown: dict[int, str]  # tensors that this version cannot decode, and why
    understood: Bools  # the others

    def shape(self, t: int) -> tuple[int, ...]:
        """Return the lengths of a tensor's dimensions."""
        return tuple(self.dims[self.dims_at[t] : self.dims_at[t + 1]].tolist())

    def own(self) -> Bools:
        """Return the tensors that have chunks of their own."""
        return (self.weights > 0) & (self.source == np.arange(len(self.names))) & (self.transforms != 1)


class Refusals:
    """Raise an error that names the first tensor for which a condition holds."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __call__(self, wrong: Bools, reason: str, found: I64 | None = None) -> None:
        if np.count_nonzero(wrong):  # quicker than any()
            at = int(np.flatnonzero(wrong)[0])
            value = "" if found is None else int(found[at])
            raise FormatError(f"tensor {self._names[at]!r}: {reason.format(value)}")

    def first(self, among: Bools, rules: Sequence[tuple[Bools, str, I64 | None]]) -> None:
        """The same for several rules: refuses by the first that any of these tensors breaks."""
        broken = rules[0][0]
        for wrong, _, _ in rules[1:]:
            broken = broken | wrong
        if np.count_nonzero(broken & among):
            for wrong, reason, found in rules:  # pragma: no branch: one of them raises
                self(wrong & among, reason, found)


def starts(sizes: I64) -> I64:
    """Return where each of consecutive parts begins."""
    return sizes.cumsum() - sizes


def read_tensors(
    plain: Mapping[str, object], integers: Integers, names: list[str], unknown_codes: Mapping[int, str]
) -> Tensors:
    """Read the columns of these tensors and check them, singly and together. `unknown_codes` are tensors with codes
    that this version does not know."""
    t = len(names)
    columns = {key: integers.take(key, t, 0, CRC if key == "content_crcs" else _ANY) for key in KEYS}
    kinds = _dtypes(plain, integers, t)
    dtypes_, known = kinds.dtypes, kinds.known
    dims, ranks, dims_at = _shapes(integers, names)
    transforms, base_names = _transforms(plain, integers, names)
    unknown = _unknown(columns, dtypes_, known, transforms, unknown_codes)
    source = _sources(names, columns, dtypes_, transforms)
    understood = np.ones(t, np.bool_)
    understood[list(unknown)] = False
    for at in (~understood[source]).nonzero()[0].tolist():
        understood[at] = False
        unknown.setdefault(at, f"it is the same as {names[source[at]]!r}, which {unknown[int(source[at])]}")
    out = Tensors(
        names=names, dtypes=dtypes_, dims=dims, dims_at=dims_at,
        weights=columns["words"], word=columns["word_sizes"],
        rotate=kinds.rotate if base_names == [] else _rotated(kinds.rotate, transforms),
        nonzeros=columns["nonzeros"], content_crcs=columns["content_crcs"], source=source,
        positions=columns["positions"], values=columns["values"], chunk=columns["chunks"],
        entries=columns["entries"], group=columns["groups"], streams=columns["streams"], chunks=columns["rows"],
        book_rows=columns["book_rows"], stored=columns["segments"], transforms=transforms, base_names=base_names,
        planes=_planes(columns), books=_books(columns), unknown=unknown,
        understood=understood,
    )  # fmt: skip
    refuse = Refusals(names)
    _check_shapes(out, ranks, kinds, refuse)
    _check_layouts(out, understood, refuse)
    return out


class _Kinds(NamedTuple):
    """Each tensor's dtype: whether it is known, bytes of a word, words of an element, and whether words are rotated."""

    dtypes: list[Dtype]
    known: Bools
    word: I64
    words: I64
    rotate: I64


def _dtypes(plain: Mapping[str, object], integers: Integers, t: int) -> _Kinds:
    table = plain["dtypes"]
    if type(table) is not list or any(type(code) is not str or not code.isascii() for code in table):
        raise FormatError("index: dtypes: expected a list of ASCII strings")
    if len(set(table)) != len(table):
        raise FormatError("index: dtypes: duplicate dtype")
    numbers = integers.take("dtype_numbers", t, 0, len(table) - 1)
    found = [DTYPES.get(code) or dtypes.unknown(code) for code in table]
    numeric = np.array([(dtype.word, dtype.words, dtype.rotate) for dtype in found], np.int64).reshape(-1, 3)
    word, words, rotate = numeric.T[:, numbers]
    return _Kinds([found[number] for number in numbers.tolist()], word > 0, word, words, rotate)


def _shapes(integers: Integers, names: list[str]) -> tuple[I64, I64, I64]:
    """Return the lengths of all dimensions, the number of each tensor's, and where they begin."""
    ranks = integers.take("ranks", len(names), 0, CRC)
    if integers.top("ranks") > limits.MAX_DIMENSIONS:
        at = int(np.argmax(ranks > limits.MAX_DIMENSIONS))
        raise LimitError(f"tensor {names[at]!r}: {ranks[at]} dimensions; the limit is {limits.MAX_DIMENSIONS}")
    dims_at = np.zeros(len(names) + 1, np.int64)
    ranks.cumsum(out=dims_at[1:])
    return integers.take("dims", int(dims_at[-1]), 0, 2**63 - 2), ranks, dims_at


def _transforms(plain: Mapping[str, object], integers: Integers, names: list[str]) -> tuple[I64, list[str]]:
    """Return each tensor's transform and the name of its base."""
    t = len(names)
    if "transforms" not in plain:
        return np.zeros(t, np.int64), []
    transforms = integers.take("transforms", t, 0, _ANY)
    found = plain["base_names"]
    if type(found) is not list or len(found) != t or not {*map(type, found)} <= {str}:
        raise FormatError(f"index: base_names: expected a list of {plural(t, 'string')}")
    for at, name in enumerate(found) if any(found) else ():
        if name and (transforms[at] == 0 or name == names[at]):
            raise FormatError(f"tensor {names[at]!r}: base name: {name!r:.80} is not needed; expected an empty string")
        if len(name) > limits.MAX_NAME_BYTES or len(name.encode()) > limits.MAX_NAME_BYTES:
            raise LimitError(f"tensor {names[at]!r}: base name: more than {limits.MAX_NAME_BYTES} bytes")
    return transforms, found


def _unknown(
    columns: Mapping[str, I64], dtypes_: list[Dtype], known: Bools, transforms: I64, codes: Mapping[int, str]
) -> dict[int, str]:
    """Return the tensors with a number or a name that this version does not know."""
    positions, values = columns["positions"], columns["values"]
    wrong = ~known | ~_KNOWN_POSITIONS[np.minimum(positions, 255)] | (values > 2) | (transforms > 4)
    out: dict[int, str] = {}
    for at in wrong.nonzero()[0].tolist():
        if not known[at]:
            out[at] = f"has the dtype {dtypes_[at].code!r:.80}"
        elif values[at] > 2:
            out[at] = f"has values of kind {values[at]}"
        elif transforms[at] > 4:
            out[at] = f"has the transform {transforms[at]}"
        else:
            out[at] = f"has positions of kind {positions[at]}"
    for at, code in codes.items():
        out.setdefault(at, f"is coded by {code!r:.80}")
    return out


def _sources(names: list[str], columns: Mapping[str, I64], dtypes_: list[Dtype], transforms: I64) -> I64:
    """Return the tensor whose segment holds a tensor's words."""
    same, own = columns["same_as"], np.arange(len(names))
    if not np.count_nonzero(same):
        return own
    refuse, is_same = Refusals(names), same > 0
    refuse(same > own, "same_as: expected the number of an earlier tensor and one, found {}", same)
    source = np.where(is_same, same - 1, own)
    refuse(same[source] > 0, "same_as: names a tensor that is itself the same as another")
    refuse(is_same & (transforms > 0), "a tensor that is the same as another has no transform")
    other = np.array([dtypes_[at] is not dtype for at, dtype in zip(source.tolist(), dtypes_)])
    refuse(other, "same_as: names a tensor of another dtype")
    for key in ("words", "word_sizes", "nonzeros", "content_crcs"):
        refuse(
            columns[key] != columns[key][source],
            f"{key}: {{}} is not that of the tensor it is the same as",
            columns[key],
        )
    return source


def _rotated(rotate: I64, transforms: I64) -> I64:
    """Return whether a tensor's stored words are rotated before they are split into bytes; steps and XORs are not."""
    return np.where((transforms == 2) | (transforms == 3), 0, rotate)


def _planes(columns: Mapping[str, I64]) -> I64:
    """Return the number of streams of values, where the kind of values is known."""
    values, entries = columns["values"], columns["entries"]
    planes = np.where(values == VALUES["planes"], columns["word_sizes"], 1)
    return planes + ((values == VALUES["codebook"]) & (entries > 256))


def _books(columns: Mapping[str, I64]) -> I64:
    """Return the number of codebooks of each tensor."""
    book, groups = columns["values"] == VALUES["codebook"], columns["groups"]
    if not np.count_nonzero(groups):
        return book.astype(np.int64)
    return np.where(book, np.where(groups > 0, -(-columns["words"] // np.maximum(groups, 1)), 1), 0)


def _check_shapes(c: Tensors, ranks: I64, kinds: _Kinds, refuse: Refusals) -> None:
    """Check that words are those of the shape and the dtype, where it is known, and that all sizes fit 64-bit
    integers."""
    t, known = len(c.names), kinds.known
    if not t:
        return
    refuse((c.word < 1) | (c.word > 255), "word_sizes: expected 1 to 255, found {}", c.word)
    refuse(known & (c.word != kinds.word), "word_sizes: {} bytes are not those of its dtype", c.word)
    bound = np.ones(len(c.dims) + t)  # one more factor for each tensor: reduceat has no empty product
    at = np.ones(len(bound), np.bool_)
    first = c.dims_at[:-1] + np.arange(t)
    at[first] = False
    bound[first], bound[at] = kinds.words, np.maximum(c.dims, 1)
    # The product of the nonzero lengths bounds every intermediate size.
    wrong = known & (np.multiply.reduceat(bound, first) > limits.MAX_WORDS)
    if np.count_nonzero(wrong):
        at_ = int(np.argmax(wrong))
        raise LimitError(f"tensor {c.names[at_]!r}: shape {c.shape(at_)!r:.80} has more than {limits.MAX_WORDS} words")
    bound[at] = c.dims
    refuse(known & (np.multiply.reduceat(bound, first) != c.weights), "words: {} are not those of its shape", c.weights)


def _check_layouts(c: Tensors, understood: Bools, refuse: Refusals) -> None:
    """Check numbers that depend on each other (SPEC 2 to 3)."""
    own = c.own()
    if np.count_nonzero(own) < len(own):
        some = c.positions | c.values | c.chunk | c.entries | c.group | c.streams | c.chunks | c.book_rows | c.stored
        refuse(~own & (some != 0), "a tensor without chunks of its own has numbers of a layout")
        nothing = ~own & (c.source == np.arange(len(own)))
        refuse(nothing & (c.nonzeros != 0), "nonzeros: {} of a tensor that stores nothing", c.nonzeros)
    sparse, book = c.positions != 0, c.values == VALUES["codebook"]
    size, pieces = _codebook_sizes(c, book)
    chunk = np.maximum(c.chunk, 1)
    refuse.first(own & understood, [
        ((c.chunk < STEP) | (c.chunk > MAX_CHUNK), f"chunks: expected {STEP} to {MAX_CHUNK}, found {{}}", c.chunk),
        (c.chunk % STEP != 0, f"chunks: expected a multiple of {STEP}, found {{}}", c.chunk),
        (sparse & (c.values == VALUES["bytes"]), "values of kind bytes go with positions of kind all", None),
        *_codebook_rules(c, book, size),
        (
            c.streams != c.planes + sparse + (c.positions == POSITIONS["relative16"]),
            "streams: {} are not those of its positions and values", c.streams,
        ),
        (c.chunks != (c.weights + (chunk - 1)) // chunk, "rows: {} are not the chunks it has", c.chunks),
        (c.book_rows != pieces, "book_rows: {} are not those of its codebooks", c.book_rows),
        ((c.nonzeros > c.weights) & ~sparse, "nonzeros: {} are more than its words", c.nonzeros),
    ])  # fmt: skip


def _codebook_sizes(c: Tensors, book: Bools) -> tuple[I64, I64]:
    """Entries of all codebooks of each tensor together, and coded rows that they have."""
    size = c.books * np.minimum(c.entries, 65_536)
    pieces = c.word * ((size + (limits.MAX_ROW_SYMBOLS - 1)) // limits.MAX_ROW_SYMBOLS)
    return size, np.where(book, pieces, 0)


def _codebook_rules(c: Tensors, book: Bools, size: I64) -> list[tuple[Bools, str, I64 | None]]:
    most = np.where(c.word == 2, 256, 65_536)
    return [
        (~book & ((c.entries | c.group) != 0), "only values of kind codebook have entries and groups", None),
        (book & (c.word == 1), "values of kind codebook need words of two bytes or more", None),
        (book & (c.entries > most), "entries: a codebook cannot have {}", c.entries),
        (c.group % 64 != 0, "groups: expected a multiple of 64, found {}", c.group),
        (book & (size > c.weights), "its codebooks have {} entries, more than the tensor has words", size),
    ]
