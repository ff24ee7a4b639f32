"""A tensor's changes as flat indices and values, for receivers that scatter them into memory of their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.file import OpenFile
from dcz.delta.base import Base
from dcz.delta.decode import BasedDecoder
from dcz.delta.links import Link, check_base, check_chunks
from dcz.delta.transforms import NONE, REPLACE, STEP, XOR, magnitude
from dcz.io.sources import read
from dcz.kernels.interface import I64
from dcz.kernels.pure.order import applied


class Patch(NamedTuple):
    """Flat `indices`, ascending, int32 where the tensor has fewer than 2^31 words and int64 otherwise, and `values`.

    Of a complex tensor they are indices and values of real and imaginary parts. Without a base the values of a `step`
    are the signed steps, and those of an `xor` the bits that differ; the transform is named by `kind`: "values",
    "step" or "xor"."""

    indices: NDArray[np.int32] | NDArray[np.int64]
    values: NDArray[Any]
    kind: str


def changes(store: OpenFile, decoder: BasedDecoder, link: Link) -> tuple[I64, NDArray[Any]]:
    """Return places and stored words of a changed tensor, without stored words that change nothing."""
    data = read(store.source, link.entry.offset, link.entry.size)
    places, words = decoder.stored(link, data)
    if link.transform in (STEP, XOR):
        keep = words != 0
        if not keep.all():
            places, words = places[keep], words[keep]
    return places, words


def patch(store: OpenFile, decoder: BasedDecoder, link: Link, base: Base | None, whole: NDArray[Any] | None) -> Patch:
    """Return the patch of a tensor; `whole` are its values if it is stored whole."""
    dtype = link.entry.dtype
    kind = np.dtype(np.int32 if link.entry.words < 1 << 31 else np.int64)
    scalar = dtype.numpy() if dtype.words == 1 else np.dtype(f"<f{dtype.word}")
    if link.transform == NONE:
        assert whole is not None
        return Patch(np.arange(link.entry.words, dtype=kind), whole.reshape(-1).view(scalar), "values")
    if not link.changed:
        return Patch(np.zeros(0, kind), np.zeros(0, scalar), "values")
    places, words = changes(store, decoder, link)
    indices = places.astype(kind)
    if link.transform == REPLACE:
        return Patch(indices, words.view(scalar), "values")
    if base is not None:
        check_base(store, base, {link.entry.name: link})
        data = base.words(link.base_name, 0, link.entry.words, dtype.word)
        check_chunks(link, data)
        old = data.view(words.dtype)[places]
        values = applied(old, words, link.transform, magnitude(dtype), False)
        return Patch(indices, values.view(scalar), "values")
    if link.transform == XOR:
        return Patch(indices, words, "xor")
    one = words.dtype.type(1)
    return Patch(indices, (words >> one ^ -(words & one)).view(f"<i{dtype.word}"), "step")
