"""Blocks of BERT, the library's own: post-norm, GELU, biases; no positions and no dropout."""

from torch import nn

from scfm.models.bmfm.backbones.library import LibraryBlock, ragged
from scfm.models.bmfm.settings import Encoder


class BertBlock(LibraryBlock):
    """One layer of BERT; it ends in a LayerNorm, so that none follows the last."""

    final_norm = nn.Identity

    def __init__(self, settings: Encoder, first: bool) -> None:
        from transformers import BertConfig
        from transformers.models.bert.modeling_bert import BertLayer

        config = BertConfig(
            hidden_size=settings.hidden,
            num_attention_heads=settings.heads,
            intermediate_size=settings.ffn,
            layer_norm_eps=settings.norm_eps,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        super().__init__(BertLayer(ragged(config)))
