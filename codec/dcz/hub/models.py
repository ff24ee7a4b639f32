"""Models of PyTorch in folders laid out as the hub's: one file or shards with an index."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub import split_state_dict_into_shards_factory

from dcz.container.shards import SUFFIX
from dcz.convert.shard_layout import index_text, of_the_same_model, write_index
from dcz.errors import DczError
from dcz.hub.folders import dcz_weights, local_folder
from dcz.io import temporary
from dcz.io.sinks import sync_folder
from dcz.io.together import publish_together
from dcz.torch.models import load_model as load_file_into
from dcz.torch.state_dicts import fuse, pruned_by_torch
from dcz.torch.tensors import identity, nbytes, save_file


def save_model(
    model: torch.nn.Module | Mapping[str, torch.Tensor],
    save_directory: str | os.PathLike[str],
    *,
    name: str = "model",
    max_shard_size: int | str = "5GB",
    metadata: Mapping[str, object] | None = None,
    profile: str = "auto",
    threads: int | None = None,
) -> None:
    """Writes a model's state dict to `model.dcz` in a folder, or to shards and their index where it is larger than
    `max_shard_size`: `huggingface_hub.save_torch_model` for dcz files.

    The shards are those of `huggingface_hub.split_state_dict_into_shards_factory`. Tied weights are stored once, under
    all their names. The files are published together: a failed call leaves the folder as it was.

    Args:
        model: a module, or a state dict.
        save_directory: a folder, which is made where there is none; older files of the same model are removed.
        name: what the files' names begin with.
        max_shard_size: bytes of tensors in a file, as a number or as the hub writes it ("500MB").
        metadata: as in `dcz.save_file`; every file has it, and `format: pt`.
        profile, threads: as in `dcz.save_file`.

    Raises:
        UnsupportedError: a tensor that cannot be stored.
        DczError: a size or name that makes no file name, or other invalid options.

    >>> import os, tempfile, torch, dcz.hub
    >>> folder = tempfile.mkdtemp()
    >>> dcz.hub.save_model(torch.nn.Linear(64, 64), folder, max_shard_size="1KB")
    >>> sorted(os.listdir(folder))
    ['model-00001-of-00002.dcz', 'model-00002-of-00002.dcz', 'model.dcz.index.json']
    """
    if not name or os.path.basename(name) != name or name.startswith("."):
        raise DczError(f"name: {name!r:.80} is not the beginning of a file name")
    state = fuse(model.state_dict(), pruned_by_torch(model)) if isinstance(model, torch.nn.Module) else dict(model)
    for each, tensor in state.items():
        nbytes(tensor, each)  # refuses what has no values
    try:
        split = split_state_dict_into_shards_factory(
            state,
            get_storage_size=lambda tensor: nbytes(tensor, ""),
            get_storage_id=identity,
            filename_pattern=name.replace("{", "{{").replace("}", "}}") + "{suffix}.dcz",
            max_shard_size=max_shard_size,
        )
    except ValueError as error:
        raise DczError(f"max_shard_size: {error}") from None
    folder = os.path.abspath(save_directory)
    os.makedirs(folder, exist_ok=True)
    where = os.path.join(folder, name)
    temporary.remove_leftovers(where)
    scratch = temporary.new_name(where)
    os.mkdir(scratch)
    try:
        files = split.filename_to_tensors or {f"{name}.dcz": []}
        for file, names in files.items():
            tensors = {each: state[each] for each in names}
            path = os.path.join(scratch, file)
            save_file(tensors, path, {"format": "pt", **(metadata or {})}, profile=profile, threads=threads)
        index = [name + ".dcz" + SUFFIX] if split.is_sharded else []
        for path in index:
            sizes = {file: os.path.getsize(os.path.join(scratch, file)) for file in files}
            about = {"file_sizes": sizes, "total_size": split.metadata["total_size"]}
            write_index(os.path.join(scratch, path), index_text(split.tensor_to_filename, about))
        publish_together(scratch, folder, list(files), index)
        for stale in (*of_the_same_model(folder, name, ".dcz"), name + ".dcz" + SUFFIX):
            if stale not in (*files, *index) and os.path.isfile(os.path.join(folder, stale)):
                os.unlink(os.path.join(folder, stale))
    except BaseException as error:
        temporary.rename_in(error, scratch, folder)
        raise
    finally:
        temporary.remove(scratch)
    sync_folder(folder)


def load_model(
    model: torch.nn.Module,
    folder: str | os.PathLike[str],
    *,
    strict: bool = True,
    device: str | int | torch.device = "cpu",
    assign: bool = False,
    subfolder: str = "",
    threads: int | None = None,
    max_bytes: int | None = None,
    **options: Any,
) -> tuple[list[str], list[str]]:
    """Loads the dcz weights of a folder or repo into a model: `huggingface_hub.load_torch_model` for dcz files.

    Args:
        folder: a folder, or `user/repo` on the hub.
        strict, device, assign, threads, max_bytes: as in `dcz.torch.load_model`.
        subfolder: the folder in it that has the weights.
        options: `revision`, `token`, `cache_dir`, `local_files_only` and `force_download`, as in
            `huggingface_hub.snapshot_download`.

    Returns:
        Missing and unexpected keys, as `load_state_dict` does.

    Raises:
        DczError: no such folder, no dcz weights in it, or a file that is damaged or missing; see `dcz.errors`.
        RuntimeError: names or shapes that do not agree.

    >>> import tempfile, torch, dcz.hub
    >>> folder, model = tempfile.mkdtemp(), torch.nn.Linear(3, 2)
    >>> dcz.hub.save_model(model, folder)
    >>> dcz.hub.load_model(torch.nn.Linear(3, 2), folder)
    <All keys matched successfully>
    """
    weights = dcz_weights(local_folder(folder, subfolder, **options))
    return load_file_into(
        model, weights, strict, device, assign=assign, threads=threads, max_bytes=max_bytes
    )  # fmt: skip
