"""Model folders in the hub's layout: weights in files or subfolders, beside configuration and tokenizer files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dcz.container.shards import SUFFIX
from dcz.convert.bitmask import without_bitmasks
from dcz.convert.compressed import CompressedModel
from dcz.convert.dfloat11 import has_config, without_dfloat11
from dcz.convert.folder_contents import TORCH, TRAINING, Weights, contents
from dcz.convert.formats import open_model, open_target
from dcz.convert.joined import JoinedModel
from dcz.convert.model import Model, Tensor, check_not_empty, tensor_metadata
from dcz.convert.shard_layout import SHARD_SIZE, of_the_same_model
from dcz.convert.transfers import Transfer, check_nothing_left_out, transfer
from dcz.errors import DczError
from dcz.io import temporary
from dcz.io.sinks import sync_folder
from dcz.io.together import publish_together
from dcz.text import plural

# In this order: the first format of which a folder has weights is taken.
_WEIGHTS = (".dcz", ".safetensors", ".bin", ".pth", ".pt")


@dataclass(frozen=True, slots=True)
class FolderTransfer:
    """The result of a conversion, as paths below the new folder: the file to load (weights or their index), all weight
    files, the copied files; what was left out, with reasons; and configurations changed because sparse or
    DFloat11 weights are now plain."""

    moved: Transfer
    weights: str
    files: tuple[str, ...]
    copied: tuple[str, ...]
    left_out: Mapping[str, str]
    mended: tuple[str, ...]
    source_bytes: int


def find_weights(folder: str) -> str:
    """Return the file or index of a folder that holds its model's weights.

    Raises `DczError` where there is none, or more than one."""
    names = sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name)))
    for extension in _WEIGHTS:
        for ending in (extension + SUFFIX, extension):
            found = [name for name in names if name.lower().endswith(ending) and name not in TRAINING]
            usual = [name for name in found if name in ("model" + ending, "pytorch_model" + ending)]
            if len(usual or found) == 1:
                return os.path.join(folder, (usual or found)[0])
            if found:
                raise DczError(
                    f"{folder}: {plural(len(found), 'file')} could be the model's weights ({', '.join(found[:4])}); "
                    "pack one by name"
                )
    raise DczError(f"{folder}: no weights in it; looked for *{', *'.join(_WEIGHTS)} and their {SUFFIX}")


def in_folder(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return the weights of a folder by `find_weights`; any other path, such as a Core ML package, unchanged."""
    name = os.fspath(path)
    is_package = os.path.normpath(name).lower().endswith(".mlpackage")
    return find_weights(name) if os.path.isdir(name) and not is_package else path


def convert_folder(
    source: str,
    target: str,
    extension: str,
    *,
    profile: str = "auto",
    threads: int | None = None,
    shard_size: int | None = None,
    max_bytes: int | None = None,
    replace: bool = False,
    strict: bool = False,
    max_memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    recipe: object = None,
    keep_nonfinite: bool = False,
) -> FolderTransfer:
    """Write all weights of the folder `source` to `target`, each under its own name with `extension`, and copy other
    files byte for byte. Shards keep their tensors, unless there is a `shard_size`: then larger weights are sharded
    anew, and smaller ones become one file. With a `recipe`, all weights are pruned and clustered by it, as in
    `dcz.compress`; shards are made anew then.

    The new folder is made beside its place and moved there when complete. One that is there must be empty, or
    `replace` be given: then its files are replaced together (`dcz.io.together`). With `strict`, nothing may be left
    out. `max_memory` is as in `transfer`."""
    given, source, target = target, os.path.abspath(source), os.path.abspath(target)
    _check_places(source, target, replace)
    found = contents(source, extension)
    found.weights[:] = _joined(source, found.weights)
    if not found.weights:
        find_weights(source)  # its error says what was looked for
    if strict:
        check_nothing_left_out(found.left_out)
    temporary.remove_leftovers(target)
    scratch = temporary.new_name(target)
    os.mkdir(scratch)
    try:
        run = _Run(source, scratch, extension, profile, threads, shard_size, max_bytes, strict, progress, max_memory)
        if recipe is not None:
            run.change = lambda model: CompressedModel(model, recipe, keep_nonfinite=keep_nonfinite)
        for path in found.copied:
            run.copy(path)
        for weights in found.weights:
            run.convert(weights)
        files = sorted(run.files)
        _publish(scratch, target, [*found.copied, *files])
        for path in run.stale(target):
            os.unlink(path)
    except BaseException as error:
        temporary.remove(scratch)
        temporary.rename_in(error, scratch, given)
        raise
    main = min(run.loaded, key=lambda path: path.count(os.sep))
    moved = Transfer(run.tensors, run.aliases, run.nbytes, run.left_out)
    size = sum(
        os.path.getsize(os.path.join(source, path))
        for each in found.weights
        for path in {*each.files, *([each.path] if each.sharded else [])}
    )
    left_out = {**found.left_out, **run.left_out}
    return FolderTransfer(moved, main, tuple(files), tuple(found.copied), left_out, tuple(run.mended), size)


def _joined(source: str, found: list[Weights]) -> list[Weights]:
    """Return the weights with the files of a DFloat11 checkpoint, which have no index, as those of one model."""
    out: list[Weights] = []
    folders: dict[str, list[Weights]] = {}
    for each in found:
        below = os.path.dirname(each.path)
        joined = each.extension == ".safetensors" and not each.sharded and has_config(os.path.join(source, below))
        (folders.setdefault(below, []) if joined else out).append(each)
    for below, group in folders.items():
        files = tuple(each.path for each in group)
        path = os.path.join(below, "model.safetensors") if len(files) > 1 else files[0]
        out.append(Weights(path, ".safetensors", files))
    return out


def _check_places(source: str, target: str, replace: bool) -> None:
    if os.path.realpath(target) == os.path.realpath(source):
        raise DczError(f"{target}: source and target are the same folder; name another")
    if target.startswith(os.path.join(source, "")):
        raise DczError(f"{target}: lies in the folder that is converted; name one beside it")
    if os.path.exists(target) and not replace and (not os.path.isdir(target) or os.listdir(target)):
        raise DczError(f"{target}: already exists; use --force to replace its files")


class _Run:
    """The conversion of one folder into an empty one, and its result."""

    def __init__(
        self,
        source: str,
        target: str,
        extension: str,
        profile: str,
        threads: int | None,
        shard_size: int | None,
        max_bytes: int | None,
        strict: bool,
        progress: Callable[[int, int], None] | None,
        max_memory: int | None = None,
    ) -> None:
        self._max_memory = max_memory
        self._source, self._target, self._extension = source, target, extension
        self._profile, self._threads, self._shard_size = profile, threads, shard_size
        self._max_bytes, self._strict, self._progress = max_bytes, strict, progress
        self.change: Callable[[Model], Model] | None = None
        self.files: list[str] = []
        self.loaded: list[str] = []
        self.mended: list[str] = []
        self.left_out: dict[str, str] = {}
        self.tensors = self.aliases = self.nbytes = 0

    def copy(self, path: str) -> None:
        shutil.copyfile(os.path.join(self._source, path), self._place(path))

    def convert(self, weights: Weights) -> None:
        with self._open_all(weights) as model:
            check_not_empty(model, weights.path)
            remade = getattr(model, "remade", False)
            if not weights.sharded or remade or self._shard_size is not None or self.change is not None:
                self._as_one(model if self.change is None else self.change(model), weights)
                if remade:
                    self._mend(os.path.join(os.path.dirname(weights.path), "config.json"))
                return
        for file in weights.files:
            with self._open(file) as model:
                self._transfer(model, weights, weights.renamed(file, self._extension), None)
        self._index(weights)

    def _open_all(self, weights: Weights) -> Model:
        if len(weights.files) > 1 and not weights.sharded:
            return JoinedModel(weights.files, self._open)
        return self._open(weights.path)

    def _open(self, path: str) -> Model:
        return open_model(os.path.join(self._source, path), max_bytes=self._max_bytes)

    def _place(self, path: str) -> str:
        place = os.path.join(self._target, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        return place

    def _as_one(self, model: Model, weights: Weights) -> None:
        """Write one file, or as many shards as the shard size needs."""
        limit = self._shard_size or (SHARD_SIZE if len(weights.files) > 1 else None)
        path = weights.renamed(weights.path, self._extension).removesuffix(SUFFIX)
        if limit is not None and sum(tensor.nbytes for tensor in model.tensors()) > limit:
            self._transfer(model, weights, path + SUFFIX, limit)
        else:
            self._transfer(model, weights, path, None)
        self.loaded.append(self.files[-1])

    def _transfer(self, model: Model, weights: Weights, path: str, shard_size: int | None) -> None:
        if weights.extension in TORCH:
            model = _OfPyTorch(model)
        place = self._place(path)
        before = set(os.listdir(os.path.dirname(place)))
        target = open_target(place, profile=self._profile, threads=self._threads, shard_size=shard_size)
        moved = transfer(model, target, progress=self._progress, strict=self._strict, max_memory=self._max_memory)
        self.tensors += moved.tensors
        self.aliases += moved.aliases
        self.nbytes += moved.nbytes
        self.left_out |= {f"{weights.path}: {name}": reason for name, reason in moved.left_out.items()}
        made = sorted(set(os.listdir(os.path.dirname(place))) - before, key=lambda name: name.endswith(SUFFIX))
        self.files += [os.path.join(os.path.dirname(path), name) for name in made]

    def _index(self, weights: Weights) -> None:
        """Write the index of kept shards: the same one, with other names."""
        with open(os.path.join(self._source, weights.path), encoding="utf-8") as file:
            document = json.load(file)
        metadata = {key: value for key, value in (document.get("metadata") or {}).items() if key != "file_sizes"}
        names = {os.path.basename(file): weights.renamed(file, self._extension) for file in weights.files}
        if self._extension == ".dcz":  # so that a partial download is noticed before it is read
            sizes = {os.path.basename(f): os.path.getsize(os.path.join(self._target, f)) for f in names.values()}
            metadata["file_sizes"] = sizes
        document["metadata"] = metadata
        document["weight_map"] = {n: os.path.basename(names[file]) for n, file in document["weight_map"].items()}
        path = weights.renamed(weights.path, self._extension)
        with open(self._place(path), "x", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        self.files.append(path)
        self.loaded.append(path)

    def _mend(self, path: str) -> None:
        """Change a configuration that calls weights sparse or DFloat11, which they are no more."""
        place = os.path.join(self._target, path)
        if os.path.isfile(place):
            with open(place, "rb") as file:
                text = mended = file.read()
            for without in (without_bitmasks, without_dfloat11):
                mended = without(mended) or mended
            if mended != text:
                with open(place, "wb") as file:
                    file.write(mended)
                self.mended.append(path)

    def stale(self, target: str) -> list[str]:
        """Return outdated files of the published folder: other shards, and an index that would name them."""
        out = []
        for path in self.loaded:
            folder = os.path.join(target, os.path.dirname(path))
            stem = os.path.basename(path).removesuffix(SUFFIX).removesuffix(self._extension)
            there = [*of_the_same_model(folder, stem, self._extension), stem + self._extension + SUFFIX]
            new = {os.path.basename(file) for file in self.files if os.path.dirname(file) == os.path.dirname(path)}
            out += [os.path.join(folder, name) for name in there if name not in new]
        return [path for path in out if os.path.isfile(path)]


class _OfPyTorch:
    """A PyTorch checkpoint with the metadata that transformers expects in safetensors."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.metadata = {"format": "pt", **model.metadata}
        self.aliases = model.aliases
        self.left_out: Mapping[str, str] = getattr(model, "left_out", {})
        self.tensor_metadata = tensor_metadata(model)

    def tensors(self) -> list[Tensor]:
        return self._model.tensors()

    def read(self, name: str) -> np.ndarray:
        return self._model.read(name)

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *error: object) -> None:
        self._model.__exit__(*error)


def _publish(scratch: str, target: str, paths: list[str]) -> None:
    if not os.path.exists(target) or (os.path.isdir(target) and not os.listdir(target)):
        os.replace(scratch, target)  # over nothing, or over an empty folder
        temporary.forget(scratch)
    else:
        indexes = [path for path in paths if path.endswith(SUFFIX)]
        publish_together(scratch, target, [path for path in paths if path not in indexes], indexes)
        temporary.remove(scratch)
    sync_folder(os.path.dirname(target))
