"""An index of many shards: what one lookup costs does not grow with the model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import dcz
from dcz.container.shards import ShardIndex


class Counting(Mapping):
    """A mapping that counts how often it is gone through."""

    def __init__(self, inner):
        self.inner, self.passes = inner, 0

    def __getitem__(self, key):
        return self.inner[key]

    def __len__(self):
        return len(self.inner)

    def __iter__(self):
        self.passes += 1
        return iter(self.inner)


def test_the_tensors_of_a_shard_are_found_without_going_through_all():
    where = Counting({f"layers.{i}.weight": f"model-{i % 50:05d}.dcz" for i in range(500)})
    index = ShardIndex("model.dcz.index.json", where, {})
    made = where.passes
    assert len(index.files()) == 50
    for number, file in enumerate(index.files()):
        assert index.names(file) == [f"layers.{i}.weight" for i in range(number, 500, 50)]
    assert index.names("another.dcz") == []
    assert made == where.passes == 1


def test_one_tensor_opens_one_shard(tmp_path, monkeypatch):
    arrays = {f"w{i:03d}": np.full(9, i, "f4") for i in range(40)}
    index = dcz.save_sharded(arrays, tmp_path, shard_size=72)
    opened = []
    inner = dcz.Reader.__init__

    def noting(self, file, **options):
        opened.append(str(file))
        inner(self, file, **options)

    monkeypatch.setattr(dcz.Reader, "__init__", noting)
    with dcz.open(index) as reader:
        assert len(reader.shards) == 20 and opened == []
        assert reader["w007"][0] == 7
        assert [file.rpartition("/")[2] for file in opened] == ["model-00004-of-00020.dcz"]
