"""Files with right checksums whose bodies, streams, frames or codebooks lie: each lie has its error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.entropy import zstd
from dcz.entropy.code import RAW_CODE
from dcz.errors import ChecksumError, FormatError
from dcz.kernels import Kernels
from support.forging import crc, forge
from support.layouts import Stored, encodings, in_layout, stored, with_frames
from support.refusing import ARRAY, TENSORS, refusal


def with_body(each: Stored, body: bytes, **changes: object) -> Stored:
    """The same tensor with other bytes in its only chunk, their checksum right."""
    head = each.layout.codebook.stored if each.layout.codebook else 0
    layout = replace(each.layout, crc32c=(crc(body),), **changes)
    return replace(each, layout=layout, segment=each.segment[:head] + body)


def test_streams_that_lie(kernel_set: Kernels) -> None:
    correct = "the file was not written by a correct encoder"
    with kernels.use(kernel_set):
        wide = TENSORS["wide"]
        body = wide.body.copy()
        body[-1] = 0xFF  # the high plane of the last index
        planes = [stream.codes[0].kind for stream in wide.layout.streams]
        assert planes[1] != "zstd"
        refusal(forge({"w": with_body(wide, body.tobytes())}), f"tensor 'w', chunk 0: .*{correct}")
        bit = TENSORS["bit"]
        body = bit.body.copy()
        body[:20] ^= 0xFF
        lying = with_body(bit, body.tobytes())
        if bit.layout.streams[0].codes[0].kind == "raw":
            refusal(forge({"w": lying}), "the positions do not add up to the directory's nonzeros")


@pytest.mark.parametrize("fillers", [1, 5])
def test_fillers_that_lie(kernel_set: Kernels, fillers: int) -> None:
    rel = TENSORS["rel"]
    with kernels.use(kernel_set):
        data = forge({"w": with_body(rel, rel.body.tobytes(), fillers=(fillers,))})
        refusal(data, "a stream does not end where the directory says|do not add up")


def test_nonzeros_that_lie(kernel_set: Kernels) -> None:
    rel = TENSORS["rel"]
    lying = replace(with_body(rel, rel.body.tobytes(), nonzeros=(rel.nonzeros - 1,)), nonzeros=rel.nonzeros - 1)
    with kernels.use(kernel_set):
        refusal(forge({"w": lying}), "tensor 'w', chunk 0: .*the file was not written by a correct encoder")


def test_nonzeros_of_a_dense_tensor_that_lie() -> None:
    """`load_file` has no use for them; `verify` counts."""
    for name in ("all", "raw"):
        data = forge({"w": replace(TENSORS[name], nonzeros=1)})
        assert dcz.load(data)["w"].tobytes() == ARRAY.tobytes()
        with pytest.raises(FormatError, match="nonzeros: 1, its stored words have"):
            dcz.verify(data)


def test_a_bitmap_with_zeros_among_its_values() -> None:
    """A value that is set and yet zero counts like any other that is stored."""
    bit = in_layout(np.ones(64, "<f4"), "bitmap", "planes")
    layout = bit.layout
    streams = list(layout.streams)
    raw = replace(streams[1], codes=(RAW_CODE,), lengths=(64,))
    zeros = [replace(raw) for _ in range(4)]
    body = b"\xff" * 8 + bytes(4 * 64)
    odd = replace(bit, segment=body, layout=replace(layout, streams=(streams[0], *zeros), crc32c=(crc(body),)))
    data = forge({"w": replace(odd, content_crc=crc(bytes(256)))})
    assert dcz.verify(data).tensors == 1 and dcz.open(data).info("w").nonzeros == 64
    assert not dcz.load(data)["w"].any()


def lying_frame(frame: bytes) -> bytes:
    """A file whose only chunk is this frame."""
    array = np.zeros(256, "<f4")
    each = stored(array, with_frames(encodings(array)[0]))
    stream = replace(each.layout.streams[0], lengths=(len(frame),))
    layout = replace(each.layout, streams=(stream,), crc32c=(crc(frame),))
    return forge({"w": replace(each, layout=layout, segment=frame)})


def test_frames_that_lie() -> None:
    zeros = np.zeros(1024, np.uint8)
    dcz.load(lying_frame(zstd.compress(zeros)))
    refusal(lying_frame(zstd.compress(zeros[:-1])), "the zstd frame holds 1023 bytes, the file says 1024")
    refusal(lying_frame(zstd.compress(np.zeros(1 << 30, np.uint8))), "holds 1073741824 bytes")
    refusal(lying_frame(b""), "tensor 'w', chunk 0: ")
    refusal(lying_frame(b"\0" * 40), "tensor 'w', chunk 0: ")
    refusal(lying_frame(zstd.compress(zeros)[:-1]), "tensor 'w', chunk 0: ")
    refusal(lying_frame(zstd.compress(zeros) + b"\0"), "tensor 'w', chunk 0: ")
    refusal(lying_frame(zstd.compress(zeros) + zstd.compress(zeros)), "tensor 'w', chunk 0: ")


def book_lie(change: Callable[[bytearray], object], fix_checksum: bool) -> bytes:
    each = TENSORS["rel"]
    book = bytearray(each.segment[: each.layout.codebook.stored])
    change(book)
    record = each.layout.codebook
    if fix_checksum:
        record = replace(record, crc32c=crc(bytes(book)))
    segment = bytes(book) + each.body.tobytes()
    return forge({"w": replace(each, segment=segment, layout=replace(each.layout, codebook=record))})


def test_codebooks_that_lie(kernel_set: Kernels) -> None:
    with kernels.use(kernel_set):
        dcz.load(book_lie(lambda book: None, True))
        refusal(book_lie(lambda book: book.reverse(), False), "codebook does not match its CRC-32C", ChecksumError)
        each = TENSORS["rel"]
        record = each.layout.codebook
        book = b"\xff" * (4 * record.entries)  # steps of 2**32 - 1: each entry is one less than the one before
        planes = {"codes": (RAW_CODE,) * 4, "lengths": (record.entries,) * 4, "crc32c": crc(book)}
        layout = replace(each.layout, codebook=replace(record, **planes))
        lying = replace(each, segment=book + each.body.tobytes(), layout=layout)
        refusal(forge({"w": lying}), "the codebook does not ascend")


def test_a_codebook_that_does_not_decode(kernel_set: Kernels) -> None:
    each = TENSORS["rel"]
    record = each.layout.codebook
    codes = (replace(record.codes[0], kind="packed", bits=1, lengths=b""), *record.codes[1:])
    lying = replace(each, layout=replace(each.layout, codebook=replace(record, codes=codes)))
    with kernels.use(kernel_set):
        refusal(forge({"w": lying}), "tensor 'w': the codebook does not decode")
