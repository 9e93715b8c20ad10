"""The encoder: blocks of one backbone over ragged tokens, and initial weights."""

import torch
from torch import Tensor, nn

from scfm.models.bmfm.backbones.bert import BertBlock
from scfm.models.bmfm.backbones.layout import Rows
from scfm.models.bmfm.backbones.llama import LlamaBlock
from scfm.models.bmfm.backbones.modernbert import ModernBertBlock
from scfm.models.bmfm.backbones.nystromformer import NystromformerBlock
from scfm.models.bmfm.backbones.performer import PerformerBlock
from scfm.models.bmfm.settings import Encoder

BACKBONES = {
    "llama": LlamaBlock,
    "bert": BertBlock,
    "modernbert": ModernBertBlock,
    "performer": PerformerBlock,
    "nystromformer": NystromformerBlock,
}
"""Name of the backbone to its block, which names the layout that it reads and the norm that follows the last one."""


class SetEncoder(nn.Module):
    """A stack of blocks over ragged tokens; a set function of each cell's tokens."""

    def __init__(self, settings: Encoder) -> None:
        super().__init__()
        self.settings = settings
        block = BACKBONES[settings.backbone]
        self.norm_embedding = nn.LayerNorm(settings.hidden) if settings.embedding_norm else nn.Identity()
        self.blocks = nn.ModuleList(block(settings, first=i == 0) for i in range(settings.layers))
        self.norm = block.final_norm(settings.hidden, settings.norm_eps) if settings.final_norm else nn.Identity()

    def forward(
        self, x: Tensor, starts: Tensor, longest: int, rows: Rows | None = None, gene: Tensor | None = None
    ) -> Tensor:
        """Vectors of the tokens after all blocks.

        Args:
            x: [tokens, hidden], the cells one after another.
            starts: int32 [cells + 1], first token of each cell and the total. longest: tokens of the longest cell.
            rows: tokens that are read; the last block then works for these alone where the backbone can.
            gene: int64 [tokens], which token it is; the Nyströmformer orders each cell's tokens by it.

        Returns:
            [tokens, hidden], or [rows, hidden].
        """
        layout = self.blocks[0].layout.of(starts, longest, gene, self.settings)
        x = self.norm_embedding(x)
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = block(x, layout, rows if i == last else None)
        return self.norm(x)


def initialise(module: nn.Module, settings: Encoder, generator: torch.Generator) -> None:
    """Truncated normal for matrices and embeddings, biases 0; a Performer's features are drawn last.

    The residual projections of pre-norm blocks are divided by √(2·layers).
    """
    std = settings.init_std
    for part in module.modules():
        # PyTorch draws biases from the global generator, which would tie them to what ran before.
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std, generator=generator)
            if ".blocks." in name and name.endswith(("out.weight", "down.weight", "Wo.weight")):
                parameter.data.div_((2 * settings.layers) ** 0.5)
    for part in module.modules():
        if isinstance(part, PerformerBlock):
            part.draw_features(generator)
