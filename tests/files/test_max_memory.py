"""Packing, unpacking and verifying tensors larger than the memory there is: under a limit of the system."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.blocks import values_of
from support.limited import header, limited, needs_proc, start, write_tiny

SIZE, BOUND = 200_000_000, "64MB"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tensor of 200 MB that is mostly a hole in its file, and a tiny file."""
    folder = tmp_path_factory.mktemp("large")
    rows = SIZE // 2 // 4096
    header(folder / "model.safetensors", "BF16", (rows, 4096))
    rng = np.random.default_rng(0)
    with open(folder / "model.safetensors", "r+b") as file:
        for part in range(1, 5):
            file.seek(SIZE // 5 * part)
            file.write(rng.integers(0, 50, 2_000_000).astype("<u2").tobytes())
        file.truncate(rows * 4096 * 2 + start(folder / "model.safetensors"))
    write_tiny(folder)
    return folder


@needs_proc
def test_pack_verify_and_unpack_keep_to_their_memory(folder):
    source, packed, again = (folder / name for name in ("model.safetensors", "model.dcz", "again.safetensors"))
    bound = ("--max-memory", BOUND, "--threads", 1)
    whole = limited(folder, "pack", source, packed, "--threads", 1, "--max-memory", "4GB")
    assert whole.returncode != 0 and "memory" in whole.stderr.lower()
    for command in (
        ("pack", source, packed, *bound),
        ("verify", packed, "--threads", 1),
        ("unpack", packed, again, *bound),
    ):
        done = limited(folder, *command)
        assert done.returncode == 0, (command, done.stderr[-2000:])
    assert again.read_bytes() == source.read_bytes()
    whole = folder / "whole.dcz"
    with open_model(source) as model:
        transfer(model, open_target(whole), max_memory=10**10)
    assert whole.read_bytes() == packed.read_bytes()


def test_a_bound_that_is_too_small_says_what_is_needed(folder):
    with open_model(folder / "model.safetensors") as model:
        (tensor,) = model.tensors()
        with pytest.raises(dcz.DczError, match="max memory: 1000000 bytes are too few for tensor 'w' of") as e:
            values_of(model, tensor, max_memory=10**6)
        needed = int(str(e.value).split("allow ")[1].split("MB")[0]) * 10**6
        assert values_of(model, tensor, max_memory=needed).block >= 1 << 20
        with pytest.raises(dcz.DczError, match="read whole, as these formats and options need; allow 8"):
            values_of(model, tensor, takes_blocks=False, max_memory=10**6)


def test_shards_and_packed_elements_go_in_blocks(tmp_path):
    rng = np.random.default_rng(3)
    arrays = {"a": rng.integers(0, 16, (3, 1 << 20)).astype("u1"), "b": rng.standard_normal((2, 1 << 20)).astype("f4")}
    index = dcz.save_sharded(arrays, tmp_path, shard_size="4MB")
    for name, bound in (("blocks", 50_000_000), ("whole", 10**10)):
        with open_model(index) as model:
            transfer(
                model, open_target(tmp_path / f"{name}.safetensors.index.json", shard_size=4 << 20), max_memory=bound
            )
    files = [sorted(tmp_path.glob(f"{name}*.safetensors")) for name in ("blocks", "whole")]
    assert len(files[0]) == 2
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
