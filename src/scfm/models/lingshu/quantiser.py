"""Counts as tokens: exact below 100, two significant digits above, one token from 10,000 on."""

import torch
from torch import Tensor

LARGEST = 281
"""Tokens of the full quantiser."""


def lower_edges(tokens: int = LARGEST) -> Tensor:
    """int64 [tokens], the least count of each token.

    The published token of 100 <= x < 10,000 with k = floor(log10 x) is 100 + 90 (k - 2) + floor(x / 10^(k-1)) - 10, so
    that each decade has 90 of them.
    """
    digits = torch.arange(10, 100)
    return torch.cat([torch.arange(100), 10 * digits, 100 * digits, torch.tensor([10_000])])[:tokens]


def values(tokens: int, decode: str) -> Tensor:
    """int64 [tokens], the count that each token becomes: the `edge` or `midpoint` of its bin, of the last its edge."""
    least = lower_edges(tokens)
    if decode == "edge":
        return least
    most = torch.cat([least[1:] - 1, least[-1:]])
    return (least + most) // 2


def quantise(counts: Tensor, edges: Tensor) -> Tensor:
    """int64, the tokens of counts from 0 in any shape; `edges` as `lower_edges`."""
    return torch.bucketize(counts, edges.to(counts.dtype), right=True) - 1
