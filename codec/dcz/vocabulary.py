"""The one vocabulary of tables, pages, JSON, errors and documentation: titles of layouts, and what every term means."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_POSITIONS = {"bitmap": "bitmap", "all": ""}
# What the values of all weights are, and those of nonzeros alone; cluster indices are what is usual there.
_VALUES = {"codebook": "palette", "planes": "byte planes", "bytes": "dense"}
_SPARSE_VALUES = {"codebook": "", "planes": "byte planes", "bytes": "whole values"}
_CODERS = {"huffman": "Huffman", "zstd": "zstd"}


def positions_title(positions: str) -> str:
    """Return the title of positions.

    >>> positions_title("relative8"), positions_title("bitmap")
    ('CSR, 8-bit gaps', 'bitmap')
    """
    if positions.startswith("relative"):
        return f"CSR, {positions.removeprefix('relative')}-bit gaps"
    return _POSITIONS[positions]


def layout_title(positions: str, values: str, codes: Collection[str] = ()) -> str:
    """Return the title of a layout, with the coders that its streams use.

    >>> layout_title("relative8", "codebook", ["huffman", "packed"])
    'CSR, 8-bit gaps + Huffman'
    >>> layout_title("all", "codebook"), layout_title("all", "bytes", ["zstd"]), layout_title("bitmap", "planes")
    ('palette', 'dense + zstd', 'bitmap, byte planes')
    """
    where = positions_title(positions)
    what = (_SPARSE_VALUES if where else _VALUES)[values]
    coders = [title for kind, title in _CODERS.items() if kind in codes]
    return " + ".join([", ".join(part for part in (where, what) if part), *coders])


def stored_title(positions: str, values: str, codes: Collection[str] = ()) -> str:
    """Return a layout in the words of the format's specification, for those who read both.

    >>> stored_title("relative8", "codebook", ["huffman"]), stored_title("all", "bytes")
    ('relative8 x codebook (huffman)', 'all x bytes')
    """
    return f"{positions} x {values}" + (f" ({'+'.join(codes)})" if codes else "")


@dataclass(frozen=True, slots=True)
class Term:
    """A term: its `title`, one `line` that explains it, what `more` there is to say, and other words for it."""

    title: str
    line: str
    more: str = ""
    also: tuple[str, ...] = ()


TERMS = (
    Term(
        "CSR",
        "The nonzero weights and the gaps between them, row after row.",
        "Compressed sparse row. dcz stores the distance from one nonzero to the next in 4, 5, 8 or 16 bits instead of "
        "a column index of 32: 'CSR, 8-bit gaps'. It is the smaller layout for very sparse tensors.",
        ("relative4", "relative5", "relative8", "relative16", "relative indices", "sparse"),
    ),
    Term(
        "gap",
        "The number of zeros between one nonzero weight and the next.",
        "The relative index of Deep Compression. A gap that its bits cannot hold is bridged by a filler.",
        ("gaps", "relative index"),
    ),
    Term(
        "filler",
        "An entry that bridges a gap too long for its bits.",
        "Where 8 bits end at 255, a filler stands for 255 zeros without a value; Deep Compression stores a zero.",
        ("fillers", "filler zero"),
    ),
    Term(
        "bitmap",
        "One bit for each weight says whether it is zero; the nonzero weights follow.",
        "The bits cost the same at every density until they are Huffman-coded, byte by byte. It is the smaller layout "
        "for moderately sparse tensors.",
        ("bitmask", "mask"),
    ),
    Term(
        "palette",
        "A cluster index for every weight, zeros too, and a codebook.",
        "The layout of clustered tensors that are not pruned.",
        ("palettized", "lut"),
    ),
    Term(
        "dense",
        "All weights as they are in memory.",
        "'Of dense' compares with the bytes of the arrays. 'dense + zstd' is used where weights repeat in a way that "
        "zstd finds.",
        ("all x bytes",),
    ),
    Term(
        "byte planes",
        "The first bytes of all weights, then the second bytes, and so on.",
        "The bytes with sign and exponent repeat and are Huffman-coded; the lower bytes of trained weights are noise "
        "and stay as they are. This is what shrinks a model that is neither pruned nor clustered: by a fifth for F32, "
        "by a third for BF16.",
        ("planes", "plane"),
    ),
    Term(
        "codebook",
        "The distinct values of a clustered tensor, each stored once.",
        "Weights then are cluster indices of 1 to 8 bits.",
        ("codebooks", "centroids"),
    ),
    Term(
        "cluster",
        "One value that many weights share.",
        "Clustering (dcz.cluster, dcz pack --recipe) replaces weights by the nearest of a few values, by default found "
        "by k-means. It changes the model; packing alone never does.",
        ("clusters", "clustering", "clustered", "k", "weight sharing"),
    ),
    Term(
        "cluster index",
        "The number of a weight's value in the codebook.",
        also=("indices", "cluster indices", "index stream"),
    ),
    Term(
        "Huffman",
        "Frequent symbols take fewer bits, rare ones more.",
        "'+ Huffman' after a layout says that its gaps, bitmap, cluster indices or byte planes are Huffman-coded, "
        "each chunk with the code that suits it.",
        ("huffman code", "h", "entropy coding", "coded"),
    ),
    Term("zstd", "A general compressor, used where it is smaller.", "dcz pack --portable does without it."),
    Term(
        "auto",
        "The smallest layout of each tensor, found by counting: what dcz pack stores.",
        "Other profiles restrict the choice: csr, bitmap, dense, paper (gaps of 4 or 5 bits) and raw.",
        ("profile", "profiles", "taken"),
    ),
    Term(
        "weight",
        "One number of a tensor; a complex element has two.",
        also=("weights", "word", "words"),
    ),
    Term(
        "nonzero",
        "The share of weights that are not zero; -0.0 counts as not zero.",
        "Also called density. Sparsity is one minus it.",
        ("density", "sparsity", "nonzeros", "nnz", "kept"),
    ),
    Term(
        "positions",
        "The stored bytes that say where nonzero weights are: gaps or a bitmap.",
    ),
    Term(
        "values",
        "The stored bytes that say what nonzero weights are: cluster indices, byte planes or whole values.",
    ),
    Term(
        "stored",
        "The bytes that a tensor takes in the file, codebook included.",
        "The file adds an index with names, shapes and checksums, and padding: a few hundred bytes and about 40 for "
        "each tensor.",
        ("of dense", "bytes"),
    ),
    Term(
        "bits/weight",
        "Stored bits for each weight: 32 for dense F32, 16 for BF16.",
        also=("bits a weight", "bits per weight", "bpw"),
    ),
    Term("smaller", "The bytes of the arrays divided by the stored bytes.", also=("ratio", "times smaller")),
    Term(
        "uncoded",
        "The bytes that the same layout takes with codes of fixed width.",
        "'saved' is what Huffman coding gains on it.",
        ("saved", "fixed width"),
    ),
    Term(
        "entropy",
        "The bytes that coding symbol by symbol cannot beat, codebooks included.",
        "Positions count as independent events, values as independent draws (order 0). Only structure, such as whole "
        "rows of zeros, lets a layout take less.",
        ("order-0 entropy", "order 0", "floor"),
    ),
    Term(
        "crossover",
        "The density at which CSR and bitmap take the same bytes.",
        "Below it CSR is smaller, above it the bitmap. Modelled for masks as correlated as the tensor's own: about 21% "
        "where weights were pruned one by one, 8% to 12% where whole blocks or rows were.",
        ("even at",),
    ),
    Term(
        "P, P+Q, P+Q+H",
        "The stages of Deep Compression: pruned, quantized (clustered) as well, Huffman-coded as well.",
        "As in Tables 1 to 5 of Han, Mao and Dally, ICLR 2016.",
        ("stages", "p", "p+q", "p+q+h", "paper", "deep compression"),
    ),
    Term(
        "prune",
        "Set the smallest weights to zero.",
        "It changes the model. dcz.prune and recipes prune arrays; dcz.torch.prune_ prunes a model between epochs of "
        "training, which keeps its accuracy.",
        ("pruning", "pruned"),
    ),
    Term(
        "recipe",
        "A TOML or JSON file that says how far each tensor is pruned and clustered.",
        "dcz plan finds one by measurement; dcz pack --recipe applies it.",
        ("plan",),
    ),
    Term(
        "rel. error",
        "The distance from the old weights to the new ones as a share of the old ones' norm.",
        "It says little about accuracy: 0.1 is harmless to one model and fatal to another. Measure with evaluate= of "
        "dcz.plan, or on your own task.",
        ("relative error", "error"),
    ),
    Term(
        "lossless",
        "What is loaded has the same bits as what was saved: NaN payloads and -0.0, too.",
        also=("bit for bit", "bit-exact"),
    ),
    Term(
        "chunk",
        "A part of a tensor that is coded, checked and read on its own.",
        "By default a million weights. Slices and threads work on chunks.",
        ("chunks",),
    ),
    Term("checksum", "A CRC-32C that is compared whenever bytes are read.", also=("crc", "crc-32c", "checksums")),
    Term(
        "index",
        "The part of a file that says what is where: names, shapes, layouts, checksums.",
        also=("overhead",),
    ),
    Term("shard", "One of several files that hold a model together.", also=("shards", "shard size")),
    Term(
        "tied",
        "Two names of one tensor, which is stored once.",
        also=("alias", "aliases", "same as"),
    ),
    Term(
        "delta",
        "A file that holds the differences to another model, its base.",
        "dcz pack NEW DELTA --base OLD writes one, dcz apply makes the model of it.",
        ("difference", "differences", "base"),
    ),
    Term(
        "step",
        "The number of representable values from a weight of the base to the new one.",
        "Steps of fine-tuning are small and take few bits. Other transforms are xor, replace, copy (unchanged) and "
        "whole (without the base).",
        ("transform", "xor", "replace", "copy", "whole", "1 step"),
    ),
    Term(
        "calibration",
        "Samples run through a model to learn what its layers are fed with.",
        "dcz.torch.calibrate and dcz.onnx.calibrate measure the second moments of each layer's inputs; dcz.compress "
        "rounds by them, dcz shrink does both. 128 samples are usually enough.",
        ("calibrate", "calibrated", "calibration data"),
    ),
    Term(
        "second moments",
        "The mean of the product of every two inputs of a layer.",
        "They say how much a change of weights changes the layer's outputs, and which weights can make up for which.",
        ("moments", "hessian", "covariance", "shrinkage"),
    ),
    Term(
        "error feedback",
        "Weights that are rounded later make up for the errors of those rounded before.",
        "Column by column, so that the layer's outputs change least (GPTQ for rounding, SparseGPT for pruning). It "
        "needs second moments. Single weights move farther than by plain rounding, outputs move less.",
        ("gptq", "sparsegpt", "obq"),
    ),
)  # fmt: skip


def find(word: str) -> Term | None:
    """Return the term that a word stands for: its title, or another word for it, in any case.

    >>> find("relative8").title, find("HUFFMAN").title, find("gravity")
    ('CSR', 'Huffman', None)
    """
    wanted = " ".join(word.lower().split())
    for term in TERMS:
        if wanted in (term.title.lower(), *term.also):
            return term
    for term in TERMS:  # a layout's title is explained by its first word that is a term
        if wanted.startswith((f"{term.title.lower()},", f"{term.title.lower()} +")):
            return term
    return None


def line(title: str) -> str:
    """Return the line that explains a term, as legends have it: without a full stop.

    >>> line("chunk")
    'a part of a tensor that is coded, checked and read on its own'
    """
    term = find(title)
    if term is None:
        raise LookupError(f"{title!r} is not a term of the vocabulary")
    start = term.line if term.line[1:2].isupper() else term.line[0].lower() + term.line[1:]
    return start.rstrip(".")
