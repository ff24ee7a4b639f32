"""What the files that every reader refuses are made of: three tensors, and one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reference_tensors import Content

from making import deltas
from making.files import file
from making.tensors import BITMAP, CODEBOOK, PLANES, Stored, build
from making.vectors import Vector, pattern

WORDS = pattern(1300)


def tensors() -> list[Stored]:
    """Three in different layouts, the last of them the same as the first."""
    a = build("a", "F32", (13, 100), WORDS, BITMAP, CODEBOOK)
    b = build("b", "U16", (9,), list(range(9)), 4, PLANES)
    return [a, b, a.copied("c", 0)]


def whole() -> bytes:
    """The file of these."""
    return file(tensors())


def bad(
    name: str, requirement: str, about: str, error: str, word: str, data: bytes | Sequence[Stored] | None = None,
    base: str = "", **options: Any,
) -> Vector:  # fmt: skip
    """A vector that every reader refuses."""
    if not isinstance(data, bytes):
        data = file(tensors() if data is None else data, **options)
    content = {t.name: Content(t.dtype, list(t.shape), t.content) for t in deltas.BASES.values()} if base else {}
    return Vector(name, requirement, about, data, error=error, word=word, base=base, base_content=content)


def edited(
    name: str,
    requirement: str,
    about: str,
    word: str,
    edit: Callable[[dict], object],
    error: str = "format",
    **options: Any,
) -> Vector:
    """The file of the three tensors, its index changed."""
    return bad(name, requirement, about, error, word, edit=edit, **options)


def put(key: str, at: int, value: int) -> Callable[[dict], None]:
    """An edit of one number."""

    def edit(plain: dict) -> None:
        plain[key][at] = value

    return edit


def flip(key: str, at: int) -> Callable[[dict], None]:
    """An edit of the lowest bit of one number."""

    def edit(plain: dict) -> None:
        plain[key][at] ^= 1

    return edit


def as_(t: Any, **changes: Any) -> Stored:
    """The tensor, some of its numbers changed."""
    for key, value in changes.items():
        setattr(t, key, value)
    return t
