"""libdcz, written from SPEC.md alone, reads what the library writes, bit for bit, and refuses what it must."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.errors import DczError
from dcz.tensor import PROFILES
from support.arrays import CODES, make_array
from support.c_programs import Driver
from support.conformance import SPEC
from support.forging import crc, finish, forge, segments, with_trailer, zoo
from support.mutations import mutations
from support.pairs import changed, delta

sys.path.insert(0, str(SPEC))

import conformance

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


def kind_of(data: bytes) -> str:
    """How the library's reading and verifying of a file ends."""
    try:
        dcz.load(data)
        dcz.verify(data)
    except DczError as error:
        return type(error).__name__.removesuffix("Error").lower()
    return "ok"


def test_each_changed_bit_is_found(driver: Driver) -> None:
    """As the same kind of error that the library finds."""
    data = small()
    flips = []
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        flips.append(bytes(changed))
    kinds = [line.split(" ")[0] for line in driver.run("memory", flips)]
    assert "ok" not in kinds
    assert [(i, kind_of(each)) for i, each in enumerate(flips)][::7] == list(enumerate(kinds))[::7]


def test_each_shorter_file_is_refused(driver: Driver) -> None:
    data = small()
    shorter = [data[:n] for n in range(len(data))]
    for mode in MODES:
        kinds = [line.split(" ")[0] for line in driver.run(mode, shorter)]
        assert set(kinds) == {"truncated"}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"version": 2}, "unsupported"),
        ({"features": 2}, "unsupported"),
        ({"file_length": 1 << 40}, "truncated"),
        ({"file_length": 5}, "format"),
        ({"index_stored": 1 << 30}, "format"),
        ({"index_bytes": 1 << 30}, "limit"),
        ({"coder": 2}, "format"),
        ({"reserved": 1}, "format"),
    ],
)
def test_another_trailer(driver: Driver, changes: dict[str, int], kind: str) -> None:
    data = with_trailer(small(), **changes)
    assert [line.split(" ")[0] for line in driver.run("read", [data])] == [kind]


def test_an_index_of_no_bytes(driver: Driver) -> None:
    """As it is and in a frame, which decodes to no memory at all."""
    front = segments({})
    for mode in MODES:
        lines = driver.run(mode, [finish(front, b"", b"", is_raw=True), finish(front, b"")])
        assert {line.split(" ")[0] for line in lines} == {"format"}


def test_changed_files_with_right_checksums(driver: Driver) -> None:
    """Both read the same bits, or both refuse."""
    files = mutations(zoo(), 300, 5)
    wanted = [expected(each) if kind_of(each) == "ok" else None for each in files]
    assert 10 < sum(each is not None for each in wanted) < 100
    for mode in MODES:
        lines = driver.run(mode, files)
        assert [sorted(line.split(" ")) if line.startswith("ok") else None for line in lines] == wanted


def test_each_failing_call(driver: Driver) -> None:
    """No memory, or a read that fails, at each call: that error, and everything is released."""
    line = driver.run("failing", [forge(zoo())])[0]
    assert sorted(line.split(" ")) == expected(forge(zoo()))


@pytest.mark.parametrize("transform", ["step", "xor", "replace"])
def test_each_failing_call_of_a_change(driver: Driver, transform: str) -> None:
    """The words are the base's and the result's by chunks then, and calling again makes them the result's."""
    base = {"w": np.zeros(140_000, "<f4"), "b": np.zeros(9_000, "<u2")}
    new = {"w": make_array(1, "F32", (140_000,), 0.3, 30, "float"), "b": make_array(2, "U16", (9_000,), 0.9, 90)}
    data = delta(new, base, transform=transform)
    line = driver.run("applying", [data])[0]
    with dcz.open(data, base=base) as reader:
        assert len(reader.info("w").layout.crc32c) >= 2
    wanted = [f"{n.encode().hex()}/{c}/{len(new[n])}/{crc(new[n].tobytes())}" for n, c in (("b", "U16"), ("w", "F32"))]
    assert line.split(" ") == ["ok", *wanted]


def test_a_chunk_takes_little_memory(driver: Driver) -> None:
    """Beside the index and its output: a table and a window, whatever is in the chunk but zstd and large codebooks."""
    tensors = {
        "codebook": make_array(1, "F32", (300_000,), 0.11, 30, "float"),
        "bitmap": make_array(3, "F64", (90_000,), 0.5, 900, "float"),
        "all": make_array(5, "F32", (200_000,), 1.0, 70_000, "float"),
    }
    line = driver.run("peak", [dcz.save(tensors, profile="paper"), dcz.save(tensors)])
    for each in line:
        words = each.split(" ")
        assert words[2] == "ok"
        assert int(words[1]) <= 65_536


@pytest.mark.parametrize("transform", ["step", "xor", "replace"])
def test_differences(dcz_cat: Path, tmp_path: Path, transform: str) -> None:
    """Applied in place to the base that libdcz decodes; another base is refused."""
    base = {code: make_array(i, code, (3000,), 0.7, 40, "hostile") for i, code in enumerate(CODES)}
    base |= {"same": base["F32"], "large": make_array(40, "F32", (200_000,), 0.9, 9000, "float")}
    new = {name: changed(array, i, 0.1, "odd") for i, (name, array) in enumerate(base.items())}
    new |= {"I16": base["I16"], "tied": new["F32"]}
    paths = [tmp_path / "delta.dcz", tmp_path / "base.dcz", tmp_path / "other.dcz"]
    paths[0].write_bytes(delta(new, base, transform=transform))
    paths[1].write_bytes(dcz.save(base))
    paths[2].write_bytes(dcz.save({**base, "large": changed(base["large"], 99, 0.001, "far")}))
    for options in ([], ["--read"], ["--read", "--window", "1"]):
        command = [dcz_cat, *options, "--json", paths[0], "--base"]
        done = subprocess.run([*command, paths[1]], capture_output=True, text=True)
        found = {each["name"]: each["content_crc32c"] for each in map(json.loads, done.stdout.splitlines())}
        with dcz.open(paths[0], base=base) as reader:
            assert found == {name: f"{crc(new[name].tobytes()):08x}" for name in reader}
    done = subprocess.run([*command, paths[2]], capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1])["error"] == "base"
    done = subprocess.run([dcz_cat, "--json", paths[0]], capture_output=True, text=True, check=True)
    assert "its base" in next(map(json.loads, done.stdout.splitlines()))["unsupported"]
    assert subprocess.run([dcz_cat, "--verify", paths[0]]).returncode == 0


def test_the_lines_of_dcz_cat(dcz_cat: Path, tmp_path: Path) -> None:
    """A line of JSON for each tensor, the words of one, and one line for a file that is refused."""
    file, data = tmp_path / "small.dcz", small()
    file.write_bytes(data)
    tensors = dcz.load(data)
    done = subprocess.run([dcz_cat, "--json", file], capture_output=True, text=True, check=True)
    assert {
        (each["name"], each["content_crc32c"], *each["shape"]) for each in map(json.loads, done.stdout.splitlines())
    } == {(name, f"{crc(array.tobytes()):08x}", *array.shape) for name, array in tensors.items()}
    done = subprocess.run([dcz_cat, file, "few"], capture_output=True, check=True)
    assert done.stdout == tensors["few"].tobytes()
    file.write_bytes(data[:-1])
    done = subprocess.run([dcz_cat, "--json", file], capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "truncated"


@pytest.mark.parametrize("options", ["", "--read --window 1"])
def test_conformance(dcz_cat: Path, options: str) -> None:
    """All vectors as expected."""
    outcome = conformance.run(conformance.command(f"{dcz_cat} --json {options}"), list(conformance.vectors()))
    assert outcome.differences == {}
    assert outcome.right > 480
    assert not outcome.left_out
