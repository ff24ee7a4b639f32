"""Folders of models: on this machine, or of a repo of the hub, downloaded without weights of other formats or code."""

from __future__ import annotations

import json
import os
from typing import Any

from dcz import limits
from dcz.container.shards import SUFFIX
from dcz.convert.folder import find_weights
from dcz.errors import DczError, FormatError, LimitError

# Options of `huggingface_hub.snapshot_download` that the libraries' own functions take by the same names.
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "token")
# Of a repo that has dcz files too, only these are needed; code never is.
_NOT_NEEDED = (
    *("*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json", "*.pt", "*.pth", "*.ckpt", "*.gguf"),
    *("*.h5", "*.keras", "*.msgpack", "*.npz", "*.onnx", "*.onnx_data", "*.tflite", "*.ot", "*.nemo", "*.py"),
)


def local_folder(place: str | os.PathLike[str], subfolder: str = "", **options: Any) -> str:
    """Return a folder on this machine, or that of a downloaded repo; with a `subfolder`, that folder in it.

    Args:
        place: a folder, or `user/repo` on the hub.
        subfolder: a folder below; of a repo, nothing else is downloaded.
        options: of `huggingface_hub.snapshot_download`, those in `HUB_OPTIONS`.

    Raises:
        DczError: neither a folder nor a repo's name, or a subfolder that is not there or leads out of the folder.
    """
    root = os.fspath(place)
    below = os.path.normpath(subfolder) if subfolder else ""
    if below.startswith("..") or os.path.isabs(below):
        raise DczError(f"subfolder: {subfolder!r:.80} leads out of {root}; name a folder in it")
    if not os.path.isdir(root):
        if os.path.exists(root):
            raise DczError(f"{root}: a file; name the folder that has its configuration")
        root = _download(root, below, options)
    found = os.path.join(root, below) if below else root
    if not os.path.isdir(found):
        raise DczError(f"{root}: no folder {subfolder!r:.80} in it")
    return found


def _download(repo: str, below: str, options: dict[str, Any]) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        folder = snapshot_download(
            repo, ignore_patterns=list(_NOT_NEEDED), allow_patterns=f"{below}/*" if below else None, **options
        )
    except HFValidationError:
        raise DczError(f"{repo}: neither a folder nor the name of a repo; expected a path or user/repo") from None
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        asked = f" at {options['revision']}" if options.get("revision") else ""
        raise DczError(f"{repo}: no such folder here, and no such repo{asked} that the hub lets you read") from error
    except LocalEntryNotFoundError as error:
        raise DczError(
            f"{repo}: no such folder here, and as a repo it is not in the cache and the hub cannot be reached"
        ) from error
    if not any(name.lower().endswith(".dcz") for _, _, names in os.walk(folder) for name in names):
        raise DczError(
            f"{repo}: no dcz files in this repo; those of other formats are not downloaded here, the model's own "
            "library loads them"
        )
    return folder


def dcz_weights(folder: str, variant: str | None = None) -> str:
    """Return the dcz file of a folder that holds its model's weights, or their index.

    Raises `DczError` where there is none, or more than one."""
    if variant is not None:
        ending = f".{variant}.dcz"
        found = sorted(name for name in os.listdir(folder) if name.endswith(ending))
        if len(found) != 1:
            raise DczError(f"{folder}: expected one file *{ending} for variant {variant!r:.40}, found {len(found)}")
        return os.path.join(folder, found[0])
    path = find_weights(folder)
    if not path.lower().endswith((".dcz", ".dcz" + SUFFIX)):
        raise no_dcz_weights(folder, os.path.basename(path))
    return path


def no_dcz_weights(folder: str, other: str) -> DczError:
    """The error for a folder whose weights are in another format."""
    return DczError(
        f"{folder}: no dcz weights in it, but {other}, which the model's own library loads; make a folder of dcz files "
        "by: dcz pack FOLDER NEW"
    )


def read_json(path: str) -> dict[str, Any]:
    """Return the object in a JSON file of a model's folder."""
    size = os.path.getsize(path)
    if size > limits.MAX_SHARD_INDEX_BYTES:
        raise LimitError(f"{path}: {size} bytes; the limit for a configuration is {limits.MAX_SHARD_INDEX_BYTES}")
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(document, dict):
        raise FormatError(f"{path}: expected an object, found {document!r:.80}")
    return document
