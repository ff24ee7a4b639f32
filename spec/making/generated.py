"""Random valid files after SPEC.md: every choice that the format leaves open is drawn from a seed."""

from __future__ import annotations

import random
from typing import Any

from reference_tensors import DTYPES

from making.files import expected, file
from making.rows import Code, huffman_for, packed_lengths
from making.tensors import ALL, BITMAP, BYTES, CODEBOOK, PLANES, REPLACE, STEP, WIDE, XOR, Stored, build

MOST = 1500  # words of a tensor, but for one in twenty


class Made:
    """A file, the tensors that it is of and the options of `making.files.file`, and the lines that readers print of it;
    of one with a base, that file."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"dcz {seed}")
        self.base_tensors = [_tensor(rng, f"b{i}") for i in range(rng.choice([0, 0, 1, 3]))]
        self.base = file(self.base_tensors) if self.base_tensors else b""
        self.tensors: list[Stored] = []
        for _ in range(rng.choice([0, 1, 1, 2, 3, 5])):
            self.tensors.append(self._one(rng))
        names = [t.name for t in self.tensors]
        aliases = {_name(rng): rng.choice(names) for _ in range(rng.randrange(3)) if names}
        self.options: dict[str, Any] = {
            "aliases": {name: target for name, target in aliases.items() if name not in names},
            "metadata": _map(rng),
            "extensions": _map(rng),
            "portable": rng.random() < 0.3,
            "based": bool(self.base),
        }
        self.lines = expected(self.tensors, self.options["aliases"])

    @property
    def data(self) -> bytes:
        """The file."""
        return file(self.tensors, **self.options)

    def _one(self, rng: random.Random) -> Stored:
        names = [t.name for t in self.tensors]
        name = next(name for name in iter(lambda: _name(rng), None) if name not in names)
        kind = rng.random()
        sources = [i for i, t in enumerate(self.tensors) if t.same_as == 0]
        if kind < 0.15 and sources:
            number = rng.choice(sources)
            return self.tensors[number].copied(name, number)
        if kind < 0.6 and self.base_tensors:
            return _changed(rng, name, rng.choice(self.base_tensors))
        t = _tensor(rng, name)
        if kind > 0.9 and t.rows:
            _make_unknown(rng, t)
        return t


def _name(rng: random.Random) -> str:
    return "".join(rng.choice("abc._/0\u00e9\U0001f600 ") for _ in range(rng.randrange(6)))


def _map(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    values: list[Any] = [None, True, 0, -1, 2**64 - 1, 0.5, "x", b"\0", [], {}, [1, "a", [None]]]
    found = {_name(rng): rng.choice(values) for _ in range(rng.choice([0, 0, 1, 3]))}
    if depth < 3 and rng.random() < 0.3:
        found["nested"] = [_map(rng, depth + 1)]
    return dict(sorted(found.items()))


def _shape(rng: random.Random) -> tuple[int, ...]:
    n = rng.choice([0, 1, 2, 7, 64, 511, 512, 513, rng.randrange(MOST), rng.randrange(MOST)])
    if rng.random() < 0.05:
        n = rng.choice([2047, 2048, 2049, 3000, 4096, 9000])
    if n == 1 and rng.random() < 0.5:
        return ()
    cut = rng.choice([1, 1, 2, 3])
    return (n // cut, cut) if n % cut == 0 and rng.random() < 0.5 else (n,)


def _words(rng: random.Random, dtype: str, n: int) -> list[int]:
    about = DTYPES[dtype]
    bits = about.bits or (1 if dtype == "BOOL" else 8 * about.word)
    values = [rng.getrandbits(bits) for _ in range(rng.choice([1, 2, 16, 256]))]
    values += rng.sample([0, 1, (1 << bits) - 1, 1 << bits - 1], rng.randrange(3))
    density = rng.choice([0.0, 0.003, 0.05, 0.3, 1.0])
    return [rng.choice(values) if rng.random() < density else 0 for _ in range(n)]


def _codes(rng: random.Random, byte_rows: bool, most: int) -> list[Code]:
    """Codes that every row can be said in by at least one."""
    if byte_rows:
        return rng.choice([["raw"], ["zstd"], ["raw", "zstd"], ["zstd", "raw", "raw"]])
    whole = packed_lengths([8] * 256)
    some: list[Code] = [*(f"packed{b}" for b in range(1, 8)), "zstd", packed_lengths([1, 1]), packed_lengths([1])]
    if most >= 256:
        some += [whole, whole]
    if most < 2:
        some = some[:8]
    found = [*rng.sample(some, rng.randrange(4)), rng.choice(["raw", "zstd"])]
    rng.shuffle(found)
    return found


def _layout(rng: random.Random, dtype: str, words: list[int], sparse: list[int], based: bool) -> dict[str, Any]:
    """Options of `build` for words of which `sparse` are the places that have to be stored."""
    n, size = len(words), DTYPES[dtype].word
    positions = rng.choice([ALL, ALL, BITMAP, 4, 5, 8, WIDE])
    values = rng.choice([PLANES, CODEBOOK, *([BYTES] if positions == ALL else [])])
    if size == 1 and values == CODEBOOK:
        values = PLANES
    chunk = 512 * rng.choice([1, 1, 2, 3, 8, 2048])
    out: dict[str, Any] = {"positions": positions, "values": values, "chunk": chunk}
    if positions != ALL and rng.random() < 0.3:
        out["stored"] = sorted({*sparse, *(rng.randrange(n) for _ in range(3))})
    if positions in (4, 5, 8):
        stored = out.get("stored", sparse)
        first = (n - 1) // chunk * chunk
        free = n - max([first, *(p + 1 for p in stored if p >= first)])
        out["tail"] = rng.randrange(free // (2**positions - 1) + 1)
    if values == CODEBOOK and rng.random() < 0.4:
        out["group"] = 64 * rng.choice([1, 2, 5, 40])
    out["book_code"] = rng.choice([huffman_for, lambda row: "raw"])
    return out


def _tensor(rng: random.Random, name: str) -> Stored:
    dtype, shape = rng.choice(list(DTYPES)), _shape(rng)
    n = DTYPES[dtype].words
    for length in shape:
        n *= length
    words = _words(rng, dtype, n)
    return _build(rng, name, dtype, shape, words, {})


def _changed(rng: random.Random, name: str, base: Stored) -> Stored:
    """A tensor that is made of the base's."""
    size = base.word_size
    old = [int.from_bytes(base.content[i : i + size], "little") for i in range(0, len(base.content), size)]
    new = [rng.choice(old) if rng.random() < 0.1 else word for word in old]
    transform = rng.choice([1, STEP, XOR, REPLACE])
    shape = base.shape if rng.random() < 0.6 or base.dtype.startswith("C") else (base.words,)
    options = {"transform": transform, "base": old, "base_name": "" if name == base.name else base.name}
    return _build(rng, name, base.dtype, shape, old if transform == 1 else new, options)


def _build(
    rng: random.Random, name: str, dtype: str, shape: tuple[int, ...], words: list[int], options: dict[str, Any]
) -> Stored:
    options = {**options, "metadata": {"k": rng.randrange(9)} if rng.random() < 0.2 else {}}
    if not words or options.get("transform") == 1:
        return build(name, dtype, shape, words, **options)
    base = options.get("base") or [0] * len(words)
    sparse = [i for i, (old, new) in enumerate(zip(base, words)) if old != new]
    layout = _layout(rng, dtype, words, sparse, bool(options))
    first = build(name, dtype, shape, words, **layout, **options)
    books = -(-first.words // first.group) if first.group else 1
    too_large = first.entries > (256 if first.word_size == 2 else 65_536) or books * first.entries > first.words
    if layout["values"] == CODEBOOK and too_large:
        layout = {**layout, "values": PLANES, "group": 0}
        first = build(name, dtype, shape, words, **layout, **options)
    if rng.random() < 0.3:
        return first
    codes = []
    for i in range(len(first.streams)):
        clusters = layout["values"] == CODEBOOK and i == len(first.streams) - 1 and first.entries <= 256
        codes.append(_codes(rng, layout["values"] == BYTES, first.entries if clusters else 256))
    return build(name, dtype, shape, words, **layout, **options, codes=codes, pick=rng.choice)


def _make_unknown(rng: random.Random, t: Stored) -> None:
    """Something of it means nothing to any reader."""
    t.unsupported = True
    what = rng.randrange(4)
    if what == 0:
        t.dtype = "X7"
    elif what == 1:
        t.positions = rng.choice([2, 3, 6, 17, 255, 256, 70_000])
    elif what == 2:
        t.values = rng.choice([3, 77, 300])
    else:
        t.streams[-1] = ["future", *t.streams[-1][1:]]
