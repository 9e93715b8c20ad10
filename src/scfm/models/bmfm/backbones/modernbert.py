"""Blocks of ModernBERT, the library's own: pre-norm, GeGLU, no biases; all attend globally, without rotation."""

from functools import partial

from torch import Tensor, nn

from scfm.models.bmfm.backbones.layout import Layout, Rows
from scfm.models.bmfm.backbones.library import LibraryBlock, ragged
from scfm.models.bmfm.settings import Encoder


class ModernBertBlock(LibraryBlock):
    """One layer of ModernBERT; block 0 has no norm before its attention, as in ours."""

    final_norm = partial(nn.LayerNorm, bias=False)

    def __init__(self, settings: Encoder, first: bool) -> None:
        from transformers import ModernBertConfig
        from transformers.models.modernbert.modeling_modernbert import ModernBertEncoderLayer

        config = ModernBertConfig(
            hidden_size=settings.hidden,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=settings.ffn,
            norm_eps=settings.norm_eps,
            layer_types=["full_attention"] * settings.layers,
        )
        super().__init__(ModernBertEncoderLayer(ragged(config), layer_idx=0 if first else 1))
        self.width = settings.hidden // settings.heads

    def forward(self, x: Tensor, layout: Layout, rows: Rows | None = None) -> Tensor:
        """As `LibraryBlock`; every token is rotated by angle 0."""
        cosine = x.new_ones(1, 1, self.width)
        return super().forward(x, layout, rows, position_embeddings=(cosine, cosine - 1))
