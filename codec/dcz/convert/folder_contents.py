"""The contents of a model's folder: weights to convert, files to copy, and files left out, with reasons."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from dcz.container.shards import SUFFIX, ShardIndex

TORCH = (".bin", ".pt", ".pth")
# Of a training run, not of the model: copied as they are.
TRAINING = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scheduler.bin", "rng_state.pth")
# The hub's names for weights; their first bytes are not looked at.
_USUAL = ("model", "pytorch_model", "adapter_model", "diffusion_pytorch_model")
# Weights of other programs, which a converted folder does not need.
_OTHER = (
    *(".ckpt", ".gguf", ".h5", ".keras", ".onnx", ".onnx_data", ".onnx.data", ".msgpack", ".npz", ".tflite", ".ot"),
    *(".nemo", ".mlmodel", ".incomplete"),
)
# Bookkeeping of version control and of downloads.
_HIDDEN = (".git", ".cache")


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of one model, as paths below the folder: a file, or an index and its shards."""

    path: str
    extension: str
    files: tuple[str, ...]

    @property
    def sharded(self) -> bool:
        """Whether `path` is an index."""
        return self.path.endswith(SUFFIX)

    def renamed(self, path: str, extension: str) -> str:
        """Return the name of `path`, one of its files or its index, with another extension. PyTorch's `pytorch_model`
        is `model` on the hub in every other format."""
        suffix = SUFFIX if path.endswith(SUFFIX) else ""
        folder, name = os.path.split(path[: len(path) - len(self.extension + suffix)])
        if self.extension in TORCH and (name == "pytorch_model" or name.startswith("pytorch_model-")):
            name = name.removeprefix("pytorch_")
        return os.path.join(folder, name + extension + suffix)


@dataclass(slots=True)
class Contents:
    """A folder's files by their use, as paths below it."""

    weights: list[Weights] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def contents(folder: str, extension: str) -> Contents:
    """Return the contents of a folder for a conversion to weights of `extension`.

    When unpacking, the weights are dcz files, if there are any; else dcz and safetensors files, and PyTorch's in
    folders without these. Links that lead out of the folder are left out, except of weights."""
    out = Contents()
    files = _files(folder, out.left_out)
    weights = _weights(folder, files, ".dcz")
    if extension == ".dcz" or not weights:
        weights += _weights(folder, files, ".safetensors")
        known = {os.path.dirname(each.path) for each in weights}
        for torch in TORCH:
            more = [each for each in _weights(folder, files, torch) if os.path.dirname(each.path) not in known]
            weights += more
    unpacked = all(each.extension == ".dcz" for each in weights) and extension != ".dcz"
    taken: dict[str, str] = {}
    for each in weights:
        target = each.renamed(each.path, extension).removesuffix(SUFFIX)
        if target in taken:
            reason = f"{taken[target]} is converted to a file of this name"
            out.left_out |= dict.fromkeys({*each.files, each.path}, reason)
        else:
            taken[target] = each.path
            out.weights.append(each)
    mine = {path for each in weights for path in (each.path, *each.files)}
    for path in sorted(files.keys() - mine):
        if path in taken or path.removesuffix(SUFFIX) in taken:
            out.left_out[path] = f"{taken[path.removesuffix(SUFFIX)]} is converted to a file of this name"
        elif not unpacked and _is_other_weights(folder, path):
            out.left_out[path] = "weights of another format"
        elif not files[path]:
            out.left_out[path] = "a link out of the folder, which is not followed; copy the file into it"
        else:
            out.copied.append(path)
    return out


def _files(folder: str, left_out: dict[str, str]) -> dict[str, bool]:
    """Yield all files as paths below the folder, and whether they lie in it with links followed."""
    homes = [os.path.join(os.path.realpath(folder), "")]
    above, name = os.path.split(os.path.dirname(homes[0][:-1]))
    if name == "snapshots":  # the hub's cache: a snapshot is a folder of links to blobs beside it
        homes.append(os.path.join(above, "blobs", ""))
    out: dict[str, bool] = {}
    for path in _below(folder, left_out):
        real = os.path.realpath(os.path.join(folder, path))
        if os.path.isfile(real):
            out[path] = real.startswith(tuple(homes))
        else:
            left_out[path] = "a link to nothing" if not os.path.exists(real) else "not a regular file"
    return out


def _below(folder: str, left_out: dict[str, str]) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        for name in sorted(folders):
            if os.path.islink(os.path.join(root, name)):
                left_out[os.path.relpath(os.path.join(root, name), folder)] = (
                    "a link to a folder, which is not followed"
                )
        folders[:] = sorted(name for name in folders if name not in _HIDDEN)
        for name in sorted(files):
            yield os.path.relpath(os.path.join(root, name), folder)


def _weights(folder: str, files: dict[str, bool], extension: str) -> list[Weights]:
    """Return the weights with an extension: indices with their shards first, then files that no index names."""
    out = []
    shards: set[str] = set()
    for path in files:
        if path.lower().endswith(extension + SUFFIX):
            below = os.path.dirname(path)
            mine = tuple(os.path.join(below, file) for file in ShardIndex.read(os.path.join(folder, path)).files())
            if all(file.lower().endswith(extension) for file in mine):
                out.append(Weights(path, path[: -len(SUFFIX)][-len(extension) :], mine))
                shards |= {*mine}
    for path in files:
        if path.lower().endswith(extension) and path not in shards and _is_checkpoint(folder, path, extension):
            out.append(Weights(path, path[-len(extension) :], (path,)))
    return out


def _is_checkpoint(folder: str, path: str, extension: str) -> bool:
    """Return whether a file has weights. Many programs write `.bin` files; PyTorch's begin like an archive or a
    pickle."""
    name = os.path.basename(path)
    if extension not in TORCH or name[: -len(extension)] in _USUAL:
        return True
    if name in TRAINING:
        return False
    with open(os.path.join(folder, path), "rb") as file:
        return file.read(4) == b"PK\3\4" or name.startswith(_USUAL)


def _is_other_weights(folder: str, path: str) -> bool:
    name = os.path.basename(path).lower()
    indices = (extension + SUFFIX for extension in (".safetensors", *TORCH))
    torch = next((extension for extension in TORCH if name.endswith(extension)), None)
    return name.endswith((*_OTHER, *indices)) or (torch is not None and _is_checkpoint(folder, path, torch))
