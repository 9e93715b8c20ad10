"""The encoder is the LLaMA of the transformers library, made bidirectional and without positions."""

import pytest
import torch

from scfm.models.bmfm.encoder import SetEncoder, initialise
from scfm.models.bmfm.settings import Encoder

LENGTHS = (1, 2, 37, 90)


def reference(settings, encoder):
    """The library's decoder with our weights; its first input norm and its word embeddings are not used."""
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=1,
        hidden_size=settings.hidden,
        intermediate_size=settings.ffn,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        rms_norm_eps=settings.norm_eps,
        hidden_act="silu",
        attn_implementation="eager",
        pad_token_id=None,
    )
    model = LlamaModel(config).eval()
    for i, (layer, block) in enumerate(zip(model.layers, encoder.blocks, strict=True)):
        attention, mlp = layer.self_attn, layer.mlp
        copies = list(
            zip((attention.q_proj, attention.k_proj, attention.v_proj), block.qkv.weight.chunk(3), strict=True)
        )
        copies += list(zip((mlp.gate_proj, mlp.up_proj), block.gate_up.weight.chunk(2), strict=True))
        copies += [(attention.o_proj, block.out.weight), (mlp.down_proj, block.down.weight)]
        copies += [(layer.post_attention_layernorm, block.norm_ffn.weight)]
        if i == 0:
            layer.input_layernorm = torch.nn.Identity()
        else:
            copies += [(layer.input_layernorm, block.norm_attention.weight)]
        for module, weight in copies:
            assert module.weight.shape == weight.shape
            module.weight.data.copy_(weight)
    model.norm.weight.data.copy_(encoder.norm.weight)
    return model


def read(model, cells):
    """Each cell by itself: every token sees every token, and all stand at position 0, where rotation does nothing."""
    everything = torch.zeros(1, 1, len(cells), len(cells))
    positions = torch.zeros(1, len(cells), dtype=torch.long)
    return model(inputs_embeds=cells[None], attention_mask=everything, position_ids=positions).last_hidden_state[0]


@pytest.mark.parametrize("size", [{}, {"layers": 3, "hidden": 24, "heads": 2, "ffn": 40, "init_std": 0.3}], ids=str)
def test_encoder_is_a_bidirectional_llama_without_positions(size):
    settings = Encoder(**size)
    encoder = SetEncoder(settings)
    generator = torch.Generator().manual_seed(0)
    initialise(encoder, settings, generator)
    for name, parameter in encoder.named_parameters():
        if "norm" in name:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
    x = torch.randn(sum(LENGTHS), settings.hidden, generator=generator).requires_grad_()
    starts = torch.tensor([0, *LENGTHS]).cumsum(0).to(torch.int32)
    ours = encoder(x, starts, max(LENGTHS))
    model = reference(settings, encoder)
    theirs = torch.cat([read(model, cell) for cell in x.split(LENGTHS)])
    assert theirs.std() > 0.5
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weights = torch.randn(ours.shape, generator=generator)
    one, other = (torch.autograd.grad((out * weights).sum(), x)[0] for out in (ours, theirs))
    torch.testing.assert_close(one, other, atol=1e-5 * other.abs().max().item(), rtol=1e-4)


def test_the_reference_tells_positions_and_directions_apart():
    settings = Encoder(layers=2, hidden=24, heads=2, ffn=40, init_std=0.3)
    encoder = SetEncoder(settings)
    generator = torch.Generator().manual_seed(0)
    initialise(encoder, settings, generator)
    x = torch.randn(9, 24, generator=generator)
    model = reference(settings, encoder)
    ours = encoder(x, torch.tensor([0, 9], dtype=torch.int32), 9)
    torch.testing.assert_close(ours, read(model, x), atol=1e-5, rtol=1e-5)
    still = torch.zeros(1, 9, dtype=torch.long)
    causal = model(inputs_embeds=x[None], position_ids=still).last_hidden_state[0]
    rotated = model(inputs_embeds=x[None], attention_mask=torch.zeros(1, 1, 9, 9)).last_hidden_state[0]
    for other in (causal, rotated):
        assert (ours - other).abs().max() > 0.1
