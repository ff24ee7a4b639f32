"""Inputs for pretrained networks, made from a seed: voices, notes, drawn text and files of many kinds."""

from __future__ import annotations

import ast
import base64
import gzip
import json
import string
import sysconfig
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Rng = np.random.Generator

RATE = 16_000
# Formants in Hz of five vowels (Peterson and Barney 1952, men).
_VOWELS = ((270, 2290, 3010), (530, 1840, 2480), (730, 1090, 2440), (570, 840, 2410), (300, 870, 2240))


def voice(rng: Rng, seconds: float, rate: int = RATE) -> F32:
    """Syllables of voiced vowels with noise and pauses between them, shape (samples,), in [-1, 1]."""
    out = np.zeros(int(seconds * rate))
    at = 0
    while at < len(out):
        length = min(int(rng.uniform(0.1, 0.4) * rate), len(out) - at)
        kind = rng.choice(3, p=(0.6, 0.2, 0.2))
        t = np.arange(length) / rate
        shape = np.sin(np.pi * np.arange(length) / max(length, 1)) ** 0.5
        if kind == 0:
            pitch = rng.uniform(85, 255) * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(3, 7) * t))
            phase = 2 * np.pi * np.cumsum(pitch) / rate
            formants = np.array(_VOWELS[rng.integers(5)]) * rng.uniform(0.9, 1.2)
            for n in range(1, 30):
                gain = sum(np.exp(-(((n * pitch.mean() - f) / 120) ** 2)) / (k + 1) for k, f in enumerate(formants))
                out[at : at + length] += shape * (gain + 0.02 / n) * np.sin(n * phase)
        elif kind == 1:
            out[at : at + length] += 0.2 * shape * rng.standard_normal(length)
        at += length
    out += rng.uniform(0.001, 0.02) * rng.standard_normal(len(out))
    return (out / np.abs(out).max() * rng.uniform(0.2, 0.9)).astype(np.float32)


def notes(rng: Rng, seconds: float, rate: int) -> F32:
    """Notes of struck strings, one to three at a time, shape (samples,), in [-1, 1]."""
    out = np.zeros(int(seconds * rate))
    for _ in range(int(seconds * 6)):
        start = int(rng.integers(len(out)))
        t = np.arange(len(out) - start) / rate
        pitch, decay = 440 * 2 ** ((rng.integers(36, 84) - 69) / 12), rng.uniform(1, 6)
        for n in range(1, 9):
            out[start:] += rng.uniform(0.3, 1) / n * np.exp(-decay * n**0.5 * t) * np.sin(2 * np.pi * n * pitch * t)
    out += 0.002 * rng.standard_normal(len(out))
    return (out / np.abs(out).max() * 0.8).astype(np.float32)


def text_image(rng: Rng, height: int = 64) -> F32:
    """Four to six letters and digits, turned a little, on a ground with lines, shape (1, 1, height, width), 0 to 1."""
    from PIL import Image, ImageDraw, ImageFont

    text = "".join(rng.choice(list(string.ascii_letters + string.digits), rng.integers(4, 7)))
    image = Image.new("L", (34 * len(text) + 20, height), int(rng.integers(200, 256)))
    draw = ImageDraw.Draw(image)
    for number, letter in enumerate(text):
        tile = Image.new("L", (48, 56), 0)
        ImageDraw.Draw(tile).text((8, 4), letter, 255, ImageFont.load_default(size=int(rng.integers(34, 44))))
        tile = tile.rotate(float(rng.uniform(-18, 18)))
        image.paste(int(rng.integers(0, 110)), (34 * number + 8, int(rng.integers(0, 8))), tile)
    for _ in range(int(rng.integers(0, 4))):
        ends = [int(rng.integers(0, size)) for size in (image.width, height, image.width, height)]
        draw.line(ends, fill=int(rng.integers(80, 200)), width=1)
    return (np.asarray(image, np.float32) / 255)[None, None]


def page_image(rng: Rng, size: int = 416) -> F32:
    """Words scattered over a coloured ground, shape (1, 3, size, size), 0 to 255."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (size, size), tuple(int(c) for c in rng.integers(120, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(5, 20))):
        left, top, width, height = (int(n) for n in rng.integers((0, 0, 20, 8), (size, size, 120, 60)))
        draw.rectangle((left, top, left + width, top + height), fill=_colour(rng))
    for _ in range(int(rng.integers(3, 9))):
        word = "".join(rng.choice(list(string.ascii_letters), rng.integers(1, 6)))
        at = (int(rng.integers(0, size - 90)), int(rng.integers(0, size - 60)))
        draw.text(at, word, _colour(rng), ImageFont.load_default(size=int(rng.integers(24, 60))))
    return np.asarray(image, np.float32).transpose(2, 0, 1)[None]


def _colour(rng: Rng) -> tuple[int, ...]:
    return tuple(int(c) for c in rng.integers(0, 256, 3))


@cache
def _documentation(path: Path) -> tuple[str, ...]:
    """What a module of Python says of itself, its classes and functions, if it is longer than a line."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, documented)]
    return tuple(text for node in nodes if len(text := ast.get_docstring(node) or "") > 80)


def prose(rng: Rng) -> str:
    """English: documentation from Python's own library."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    while True:
        found = _documentation(sources[rng.integers(len(sources))])
        if found:
            return " ".join(found[rng.integers(len(found))].split())


def contents(rng: Rng) -> bytes:
    """A file of one of a dozen kinds: a piece of Python's own library, or of numbers that say nothing."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    source = sources[rng.integers(len(sources))].read_bytes()
    at = int(rng.integers(0, max(len(source) - 2000, 1)))
    piece, words = source[at : at + 6000], source.decode("utf-8", "replace").split()
    rows = rng.integers(0, 1000, (60, 5))
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: source[:6000],
        lambda: piece,
        lambda: gzip.compress(piece, mtime=0),
        lambda: zlib.compress(piece),
        lambda: base64.encodebytes(piece),
        lambda: json.dumps({word: int(n) for word, n in zip(words, rows.ravel())}, indent=1).encode(),
        lambda: "\n".join(",".join(map(str, row)) for row in rows.tolist()).encode(),
        lambda: ("<!DOCTYPE html><html><body><p>" + "</p><p>".join(words[:400]) + "</p></body></html>").encode(),
        lambda: ("# " + " ".join(words[:8]) + "\n\n" + "\n- ".join(words[:300])).encode(),
        lambda: ('<?xml version="1.0"?><a>' + "".join(f"<b>{n}</b>" for n in rows.ravel()) + "</a>").encode(),
        lambda: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + rng.bytes(5000),
        lambda: b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00>\x00" + rng.bytes(3000) + bytes(800),
    )
    return kinds[rng.integers(len(kinds))]()
