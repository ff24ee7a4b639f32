"""The network that one process trains and the other serves."""

import hashlib

import torch


def make() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = (
        torch.nn.Linear(64, 512),
        torch.nn.ReLU(),
        torch.nn.Linear(512, 512),
        torch.nn.ReLU(),
        torch.nn.Linear(512, 1),
    )
    return torch.nn.Sequential(*layers)


def published(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights as they are served: bfloat16, a copy."""
    return {name: tensor.detach().to(torch.bfloat16, copy=True) for name, tensor in model.state_dict().items()}


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of all weights' bits."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].detach().contiguous().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
