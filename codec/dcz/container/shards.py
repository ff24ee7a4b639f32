"""The index of a model in several files (`*.index.json`, in the layout of the Hugging Face hub): each tensor's file.

    {"metadata": {"total_size": BYTES OF ALL ARRAYS, "file_sizes": {FILE: BYTES}}, "weight_map": {TENSOR: FILE}}

`file_sizes` is an addition of dcz: a partial download is noticed before it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from dcz import limits
from dcz.errors import FormatError, LimitError, TruncatedError
from dcz.io.opening import open_source
from dcz.io.sources import read
from dcz.text import plural

SUFFIX = ".index.json"


def is_shard_index(file: object) -> bool:
    """Return whether a name is that of an index of dcz files."""
    return isinstance(file, (str, os.PathLike)) and os.fspath(file).lower().endswith(".dcz" + SUFFIX)


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """A parsed index: each tensor's file, each file's size where it is known, and the model's metadata."""

    path: str
    weight_map: Mapping[str, str]
    file_sizes: Mapping[str, int]
    metadata: Mapping[str, object] = field(default_factory=dict)
    _by_file: Mapping[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_file: dict[str, list[str]] = {}
        for name, file in self.weight_map.items():
            by_file.setdefault(file, []).append(name)
        object.__setattr__(self, "_by_file", by_file)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> ShardIndex:
        """Read an index, and check that each file it names lies beside it and has its full size.

        Raises `FormatError` for anything else, and for files that are elsewhere or missing; `TruncatedError` for a file
        that is shorter than the index says."""
        name = os.fspath(path)
        document = _document(name)
        weight_map = _mapping(name, document, "weight_map", str)
        metadata = document.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise FormatError(f"{name}: metadata: expected an object, found {metadata!r:.80}")
        sizes = _mapping(name, metadata, "file_sizes", int) if "file_sizes" in metadata else {}
        others = {key: value for key, value in metadata.items() if key not in ("total_size", "file_sizes")}
        index = ShardIndex(name, weight_map, sizes, others)
        for file in index.files():
            _check_file_name(name, file)
        index._check_present()
        return index

    def files(self) -> list[str]:
        """Return the files by name, each once, in the order of their tensors."""
        return list(self._by_file)

    def names(self, file: str) -> list[str]:
        """Return the tensors of one file."""
        return self._by_file.get(file, [])

    def locate(self, file: str) -> str:
        """Return the path of one file."""
        return os.path.join(os.path.dirname(self.path), file)

    def missing(self, file: str, names: Iterable[str]) -> FormatError:
        """Return the error for tensors that their file lacks."""
        names = list(names)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return FormatError(
            f"{self.path}: {file} has no tensor {names[0]!r:.80}{more}; index and files do not belong together"
        )

    def _check_present(self) -> None:
        if "://" in self.path:
            return  # remote files are checked when they are read
        absent = [file for file in self.files() if not os.path.isfile(self.locate(file))]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise FormatError(
                f"{self.path}: {absent[0]!r:.120}{more} {'are' if more else 'is'} missing, of "
                f"{plural(len(self.files()), 'file')}; finish the download"
            )
        for file in self.files():
            wanted = self.file_sizes.get(file)
            found = os.path.getsize(self.locate(file))
            if wanted is not None and found < wanted:
                raise TruncatedError(
                    f"{self.locate(file)}: {plural(wanted - found, 'byte')} short "
                    f"({found} of {wanted}); finish the download"
                )
            if wanted is not None and found > wanted:
                raise FormatError(
                    f"{self.locate(file)}: {plural(found, 'byte')}, the index says {wanted}; "
                    "they do not belong together"
                )


def _document(name: str) -> dict[str, object]:
    with closing(open_source(name)) as source:
        if source.size > limits.MAX_SHARD_INDEX_BYTES:
            raise LimitError(
                f"{name}: {source.size} bytes; the limit of an index of shards is {limits.MAX_SHARD_INDEX_BYTES}"
            )
        text = read(source, 0, source.size).tobytes()
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: not valid JSON ({error})") from None
    if not isinstance(document, dict):
        raise FormatError(f"{name}: expected an object with a weight_map")
    return document


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate key")
    return out


def _mapping(name: str, document: dict[str, object], field: str, kind: type) -> dict[str, Any]:
    value = document.get(field)
    if not isinstance(value, dict) or any(type(item) is not kind for item in value.values()):
        what = "file names" if kind is str else "sizes"
        raise FormatError(f"{name}: {field}: expected an object of {what}, found {value!r:.80}")
    return value


def _check_file_name(name: str, file: str) -> None:
    """Refuse anything that reads as a path: files lie beside their index."""
    if file in ("", ".", "..") or any(c in file for c in "/\\:\0"):
        raise FormatError(f"{name}: weight_map: {file!r:.80} is not the plain name of a file beside the index")
