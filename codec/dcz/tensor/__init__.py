"""A tensor is positions times values, in chunks that decode alone (SPEC 4 and 3)."""

from dcz.tensor.choose import PROFILES
from dcz.tensor.encoded import encode
from dcz.tensor.layout import Layout
from dcz.tensor.words import StoredWords, Words, from_words, in_blocks, to_words

__all__ = ["PROFILES", "Layout", "StoredWords", "Words", "encode", "from_words", "in_blocks", "to_words"]
