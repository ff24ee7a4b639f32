"""Streams of symbols to stored bytes and back: raw, packed, Huffman, zstd (SPEC 5)."""

from dcz.entropy.code import Code
from dcz.entropy.coding import Coding
from dcz.entropy.symbols import Symbols

__all__ = ["Code", "Coding", "Symbols"]
