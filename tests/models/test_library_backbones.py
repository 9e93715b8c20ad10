"""BERT and ModernBERT over ragged tokens are the library's models, read cell by cell without positions."""

import pytest
import torch

from scfm.models.bmfm.encoder import SetEncoder, initialise
from scfm.models.bmfm.settings import Encoder

LENGTHS = (1, 2, 17, 150)
"""The last is beyond the window of ModernBERT's local layers (128)."""


def encoder_of(backbone):
    settings = Encoder(
        backbone=backbone, layers=3, hidden=24, heads=2, ffn=40, init_std=0.2, norm_eps=1e-5, embedding_norm=True
    )
    encoder = SetEncoder(settings)
    generator = torch.Generator().manual_seed(0)
    initialise(encoder, settings, generator)
    for parameter in encoder.parameters():
        if parameter.ndim == 1:
            parameter.data += torch.rand(parameter.shape, generator=generator) / 2
    return encoder


def sizes(encoder):
    keys = encoder.settings
    return {
        "vocab_size": 1,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0),
        "hidden_size": keys.hidden,
        "intermediate_size": keys.ffn,
        "num_hidden_layers": keys.layers,
        "num_attention_heads": keys.heads,
        "attn_implementation": "eager",
    }


def read_bert(encoder):
    """The library's whole BERT with our weights; positions and token types add nothing."""
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(layer_norm_eps=1e-5, **sizes(encoder)), add_pooling_layer=False).eval()
    model.embeddings.position_embeddings.weight.data.zero_()
    model.embeddings.token_type_embeddings.weight.data.zero_()
    model.embeddings.LayerNorm.load_state_dict(encoder.norm_embedding.state_dict())
    for layer, block in zip(model.encoder.layer, encoder.blocks, strict=True):
        layer.load_state_dict(block.layer.state_dict())
    return lambda cell: model(inputs_embeds=cell[None]).last_hidden_state[0]


def read_modernbert(encoder):
    """The library's whole ModernBERT with our weights; all layers global, all tokens at position 0."""
    from transformers import ModernBertConfig, ModernBertModel

    config = ModernBertConfig(layer_types=["full_attention"] * 3, cls_token_id=0, sep_token_id=0, **sizes(encoder))
    model = ModernBertModel(config).eval()
    model.embeddings.norm = encoder.norm_embedding
    for layer, block in zip(model.layers, encoder.blocks, strict=True):
        layer.load_state_dict(block.layer.state_dict())
    model.final_norm.load_state_dict(encoder.norm.state_dict())
    still = {n: torch.zeros(1, n, dtype=torch.long) for n in LENGTHS}
    return lambda cell: model(inputs_embeds=cell[None], position_ids=still[len(cell)]).last_hidden_state[0]


@pytest.mark.parametrize(("backbone", "read"), [("bert", read_bert), ("modernbert", read_modernbert)])
def test_a_ragged_batch_is_the_librarys_model_cell_by_cell(backbone, read):
    encoder = encoder_of(backbone)
    x = torch.randn(sum(LENGTHS), 24, generator=torch.Generator().manual_seed(1)).requires_grad_()
    starts = torch.tensor([0, *LENGTHS]).cumsum(0).to(torch.int32)
    ours = encoder(x, starts, max(LENGTHS))
    model = read(encoder)
    theirs = torch.cat([model(cell) for cell in x.split(LENGTHS)])
    assert theirs.std() > 0.5
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    one, other = (torch.autograd.grad(out.pow(3).sum(), x)[0] for out in (ours, theirs))
    torch.testing.assert_close(one, other, atol=1e-5 * other.abs().max().item(), rtol=1e-4)
