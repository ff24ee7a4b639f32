"""libdcz, written from SPEC.md alone, reads what the library writes, bit for bit, and refuses what it must."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.tensor import PROFILES
from support.arrays import CODES, make_array
from support.c_programs import Driver
from support.forging import crc, forge, zoo

MODES = ("memory", "read", "window")
# density, distinct values, pattern
KINDS = ((0.0, 1, "float"), (0.02, 9, "float"), (0.3, 40, "hostile"), (0.9, 900, "random"), (1.0, 70_000, "random"))


def expected(data: bytes) -> list[str]:
    """What the driver must print of a file that the library reads, as words in any order."""
    with dcz.open(data) as reader:
        infos = [reader.info(name) for name in reader if name not in reader.aliases]
        tensors = [
            "/".join((info.name.encode().hex(), info.dtype, ",".join(map(str, info.shape)), str(content)))
            for info, content in ((info, crc(reader[info.name].tobytes())) for info in infos)
        ]
    return sorted(["ok", *tensors])


def check(driver: Driver, *files: bytes) -> None:
    """libdcz and the library read the same, whatever way libdcz reads."""
    wanted = [expected(each) for each in files]
    for mode in MODES:
        assert [sorted(line.split(" ")) for line in driver.run(mode, files)] == wanted, mode


@pytest.mark.parametrize("profile", PROFILES)
def test_every_dtype_in_every_profile(driver: Driver, profile: str) -> None:
    files = []
    for i, kind in enumerate(KINDS):
        tensors = {code: make_array(i, code, (3, 1100), *kind) for code in CODES}
        files.append(dcz.save(tensors, profile=profile))
    check(driver, *files)


def test_every_layout_and_code(driver: Driver) -> None:
    check(driver, forge(zoo()), forge(zoo(), raw=True))


def test_large_tensors(driver: Driver) -> None:
    """Several chunks, six lanes, codebooks of several rows and of groups, bitmaps larger than a window."""
    rng = np.random.Generator(np.random.PCG64(9))
    books = rng.standard_normal((40, 16)).astype("<f4")
    tensors = {
        "sparse": make_array(1, "F32", (300_000,), 0.11, 30, "float"),
        "very sparse": make_array(2, "F16", (900_000,), 0.001, 9, "float"),
        "half": make_array(3, "F64", (90_000,), 0.5, 70_000, "float"),
        "many values": make_array(4, "F32", (400_000,), 0.9, 900, "float"),
        "bytes": make_array(5, "U8", (200_000,), 1.0, 70_000, "random"),
        "groups": np.stack([book[rng.integers(0, 16, 2048)] for book in books]),
        "repeats": np.tile(make_array(4, "U8", (700,), 1.0, 70_000, "random"), 60),
    }
    check(driver, *(dcz.save(tensors, profile=profile) for profile in PROFILES))


def test_tied_and_further_names(driver: Driver) -> None:
    array = make_array(1, "F32", (40, 50), 0.2, 30, "float")
    data = dcz.save(
        {"a": array, "b": array, "c": array.copy(), "é\n": array[:0]}, metadata={"n": [1, -5, 2.5, None, {"x": b"y"}]}
    )
    check(driver, data)


def test_without_tensors(driver: Driver) -> None:
    check(driver, dcz.save({}))


@pytest.mark.skipif("DCZ_DATA" not in os.environ, reason="DCZ_DATA names no folder with the published SqueezeNet")
def test_the_published_squeezenet(driver: Driver, tmp_path: Path) -> None:
    source = Path(os.environ["DCZ_DATA"]) / "compressed_SqueezeNet.net"
    shapes = Path(os.environ["DCZ_DATA"]) / "SqueezeNet_deploy.prototxt"
    target = tmp_path / "squeezenet.dcz"
    with open_model(source, shapes=shapes) as model:
        transfer(model, open_target(target))
    check(driver, target.read_bytes())


def small() -> bytes:
    """A small file with several tensors and a codebook."""
    tensors = {
        "few": make_array(1, "F32", (4, 200), 0.4, 5, "float"),
        "bytes": make_array(3, "U8", (30,), 0.3, 9, "random"),
    }
    return dcz.save(tensors, metadata={"note": "small"})


def test_each_changed_bit_is_found(driver: Driver) -> None:
    data = small()
    flips = []
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        flips.append(bytes(changed))
    assert not [i for i, line in enumerate(driver.run("memory", flips)) if line.startswith("ok")]


def test_each_shorter_file_is_refused(driver: Driver) -> None:
    data = small()
    shorter = [data[:n] for n in range(len(data))]
    for mode in MODES:
        kinds = [line.split(" ")[0] for line in driver.run(mode, shorter)]
        assert set(kinds) == {"truncated"}


def test_the_lines_of_dcz_cat(dcz_cat: Path, tmp_path: Path) -> None:
    """A line of JSON for each tensor, the words of one, and one line for a file that is refused."""
    file, data = tmp_path / "small.dcz", small()
    file.write_bytes(data)
    tensors = dcz.load(data)
    done = subprocess.run([dcz_cat, "--json", file], capture_output=True, text=True, check=True)
    assert {
        (each["name"], each["content_crc32c"], *each["shape"]) for each in map(json.loads, done.stdout.splitlines())
    } == {(name, crc(array.tobytes()), *array.shape) for name, array in tensors.items()}
    done = subprocess.run([dcz_cat, file, "few"], capture_output=True, check=True)
    assert done.stdout == tensors["few"].tobytes()
    file.write_bytes(data[:-1])
    done = subprocess.run([dcz_cat, "--json", file], capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "truncated"
