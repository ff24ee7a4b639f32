"""A packed folder, lent as a folder of safetensors files to a library that takes no tensors."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dcz.convert.folder import convert_folder
from dcz.convert.folder_contents import contents
from dcz.hub.folders import local_folder, no_dcz_weights


@contextmanager
def unpacked(
    folder: str | os.PathLike[str], subfolder: str = "", *, threads: int | None = None, **options: Any
) -> Iterator[str]:
    """Lends a folder with the weights of a packed one as safetensors files, for as long as the block lasts.

    The files are written below the folder for temporary files (`TMPDIR`), one tensor in memory at a time, and take the
    space of the unpacked model there. Files of code are not among them.

    Args:
        folder: what `dcz pack FOLDER` made, or `user/repo` on the hub with such a folder.
        subfolder: a folder in it to lend instead of the whole.
        threads: as in `dcz.load_file`.
        options: `revision`, `token`, `cache_dir`, `local_files_only` and `force_download`, as in
            `huggingface_hub.snapshot_download`.

    Raises:
        DczError: no such folder, or one without dcz files.

    >>> import os, tempfile, torch, dcz.hub
    >>> folder = tempfile.mkdtemp()
    >>> dcz.hub.save_model(torch.nn.Linear(3, 2), folder)
    >>> with dcz.hub.unpacked(folder) as lent:
    ...     print(os.listdir(lent))
    ['model.safetensors']
    """
    source = local_folder(folder, subfolder, **options)
    weights = contents(source, ".safetensors").weights
    if weights and not any(each.extension == ".dcz" for each in weights):
        raise no_dcz_weights(source, weights[0].path)
    with tempfile.TemporaryDirectory(prefix="dcz-") as scratch:
        target = os.path.join(scratch, os.path.basename(os.path.abspath(source)) or "model")
        done = convert_folder(source, target, ".safetensors", threads=threads)
        for path in done.copied:
            if path.lower().endswith(".py"):
                os.unlink(os.path.join(target, path))
        yield target
