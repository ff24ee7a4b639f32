"""What a vector is, and the tensors that most of them are made of."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from reference_codes import Refused
from reference_decoder import read
from reference_tensors import DTYPES, Content

from making.files import expected, file
from making.tensors import Stored


@dataclass
class Vector:
    """A file, the sections of SPEC that it is about, and what a reader makes of it: the lines of its tensors, or the
    class of its error (several, with a space between, where any is right) and a word that the library's message has.
    `base` is the vector to read it with."""

    name: str
    requirement: str
    about: str
    data: bytes
    tensors: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    word: str = ""
    base: str = ""
    base_content: dict[str, Content] = field(default_factory=dict)

    def broken(self) -> str:
        """The requirement that the reference decoder says is broken."""
        try:
            read(self.data, self.base_content if self.base else None)
        except Refused as error:
            return error.section
        raise AssertionError(f"the reference decoder reads {self.name}")

    def description(self) -> dict[str, Any]:
        """The JSON beside the file."""
        out: dict[str, Any] = {"requirement": [self.broken()] if self.error else self.requirement.split()}
        out["about"] = self.about
        if self.base:
            out["base"] = self.base
        if self.error:
            classes = self.error.split()
            return {**out, "error": classes if len(classes) > 1 else self.error}
        return {**out, "tensors": self.tensors}


def valid(
    name: str, requirement: str, about: str, tensors: Stored | Sequence[Stored], base: str = "", **options: Any
) -> Vector:
    """A vector that every reader reads."""
    found = [tensors] if isinstance(tensors, Stored) else list(tensors)
    lines = expected(found, options.get("aliases"))
    return Vector(name, requirement, about, file(found, **options), lines, base=base)


def pattern(n: int, distinct: int = 9, density: float = 0.4, seed: int = 1, bits: int = 32) -> list[int]:
    """Words, many of them zero, the others of so many different ones."""
    rng = random.Random(seed)
    values = [rng.randrange(1, 1 << bits) for _ in range(distinct)]
    return [values[int(rng.random() * distinct)] if rng.random() < density else 0 for _ in range(n)]


def elements(dtype: str, n: int, seed: int = 1) -> list[int]:
    """Words of n elements of a dtype."""
    about = DTYPES[dtype]
    bits = 1 if dtype == "BOOL" else about.bits or 8 * about.word
    rng = random.Random(f"{dtype} {seed}")
    return [rng.getrandbits(bits) for _ in range(n * about.words)]


SHAPE = (13, 100)
WORDS = pattern(1300)
