"""Files of differences on the wrong base, in the wrong order, damaged, interrupted: an error, and nothing changed."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.container.file import OpenFile
from dcz.delta import apply as applying
from dcz.delta import decode, journal
from dcz.errors import BaseError, ChecksumError, DczError, LimitError
from support.arrays import make_array
from support.forging import reindexed
from support.pairs import changed, copied, delta, same

BASE = {
    "a": make_array(1, "BF16", (700, 1000), 1.0, 5000, "float"),
    "b": make_array(2, "F32", (300, 300), 1.0, 5000, "float"),
    "same": np.arange(9.0),
    "z": make_array(3, "F16", (100, 1000), 1.0, 5000, "float"),
}
NEW = {
    "a": changed(BASE["a"], 1, 0.2, "near"),
    "b": changed(BASE["b"], 2, 0.05, "near"),
    "same": BASE["same"],
    "z": changed(BASE["z"], 3, 0.02, "near"),
}
NEXT = {name: changed(array, 9, 0.01, "near") for name, array in NEW.items()}
FILE = delta(NEW, BASE, symbols=2000)  # a few dozen chunks


def refused(
    model: dict[str, np.ndarray], error: type[Exception], message: str | None, file: bytes = FILE, **options
) -> None:
    """The error, and the model as it was."""
    before = {name: array.tobytes() for name, array in model.items()}
    with pytest.raises(error, match=message):
        dcz.apply_delta(model, file, **options)
    assert {name: array.tobytes() for name, array in model.items()} == before


@pytest.mark.parametrize("verify", ["full", "base"])
@pytest.mark.parametrize("name", BASE)
def test_another_base(name: str, verify: str) -> None:
    model = copied(BASE)
    words = model[name].reshape(-1).view(np.uint8)
    words[len(words) * 2 // 3] ^= 1
    refused(model, BaseError, rf"tensor '{name}'.*another base", verify=verify)
    with pytest.raises(BaseError, match=rf"tensor '{name}'.*another base"):
        dcz.load_file(FILE, base=model)


def test_the_chunk_that_is_wrong() -> None:
    store = OpenFile(FILE)
    chunk = int(store.index.columns.chunk[0])
    assert int(store.index.columns.chunks[0]) > 3
    model = copied(BASE)
    model["a"].reshape(-1).view("u2")[2 * chunk] ^= 1
    refused(
        model, BaseError, "tensor 'a', chunk 2: the base's words have the CRC-32C 0x[0-9a-f]{8}, the file was made "
    )


def test_out_of_order_and_twice() -> None:
    model = copied(BASE)
    refused(model, BaseError, "another base, or files of a chain out of order", delta(NEXT, NEW))
    dcz.apply_delta(model, FILE)
    refused(model, BaseError, "the file was applied before")


def test_other_dtypes_and_sizes() -> None:
    refused({**copied(BASE), "b": np.zeros((300, 300))}, BaseError, "tensor 'b': the base has the dtype F64.*F32")
    refused({**copied(BASE), "b": np.zeros((300, 301), "f4")}, BaseError, r"tensor 'b': the base has 90300 words")
    model = copied(BASE)
    del model["z"]
    refused(model, BaseError, "the base has no tensor 'z'")


def test_which_base_is_wanted() -> None:
    file = delta(NEW, BASE, metadata={"base": {"name": "org/model", "sha256": "ab" * 32, "uri": "hf://org/model"}})
    refused({}, BaseError, f"wanted is org/model, SHA-256 {'ab' * 32}, at hf://org/model", file)


def test_memory_that_cannot_be_changed() -> None:
    refused({**copied(BASE), "b": np.asfortranarray(BASE["b"])}, DczError, "tensor 'b': to be changed in place")
    frozen = BASE["b"].copy()
    frozen.flags.writeable = False
    refused({**copied(BASE), "b": frozen}, DczError, "tensor 'b': to be changed in place")
    refused(
        {**copied(BASE), "b": memoryview(b"text")}, DczError, "tensor 'b': expected a numpy array, found memoryview"
    )
    both = np.concatenate([BASE["a"].reshape(-1), BASE["a"].reshape(-1)])
    shared = {"x": both[:700_000], "y": both[500_000:1_200_000]}
    new = {name: changed(array, 5, 0.01, "near") for name, array in copied(shared).items()}
    refused(shared, DczError, "tensors 'x' and 'y' share memory", delta(new, copied(shared)))


def test_a_whole_model_is_not_a_difference() -> None:
    refused(copied(BASE), DczError, "is a whole model", dcz.save(NEW))
    refused(copied(BASE), DczError, "verify: 'some' is unknown", verify="some")


def test_without_the_base_nothing_is_made_up() -> None:
    with pytest.raises(DczError, match="open the file with base="):
        dcz.load_file(FILE)
    with dcz.open(FILE) as reader, pytest.raises(DczError, match="open the file with base="):
        reader["a"]
    with dcz.open(FILE) as reader, pytest.raises(DczError, match="not given"):
        reader.get_slice("same")[:2]


def test_every_damaged_byte_is_found_before_anything_changes() -> None:
    model = copied(BASE)
    for at in range(0, len(FILE), len(FILE) // 150):
        broken = bytearray(FILE)
        broken[at] ^= 0x10
        refused(model, DczError, None, bytes(broken))
    for size in range(0, len(FILE), len(FILE) // 20):
        refused(model, DczError, None, FILE[:size])


def fails_at(monkeypatch: pytest.MonkeyPatch, call: int, error: BaseException, after: bool) -> Callable[[], int]:
    """Changing fails at its n-th call, before or after it has happened; says how many calls there were."""
    calls = 0
    lock = threading.Lock()
    real = decode.BasedDecoder.change

    def change(self, link, job, words, data, out, **options) -> None:
        nonlocal calls
        number = -1
        if not options.get("backward"):
            with lock:
                number, calls = calls, calls + 1
        if number == call and not after:
            raise error
        real(self, link, job, words, data, out, **options)
        if number == call:
            raise error

    monkeypatch.setattr(decode.BasedDecoder, "change", change)
    return lambda: calls


@pytest.mark.parametrize("transform", ["step", "xor", "replace"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("after", [False, True])
def test_failing_at_every_write(monkeypatch, transform: str, threads: int, after: bool) -> None:
    """Whatever has been changed by then is taken back: new tensors, tied ones and the dictionary too."""
    monkeypatch.setattr(applying, "_PIECE", 1 << 12)
    base = {**BASE, "old": np.ones(4), "whole": np.arange(4000.0)}
    new = {**NEW, "new": np.ones(3), "whole": np.random.Generator(np.random.PCG64(0)).random(4000)}
    file = delta(new, base, transform=transform, symbols=8000)
    model = copied(base)
    call = 0
    while True:
        with monkeypatch.context() as patch:
            calls = fails_at(patch, call, KeyboardInterrupt() if call % 2 else OSError("disk"), after)
            try:
                dcz.apply_delta(model, file, threads=threads)
            except (KeyboardInterrupt, OSError):
                assert same(model, base), call
            else:
                assert calls() == call > 20
                break
        call += 1
    assert same(model, new)


def test_failing_while_names_are_changed() -> None:
    class Full(dict):
        def __setitem__(self, name: str, array: np.ndarray) -> None:
            if name == "new":
                raise MemoryError
            super().__setitem__(name, array)

    model = Full(copied(BASE))
    with pytest.raises(MemoryError):
        dcz.apply_delta(model, delta({**NEW, "new": np.ones(3)}, BASE))
    assert same(model, BASE)


def test_a_failure_that_cannot_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do, and doing it helps."""
    monkeypatch.setattr(applying, "_PIECE", 1 << 12)
    model = copied(BASE)
    with monkeypatch.context() as patch:
        fails_at(patch, 9, OSError("disk"), True)
        patch.setattr(journal.Journal, "states", lambda self, piece: 1 / 0)
        with pytest.raises(DczError, match=r"disk.*partly changed; call dcz.undo_delta"):
            dcz.apply_delta(model, FILE, threads=1)
    assert not same(model, BASE)
    refused(model, BaseError, "interrupted; take it back with dcz.undo_delta|applied before")
    assert dcz.undo_delta(model, FILE) > 0
    assert same(model, BASE)
    model["b"][0, 0] += 1
    with pytest.raises(DczError, match="neither the words of the base nor those of the result"):
        dcz.undo_delta(model, FILE)


KILLED = """
import sys, os, numpy, dcz
from dcz.delta import apply, decode
import ml_dtypes
apply._PIECE = 1 << 12
path, file, call = sys.argv[1], sys.argv[2], int(sys.argv[3])
model = {"w": numpy.memmap(path, "<u2", "r+")}
real, calls = decode.BasedDecoder.change, [0]
def change(self, *arguments, **options):
    calls[0] += 1
    if calls[0] == call:
        os.kill(os.getpid(), 9)
    real(self, *arguments, **options)
decode.BasedDecoder.change = change
dcz.apply_delta(model, file, threads=1)
"""


def test_a_killed_process(tmp_path: Path) -> None:
    """Weights in a mapped file are left half applied: that is said, and taken back."""
    base = BASE["a"].reshape(-1).view("u2")
    new = NEW["a"].reshape(-1).view("u2")
    base.tofile(tmp_path / "w.bin")
    (tmp_path / "step.dcz").write_bytes(delta({"w": new}, {"w": base}, symbols=2000))
    run = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "w.bin", tmp_path / "step.dcz", "5"], check=False)
    assert run.returncode == -signal.SIGKILL
    model = {"w": np.memmap(tmp_path / "w.bin", "<u2", "r+")}
    assert model["w"].tobytes() not in (base.tobytes(), new.tobytes())
    with pytest.raises(BaseError, match="interrupted; take it back with dcz.undo_delta"):
        dcz.apply_delta(model, tmp_path / "step.dcz")
    dcz.undo_delta(model, tmp_path / "step.dcz")
    assert model["w"].tobytes() == base.tobytes()
    dcz.apply_delta(model, tmp_path / "step.dcz")
    assert model["w"].tobytes() == new.tobytes()


def test_checksums_of_results_are_checked() -> None:
    """A file whose stored bytes are right and whose result is not: of a wrong encoder."""

    store = OpenFile(FILE)
    column = int(store.index.columns.directory.base_at[0]) + 2

    def wrong(plain: dict) -> None:
        plain["row_result_crcs"][column] ^= 1

    file = reindexed(FILE, wrong)
    refused(copied(BASE), ChecksumError, "tensor 'a', chunk 2: what it makes of the base does not match", file)
    with pytest.raises(ChecksumError, match="tensor 'a', chunk 2"):
        dcz.load_file(file, base=BASE)
    model = copied(BASE)
    dcz.apply_delta(model, file, verify="base")
    assert same(model, NEW)


def test_stored_bytes_are_checked_of_all_before_the_first_is_used() -> None:
    """Of the last tensor, whose bytes are damaged, the checksum is right for the index: only its own rows say so."""
    store = OpenFile(FILE)
    entry = store.index.entries["z"]
    broken = bytearray(FILE)
    broken[entry.offset + entry.size - 1] ^= 1
    refused(copied(BASE), ChecksumError, r"tensor 'z', chunk \d+: the stored bytes", bytes(broken))


@pytest.mark.parametrize("kernel_set_name", list(kernels.available()))
def test_verify(kernel_set_name: str) -> None:
    with kernels.use(kernels.available()[kernel_set_name]):
        small = {name: array[:20] for name, array in BASE.items()}
        new = {name: array[:20] for name, array in NEW.items()}
        file = delta(new, small)
        assert dcz.verify(file).tensors == 4
        assert dcz.verify(file, base=small).decoded == sum(array.nbytes for array in small.values())
        with pytest.raises(BaseError, match="another base"):
            dcz.verify(file, base={**small, "b": small["b"] + 1})


def test_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "step.dcz"
    path.write_bytes(FILE)
    with pytest.raises(DczError):
        dcz.save_delta({**NEW, "bad": np.array([object()])}, path, base=BASE)
    assert path.read_bytes() == FILE
    assert re.fullmatch(r"step\.dcz", " ".join(p.name for p in tmp_path.iterdir()))


def test_a_base_of_its_own_goes_with_a_base() -> None:
    with dcz.Writer(io.BytesIO()) as writer, pytest.raises(DczError, match="a base goes with Writer"):
        writer.add("w", np.ones(3), base=np.ones(3))


def test_a_patch_is_bounded_as_everything_that_is_read() -> None:
    with dcz.open(FILE, max_bytes=10_000) as reader, pytest.raises(LimitError, match="max_bytes="):
        reader.patch("a")
    with dcz.open(FILE, base=BASE, max_bytes=10_000) as reader, pytest.raises(LimitError, match="max_bytes="):
        reader["a"]
