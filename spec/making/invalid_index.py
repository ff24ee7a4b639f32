"""Files whose index says what it must not: columns, numbers, maps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reference_decoder import KEYS, NO_INTEGERS

from making.bad import WORDS, as_, bad, edited, flip, put, tensors
from making.rows import column
from making.tensors import BITMAP, CODEBOOK, Stored, build
from making.vectors import Vector


def columns() -> Iterator[Vector]:
    for key in KEYS:
        if key in NO_INTEGERS:
            yield edited(
                f"column-{key}-no-list".replace("_", "-"),
                "7.2",
                f"{key} that are no list",
                key,
                lambda plain, key=key: plain.update({key: b""}),
            )
            yield edited(
                f"column-{key}-numbers".replace("_", "-"),
                "7.2",
                f"{key} that are numbers",
                key,
                lambda plain, key=key: plain.update({key: [1] * len(plain[key])}),
            )
            continue
        yield edited(
            f"column-{key}-short".replace("_", "-"),
            "7.2",
            f"a number of {key} is missing",
            key,
            lambda plain, key=key: plain[key].pop(),
        )
        yield edited(
            f"column-{key}-long".replace("_", "-"),
            "7.2",
            f"{key} have one more number",
            key,
            lambda plain, key=key: plain[key].append(plain[key][-1]),
        )
    for name, about, change in (
        ("empty", "a column without a width", lambda values: b""),
        ("width-0", "numbers of no bytes", lambda values: b"\0"),
        ("width-3", "numbers of three bytes", lambda values: column(values, 3)),
        ("width-16", "numbers of sixteen bytes", lambda values: column(values, 16)),
        ("wider", "numbers wider than they need to be", lambda values: column(values, 4)),
        ("planes", "planes of different lengths", lambda values: column([*values[:-1], 300], 2)[:-1]),
        ("list", "a list of numbers", lambda values: [{"0": n} for n in values][0]),
        ("string", "a string", lambda values: "\1\0\0\0"),
    ):
        yield edited(
            f"column-{name}",
            "7.2",
            about,
            "entries",
            lambda plain, change=change: plain.update(entries=change(plain["entries"])),
        )
    yield edited(
        "column-no-number-wide",
        "7.2",
        "no numbers, of two bytes each",
        "dims",
        lambda plain: plain.update(ranks=[0, 0, 0], dims=b"\2"),
    )


def numbers() -> Iterator[Vector]:
    yield edited(
        "name-twice", "7.2", "two tensors of one name", "twice", lambda plain: plain.update(names=["a", "b", "a"])
    )
    yield edited(
        "name-4097",
        "9",
        "a name of 4,097 bytes",
        "4096",
        lambda plain: plain.update(names=["a" * 4097, "b", "c"]),
        "limit",
    )
    yield edited(
        "dtype-twice",
        "7.2",
        "a dtype that is listed twice",
        "dtypes",
        lambda plain: plain.update(dtypes=["F32", "F32"]),
    )
    about = "a dtype that is not ASCII"
    yield edited("dtype-not-ascii", "7.2", about, "dtypes", lambda plain: plain.update(dtypes=["\xe4", "U16"]))
    yield edited("dtype-number", "7.2", "a dtype that is not listed", "dtype_numbers", put("dtype_numbers", 1, 2))
    yield edited(
        "rank-65",
        "9",
        "65 dimensions",
        "dimensions",
        lambda plain: plain.update(ranks=[2, 65, 2], dims=[13, 100, 9, *[1] * 64, 13, 100]),
        "limit",
    )
    yield edited("rank-huge", "7.2", "2^31 dimensions", "dimensions", put("ranks", 1, 1 << 31), "format limit")
    huge = {"ranks": [2, 3, 2], "dims": [13, 100, 1 << 31, 1 << 31, 1 << 31, 13, 100]}
    yield edited(
        "shape-2-93", "9", "a shape of 2^93 elements", "words", lambda plain: plain.update(huge), "format limit"
    )
    yield edited("shape-2-49", "9", "a shape of 2^49 elements", "words", put("dims", 2, 1 << 49), "format limit")
    yield bad(
        "shape-2-80-of-none", "7.2", "no words, and lengths of a product of 2^80", "format limit", "words", [_empty()]
    )
    for key, at, value, section, word in (
        ("dims", 0, 12, "7.2", "words"),
        ("words", 1, 10, "7.2", "words"),
        ("word_sizes", 1, 4, "7.2", "word_sizes"),
        ("word_sizes", 1, 0, "7.2", "word_sizes"),
        ("word_sizes", 1, 256, "7.2", "word_sizes"),
        ("nonzeros", 1, 7, "7.2", "nonzeros"),
        ("nonzeros", 1, 9, "7.2", "nonzeros"),
        ("same_as", 0, 1, "7.2", "same_as"),
        ("same_as", 2, 3, "7.2", "same_as"),
        ("same_as", 2, 9, "7.2", "same_as"),
        ("positions", 1, 1, "7.2", "chunk 0"),
        ("positions", 1, 0, "7.2", "streams"),
        ("values", 1, 2, "7.2", "streams"),
        ("values", 1, 0, "3", "bytes"),
        ("chunks", 1, 0, "4", "chunks"),
        ("chunks", 1, 511, "4", "chunks"),
        ("chunks", 1, 513, "4", "chunks"),
        ("chunks", 1, 1_049_088, "4", "chunks"),
        ("chunks", 0, 1536, "4", "rows"),
        ("entries", 1, 1, "7.2", "entries"),
        ("entries", 0, 0, "3.2", "book_rows"),
        ("entries", 0, 10, "3.2", "codebook"),
        ("entries", 0, 65_537, "3.2", "entries"),
        ("groups", 0, 63, "3.2", "groups"),
        ("groups", 1, 64, "3.2", "groups"),
        ("groups", 0, 64, "3.2", "codebook"),
        ("segments", 0, 1, "7.2", "segments"),
        ("segments", 1, 1 << 40, "7.2", "segments"),
        ("counts", 0, 0, "5", "counts"),
        ("counts", 0, 17, "5", "counts"),
        ("numbers", 0, 99, "5", "numbers"),
        ("book_codes", 0, 99, "5", "book_codes"),
        ("row_codes", 0, 1, "4", "code"),
        ("row_codes", 3, 16, "4", "code"),
        ("row_nonzeros", 0, 513, "4", "nonzeros"),
        ("row_fillers", 0, 1, "4", "fillers"),
        ("row_fillers", 3, 1, "4", "chunk 0"),
        ("row_lengths", 0, 5, "7.2", "segments"),
        ("row_lengths", 0, 1 << 32, "7.2", "segments"),
        ("dims", 0, 1 << 63, "9", "dims"),
        ("content_crcs", 1, 1 << 32, "7.2", "content_crcs"),
        ("row_crcs", 0, 1 << 32, "7.2", "row_crcs"),
        ("book_crcs", 0, 1 << 32, "7.2", "book_crcs"),
        ("words", 1, 1 << 49, "9", "words"),
        ("nonzeros", 1, 1 << 49, "7.2", "nonzeros"),
    ):  # fmt: skip
        name = f"number-{key}-of-{at}-{value}".replace("_", "-")
        error = "format"
        yield edited(name, section, f"{key} of {value}", word, put(key, at, value), error)
    for key, word in (("row_crcs", "chunk 0"), ("book_crcs", "codebook"), ("content_crcs", "decoded")):
        section = {"row_crcs": "4", "book_crcs": "3.2", "content_crcs": "7.2"}[key]

        def edit(plain: dict, key: str = key) -> None:
            plain[key][0] ^= 1
            if key == "content_crcs":
                plain[key][2] ^= 1

        yield edited(f"crc-of-{key}".replace("_", "-"), section, f"{key} that do not match", word, edit, "checksum")
    a, b, _ = tensors()
    for key, value, word in (
        ("dtype", "I32", "dtype"),
        ("nonzeros", 1, "nonzeros"),
        ("content_crc", 1, "content_crcs"),
        ("words", 1301, "words"),
    ):
        other = a.copied("c", 0)
        setattr(other, key, value)
        other.shape = (other.words,)
        yield bad(
            f"same-as-other-{key}".replace("_", "-"),
            "7.2",
            f"a tensor that is the same as one of other {key}",
            "format",
            word,
            [a, b, other],
        )
    yield bad(
        "same-as-third",
        "7.2",
        "a tensor that is the same as one that is the same as a third",
        "format",
        "same_as",
        [a, a.copied("b", 0), a.copied("c", 1)],
    )
    laid = a.copied("c", 0)
    laid.chunk = 512
    yield bad(
        "same-as-with-layout",
        "7.2",
        "a tensor that is the same as another and has chunks",
        "format",
        "layout",
        [a, b, laid],
    )
    for key, value, error, word in (
        ("nonzeros", 1, "format", "nonzeros"),
        ("content_crc", 7, "checksum", "CRC"),
        ("chunk", 512, "format", "layout"),
    ):
        empty = build("e", "F32", (0,), [])
        setattr(empty, key, value)
        yield bad(
            f"empty-with-{key}".replace("_", "-"), "7.2", f"a tensor without elements with {key}", error, word, [empty]
        )
    lists: list[Any] = [[] for _ in range(75_000)]
    many = {"x": lists}
    yield edited("lists-75000", "9", "75,000 lists", "lists", lambda plain: plain.update(metadata=many), "limit")
    other = build("other", "F32", (13, 100), WORDS, 8)
    other.positions, other.shape = 9, (13, 101)
    yield bad(
        "unknown-positions-of-other-words",
        "7.2",
        "words that are not those of a shape of a known dtype",
        "format",
        "words",
        [other],
    )
    yield from _unknown()
    yield edited("decodes-to-too-much", "9", "2^41 bytes of zeros", "max_bytes", _bomb, "limit")


def maps() -> Iterator[Vector]:
    deep: Any = {}
    for _ in range(17):
        deep = {"k": deep}
    for key, value, section, error, word, about in (
        ("aliases", [], "7.2", "format", "aliases", "aliases that are a list"),
        ("aliases", {"a": "b"}, "7.2", "format", "'a'", "an alias with a tensor's name"),
        ("aliases", {"x": "y"}, "7.2", "format", "'x'", "an alias of no tensor"),
        ("aliases", {"x": "y", "y": "a"}, "7.2", "format", "'x'", "an alias of an alias"),
        ("aliases", {"x": 0}, "7.2", "format", "'x'", "an alias of a number"),
        ("aliases", {"y": "a", "x": "a"}, "7.1", "format", "ascending", "aliases in another order"),
        ("aliases", {"x" * 4097: "a"}, "9", "limit", "4096", "an alias of 4,097 bytes"),
        ("metadata", 1, "7.2", "format", "metadata", "metadata that is a number"),
        ("metadata", {"y": 1, "x": 1}, "7.1", "format", "ascending", "keys in another order"),
        ("metadata", {"x": [{"b": 1, "a": 2}]}, "7.1", "format", "ascending", "keys in another order, inside"),
        ("metadata", deep, "9", "limit", "nested", "maps 18 deep"),
        ("tensor_metadata", {"x": {"a": 1}}, "7.2", "format", "tensor_metadata", "metadata of no tensor"),
        ("tensor_metadata", {"a": {}}, "7.2", "format", "tensor_metadata", "metadata of a tensor that is empty"),
        ("tensor_metadata", {"a": 1}, "7.2", "format", "tensor_metadata", "metadata of a tensor that is a number"),
        ("extensions", None, "7.2", "format", "extensions", "extensions that are nil"),
        ("extensions", {"b": 1, "a": 1}, "7.1", "format", "ascending", "extensions in another order"),
    ):  # fmt: skip
        name = f"map-{about}".replace(" ", "-").replace(",", "").replace("'", "")
        yield edited(name, section, about, word, lambda plain, key=key, value=value: plain.update({key: value}), error)


def _unknown() -> Iterator[Vector]:
    """What holds of tensors, too, that no reader can decode."""

    def other(**change: Any) -> Stored:
        return as_(build("other", "F32", (13, 100), WORDS, BITMAP, CODEBOOK), **{"dtype": "X128", **change})

    yield bad(
        "unknown-dtype-word-size-256", "7.2", "words of 256 bytes", "format", "word_sizes", [other(word_size=256)]
    )
    beyond = other(dtype="F32", positions=9)
    beyond.rows[0][3][0] = (1, beyond.rows[0][3][0][1])
    yield bad("unknown-positions-row-code", "7.2", "a code that its stream lacks", "format", "code", [beyond])
    yield edited(
        "unknown-dtype-segment", "7.2", "a segment that is not the sum of its rows", "segments",
        lambda plain: (plain.update(dtypes=["X1", "U16"]), put("segments", 0, 1)(plain)),
    )  # fmt: skip
    for key in ("row_crcs", "book_crcs"):
        yield bad(
            f"unknown-dtype-{key}".replace("_", "-"), "11", "stored bytes of a tensor that cannot be decoded",
            "checksum", "CRC-32C", [other()], edit=flip(key, 0),
        )  # fmt: skip
    source = other()
    for name, about, t in (
        ("same-as-unknown-with-layout", "the same as one of an unknown dtype", as_(source.copied("s", 0), chunk=512)),
        ("same-as-unknown-positions", "the same as another", as_(source.copied("s", 0), positions=77)),
        ("empty-unknown-values", "without words", as_(build("e", "F32", (0,), []), values=77)),
        ("empty-unknown-dtype-nonzeros", "without words", as_(build("e", "F32", (0,), []), dtype="X1", nonzeros=1)),
    ):
        word = "nonzeros" if t.nonzeros == 1 else "layout"
        yield bad(name, "7.2", f"numbers of a layout, of a tensor {about}", "format", word, [source, t])
    same = other(transform=0).copied("same", 0)
    same.content_crc ^= 1
    yield bad(
        "unknown-dtype-same-as", "7.2", "the same words of other CRC-32Cs", "format", "content_crcs", [other(), same]
    )


def _empty() -> Stored:
    """No words, in a shape that cannot be computed in 64 bits."""
    return as_(build("e", "U8", (0,), []), shape=(1 << 40, 1 << 40, 0))


def _bomb(plain: dict) -> None:
    """2^41 words of positions that no reader knows, which therefore need no rows."""
    plain["dims"][0] = plain["dims"][3] = 1 << 34
    plain["words"][0] = plain["words"][2] = 100 << 34
    plain["word_sizes"][0] = plain["word_sizes"][2] = 4
    plain["positions"][0] = 99
