"""State dicts whose tensors are read when they are asked for, as transformers reads those of safetensors."""

from __future__ import annotations

import torch

from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.dtypes import DTYPES
from dcz.torch.tensors import from_array, torch_dtype


class StoredTensor:
    """A tensor of an open file with the methods of a slice of safetensors. It is read by `tensor[...]`: transformers
    does that to every value of a state dict when it puts it in its place."""

    def __init__(self, reader: Reader | ShardedReader, name: str) -> None:
        self._reader, self._name = reader, name

    @property
    def shape(self) -> torch.Size:
        return torch.Size(self._reader.info(self._name).shape)

    @property
    def dtype(self) -> torch.dtype:
        return torch_dtype(DTYPES[self.get_dtype()], self._name)

    def get_shape(self) -> list[int]:
        """The shape, as safetensors gives it."""
        return list(self.shape)

    def get_dtype(self) -> str:
        """The dtype's code in safetensors, such as "F32"."""
        return self._reader.info(self._name).dtype

    def is_floating_point(self) -> bool:
        """As of a tensor."""
        return self.dtype.is_floating_point

    def __getitem__(self, key: object) -> torch.Tensor:
        if key is Ellipsis:
            return from_array(self._reader.get_tensor(self._name), self._name)
        return from_array(self._reader.get_slice(self._name)[key], self._name)


def stored_tensors(reader: Reader | ShardedReader) -> dict[str, StoredTensor]:
    """All tensors of an open file or model, none of them read. Each name of a tied tensor reads a copy of its own, as
    from safetensors: the model knows what it ties."""
    return {name: StoredTensor(reader, name) for name in reader}
