"""Small files to attack, one for each layout and one with a base; and files taken apart and put together again."""

from __future__ import annotations

import msgpack
import numpy as np
import zstandard

from dcz.format import index, trailer
from support.arrays import make_array
from support.forging import crc, encoded, finish, forge
from support.layouts import in_layout
from support.pairs import changed, delta

LAYOUTS = {
    "all x bytes": ("all", "bytes", "F32", 0.9, 70_000),
    "all x planes": ("all", "planes", "F16", 0.7, 300),
    "all x codebook": ("all", "codebook", "F32", 1.0, 12),
    "bitmap x planes": ("bitmap", "planes", "U8", 0.3, 90),
    "bitmap x codebook": ("bitmap", "codebook", "F64", 0.4, 20),
    "relative4 x codebook": ("relative4", "codebook", "F32", 0.1, 9),
    "relative8 x planes": ("relative8", "planes", "I16", 0.05, 60),
    "relative16 x codebook": ("relative16", "codebook", "BF16", 0.02, 5),
}
DELTA = "delta"


def attacked(words: int = 300) -> dict[str, tuple[bytes, dict[str, np.ndarray] | None]]:
    """For each layout a file of one tensor of so many words; of the one with a base, that too."""
    out: dict[str, tuple[bytes, dict[str, np.ndarray] | None]] = {}
    for number, (name, (positions, values, code, density, distinct)) in enumerate(LAYOUTS.items()):
        array = make_array(number, code, (words // 10, 10), density, distinct, "float")
        out[name] = forge({"w": in_layout(array, positions, values)}), None
    base = {code: make_array(9, code, (words // 2,), 0.7, 40, "float") for code in ("F32", "U8")}
    new = {code: changed(array, 9, 0.2, "near") for code, array in base.items()}
    out[DELTA] = delta(new, base), base
    return out


class Parts:
    """A file as its segments, its index with columns as lists, and its feature bits."""

    def __init__(self, data: bytes) -> None:
        end = trailer.Trailer.parse(np.frombuffer(data, np.uint8), len(data))
        stored = data[end.index_offset : end.index_offset + end.index_stored]
        raw = zstandard.ZstdDecompressor().decompress(stored) if end.index_coder == trailer.ZSTD_INDEX else stored
        self.front, self.features = bytearray(data[: end.index_offset]), end.features
        self.index: dict = msgpack.unpackb(raw)
        for key in index.INTEGERS & set(self.index):
            column = self.index[key]
            planes = np.frombuffer(column, np.uint8, offset=1).reshape(column[0], -1).astype(np.uint64)
            self.index[key] = sum(plane << np.uint64(8 * i) for i, plane in enumerate(planes)).tolist()

    def repair(self) -> None:
        """Makes the checksums of codebooks and chunks those of the bytes that the index says are theirs."""
        at = 8
        books, rows, lengths, pieces = (iter(range(1 << 30)) for _ in range(4))
        plain = self.index
        try:
            for t in range(len(plain["names"])):
                size, words = plain["segments"][t], plain["words"][t] * plain["word_sizes"][t]
                at = index.aligned(at, size, words)
                end = at
                for _ in range(plain["book_rows"][t]):
                    end += plain["book_lengths"][next(pieces)]
                if plain["book_rows"][t]:
                    plain["book_crcs"][next(books)] = crc(bytes(self.front[at:end]))
                at = end
                for _ in range(plain["rows"][t]):
                    end = at + sum(plain["row_lengths"][next(lengths)] for _ in range(plain["streams"][t]))
                    plain["row_crcs"][next(rows)] = crc(bytes(self.front[at:end]))
                    at = end
        except (IndexError, TypeError, ValueError, OverflowError, KeyError):
            return  # numbers that lead nowhere: the rest stays as it is

    def joined(self) -> bytes:
        """The file."""
        return finish(bytes(self.front), encoded(self.index), features=self.features)
