"""Files in a bucket, on a real S3 API server: reading, writing and the command line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import dcz
from dcz.errors import FormatError, TruncatedError
from dcz.format.trailer import Trailer
from support.arrays import large, make_array
from support.bits import assert_same_bits

URL = "s3://models/folder/model.dcz"
TENSORS = {
    "a.pruned": large("pruned and clustered float32"),
    "b.plain": make_array(1, "BF16", (3000, 1000), 1.0, 60_000, "float"),
    "c.small": np.arange(9),
}
DATA = dcz.save(TENSORS)
INDEX = len(DATA) - Trailer.parse(np.frombuffer(DATA, np.uint8), len(DATA)).index_offset


@pytest.fixture
def stored(s3):
    import s3fs

    s3fs.S3FileSystem().pipe_file(URL, DATA)
    s3.requests.clear()
    return s3


def test_opening_takes_one_read(stored) -> None:
    assert list(dcz.open(URL)) == list(TENSORS)
    assert [(method, asked) for method, _, asked, _ in stored.requests] == [
        ("HEAD", ""),
        ("GET", f"bytes={len(DATA) - 65536}-{len(DATA) - 1}"),
    ]
    assert stored.sent == 65536


def test_a_tensor_and_a_slice(stored) -> None:
    reader = dcz.open(URL)
    stored.requests.clear()
    assert_same_bits(reader["b.plain"], TENSORS["b.plain"])
    assert reader.info("b.plain").stored <= stored.sent <= reader.info("b.plain").stored + 64 and len(stored.gets) == 1
    stored.requests.clear()
    assert_same_bits(reader.get_slice("b.plain")[1500:1510], TENSORS["b.plain"][1500:1510])
    layout = reader.info("b.plain").layout
    touched = range(1_500_000 // layout.chunk, 1_509_999 // layout.chunk + 1)
    assert len(stored.gets) == 1
    assert stored.sent == sum(stream.lengths[chunk] for stream in layout.streams for chunk in touched)


def test_everything(stored) -> None:
    found = dcz.load_file(URL)
    for name, array in TENSORS.items():
        assert_same_bits(found[name], array)
    assert stored.sent <= len(DATA) + 65536
    assert dcz.verify(URL).stored == len(DATA)


def test_writing(s3) -> None:
    url = "s3://models/written.dcz"
    dcz.save_file(TENSORS, url, metadata={"step": 3})
    assert dcz.open(url).metadata == {"step": 3}
    assert_same_bits(dcz.load_file(url)["a.pruned"], TENSORS["a.pruned"])
    dcz.save_file({"w": np.zeros(3)}, url)
    assert list(dcz.open(url)) == ["w"]


def test_a_failure_leaves_what_was_there(s3) -> None:
    import s3fs

    url, fresh = "s3://models/kept.dcz", "s3://models/never.dcz"
    dcz.save_file({"w": np.arange(3)}, url)
    for target in (url, fresh):
        with pytest.raises(RuntimeError, match="on purpose"), dcz.Writer(target) as writer:
            writer.add("big", large("dense bytes"))
            raise RuntimeError("on purpose")
        del writer
    assert_same_bits(dcz.load_file(url)["w"], np.arange(3))
    assert not s3fs.S3FileSystem().exists(fresh)
    assert s3fs.S3FileSystem().call_s3("list_multipart_uploads", Bucket="models").get("Uploads", []) == []


def test_what_is_missing(s3) -> None:
    for url in ("s3://models/missing.dcz", "s3://no-such-bucket/model.dcz"):
        with pytest.raises(FileNotFoundError) as raised:
            dcz.open(url)
        assert raised.value.filename == url
    with pytest.raises((FileNotFoundError, OSError)):
        dcz.save_file({"w": np.zeros(3)}, "s3://no-such-bucket/model.dcz")


def test_damaged_files(s3) -> None:
    import s3fs

    s3fs.S3FileSystem().pipe_file(URL, DATA[:-500])
    with pytest.raises(TruncatedError, match="finish the copy or download"):
        dcz.open(URL)
    s3fs.S3FileSystem().pipe_file(URL, b"{}" * 50_000)
    with pytest.raises(FormatError, match="this is not a dcz file"):
        dcz.open(URL)


def test_inspect_reads_only_the_index(stored, dcz_: Callable) -> None:
    run = dcz_("inspect", URL)
    assert (run.code, run.err) == (0, "") and "b.plain" in run.out and "3 tensors" in run.out
    assert len(stored.gets) == 1 and stored.sent == 65536 >= INDEX


def test_the_command_line(stored, dcz_: Callable, tmp_path) -> None:
    assert "whole; 3 tensors" in dcz_("verify", URL).out
    target = tmp_path / "model.safetensors"
    run = dcz_("unpack", URL, "-o", target, "--json")
    assert (run.code, run.err) == (0, "") and f'"source_bytes": {len(DATA)}' in run.out
    packed = "s3://models/packed.dcz"
    assert dcz_("pack", target, packed).code == 0
    assert_same_bits(dcz.load_file(packed)["b.plain"], TENSORS["b.plain"])
    for arguments, message in (
        (("pack", target, packed), "already exists; use --force to replace it"),
        (
            ("pack", "s3://models/model.npz", tmp_path / "x.dcz"),
            "reading .npz files at URLs is not supported",
        ),
        (("unpack", packed, "-o", "s3://models/x.npz"), "writing .npz files at URLs is not supported; copy the file"),
        (("inspect", "s3://models/missing.dcz"), "s3://models/missing.dcz: No such file"),
        (("inspect", "nope://models/missing.dcz"), "nope://models/missing.dcz: Protocol not known: nope"),
        (("verify", "http://127.0.0.1:9/x.dcz"), "Connect call failed"),
    ):
        run = dcz_(*arguments)
        code = 2 if "writing" in message else 1  # what cannot be written is seen in the command line alone
        assert run.code == code and run.err.startswith("dcz: ") and run.err.count("\n") == 1 and message in run.err
    assert dcz_("pack", target, packed, "--force").code == 0
