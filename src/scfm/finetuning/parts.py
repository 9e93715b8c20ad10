"""Which weights learn in fine-tuning: all, those of the last blocks, the head's, or low-rank changes (LoRA)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from scfm.models.bmfm.network import Network
from scfm.settings import Settings


class Parts(Settings):
    """What learns beside the head."""

    trainable: Literal["all", "last", "head", "lora"] = "all"
    """Everything; the last blocks of the encoder and its norm; nothing; or low-rank changes of its matrices."""
    last: int = Field(1, ge=1)
    """Blocks that learn under `last`."""
    rank: int = Field(8, ge=1)
    """Rank of the changes under `lora`."""


class LowRank(nn.Module):
    """W + 2·BA, B zero at first (Hu et al. 2022, with their alpha twice the rank)."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        out, width = weight.shape
        down = torch.randn(rank, width, generator=generator) / width**0.5
        self.down, self.up = nn.Parameter(down.to(weight.device)), nn.Parameter(weight.new_zeros(out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """[out, in] to [out, in]."""
        return weight + 2 * self.up @ self.down


def restrict(network: Network, parts: Parts, seed: int) -> None:
    """Let only these parts learn, and what reads the cell embedding for the head.

    Args:
        seed: of the low-rank changes.
    """
    if parts.trainable == "all":
        return
    network.requires_grad_(False)
    learning = [network.label_heads, *([network.pooler] if network.pooler else [])]
    if parts.trainable == "last":
        learning += [*network.encoder.blocks[-parts.last :], network.encoder.norm]
    for part in learning:
        part.requires_grad_(True)
    if parts.trainable == "lora":
        generator = torch.Generator().manual_seed(seed)
        for module in _matrices(network):
            parametrize.register_parametrization(module, "weight", LowRank(module.weight, parts.rank, generator))


def merge(network: Network) -> None:
    """Make low-rank changes part of the matrices, and let every weight learn again."""
    for module in _matrices(network):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    network.requires_grad_(True)


def _matrices(network: Network) -> list[nn.Linear]:
    return [module for module in network.encoder.modules() if isinstance(module, nn.Linear)]
