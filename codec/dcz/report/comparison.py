"""`dcz.compare`: tensors, or any readable file, in every layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from dcz.container import Reader, ShardedReader
from dcz.convert import open_model
from dcz.convert.blocks import Reads, Use, values_of
from dcz.convert.folder import in_folder
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES, unknown
from dcz.errors import DczError
from dcz.report.pictures import histogram, picture
from dcz.report.sizes import measure, value_names
from dcz.report.storage import StorageReport, TensorStorage
from dcz.tensor.words import StoredWords, WordSource, crc_of, to_words
from dcz.text import plural
from dcz.ties import Ties

# Cells a side of the pictures of sparsity, and fewer of each in models of many tensors.
_CELLS, _FEW_CELLS, _MANY = 64, 24, 200
# Measuring holds what encoding does, and the histograms of the streams of all layouts at once.
MEASURING = Use(whole=4, fixed=48 << 20, statistics=1 << 15, times=4, more=8)

Progress = Callable[[int, int], None]


def compare(
    model: Mapping[str, np.ndarray] | str | os.PathLike[str],
    *,
    shapes: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> StorageReport:
    """Compares exact sizes of each tensor in every layout, without packing anything.

    Args:
        model: names to numpy arrays, an open reader, or a file or folder that `dcz pack` reads.
        shapes: for .net files, the network's deploy prototxt or JSON.
        progress: called with (bytes done, bytes in all) after each tensor.
        max_memory: bytes; tensors of a file that these are too few for are read in blocks, by default those that 2 GB
            are too few for. The report is the same.

    Returns:
        A `StorageReport`: `report.total("bitmap+huffman").total` and the like for the model,
        `report["fc.weight"].size("csr8+huffman")` for a tensor, `.stages` as in Han et al. 2016 (Tables 2
        to 5), `.crossover`, the density at which a bitmap overtakes CSR, and `.reason`, why `auto` takes what it
        takes. Sizes are those of the tensors' segments; a file adds an index.

    Raises:
        UnsupportedError: a dtype or file that cannot be read.
        DczError: invalid names or arguments.

    >>> import numpy, dcz
    >>> weights = numpy.where(numpy.arange(40_000) % 16, 0, 1 + numpy.arange(40_000) % 3).astype("float32")
    >>> report = dcz.compare({"w": weights})
    >>> report["w"].density, report.total("csr32").total, report.total("bitmap").total
    (0.0625, 180004, 5637)
    >>> len(dcz.save({"w": weights})) < report.profile("auto") + 400
    True
    """
    if isinstance(model, Mapping) and shapes is not None:
        raise DczError("shapes: are for .net files; arrays have their own; leave the option out")
    if isinstance(model, (Reader, ShardedReader)):
        return _of_reader(model, progress, max_memory)
    if isinstance(model, Mapping):
        if max_memory is not None:
            raise DczError("max memory: is for files; arrays are in memory already; leave the option out")
        arrays, aliases = _arrays(model)
        total = sum(getattr(array, "nbytes", 0) for array in arrays.values())
        return _report("tensors", arrays.items(), aliases, len(arrays), total, progress)
    with open_model(in_folder(model), shapes=shapes) as source:
        return _of_file(os.fspath(model), source, source.tensors(), source.aliases, progress, max_memory)


def together(reports: list[StorageReport]) -> StorageReport:
    """Several files as one model: names begin with their file's."""
    if len(reports) == 1:
        return reports[0]
    sources = [os.path.basename(report.source) for report in reports]
    if len(set(sources)) < len(sources):
        sources = [report.source for report in reports]
    tensors: list[TensorStorage] = []
    aliases: dict[str, str] = {}
    for source, report in zip(sources, reports):
        for t in report.tensors:
            same = None if t.same_as is None else f"{source}:{t.same_as}"
            tensors.append(replace(t, name=f"{source}:{t.name}", same_as=same))
        aliases.update({f"{source}:{name}": f"{source}:{target}" for name, target in report.aliases.items()})
    return StorageReport(f"{plural(len(reports), 'file')}", tuple(tensors), aliases)


class _Read:
    """An open dcz file as what `values_of` reads."""

    def __init__(self, reader: Reader | ShardedReader) -> None:
        self.read, self.in_blocks = reader.get_tensor, reader.in_blocks


def _of_reader(reader: Reader | ShardedReader, progress: Progress | None, max_memory: int | None) -> StorageReport:
    infos = [reader.info(name) for name in reader if name not in reader.aliases]
    tensors = [Tensor(info.name, DTYPES.get(info.dtype) or unknown(info.dtype), info.shape) for info in infos]
    return _of_file(reader.source, _Read(reader), tensors, reader.aliases, progress, max_memory)


def _of_file(
    name: str,
    source: Reads,
    tensors: list[Tensor],
    aliases: Mapping[str, str],
    progress: Progress | None,
    max_memory: int | None,
) -> StorageReport:
    tensors = sorted(tensors, key=lambda tensor: tensor.name)
    total = sum(tensor.nbytes for tensor in tensors)
    found = ((tensor.name, values_of(source, tensor, max_memory=max_memory, use=MEASURING)) for tensor in tensors)
    return _report(name, found, dict(aliases), len(tensors), total, progress)


def _arrays(model: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays in order, and the names of those that are one and the same: files store them once."""
    for name in model:
        if not isinstance(name, str):
            raise DczError(f"tensors: names are strings, found {name!r:.80}")
    arrays: dict[str, np.ndarray] = {}
    aliases: dict[str, str] = {}
    ties = Ties()
    for name in sorted(model):
        array = model[name]
        owner = ties.owner(name, array)
        if owner == name:
            arrays[name] = array
        else:
            aliases[name] = owner
    return arrays, aliases


def _report(
    source: str,
    arrays: Iterable[tuple[str, np.ndarray | StoredWords]],
    aliases: dict[str, str],
    count: int,
    total: int,
    progress: Progress | None,
) -> StorageReport:
    def found() -> Iterator[Measured]:
        done = 0
        for name, array in arrays:
            yield measured(name, array, count)
            done += array.nbytes
            if progress is not None:
                progress(done, total)

    return assembled(source, found(), aliases)


Measured = tuple[TensorStorage, tuple[object, ...]]


def measured(name: str, array: np.ndarray | StoredWords, count: int) -> Measured:
    """One tensor of `count` in every layout, and what is equal for tensors of equal words."""
    words = array if isinstance(array, StoredWords) else to_words(array, name)
    found = tensor_storage(name, words, _FEW_CELLS if count > _MANY else _CELLS)
    return found, _content(words, found)


def assembled(source: str, tensors: Iterable[Measured], aliases: dict[str, str]) -> StorageReport:
    """The report of tensors in their order; those of equal words count once."""
    out: list[TensorStorage] = []
    first: dict[tuple[object, ...], str] = {}
    for found, content in tensors:
        owner = first.setdefault(content, found.name) if found.weights else found.name
        out.append(found if owner == found.name else replace(found, same_as=owner))
    return StorageReport(source, tuple(out), aliases)


def _content(words: WordSource, found: TensorStorage) -> tuple[object, ...]:
    """Equal for tensors of equal words, which a file stores once. No array is kept to compare: others are told apart
    by their checksums and by their sizes in every layout."""
    sizes = found.sizes
    layouts = tuple((size.positions, size.values) for size in sizes.huffman.values())
    return words.dtype.code, words.count, crc_of(words), sizes.nonzeros, layouts


def tensor_storage(name: str, words: WordSource, cells: int = _CELLS) -> TensorStorage:
    """One tensor in every layout, with a picture of at most `cells` x `cells`."""
    sizes = measure(words)
    names = tuple(value_names(sizes.clusters.words, words.dtype)) if sizes.clusters else ()
    return TensorStorage(
        name, words.dtype.code, words.shape, sizes, names, picture(words, cells), histogram(words, sizes.nonzeros)
    )
