"""The layouts that a comparison has, in the order of its tables."""

from __future__ import annotations

# Key, title, what it is.
LAYOUTS = (
    ("dense", "dense", "the arrays as they are in memory"),
    ("csr32", "CSR, 32-bit indices", "values, 32-bit columns, row pointers: the paper's 2a + n + 1 numbers"),
    ("csr4", "CSR, 4-bit gaps", "gaps of 4 bits and cluster indices, of fixed width"),
    ("csr5", "CSR, 5-bit gaps", "gaps of 5 bits and cluster indices, of fixed width"),
    ("csr8", "CSR, 8-bit gaps", "gaps of 8 bits and cluster indices, of fixed width"),
    ("bitmap", "bitmap", "a bit a weight and cluster indices, of fixed width"),
    ("palette", "palette", "a cluster index for every weight, of fixed width"),
    ("csr4+huffman", "CSR, 4-bit gaps + Huffman", "the same, Huffman-coded"),
    ("csr5+huffman", "CSR, 5-bit gaps + Huffman", "the same, Huffman-coded"),
    ("csr8+huffman", "CSR, 8-bit gaps + Huffman", "the same, Huffman-coded"),
    ("bitmap+huffman", "bitmap + Huffman", "the same, Huffman-coded"),
    (
        "palette+huffman",
        "palette + Huffman",
        "every weight's cluster index, zero being one more, Huffman-coded",
    ),
    (
        "entropy",
        "order-0 entropy",
        "positions and values at their entropy, with codebooks: what coding symbol by symbol cannot beat",
    ),
    ("auto", "auto", "the smallest of all, tensor by tensor: what dcz pack stores"),
)
KEYS = tuple(key for key, _, _ in LAYOUTS)
TITLES = {key: title for key, title, _ in LAYOUTS}
# The positions of each, as SPEC names them.
POSITIONS = {"palette": "all", "csr4": "relative4", "csr5": "relative5", "csr8": "relative8", "bitmap": "bitmap"}
