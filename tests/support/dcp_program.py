"""One process of several that save or load a checkpoint: `python dcp_program.py save|load FOLDER RANK WORLD PORT`."""

from __future__ import annotations

import os
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from dcz.torch.checkpoint import DczStorageReader, DczStorageWriter


def whole() -> dict[str, torch.Tensor]:
    """The tensors that both sides know."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(37, 24, generator=generator)
    w[torch.rand(w.shape, generator=generator) < 0.9] = 0
    return {
        "rows": w, "columns": w.to(torch.bfloat16).T.contiguous(), "copy": torch.arange(30),
        "scalar": torch.tensor(2.5), "small": torch.randn(1, 8, generator=generator),
    }  # fmt: skip


def placed(mesh: object, saved: bool, values: dict[str, torch.Tensor]) -> dict[str, object]:
    """As they lie in the processes, sharded in one way when saved and in another when loaded."""
    along = {"rows": Shard(0 if saved else 1), "columns": Shard(1 if saved else 0), "small": Shard(0)}
    out = {name: distribute_tensor(values[name].clone(), mesh, [each]) for name, each in along.items()}
    out["copy"] = distribute_tensor(values["copy"].clone(), mesh, [Replicate()])
    return {"model": {**out, "scalar": values["scalar"].clone()}, "epoch": 3 if saved else 0}


def main(what: str, folder: str, rank: int, world: int, port: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    try:
        mesh = init_device_mesh("cpu", (world,))
        expected = whole()
        if what == "save":
            dcp.save(placed(mesh, True, expected), storage_writer=DczStorageWriter(folder))
        else:
            state = placed(mesh, False, {name: torch.zeros_like(tensor) for name, tensor in expected.items()})
            dcp.load(state, storage_reader=DczStorageReader(folder))
            assert state["epoch"] == 3
            for name, tensor in expected.items():
                found = state["model"][name]
                found = found.full_tensor() if hasattr(found, "full_tensor") else found
                assert torch.equal(found, tensor), name
        print(f"{what} {rank} of {world}")
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
