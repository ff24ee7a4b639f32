"""Files of differences whose index claims terabytes: every way to use them is refused, with little memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.delta.encode import Difference
from dcz.delta.transforms import COPY
from dcz.dtypes import DTYPES
from dcz.errors import LimitError
from support.forging import reindexed
from support.pairs import delta

WORDS = 1 << 20
BASE = {"w": np.zeros(WORDS, "f4"), "same": np.arange(9.0)}
NEW = {"w": BASE["w"].copy(), "same": BASE["same"]}
NEW["w"][5] = 1


def larger(name: str, times: int) -> Callable[[dict], None]:
    """A tensor of so many times its words; where it has chunks, with as many more that store nothing."""

    def edit(plain: dict) -> None:
        t = plain["names"].index(name)
        for key in ("dims", "words"):
            plain[key][t] *= times
        more = plain["rows"][t] * (times - 1)
        plain["rows"][t] += more
        for key in ("row_nonzeros", "row_fillers", "row_crcs", "row_base_crcs", "row_result_crcs"):
            plain[key] += [0] * more
        for key in ("row_codes", "row_lengths"):
            plain[key] += [0] * (more * plain["streams"][t])

    return edit


def of_one(count: int) -> bytes:
    """Tensors by the hundred that are all copies of the base's one."""
    file = io.BytesIO()
    dtype = DTYPES["F32"]
    crc = kernels.active().crc32c(BASE["w"].view(np.uint8))
    nothing = np.zeros(0, np.int64)
    with dcz.Writer(file, base=BASE) as writer:
        writer.add("same", BASE["same"])
        for i in range(count):
            found = Difference(COPY, None, 0, nothing, nothing)
            writer.put(f"c{i:03d}", "w", dtype, (WORDS,), WORDS, found, crc)
    return file.getvalue()


STEP = delta(NEW, BASE, transform="step")
SAME = delta(NEW, NEW)
FILES = {
    "a copy of terabytes": reindexed(STEP, larger("same", 1 << 44)),
    "a copy of petabytes": reindexed(STEP, larger("same", (1 << 48) // 9)),
    "a copy of some gigabytes": reindexed(STEP, larger("same", 1 << 28)),
    "steps of some gigabytes": reindexed(STEP, larger("w", 1 << 10)),
    "steps of 64 GiB": reindexed(STEP, larger("w", 1 << 14)),
    "64 GiB of words replaced": reindexed(delta(NEW, BASE, transform="replace"), larger("w", 1 << 14)),
    "steps beyond every index": reindexed(STEP, larger("w", 1 << 16)),
}

SCRIPT = """
import io, json, resource, sys
import numpy as np
import dcz
from dcz import errors
data, same = (open(path, "rb").read() for path in sys.argv[1:3])
tensor = sys.argv[3]
base = {"w": np.zeros(1 << 20, "f4"), "same": np.arange(9.0)}
other = {"w": np.ones(1 << 20, "f4"), "same": np.ones(9)}
def slices():
    with dcz.open(data, base=base) as reader:
        return reader.get_slice(tensor)[: 1 << 40]
def patch():
    with dcz.open(data, base=base) as reader:
        return reader.patch("w"), reader.patch("same")
calls = {
    "load": lambda: dcz.load_file(data, base=base),
    "one": lambda: dcz.load_file(data, base=base, names=[tensor]),
    "slice": slices,
    "patch": patch,
    "apply": lambda: dcz.apply_delta(base, data),
    "apply without checks": lambda: dcz.apply_delta(base, data, verify="base", names=[tensor]),
    "undo": lambda: dcz.undo_delta(base, data),
    "verify": lambda: dcz.verify(data, base=base),
    "rebase": lambda: dcz.rebase(data, io.BytesIO(), base=base, onto=other),
    "fold": lambda: dcz.fold(data, same, io.BytesIO()),
    "invert": lambda: dcz.invert(data, io.BytesIO()),
    "reverse": lambda: dcz.fold(same, data, io.BytesIO()),
}
for call in calls.values():  # what is imported does not count
    try: call()
    except Exception: pass
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (768 << 20), -1))
found = {}
for name, call in calls.items():
    try:
        call()
        found[name] = "done"
    except BaseException as error:
        found[name] = type(error).__name__ + ": " + str(error)[:150]
found["unchanged"] = float(base["w"].sum()) == 0
print(json.dumps(found))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the memory of a process as Linux does")
@pytest.mark.parametrize("name", FILES)
def test_an_index_that_claims_too_much(tmp_path: Path, name: str) -> None:
    """The base does not have what is claimed of it: that is found before memory is asked for."""
    (tmp_path / "hostile.dcz").write_bytes(FILES[name])
    (tmp_path / "same.dcz").write_bytes(SAME)
    assert len(FILES[name]) < 1 << 16
    paths = [str(tmp_path / file) for file in ("hostile.dcz", "same.dcz")]
    paths.append("same" if "copy" in name else "w")
    run = subprocess.run([sys.executable, "-c", SCRIPT, *paths], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found.pop("unchanged")
    for call, outcome in found.items():
        if call in ("patch", "invert") and outcome == "done":  # neither needs the base, nor memory for all words
            continue
        assert outcome.startswith(("BaseError: ", "LimitError: ", "UnsupportedError: ", "FormatError: ")), (
            call,
            outcome,
        )


def test_one_tensor_of_the_base_a_thousand_times() -> None:
    """Each is what it says; all together are far more than file and base."""
    data = of_one(400)
    with pytest.raises(LimitError, match="pass max_bytes="):
        dcz.load_file(data, base=BASE)
    with pytest.raises(LimitError, match="pass max_bytes="):
        dcz.verify(data, base=BASE)
    assert dcz.load_file(data, base=BASE, names=["c000", "same"])["c000"].tobytes() == BASE["w"].tobytes()


def test_a_large_base_allows_a_large_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a small file, too, whose own size allows little."""
    monkeypatch.setattr("dcz.limits.FREE_EXPANSION_BYTES", 1 << 20)
    monkeypatch.setattr("dcz.limits.EXPANSION_RATIO", 2)
    assert dcz.load_file(STEP, base=BASE)["w"].tobytes() == NEW["w"].tobytes()
    assert dcz.verify(STEP, base=BASE).tensors == 2
    with dcz.open(STEP, base=BASE) as reader:
        assert reader.get_slice("w")[3:7].tolist() == [0, 0, 1, 0]
    with pytest.raises(LimitError, match="pass max_bytes="):
        dcz.load(dcz.save(NEW))
