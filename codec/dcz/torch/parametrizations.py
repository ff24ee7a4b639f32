"""Pruned and clustered weights as parametrizations of `torch.nn.utils.parametrize`: a module computes with the masked
or shared weights, and its optimizer sees what is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Cluster indices, with 0 for a pruned weight, fit a byte up to here.
_MAX_BYTE = 255


class Mask(nn.Module):
    """A weight that is zero, never -0.0, where the buffer `mask` is false, and gets no gradient there."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """The masked weight."""
        return masked(weight, self.mask)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight that is trained: the one that is assigned."""
        return weight


class SharedWeights(nn.Module):
    """A weight whose values are those of a codebook, which is what is trained (Han et al. 2016, section 3.3).

    The trained tensor has shape (groups, k). The buffer `index` has the weight's shape: 0 for a pruned weight, else
    one more than its cluster. The gradient of a codebook value is the sum of those of the weights that share it."""

    index: Tensor

    def __init__(self, index: Tensor, codebook: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index)
        self._first: Tensor | None = codebook
        self.groups, self.k = codebook.shape

    def forward(self, codebook: Tensor) -> Tensor:
        """Codebook values in place of indices."""
        return spread(codebook, self.index)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The codebook that is nearest to an assigned weight: the mean of each cluster."""
        if weight.shape == (self.groups, self.k):  # tied: the other module has made a codebook of it
            return weight
        first, self._first = self._first, None
        if first is not None:
            return first.to(weight)
        places = _places(self.index, self.groups, self.k).reshape(-1)
        sums = torch.zeros(self.groups * (self.k + 1), dtype=torch.float64, device=weight.device)
        sums.index_add_(0, places, weight.reshape(-1).to(torch.float64))
        counts = torch.bincount(places, minlength=len(sums)).clamp_(min=1)
        return (sums / counts).to(weight.dtype).view(self.groups, self.k + 1)[:, 1:].contiguous()


def masked(weight: Tensor, mask: Tensor) -> Tensor:
    """Zeros, not products with zero, which would be -0.0 or NaN for some weights."""
    return torch.where(mask, weight, torch.zeros((), dtype=weight.dtype, device=weight.device))


def spread(codebook: Tensor, index: Tensor) -> Tensor:
    """The weight of a codebook of shape (groups, k) and of indices."""
    groups, k = codebook.shape
    table = torch.cat([codebook.new_zeros(groups, 1), codebook], dim=1).reshape(-1)
    return table.index_select(0, _places(index, groups, k).reshape(-1)).view(index.shape)


def index_of(clusters: Tensor, mask: Tensor, k: int) -> Tensor:
    """The buffer `index` of the clusters of the weights that are kept, in C order."""
    out = torch.zeros(mask.shape, dtype=torch.uint8 if k <= _MAX_BYTE else torch.int32)
    out[mask] = (clusters + 1).to(out.dtype)
    return out


def _places(index: Tensor, groups: int, k: int) -> Tensor:
    """Index of each weight's value in the codebooks, each with a zero in front."""
    places = index.to(torch.int32).view(groups, -1)
    if groups > 1:
        places = places + (k + 1) * torch.arange(groups, dtype=torch.int32, device=index.device)[:, None]
    return places
