"""Matrices that stay sparse in torch."""

from __future__ import annotations

import warnings

import torch

from dcz.container.reader import Reader
from dcz.container.sparse import rows as read_rows
from dcz.torch.tensors import from_array


def get_csr(reader: Reader, name: str, device: str | int | torch.device = "cpu") -> torch.Tensor:
    """A matrix of an open file as a `torch.sparse_csr_tensor`, without making it dense; see `Reader.get_csr`.

    >>> import torch, dcz.torch
    >>> with dcz.open(dcz.torch.save({"w": torch.eye(3)})) as reader:
    ...     dcz.torch.get_csr(reader, "w").values()
    tensor([1., 1., 1.])
    """
    rows = read_rows(reader._store, reader._store.entry(name))
    starts, columns, values = (from_array(part, name) for part in (rows.starts, rows.columns, rows.values))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)  # that this layout is in beta, once per process
        return torch.sparse_csr_tensor(starts, columns, values, rows.shape, device=device)
