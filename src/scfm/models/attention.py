"""Attention over ragged batches behind one function."""

import torch
from torch import Tensor
from torch.nn import functional as F

SHORT = 1_088
"""Tokens of the longest cell up to which cells are padded together."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    longest: int,
    query_starts: Tensor | None = None,
    query_longest: int | None = None,
) -> Tensor:
    """Softmax attention of each cell's queries over that cell's tokens, and no others.

    Args:
        query: [queries, heads, width]; key, value: [tokens, heads, width]; the cells one after another.
        starts: int32 [cells + 1], first token of each cell and the total (cumulative lengths).
        longest: length of the longest cell.
        query_starts, query_longest: the same for the queries; left out where every token asks.

    Returns:
        [queries, heads, width]. On CUDA in half precision by the variable-length kernel, else cell by cell where some
        are long, and by padding where all are short.
    """
    if query_starts is None:
        query_starts, query_longest = starts, longest
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        return varlen_attn(query, key, value, query_starts, starts, query_longest, longest)
    if longest > SHORT:
        return _each(query, key, value, starts, query_starts)
    padded, slots = _pad(query, query_starts, query_longest)
    keys, _ = _pad(key, starts, longest)
    values, _ = _pad(value, starts, longest)
    out = F.scaled_dot_product_attention(padded, keys, values, attn_mask=_mask(starts, longest))
    out = out.transpose(1, 2).flatten(0, 1)
    return out if slots is None else out[slots]


def _each(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, query_starts: Tensor) -> Tensor:
    """One call for each cell, on views of its own tokens: work and memory of padding would grow with the longest."""
    lengths, queries = starts.diff().tolist(), query_starts.diff().tolist()
    cells = zip(query.split(queries), key.split(lengths), value.split(lengths), strict=True)
    mixed = [F.scaled_dot_product_attention(*(x.transpose(0, 1)[None] for x in cell)) for cell in cells]
    return torch.cat([x[0].transpose(0, 1) for x in mixed])


def _pad(x: Tensor, starts: Tensor, longest: int) -> tuple[Tensor, Tensor | None]:
    """[cells, heads, longest, width], and the slot of each row in it (None where no row is padding)."""
    lengths = starts.diff()
    cells = len(lengths)
    if len(x) == cells * longest:
        return x.view(cells, longest, *x.shape[1:]).transpose(1, 2), None
    slots = _real(lengths, longest).flatten().nonzero().squeeze(1)
    full = x.new_zeros((cells * longest, *x.shape[1:])).index_copy(0, slots, x)
    return full.view(cells, longest, *x.shape[1:]).transpose(1, 2), slots


def _real(lengths: Tensor, longest: int) -> Tensor:
    """Bool [cells, longest]: the place holds a token."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def _mask(starts: Tensor, longest: int) -> Tensor | None:
    lengths = starts.diff()
    if bool((lengths == longest).all()):
        return None
    return _real(lengths, longest)[:, None, None, :]
