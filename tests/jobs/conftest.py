"""Jobs: a source, and what packing it in one run gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dcz.convert import open_model, open_target, transfer
from support.cluster import Cluster, client_of, cluster
from support.command import dcz_
from support.s3 import S3
from support.sharded import SHARD, Source, content, write

__all__ = ["dcz_"]


@pytest.fixture(scope="session")
def _packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("one-run")
    with open_model(write(folder / "source")) as model:
        (folder / "out").mkdir()
        transfer(model, open_target(folder / "out" / "model.dcz.index.json", shard_size=SHARD))
    return content(folder / "out")


@pytest.fixture
def source(tmp_path: Path, _packed: dict[str, bytes]) -> Source:
    return Source(write(tmp_path / "source"), _packed)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where to pack to, in a folder of its own."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model.dcz.index.json"


@pytest.fixture
def s3(_s3: S3) -> Iterator[S3]:
    """An S3 server that is healthy, with an empty bucket `models`."""
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.invalidate_cache()
    if fs.ls("models"):
        fs.rm("models/*", recursive=True)
    yield _s3
    _s3.behave()


@pytest.fixture(scope="session")
def workers(_s3: S3) -> Iterator[Cluster]:
    """A cluster of two worker processes."""
    pytest.importorskip("distributed", reason="clusters are Dask's: the extra `dask`")
    with cluster("one", "two", env=_s3.environment) as made:
        yield made


@pytest.fixture
def client(workers: Cluster) -> Iterator[Any]:
    """A client of the cluster of two."""
    with client_of(workers, 2) as found:
        yield found
