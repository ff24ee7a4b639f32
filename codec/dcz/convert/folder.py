"""Model folders in the hub's layout: weights in one file or several, beside configuration and tokenizer files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dcz.container.shards import SUFFIX, ShardIndex
from dcz.convert.formats import open_model, open_target
from dcz.convert.shards import SHARD_SIZE
from dcz.convert.transfer import Transfer, transfer
from dcz.errors import DczError
from dcz.io.sinks import sync_folder

# In this order: of weights that are there in several formats, the first is taken.
_WEIGHTS = (".dcz", ".safetensors", ".bin", ".pth", ".pt")
# Weights of other programs: neither packed nor copied beside the packed ones.
_OTHER_WEIGHTS = (
    *(".ckpt", ".gguf", ".h5", ".keras", ".onnx", ".onnx_data", ".data", ".msgpack", ".npz", ".tflite", ".ot"),
    *(".pkl", ".pickle", ".nemo", ".mlmodel", ".tar", ".gz", ".zip", ".incomplete"),
)
# Of a training run, not of the model.
_TRAINING = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth")


@dataclass(frozen=True, slots=True)
class FolderTransfer:
    """What was made: the file to load (weights or their index), all weight files, what was copied, and the
    weights that were left out, as paths below the folders."""

    moved: Transfer
    weights: str
    files: tuple[str, ...]
    copied: tuple[str, ...]
    left_out: tuple[str, ...]


def find_weights(folder: str) -> str:
    """The file or index of a folder that holds its model's weights.

    Raises `DczError` where there is none, or no telling which."""
    names = sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name)))
    for extension in _WEIGHTS:
        for ending in (extension + SUFFIX, extension):
            found = [name for name in names if name.lower().endswith(ending) and name not in _TRAINING]
            usual = [name for name in found if name in ("model" + ending, "pytorch_model" + ending)]
            if len(usual or found) == 1:
                return os.path.join(folder, (usual or found)[0])
            if found:
                raise DczError(
                    f"{folder}: {len(found)} files could be the model's weights ({', '.join(found[:4])}); pack one by name"
                )
    raise DczError(f"{folder}: no weights in it; looked for *{', *'.join(_WEIGHTS)} and their {SUFFIX}")


def _below(folder: str) -> Iterator[str]:
    """All files as paths below the folder, without hidden ones and without following linked folders."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.isfile(os.path.join(root, name)):
                yield os.path.relpath(os.path.join(root, name), folder)


def _is_weights(path: str) -> bool:
    name = os.path.basename(path).lower()
    return name.endswith((*_WEIGHTS, *_OTHER_WEIGHTS, *(extension + SUFFIX for extension in _WEIGHTS)))


def convert_folder(
    source: str,
    target: str,
    extension: str,
    *,
    profile: str = "auto",
    threads: int | None = None,
    shard_size: int | None = None,
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FolderTransfer:
    """Writes the weights of the folder `source` to `target` as `model` + `extension`, or as several files and
    `model` + `extension` + ".index.json" where they are larger than `shard_size`, and copies all that is no weights.

    The new folder is made beside its place and moved there when complete. One that is there must be empty, or
    `replace` be given: then its files are replaced one by one, the weights' index last."""
    source, target = os.path.abspath(source), os.path.abspath(target)
    if os.path.realpath(target) == os.path.realpath(source):
        raise DczError(f"{target}: source and target are the same folder; name another")
    if target.startswith(os.path.join(source, "")):
        raise DczError(f"{target}: lies in the folder that is converted; name one beside it")
    if os.path.exists(target) and not replace and (not os.path.isdir(target) or os.listdir(target)):
        raise DczError(f"{target}: already exists; use --force to replace its files")
    weights = find_weights(source)
    mine = {os.path.basename(weights), *(ShardIndex.read(weights).files() if weights.endswith(SUFFIX) else ())}
    others = sorted(_below(source))
    copied = [path for path in others if not _is_weights(path)]
    left_out = [path for path in others if _is_weights(path) and path not in mine]
    scratch = os.path.join(os.path.dirname(target), f".{os.path.basename(target)[:32]}.{os.urandom(8).hex()}.tmp")
    os.mkdir(scratch)
    try:
        with open_model(weights) as model:
            sharded = sum(tensor.nbytes for tensor in model.tensors()) > (shard_size or SHARD_SIZE)
            name = f"model{extension}{SUFFIX if sharded else ''}"
            size = shard_size if sharded else None
            place = open_target(os.path.join(scratch, name), profile=profile, threads=threads, shard_size=size)
            moved = transfer(model, place, progress=progress)
        files = sorted(os.listdir(scratch))
        for path in copied:
            os.makedirs(os.path.dirname(os.path.join(scratch, path)), exist_ok=True)
            shutil.copyfile(os.path.join(source, path), os.path.join(scratch, path))
        _publish(scratch, target, [*copied, *(file for file in files if file != name), name])
        if not sharded and os.path.exists(stale := os.path.join(target, name + SUFFIX)):
            os.unlink(stale)  # it would still point at the files of before
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return FolderTransfer(moved, name, tuple(files), tuple(copied), tuple(left_out))


def _publish(scratch: str, target: str, paths: list[str]) -> None:
    if not os.path.exists(target) or (os.path.isdir(target) and not os.listdir(target)):
        os.replace(scratch, target)  # over nothing, or over an empty folder
    else:
        for path in paths:
            os.makedirs(os.path.dirname(os.path.join(target, path)), exist_ok=True)
            os.replace(os.path.join(scratch, path), os.path.join(target, path))
        shutil.rmtree(scratch)
    sync_folder(os.path.dirname(target))
