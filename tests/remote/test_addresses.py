"""Which address is opened by what: memory, archives, local files, and what to install for the others."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

import dcz
from dcz.errors import UnsupportedError
from dcz.io.remote import extension
from dcz.io.sources import is_url
from support.arrays import large
from support.bits import assert_same_bits

ARRAY = large("pruned and clustered float32")
DATA = dcz.save({"w": ARRAY, "v": np.arange(9)})


def check(file: object) -> None:
    assert_same_bits(dcz.load_file(file)["w"], ARRAY)
    with dcz.open(file) as reader:
        assert_same_bits(reader["v"], np.arange(9))
        assert_same_bits(reader.get_slice("w")[7], ARRAY[7])
    assert dcz.verify(file).stored == len(DATA)


def test_memory() -> None:
    dcz.save_file({"w": ARRAY, "v": np.arange(9)}, "memory://folder/model.dcz")
    assert fsspec.filesystem("memory").cat("/folder/model.dcz") == DATA
    check("memory://folder/model.dcz")


def test_memory_shows_only_complete_files() -> None:
    with pytest.raises(RuntimeError), dcz.Writer("memory://folder/broken.dcz") as writer:
        writer.add("w", ARRAY)
        raise RuntimeError
    del writer
    assert not fsspec.filesystem("memory").exists("/folder/broken.dcz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "models.zip", "w", method) as archive:
        archive.writestr("folder/model.dcz", DATA)
    check(f"zip://folder/model.dcz::{tmp_path}/models.zip")
    check(f"zip://folder/model.dcz::file://{tmp_path}/models.zip")
    with pytest.raises(FileNotFoundError):
        dcz.open(f"zip://missing.dcz::{tmp_path}/models.zip")


def test_local_files(tmp_path: Path) -> None:
    dcz.save_file({"w": ARRAY, "v": np.arange(9)}, f"file://{tmp_path}/model.dcz")
    assert (tmp_path / "model.dcz").read_bytes() == DATA
    check(f"file://{tmp_path}/model.dcz")
    assert [path.name for path in tmp_path.iterdir()] == ["model.dcz"]


def test_file_objects_of_fsspec() -> None:
    fsspec.filesystem("memory").pipe_file("/model.dcz", DATA)
    with fsspec.open("memory://model.dcz") as file:
        check(file)
    check(io.BytesIO(DATA))
    check(DATA)


def test_names_that_are_no_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a::b.dcz", "c:model.dcz", "s3:model.dcz", "1://x"):
        assert not is_url(name)
    dcz.save_file({"w": np.zeros(3)}, "a::b.dcz")
    assert list(dcz.open("a::b.dcz")) == ["w"]
    assert not is_url(Path("s3://bucket/model.dcz")) and not is_url(b"s3://bucket/model.dcz")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3://bucket/model.dcz", ".dcz"),
        ("https://host/a.b/model.DCZ?token=a.b#c", ".dcz"),
        ("zip://model.dcz::s3://bucket/models.zip", ".dcz"),
        ("simplecache::https://host/model.dcz", ".dcz"),
        ("https://host/model", ""),
    ],
)
def test_extensions(url: str, found: str) -> None:
    assert is_url(url) and extension(url) == found


def test_what_cannot_be_written() -> None:
    for url in ("http://127.0.0.1:9/model.dcz", "nope://model.dcz"):
        with pytest.raises(UnsupportedError, match=url):
            dcz.save_file({"w": np.zeros(3)}, url)


@pytest.mark.parametrize(
    ("package", "url", "message"),
    [
        (
            "fsspec",
            "s3://bucket/model.dcz",
            "s3://bucket/model.dcz needs fsspec, which is not installed: pip install 'dcz[remote]'",
        ),
        ("s3fs", "s3://bucket/model.dcz", "s3://bucket/model.dcz: Install s3fs to access S3"),
        ("gcsfs", "gs://bucket/model.dcz", "gs://bucket/model.dcz: Please install gcsfs"),
        ("huggingface_hub", "hf://user/model/model.dcz", "hf://user/model/model.dcz: Install huggingface_hub"),
    ],
)
def test_what_to_install(package: str, url: str, message: str) -> None:
    """As if the package were not there: not importable, and announcing nothing to fsspec."""
    program = (
        f"import sys, importlib.metadata; sys.modules[{package!r}] = None; importlib.metadata.entry_points = dict\n"
        f"import dcz\ntry: dcz.open({url!r})\nexcept dcz.DczError as e: print(e)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert message in run.stdout


def test_nothing_of_it_is_imported_for_local_files(tmp_path: Path) -> None:
    program = (
        "import sys, dcz, numpy; dcz.save_file({'w': numpy.arange(9)}, 'm.dcz'); dcz.load_file('m.dcz'); "
        "print('fsspec' in sys.modules, 'aiohttp' in sys.modules, 'dcz.io.remote' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.split() == ["False"] * 3
