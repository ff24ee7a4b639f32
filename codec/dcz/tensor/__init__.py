"""A tensor is positions times values, in chunks that decode alone (SPEC 4 and 3)."""

from dcz.tensor.choose import PROFILES
from dcz.tensor.encoded import encode
from dcz.tensor.layout import Layout
from dcz.tensor.words import Words, from_words, to_words

__all__ = ["PROFILES", "Layout", "Words", "encode", "from_words", "to_words"]
