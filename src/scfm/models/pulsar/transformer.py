"""Blocks over sets of tokens without positions: attention, then feed-forward, each followed by its norm."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.pulsar.settings import Transformer


class Block(nn.Module):
    """Post-norm transformer block with GELU, as PyTorch's own encoder layer, but for dropout of attention weights."""

    def __init__(self, settings: Transformer) -> None:
        super().__init__()
        width = settings.hidden
        self.heads, self.dropout = settings.heads, settings.dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, settings.ffn)
        self.down = nn.Linear(settings.ffn, width)
        self.attention_norm = nn.LayerNorm(width, settings.norm_eps)
        self.ffn_norm = nn.LayerNorm(width, settings.norm_eps)

    def forward(
        self, x: Tensor, real: Tensor | None, generator: torch.Generator | None = None, rows: int | None = None
    ) -> Tensor:
        """[sets, tokens, width] to the same, or to [sets, rows, width] of the first tokens.

        Args:
            real: bool [sets, tokens], what may be attended to; None where all may.
            generator: source of dropout; None drops nothing.
        """
        query, key, value = self._split(x)
        mask = None if real is None else real[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query[:, :, :rows], key, value, attn_mask=mask)
        mixed = self.out(mixed.transpose(1, 2).flatten(2))
        x = self.attention_norm(x[:, :rows] + drop(mixed, self.dropout, generator))
        wide = drop(F.gelu(self.up(x)), self.dropout, generator)
        return self.ffn_norm(x + drop(self.down(wide), self.dropout, generator))

    def first_attends_to(self, x: Tensor, real: Tensor | None) -> Tensor:
        """float [sets, tokens]: attention of the first token, the mean over heads; each row sums to 1."""
        query, key, _ = self._split(x)
        scores = (query[:, :, :1] @ key.transpose(2, 3)).squeeze(2).float() / query.shape[3] ** 0.5
        if real is not None:
            scores = scores.masked_fill(~real[:, None], -torch.inf)
        return scores.softmax(2).mean(1)

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value, each [sets, heads, tokens, width of a head]."""
        return self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


def two_layers(inputs: int, hidden: int, out: int) -> nn.Sequential:
    """Linear, ReLU, Linear."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, out))


def drop(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Dropout drawn from the step's own generator; without one, x."""
    if generator is None or not share:
        return x
    stays = torch.rand(x.shape, generator=generator, device=x.device) >= share
    return x * stays / (1 - share)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Glorot uniform for matrices, biases 0, learned tokens and fill values normal of 0.02."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.zeros_(part.bias)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)


def masked(real: Tensor) -> Tensor | None:
    """The mask of padding, or None where there is none, which is faster."""
    return None if bool(real.all()) else real
