"""`torch.distributed.checkpoint` in dcz files: pieces of several processes, put together anew when they are loaded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dcz
from dcz.errors import ChecksumError, DczError, FormatError, LimitError, UnsupportedError

torch = pytest.importorskip("torch", reason="torch is not installed; tests/requirements-frameworks.txt has it")
if not torch.distributed.is_available():
    pytest.skip("torch was built without torch.distributed", allow_module_level=True)
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from dcz.torch.checkpoint import DczStorageReader, DczStorageWriter
from support import dcp_program

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled", "ignore::FutureWarning")
INDEX = "dcz.checkpoint.json"


def in_processes(what: str, folder: Path, world: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", dcp_program.__name__, what, str(folder), str(rank), str(world), port],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(dcp_program.__file__).parents[1],
        )  # fmt: skip
        for rank in range(world)
    ]
    for process in started:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0 and out.startswith(what), errors[-3000:]


def save(state: dict[str, object], folder: Path, **options: object) -> None:
    dcp.save(state, storage_writer=DczStorageWriter(folder, **options), no_dist=True)


def load(state: dict[str, object], folder: Path) -> dict[str, object]:
    dcp.load(state, storage_reader=DczStorageReader(folder), no_dist=True)
    return state


def test_pieces_of_two_processes_are_loaded_by_one_and_by_three(tmp_path: Path) -> None:
    in_processes("save", tmp_path, 2)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 3 and files[-1] == INDEX and all(name.endswith(".dcz") for name in files[:2])
    shapes = [dcz.open(tmp_path / name).info(f"model.rows@{at},0").shape for name, at in zip(files, (0, 19))]
    assert shapes == [(19, 24), (18, 24)]
    expected = dcp_program.whole()
    state = {"model": {name: torch.zeros_like(tensor) for name, tensor in expected.items()}, "epoch": 0}
    load(state, tmp_path)
    assert state["epoch"] == 3
    assert all(torch.equal(state["model"][name], tensor) for name, tensor in expected.items())
    in_processes("load", tmp_path, 3)


def state_of_training() -> dict[str, object]:
    torch.manual_seed(4)
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.BatchNorm1d(30))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.randn(8, 20)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 5, "note": "a", "none": None}


def test_a_model_with_its_optimizer(tmp_path: Path) -> None:
    state = state_of_training()
    save(state, tmp_path)
    torch.manual_seed(9)
    again = state_of_training()
    again["model"] = {name: torch.zeros_like(tensor) for name, tensor in state["model"].items()}
    again |= {"epoch": 0, "note": "", "none": 1}
    load(again, tmp_path)
    assert again["epoch"] == 5 and again["note"] == "a" and again["none"] is None
    assert all(torch.equal(again["model"][name], tensor) for name, tensor in state["model"].items())
    assert torch.equal(again["optimizer"]["state"][0]["exp_avg"], state["optimizer"]["state"][0]["exp_avg"])


def test_a_checkpoint_is_replaced_as_a_whole_and_only_when_asked(tmp_path: Path) -> None:
    save({"w": torch.ones(5)}, tmp_path)
    first = set(os.listdir(tmp_path))
    with pytest.raises(CheckpointException, match="has a checkpoint; pass overwrite=True"):
        save({"w": torch.zeros(5)}, tmp_path)
    with pytest.raises(CheckpointException, match="weights_only"):
        save({"w": torch.zeros(5), "bad": Evil("x")}, tmp_path, overwrite=True)
    assert torch.equal(load({"w": torch.zeros(5)}, tmp_path)["w"], torch.ones(5))
    save({"w": torch.full((5,), 2.0)}, tmp_path, overwrite=True)
    assert torch.equal(load({"w": torch.zeros(5)}, tmp_path)["w"], torch.full((5,), 2.0))
    assert len(os.listdir(tmp_path)) == 2 and not first - {INDEX} & set(os.listdir(tmp_path))
    assert not first & set(os.listdir(tmp_path)) - {INDEX}


class Evil:
    """What runs code when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self.path, "w")


def test_nothing_is_imported_by_a_name_in_a_checkpoint(tmp_path: Path) -> None:
    import io

    import numpy as np

    folder, trap = tmp_path / "checkpoint", tmp_path / "trap"
    save({"w": torch.ones(5), "epoch": 5}, folder)
    torch.save(Evil(str(trap)), content := io.BytesIO())
    (file,) = folder.glob("*.dcz")
    tensors = dcz.load_file(file)
    dcz.save_file({**tensors, "epoch": np.frombuffer(content.getvalue(), np.uint8)}, file)
    with pytest.raises(
        CheckpointException, match="'epoch': cannot be loaded: torch.load.weights_only=True. refuses it"
    ):
        load({"w": torch.zeros(5), "epoch": 0}, folder)
    assert not trap.exists()


def change(folder: Path, **changes: object) -> None:
    document = json.loads((folder / INDEX).read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = document
        for key in parents:
            target = target[int(key) if key.isdigit() else key]
        target[int(last) if last.isdigit() else last] = value
    (folder / INDEX).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"dcz_checkpoint": 2}, UnsupportedError, "version 2; this dcz reads version 1"),
        ({"dcz_checkpoint": "1"}, FormatError, "has no dcz_checkpoint"),
        ({"tensors": []}, FormatError, "tensors must be an object"),
        ({"tensors__w__shape": [4, -1]}, FormatError, "expected lengths"),
        ({"tensors__w__shape": [1 << 62, 8]}, LimitError, "the limit is"),
        ({"tensors__w__shape": [9, 3]}, FormatError, "not as many elements"),
        ({"tensors__w__shape": [2, 3]}, FormatError, "reaches out of shape"),
        ({"tensors__w__dtype": "F33"}, FormatError, "F33"),
        ({"tensors__w__dtype": 3}, FormatError, "dtype must be a string"),
        ({"tensors__w__pieces": []}, FormatError, "not as many elements"),
        ({"tensors__w__pieces__0": [1]}, FormatError, "expected file, name, offsets and sizes"),
        ({"tensors__w__pieces__0__0": "../x.dcz"}, FormatError, "not the name of a file of a checkpoint"),
        ({"tensors__w__pieces__0__1": 5}, FormatError, "name must be a string"),
        ({"tensors__w__pieces__0__2": [0]}, FormatError, "has 1 offsets"),
        ({"others__epoch": 3}, FormatError, "expected a file and a name"),
        ({"others__w": ["0-00000000.dcz", "w"]}, FormatError, "is a tensor and something else"),
        ({"paths": {"w": [1.5]}}, FormatError, "paths must map"),
        ({"tensors__w__dtype": "F16"}, FormatError, "not what the index says"),
        ({"tensors__w__pieces__0__1": "v"}, FormatError, "not what the index says"),
    ],
)
def test_an_index_that_lies(tmp_path: Path, changes: dict[str, object], kind: type, message: str) -> None:
    save({"w": torch.ones(5, 3), "epoch": 1}, tmp_path)
    change(tmp_path, **changes)
    with pytest.raises(CheckpointException, match=message):  # PyTorch's, around the one that follows
        load({"w": torch.zeros(5, 3), "epoch": 0}, tmp_path)
    if "what the index says" not in message:
        with pytest.raises(kind, match=f"{INDEX}: .*{message}"):
            DczStorageReader(tmp_path).read_metadata()


def test_pieces_that_overlap_or_leave_a_hole(tmp_path: Path) -> None:
    save({"w": torch.ones(6)}, tmp_path)
    file = next(tmp_path.glob("*.dcz")).name
    for pieces, message in (
        ([[file, "a", [0], [3]], [file, "b", [2], [3]]], "piece 1 overlaps another"),
        ([[file, "a", [0], [3]], [file, "b", [4], [2]]], "not as many elements"),
        ([[file, "a", [0], [1]]] * 5000, "5000 pieces; the limit is 4096"),
    ):
        change(tmp_path, tensors__w__pieces=pieces)
        with pytest.raises(CheckpointException, match=message):
            load({"w": torch.zeros(6)}, tmp_path)


def test_files_that_are_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(CheckpointException, match=INDEX):
        load({"w": torch.zeros(6)}, tmp_path)
    save({"w": torch.arange(6000)}, tmp_path)
    (file,) = tmp_path.glob("*.dcz")
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointException) as caught:
        load({"w": torch.zeros(6000, dtype=torch.int64)}, tmp_path)
    assert isinstance(caught.value.failures[0][0], ChecksumError)
    file.unlink()
    with pytest.raises(CheckpointException, match=file.name):
        load({"w": torch.zeros(6000, dtype=torch.int64)}, tmp_path)
    (tmp_path / INDEX).write_text("{")
    with pytest.raises(CheckpointException, match="not valid JSON"):
        load({"w": torch.zeros(6)}, tmp_path)


def test_what_is_not_supported(tmp_path: Path) -> None:
    with pytest.raises(DczError, match="use_collectives=False"):
        DczStorageWriter(tmp_path).set_up_storage_writer(True, rank=0, use_collectives=False)
    with pytest.raises(CheckpointException, match="is to be loaded into|size mismatch|Size mismatch"):
        save({"w": torch.ones(6)}, tmp_path)
        load({"w": torch.zeros(7)}, tmp_path)
