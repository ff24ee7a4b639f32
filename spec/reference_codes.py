"""SPEC 1 and 5: checksums, and rows of symbols."""

import numpy as np
import zstandard

LONGEST_ROW, LANES, MAX_WINDOW = 262_080, 6, 8 << 20
STRINGS = ("raw", "zstd", *(f"packed{bits}" for bits in range(1, 8)))

Code = str | bytes


class Refused(Exception):
    """A file breaks `section`, a requirement of SPEC or a section of it; `kind` is the class of the error."""

    def __init__(self, section: str, message: str, kind: str = "format") -> None:
        super().__init__(f"{section}: {message}")
        self.section, self.kind = section, kind


def must(holds: object, section: str, message: str, kind: str = "format") -> None:
    """Refuses the file unless the condition holds."""
    if not holds:
        raise Refused(section, message, kind)


_TABLE = list(range(256))
for _ in range(8):
    _TABLE = [crc >> 1 ^ 0x82F63B78 * (crc & 1) for crc in _TABLE]


def crc32c(data: bytes) -> int:
    """CRC-32C (SPEC 1)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def code_lengths(code: bytes) -> list[int]:
    """The code length of each symbol of a Huffman code (5.2)."""
    return [length for byte in code for length in (byte & 15, byte >> 4)]


def check_code(code: object) -> None:
    """R-INDEX-4, R-CODE-3 and R-CODE-4, of an entry of the file's list of codes."""
    must(isinstance(code, (str, bytes)), "R-INDEX-4", f"codes: {code!r:.80} is neither a string nor bytes")
    if isinstance(code, bytes):
        must(
            1 <= len(code) <= 128 and code[-1], "R-CODE-3", f"codes: {code!r:.80} is empty, too long or ends with zero"
        )
        used = [length for length in code_lengths(code) if length]
        is_complete = max(used) <= 12 and sum(1 << 12 - length for length in used) == 1 << 12
        must(is_complete or used == [1], "R-CODE-4", f"codes: the lengths {used!r:.80} are no Huffman code")


def unframe(data: bytes, size: int, what: str) -> bytes:
    """The content of a zstd frame (5.4)."""
    try:
        must(data[:4] == b"\x28\xb5\x2f\xfd", "R-CODE-7", f"{what}: not a zstd frame")
        head = zstandard.get_frame_parameters(data)
        must(head.content_size == size, "R-CODE-7", f"{what}: the frame does not state {size} bytes of content")
        must(not data[4] & 7, "R-CODE-7", f"{what}: the frame has a dictionary ID or a checksum")
        must(head.window_size <= MAX_WINDOW, "R-CODE-7", f"{what}: a window of {head.window_size} bytes")
        out = zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Refused("R-CODE-7", f"{what}: {error}") from None
    must(len(out) == size, "R-CODE-7", f"{what}: the frame has {len(out)} bytes of content")
    return out


def decode_row(code: Code, data: bytes, n: int, what: str) -> np.ndarray:
    """The `n` symbols of a row."""
    must(n or not data, "R-CODE-1", f"{what}: bytes of a row without symbols")
    if not n or code == "raw":
        must(len(data) == n, "R-CHUNK-5", f"{what}: {len(data)} raw bytes of {n} symbols")
        return np.frombuffer(data, np.uint8)
    if code == "zstd":
        return np.frombuffer(unframe(data, n, what), np.uint8)
    if isinstance(code, bytes):
        return _huffman(code_lengths(code), data, n, what)
    width = int(code[6:])
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    is_exact = len(data) == -(-n * width // 8) and not bits[n * width :].any()
    must(is_exact, "R-CODE-2", f"{what}: {len(data)} bytes are not {n} symbols of {width} bits and zeros")
    return np.packbits(bits[: n * width].reshape(n, width), axis=1, bitorder="little").reshape(n)


def _huffman(lengths: list[int], data: bytes, n: int, what: str) -> np.ndarray:
    """The symbols of a Huffman row (5.3)."""
    order = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    if len(order) == 1:
        must(not data, "R-CODE-4", f"{what}: bytes of a row of a single symbol")
        return np.full(n, order[0][1], np.uint8)
    must(n <= LONGEST_ROW, "R-CODE-5", f"{what}: a Huffman row of {n} symbols")
    # The code words in their order divide the numbers of 12 bits among themselves: each is the front of its share.
    table = [pair for pair in order for _ in range(1 << 12 - pair[0])]
    if n < 2048:
        return _lane(table, data, n, what)
    ends = [int.from_bytes(data[i : i + 2], "little") for i in range(0, 2 * LANES - 2, 2)]
    starts = [2 * LANES - 2 + sum(ends[:i]) for i in range(LANES)]
    must(starts[-1] <= len(data), "R-CODE-6", f"{what}: the lanes are longer than the row")
    share, cuts = -(-n // LANES), zip(starts, [*starts[1:], len(data)])
    lanes = [data[begin:end] for begin, end in cuts]
    return np.concatenate([_lane(table, lane, min(share, n - i * share), what) for i, lane in enumerate(lanes)])


def _lane(table: list[tuple[int, int]], data: bytes, n: int, what: str) -> np.ndarray:
    """The `n` symbols of a lane, the last of which comes first."""
    bits = np.unpackbits(np.frombuffer(data + bytes(2), np.uint8), bitorder="little").astype(np.uint16)
    places = 8 * len(data) + 1
    windows = sum(bits[j : j + places] << 11 - j for j in range(12)).tolist()  # the next 12 bits at each place
    out, at = bytearray(n), 0
    for i in reversed(range(n)):
        must(at < places, "R-CODE-6", f"{what}: a lane ends within its symbols")
        length, out[i] = table[windows[at]]
        at += length
    must(at > 8 * len(data) - 8 and at < places, "R-CODE-6", f"{what}: a lane does not end in its last byte")
    must(not bits[at:].any(), "R-CODE-6", f"{what}: bits behind a lane are not zero")
    return np.frombuffer(out, np.uint8)
