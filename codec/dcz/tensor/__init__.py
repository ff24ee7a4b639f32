"""A tensor is positions times values, in chunks that decode alone (SPEC 4 and 6)."""

from dcz.tensor.choose import PROFILES
from dcz.tensor.columns import Columns
from dcz.tensor.decode import Decoder
from dcz.tensor.encode import encode
from dcz.tensor.layout import Layout
from dcz.tensor.parts import Part, split_chunk
from dcz.tensor.words import Words, from_words, to_words

__all__ = ["PROFILES", "Columns", "Decoder", "Layout", "Part", "Words", "encode", "from_words", "split_chunk", "to_words"]
