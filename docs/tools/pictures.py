"""Draws the pictures of the pages: of real files.

python docs/tools/pictures.py            # what is out of date; exit code 1 if anything is
python docs/tools/pictures.py --write    # draws it again

`tutorial.svg` is drawn by the tutorial itself: `python docs/tools/blocks.py --write docs/tutorial.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from models import compressed
from stale import settle
from svg import COLOURS, Picture

import dcz

IMAGES = Path(__file__).parents[1] / "images"


def positions() -> str:
    """A row of weights, and both kinds of positions."""
    picture = Picture(900, 250)
    weights = [0, 0, 0.5, 0, 0, 0, 0, -1, 0.5, *[0] * 17, 0.5, 0, 0, 0]
    size, left = 24, 140
    symbols: list[tuple[int, int]] = []
    run = 0
    for at, weight in enumerate(weights):
        picture.box(left + at * size, 30, size, 34, f"{weight:g}" if weight else "0", COLOURS[0] if weight else None)
        run = run + 1 if not weight else 0
        picture.box(left + at * size, 175, size, 34, str(int(weight != 0)), COLOURS[1] if weight else None)
    run, start = 0, 0
    for at, weight in enumerate(weights):
        if weight:
            symbols.append((start, run))
            start, run = at + 1, 0
        elif run == 14:  # 15 zeros and no nonzero: a filler of 4-bit gaps
            symbols.append((start, 15))
            start, run = at + 1, 0
        else:
            run += 1
    for start, gap in symbols:
        width = (gap if gap == 15 else gap + 1) * size
        picture.box(left + start * size, 100, width, 34, f"{gap}, a filler" if gap == 15 else str(gap), COLOURS[2])
    for y, label in ((47, "weights"), (117, "gaps of 4 bits"), (192, "bitmap")):
        picture.text(left - 12, y + 5, label, anchor="end")
    picture.text(left, 155, "how many zeros lie before each nonzero; 15 stands for 15 zeros alone", small=True)
    picture.text(left, 232, "a bit for each weight", small=True)
    return picture.svg("A row of weights, its gaps and its bitmap")


def chunk() -> str:
    """The segment of a small tensor, byte by byte."""
    w = np.zeros((4, 6), "float32")
    w.reshape(-1)[[3, 4, 9, 20]] = [0.5, -1, 0.5, 0.5]
    data = dcz.save({"w": w}, profile="csr")
    with dcz.open(data) as file:
        stored = file.stored_segment("w").record.layout
        segment = data[8 : 8 + file.info("w").stored]
    titles = ["lowest byte plane", "plane 1", "plane 2", "highest plane"]
    rows = [(f"codebook, {title}", code, length) for title, (code, length) in zip(titles, stored.book, strict=True)]
    words = [
        "gaps 3, 0, 4, 10: zeros before each nonzero",
        "cluster indices 0, 1, 0, 0: of 0.5, -1, 0.5, 0.5",
    ]
    for title, codes, use, length in zip(words, stored.streams, stored.row_codes, stored.row_lengths, strict=True):
        rows.append((title, codes[use], length))
    picture = Picture(980, 44 * len(rows) + 60)
    at = 0
    for number, (title, code, length) in enumerate(rows):
        y = 20 + 44 * number
        colour = COLOURS[0] if number < len(stored.book) else COLOURS[2] if number == len(stored.book) else COLOURS[1]
        for byte in segment[at : at + length]:
            picture.box(20 + 46 * at, y, 44, 32, f"{byte:02x}", colour, mono=True)
            at += 1
        picture.text(20 + 46 * len(segment) + 20, y + 21, f"{title} ({code})")
    picture.text(20, 44 * len(rows) + 44, f"{len(segment)} bytes; the weights are {w.nbytes}", small=True)
    return picture.svg("A segment byte by byte: codebook, gaps, cluster indices")


def huffman_row() -> str:
    """The example of SPEC 5.3: code words, bits and the byte."""
    lengths, symbols = (1, 2, 2), (0, 1, 2, 0)
    words, number = {}, 0
    for length in sorted(set(lengths)):
        for symbol in (s for s, each in enumerate(lengths) if each == length):
            words[symbol] = format(number, f"0{length}b")
            number += 1
        number <<= 1
    bits = "".join(words[symbol] for symbol in reversed(symbols))
    bits += "0" * (-len(bits) % 8)
    byte = sum(int(bit) << at for at, bit in enumerate(bits))
    picture = Picture(900, 300)
    picture.text(20, 34, "code")
    for at, (symbol, word) in enumerate(words.items()):
        picture.box(150 + 170 * at, 14, 60, 32, f"{symbol}", COLOURS[at])
        picture.text(222 + 170 * at, 36, word, mono=True)
    picture.text(20, 94, "symbols")
    for at, symbol in enumerate(symbols):
        picture.box(150 + 70 * at, 74, 60, 32, str(symbol), COLOURS[symbol])
    picture.text(450, 96, "written from the last to the first", small=True)
    picture.text(20, 174, "bits")
    at = 0
    for symbol in reversed(symbols):
        for bit in words[symbol]:
            picture.box(150 + 46 * at, 150, 44, 36, bit, COLOURS[symbol], mono=True)
            at += 1
    while at < len(bits):
        picture.box(150 + 46 * at, 150, 44, 36, "0", None, mono=True)
        at += 1
    for at in range(8):
        picture.text(172 + 46 * at, 142, str(at), small=True, anchor="middle")
    picture.text(150 + 46 * 8 + 16, 174, "zeros up to a whole byte", small=True)
    picture.text(20, 244, "byte")
    picture.box(150, 220, 90, 36, f"{byte:02x}", COLOURS[3], mono=True)
    picture.text(256, 244, "the first bit is the lowest", small=True)
    picture.text(20, 286, f"{len(symbols)} symbols of 2 bits would take a byte as well; long rows gain.", small=True)
    return picture.svg("A Huffman row: code words, bits, byte")


def file() -> str:
    """A whole file, in proportion, with the sizes of its parts."""
    tensors = compressed()
    data = dcz.save(tensors)
    with dcz.open(data) as opened:
        segments = [(name, opened.info(name).stored) for name in opened]
    index = int.from_bytes(data[-24:-20], "little")
    picture = Picture(900, 290)
    left, width = 20.0, 860.0
    parts = [("magic", 8, COLOURS[3]), *((name, size, COLOURS[at % 2]) for at, (name, size) in enumerate(segments))]
    parts += [("index", index, COLOURS[2]), ("trailer", 40, COLOURS[3])]
    total = sum(size for _, size, _ in parts)
    x, marks = left, []
    scale = (width - 14 * len(parts)) / total
    for name, size, colour in parts:
        wide = 14 + size * scale
        picture.box(x, 30, wide, 60, "", colour)
        marks.append((x + wide / 2, name, size))
        x += wide
    picture.text(left, 20, f"{len(data):,} bytes for {sum(a.nbytes for a in tensors.values()):,} bytes of weights")
    for at, (middle, name, size) in enumerate(marks):
        column, line = divmod(at, 6)
        y = 140 + 26 * line
        picture.text(40 + 440 * column, y, f"{at + 1}")
        picture.text(70 + 440 * column, y, name, mono="." in name)
        picture.text(400 + 440 * column, y, f"{size:,} bytes", anchor="end")
        picture.text(middle, 66, str(at + 1), anchor="middle", small=True)
    picture.text(left, 112, "in proportion, but for 14 pixels more a part", small=True)
    return picture.svg("A file: magic, a segment for each tensor, index, trailer")


PICTURES: dict[str, Callable[[], str]] = {
    "positions": positions,
    "chunk": chunk,
    "huffman-row": huffman_row,
    "file": file,
}


if __name__ == "__main__":
    drawn = {IMAGES / f"{name}.svg": draw() for name, draw in PICTURES.items()}
    sys.exit(settle(drawn, IMAGES, "--write" in sys.argv[1:]))
