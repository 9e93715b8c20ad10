"""Attention over ragged batches behind one function."""

import torch
from torch import Tensor
from torch.nn import functional as F


def attend(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, longest: int) -> Tensor:
    """Softmax attention of each cell's tokens over that cell's tokens, and no others.

    Args:
        query, key, value: [tokens, heads, width], the cells one after another.
        starts: int32 [cells + 1], first token of each cell and the total (cumulative lengths).
        longest: length of the longest cell.

    Returns:
        [tokens, heads, width]. On CUDA in half precision by the variable-length kernel, else by padding.
    """
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        return varlen_attn(query, key, value, starts, starts, longest, longest)
    return _padded(query, key, value, starts, longest)


def _padded(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, longest: int) -> Tensor:
    lengths = starts.diff()
    cells = len(lengths)
    if bool((lengths == longest).all()):
        q, k, v = (x.view(cells, longest, *x.shape[1:]).transpose(1, 2) for x in (query, key, value))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(query.shape)
    real = torch.arange(longest, device=query.device) < lengths[:, None]  # [cells, longest]
    slots = real.flatten().nonzero().squeeze(1)

    def pad(x: Tensor) -> Tensor:
        full = x.new_zeros((cells * longest, *x.shape[1:])).index_copy(0, slots, x)
        return full.view(cells, longest, *x.shape[1:]).transpose(1, 2)  # [cells, heads, longest, width]

    out = F.scaled_dot_product_attention(pad(query), pad(key), pad(value), attn_mask=real[:, None, None, :])
    return out.transpose(1, 2).flatten(0, 1)[slots]
