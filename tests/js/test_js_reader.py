"""The reader for browsers: the same words and the same refusals as all others, whatever a file comes from."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

import dcz
from dcz.format.trailer import Trailer
from dcz.tensor import PROFILES
from support.arrays import CODES, make_array
from support.conformance import FEW, SPEC
from support.forging import ROW_KEYS, compressed, crc, encoded, plain_index, segments
from support.js_programs import JS, Node
from support.layouts import in_layout
from support.pairs import changed, delta

sys.path.insert(0, str(SPEC))

import conformance

HERE = Path(__file__).parent


def lines(node: Node, files: list[list[str | None]]) -> list[conformance.Lines]:
    """What the program prints of each file, from one process."""
    return [[json.loads(each) for each in found] for found in node.values(HERE / "lines.mjs", files)]


def test_conformance(node: Node) -> None:
    """All vectors as expected."""
    vectors = list(conformance.vectors())
    files = [[str(each.path), str(each.base) if each.base else None] for each in vectors]
    found = dict(zip([(file, base) for file, base in files], lines(node, files)))
    outcome = conformance.run(lambda file, base: found[file, base], vectors)
    assert outcome == conformance.Outcome(right=len(vectors))
    assert len(vectors) > 400


def test_the_protocol(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program itself, on a few."""
    monkeypatch.setenv("DCZ_WASM", str(node.wasm))
    few = [vector for vector in conformance.vectors() if vector.name in FEW]
    outcome = conformance.run(conformance.command(f"node {JS / 'tools' / 'dcz-cat.mjs'} --json"), few)
    assert outcome == conformance.Outcome(right=len(FEW))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Any]:
    """Several chunks, planes, codebooks, bytes that zstd encodes, and nothing."""
    few = make_array(1, "F32", (40, 50), 0.2, 30, "float")
    return {
        "few": few,
        "large": make_array(2, "F32", (2_000_000,), 0.11, 30, "float"),
        "planes": make_array(3, "F64", (9_000,), 0.5, 70_000, "float"),
        "bytes": np.tile(make_array(4, "U8", (700,), 1.0, 70_000, "random"), 300),
        "pages": np.tile(make_array(5, "F32", (999,), 1.0, 70_000, "random"), 60),
        "empty": few[:0],
        "tied": few,
    }


def test_what_the_module_promises(node: Node, tensors: dict[str, Any], tmp_path: Path) -> None:
    """node --test of reader.test.mjs."""
    metadata = {
        "note": "é", "list": [1, -5, 2.5, None, True, {"deep": 2**40}],
        "big": 2**64 - 1, "low": -(2**63), "__proto__x": 1,
    }  # fmt: skip
    dcz.save_file(tensors, tmp_path / "model.dcz", metadata=metadata)
    new = {**tensors, "large": changed(tensors["large"], 3, 0.1, "near")}
    (tmp_path / "based.dcz").write_bytes(delta(new, tensors, transform="step"))
    with dcz.open(tmp_path / "model.dcz") as model:
        expected = {
            name: {"dtype": model.info(name).dtype, "shape": array.shape, "crc32c": crc(array.tobytes())}
            for name, array in sorted(tensors.items())
            if name not in model.aliases
        }
        assert "zstd" in repr([model.info(name).layout for name in expected])
    (tmp_path / "expected.json").write_text(json.dumps(expected))
    names = {"FILE": "model.dcz", "BASED": "based.dcz", "EXPECTED": "expected.json"}
    done = subprocess.run(
        ["node", "--test", HERE / "reader.test.mjs"],
        env={**os.environ, "DCZ_WASM": str(node.wasm), **{f"DCZ_{k}": str(tmp_path / v) for k, v in names.items()}},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "# fail 0" in done.stdout and "# pass 10" in done.stdout


@pytest.mark.parametrize("profile", PROFILES)
def test_values_of_every_dtype(node: Node, tmp_path: Path, profile: str) -> None:
    """As numbers, also of the dtypes that JavaScript lacks."""
    arrays = {code: make_array(i, code, (900,), 0.8, 300, "hostile") for i, code in enumerate(CODES)}
    dcz.save_file(arrays, tmp_path / "all.dcz", profile=profile)
    found = node.values(HERE / "floats_of.mjs", str(tmp_path / "all.dcz"))
    assert {name for name, _, _ in found} == set(arrays)
    for name, _, values in found:
        array = arrays[name]
        if array.dtype.kind == "c":
            array = array.view(array.real.dtype)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            wanted = array.astype(np.float64)
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(values)), wanted, err_msg=name)


def test_a_file_of_five_gigabytes(node: Node, dcz_cat: Path, tmp_path: Path) -> None:
    """Offsets beyond 32 bits: a tensor behind one of 5 GB, most of the file a hole. The C reader too."""
    big, last = np.zeros(1 << 20), np.arange(3000, dtype="<f4")
    stored = {"big": in_layout(big, "all", "bytes"), "last": in_layout(last, "all", "planes")}
    assert stored["big"].segment == bytes(8 << 20)
    plain, times = plain_index(stored), 640
    rows = plain["rows"][0]
    for key in ("dims", "words", "rows", "segments"):
        plain[key][0] *= times
    for key in ROW_KEYS:
        plain[key] = plain[key][:rows] * times + plain[key][rows:]
    front, index = segments(stored)[:8], compressed(encoded(plain))
    end = 64 + times * len(stored["big"].segment) + len(stored["last"].segment)
    with open(tmp_path / "big.dcz", "wb") as out:
        out.write(front)
        out.seek(end - len(stored["last"].segment))
        out.write(stored["last"].segment + index + Trailer.of(end, 0, index, len(encoded(plain)), True).pack())
    for command in (["node", JS / "tools" / "dcz-cat.mjs"], [dcz_cat, "--read"]):
        done = subprocess.run(
            [*command, tmp_path / "big.dcz", "last"],
            capture_output=True,
            env={**os.environ, "DCZ_WASM": str(node.wasm)},
        )
        assert done.stdout == last.tobytes(), done.stderr[-2000:]


def frames(data: bytes) -> list[bytes]:
    """Frames of the same content at several levels, and of several blocks."""
    out = [zstandard.ZstdCompressor(level=level, write_checksum=False).compress(data) for level in (-5, 1, 3, 9, 19)]
    writer = zstandard.ZstdCompressor(level=5, write_checksum=False).compressobj(size=len(data))
    pieces = [
        writer.compress(data[i : i + 1000]) + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for i in range(0, len(data), 1000)
    ]
    return [*out, b"".join(pieces) + writer.flush()]


def contents() -> list[bytes]:
    """Nothing, one byte, repeats, text, numbers, noise, and more than a window's worth."""
    rng = random.Random(5)
    words = [rng.randbytes(rng.randrange(1, 12)) for _ in range(300)]
    text = b" ".join(rng.choice(words) for _ in range(9000))
    skewed = bytes(min(int(rng.expovariate(0.05)), 255) for _ in range(70_000))
    return [
        b"", b"x", b"xy" * 3, bytes(300_000), text, skewed, rng.randbytes(5000),
        text[:3000] + rng.randbytes(2000) + text,
        np.arange(40_000, dtype="<u4").tobytes(), skewed + text * 3 + skewed[::-1], b"abc" * 50_000 + skewed[:100],
    ]  # fmt: skip


def test_zstd_frames(node: Node) -> None:
    """Bit for bit what zstd makes of them."""
    wanted = [(frame, data) for data in contents() for frame in frames(data)]
    given = [[base64.b64encode(frame).decode(), len(data)] for frame, data in wanted]
    found = [base64.b64decode(each) for each in node.values(HERE / "frames.mjs", given)]
    assert found == [data for _, data in wanted]


def test_broken_zstd_frames(node: Node) -> None:
    """What zstd refuses is refused, and what is decoded is what zstd makes of it; nothing else is thrown or hangs."""
    rng, broken = random.Random(6), []
    for data in contents():
        for frame in frames(data[:3000]):
            for _ in range(12):
                other = bytearray(frame)
                for _ in range(rng.randrange(1, 4)):
                    other[rng.randrange(4, len(other))] = rng.randrange(256)
                broken.append(
                    (
                        bytes(other[: rng.randrange(6, len(other) + 1)] if rng.random() < 0.3 else other),
                        min(len(data), 3000),
                    )
                )
    given = [[base64.b64encode(frame).decode(), size] for frame, size in broken]
    found = node.values(HERE / "frames.mjs", given)
    decoded = 0
    for (frame, size), each in zip(broken, found):
        if each is None:
            continue
        try:
            wanted = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size, allow_extra_data=False)
        except zstandard.ZstdError:
            pytest.fail(f"zstd refuses {frame.hex()}")
        assert base64.b64decode(each) == wanted
        decoded += 1
    assert 20 < decoded < len(broken) // 2
