"""Segments are copied byte for byte, also those of tensors that this version cannot decode."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import ChecksumError, DczError, UnsupportedError
from support.arrays import make_array
from support.bits import assert_same_bits
from support.forging import forge, zoo
from support.layouts import in_layout

ARRAY = make_array(1, "F32", (50, 20), 0.3, 9, "float")
TENSORS = {
    "strange": in_layout(ARRAY, "relative8", "codebook"),
    "plain": in_layout(ARRAY, "bitmap", "planes"),
    "raw": in_layout(np.arange(2000, dtype="<f4"), "all", "bytes"),
}


def strange(index: dict) -> None:
    """A dtype, values and a code that do not exist, and things that nobody knows."""
    index["dtypes"].append("F128")
    index["dtype_numbers"][0] = len(index["dtypes"]) - 1
    index["values"][0] = 9
    index["codes"].append("ans")
    index["numbers"][0] = len(index["codes"]) - 1
    index["extensions"] = {"org.example.signature": {"by": b"\x01\x02"}}
    index["tensor_metadata"] = {"plain": {"step": 3}, "strange": {"scale": "raw"}}
    index["metadata"] = {"epoch": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.dcz").write_bytes(forge(TENSORS, strange))
    return tmp_path


def check(path: str) -> None:
    with dcz.open(path) as reader:
        info = reader.info("strange")
        assert (info.dtype, info.shape, dict(info.metadata)) == ("F128", (50, 20), {"scale": "raw"})
        assert reader.stored_segment("strange").record.layout.streams[0] == ("ans",)
        assert b"".join(p.tobytes() for p in reader.stored_segment("strange").parts()) == TENSORS["strange"].segment
        with pytest.raises(UnsupportedError, match="tensor 'strange' has the dtype 'F128'"):
            reader["strange"]
        assert_same_bits(reader["plain"], ARRAY)
        assert_same_bits(reader["raw"], np.arange(2000, dtype="<f4"))
        assert reader.info("plain").metadata == {"step": 3}
        assert reader.extensions == {"org.example.signature": {"by": b"\x01\x02"}} and reader.metadata == {"epoch": 1}
    assert dcz.verify(path).unsupported == ("strange",)


def test_pack_copies_what_is_unknown(folder: Path, dcz_: Callable) -> None:
    check("x.dcz")
    for options in ((), ("--profile", "auto"), ("--portable",)):
        run = dcz_("pack", "x.dcz", "y.dcz", "--force", *options)
        assert run.code == 0, run.err
        check("y.dcz")


def test_shards_keep_what_is_unknown(folder: Path, dcz_: Callable) -> None:
    """On the way into several files, from several to several, and back into one."""
    steps = (("x.dcz", "s.dcz.index.json"), ("s.dcz.index.json", "t.dcz.index.json"), ("t.dcz.index.json", "y.dcz"))
    for source, target in steps:
        run = dcz_("pack", source, target, *(("--shard-size", "5KB") if "index" in target else ()))
        assert run.code == 0, run.err
    with dcz.open("t.dcz.index.json") as reader:
        assert len(reader.shards) == 3 and reader.info("strange").metadata == {"scale": "raw"}
    assert dcz.verify("t.dcz.index.json").unsupported == ("strange",)
    check("y.dcz")


def test_differences_keep_what_is_unknown(folder: Path, dcz_: Callable) -> None:
    """Whole, as it is stored, and so does what is made of them."""
    dcz.save_file({"plain": ARRAY, "raw": np.ones(2000, "f4")}, "old.dcz")
    for step in (("pack", "x.dcz", "step.dcz", "--base", "old.dcz"), ("apply", "old.dcz", "step.dcz", "-o", "y.dcz")):
        run = dcz_(*step)
        assert run.code == 0, run.err
    with dcz.open("step.dcz") as reader:
        assert reader.info("plain").metadata == {"step": 3} and "org.example.signature" in reader.extensions
    check("y.dcz")


def test_segments_of_shards_with_the_same_number(tmp_path: Path) -> None:
    """The first tensor of each shard is another tensor."""
    tensors = {"a": np.arange(30.0), "b": np.ones(20) * 3}
    index, file = dcz.save_sharded(tensors, tmp_path, shard_size=100), io.BytesIO()
    with dcz.open(index) as reader, dcz.Writer(file) as writer:
        assert len(reader.shards) == 2
        for name in reader:
            writer.copy(reader, name)
    for name, array in dcz.load(file.getvalue()).items():
        assert_same_bits(array, tensors[name])


def test_merge(folder: Path, dcz_: Callable) -> None:
    dcz.save_file({"more": ARRAY, "again": ARRAY.copy()}, "b.dcz", metadata={"epoch": 1, "b": True})
    assert dcz_("merge", "x.dcz", "b.dcz", "-o", "c.dcz").code == 0
    with dcz.open("c.dcz") as reader:
        assert list(reader) == ["strange", "plain", "raw", "again", "more"]
        assert reader.info("more").same_as == "again" and reader.metadata == {"epoch": 1, "b": True}
        assert_same_bits(reader["more"], ARRAY)
        assert reader.info("plain").metadata == {"step": 3} and "org.example.signature" in reader.extensions
    assert dcz.verify("c.dcz").unsupported == ("strange",)
    again = dcz_("merge", "x.dcz", "x.dcz", "-o", "d.dcz")
    assert again.code == 1 and "tensor 'strange' is in a file before it too" in again.err
    dcz.save_file({"z": ARRAY}, "z.dcz", metadata={"epoch": 2})
    other = dcz_("merge", "x.dcz", "z.dcz", "-o", "d.dcz")
    assert other.code == 1 and "metadata 'epoch' differs from that of a file before it" in other.err
    assert not Path("d.dcz").exists()


def test_inspect_lists_what_is_unknown(folder: Path, dcz_: Callable) -> None:
    run = dcz_("inspect", "x.dcz")
    assert run.code == 0 and "strange" in run.out and "F128" in run.out and "50x20" in run.out.replace(" ", "")


def test_every_layout_is_copied_as_it_is() -> None:
    source, file = forge(zoo()), io.BytesIO()
    with dcz.open(source) as reader, dcz.Writer(file) as writer:
        for name in reader:
            writer.copy(reader, name, f"copy of {name}")
    with dcz.open(source) as reader, dcz.open(file.getvalue()) as copy:
        for name in reader:
            assert_same_bits(copy[f"copy of {name}"], reader[name])
            old, new = reader.stored_segment(name), copy.stored_segment(f"copy of {name}")
            assert old.record.layout == new.record.layout
            assert [p.tobytes() for p in old.parts()] == [p.tobytes() for p in new.parts()]
    dcz.verify(file.getvalue())


def test_a_damaged_segment_is_not_copied() -> None:
    data = bytearray(forge(TENSORS))
    data[8 + len(TENSORS["strange"].segment) - 1] ^= 1
    with dcz.open(bytes(data)) as reader, pytest.raises(ChecksumError, match="tensor 'strange', chunk 0"):
        with dcz.Writer(io.BytesIO()) as writer:
            writer.copy(reader, "strange")


def test_a_file_without_zstd(tmp_path: Path, dcz_: Callable) -> None:
    period = make_array(4, "U8", (700,), 1.0, 70_000, "random")
    tensors = {"w": np.tile(period, 60), "v": ARRAY}
    data = dcz.save(tensors, portable=True)
    codes = lambda data: {c for c in dcz.open(data)._index.columns.codes_.plain if isinstance(c, str)}
    assert "zstd" in codes(dcz.save(tensors)) and "zstd" not in codes(data)
    assert b"\x28\xb5\x2f\xfd" not in data and data[-10] == 0  # no frame; the index is raw
    for name, array in dcz.load(data).items():
        assert_same_bits(array, tensors[name])
    with dcz.open(dcz.save(tensors)) as reader, dcz.Writer(io.BytesIO(), portable=True) as writer:
        with pytest.raises(DczError, match="its segment is coded by zstd; read and add it"):
            writer.copy(reader, "w")
    dcz.save_file(tensors, tmp_path / "a.dcz")
    assert dcz_("pack", tmp_path / "a.dcz", tmp_path / "b.dcz", "--portable").code == 0
    assert (tmp_path / "b.dcz").read_bytes() == dcz.save({"v": tensors["v"], "w": tensors["w"]}, portable=True)


def test_metadata_of_tensors() -> None:
    data = dcz.save({"a": ARRAY, "b": ARRAY + 1}, tensor_metadata={"b": {"role": "scale", "n": [1, None]}})
    with dcz.open(data) as reader:
        assert (dict(reader.info("a").metadata), dict(reader.info("b").metadata)) == (
            {},
            {"n": [1, None], "role": "scale"},
        )
    with pytest.raises(DczError, match="tensor_metadata: 'c' is not among the tensors"):
        dcz.save({"a": ARRAY}, tensor_metadata={"c": {}})
    with pytest.raises(DczError, match="tensor_metadata: 'b' is the same array as 'a'; name that one instead"):
        dcz.save({"a": ARRAY, "b": ARRAY}, tensor_metadata={"b": {"k": 1}})
    with pytest.raises(DczError, match=r"metadata of tensor 'a'.k: set cannot be stored"):
        dcz.save({"a": ARRAY}, tensor_metadata={"a": {"k": {1}}})


def test_decoded_words_that_are_not_what_was_stored() -> None:
    """Two entries of a codebook exchanged, and every checksum of stored bytes made right: the words' own differs."""
    from dataclasses import replace

    from dcz.entropy.code import RAW_CODE
    from support.forging import crc

    each = in_layout(np.tile(np.float32([1.0, 1.5, 2.0, 3.0]), 256), "all", "codebook")
    keys = np.float32([1.0, 1.25, 2.0, 3.0]).view("<u4").astype("<u8")
    rotated = (keys << 1).astype("<u4")
    steps = np.diff(rotated, prepend=np.uint32(0)).astype("<u4")
    book = steps.view(np.uint8).reshape(-1, 4).T.tobytes()
    record = replace(each.layout.codebook, codes=(RAW_CODE,) * 4, lengths=(4,) * 4, crc32c=crc(book))
    lying = replace(each, segment=book + each.body.tobytes(), layout=replace(each.layout, codebook=record))
    data = forge({"w": lying})
    assert dcz.load(data)["w"][1] == 1.25  # loading need not look
    with pytest.raises(ChecksumError, match="tensor 'w': the decoded words do not match their CRC-32C"):
        dcz.verify(data)
