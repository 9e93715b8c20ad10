"""Floating-point operations of a training step by closed form."""

import torch
from torch import Tensor, nn

from scfm.models.bmfm.backbones.llama import LlamaBlock
from scfm.models.bmfm.backbones.nystromformer import NystromformerBlock
from scfm.models.bmfm.backbones.performer import PerformerBlock
from scfm.models.bmfm.view import VALUE, View
from scfm.models.weights import weights


def step_flops(network: nn.Module, view: View) -> Tensor:
    """Of the forward and backward pass of one micro-batch: matrix products with weights, and attention.

    A multiplication and an addition are two; the backward pass costs twice the forward pass, or once where no gradient
    of the input is needed. Element by element work, padding and whatever is computed twice count nothing.

    Returns:
        float64 scalar on the view's device; nothing waits for it.
    """
    lengths = view.starts.diff().double()
    read = torch.full_like(lengths, view.cls.shape[1])  # tokens whose last vectors are read
    if view.target_position is not None:
        read.index_add_(0, view.cell[view.target_position], torch.ones_like(view.target_position).double())
    encoder = torch.zeros_like(lengths)
    for number, block in enumerate(network.encoder.blocks, 1):
        last = number == len(network.encoder.blocks) and isinstance(block, LlamaBlock)
        encoder = encoder + _block(block, network.settings.encoder, lengths, read if last else lengths)
    cells = len(lengths)
    decoded = cells if network.settings.objective.kind == "wced" else len(view.target_position)
    heads = decoded * weights(network.decoder) + cells * (weights(network.label_heads) + weights(network.pooler))
    return 6 * (encoder.sum() + heads) + _embedding(network, view)


def _block(block: nn.Module, settings, tokens: Tensor, read: Tensor) -> Tensor:
    """Multiplications of one block for each cell, float64 [cells]."""
    width, every = settings.hidden, weights(block)
    attention = 2 * tokens * read * width
    # Keys and values of all tokens, the rest of those that are read.
    shared = (3 if isinstance(block, NystromformerBlock) else 2) * width**2
    if isinstance(block, PerformerBlock):
        attention = 2 * (tokens + read) * settings.features * width
    elif isinstance(block, NystromformerBlock):
        marks = tokens.clamp(max=settings.landmarks)
        inverse = 4 * settings.inverse_iterations * settings.heads * marks**3
        between = 2 * marks * tokens * width + 2 * marks**2 * width + inverse
        attention = 2 * read * marks * width + between * (tokens > marks)
    return tokens * shared + read * (every - shared) + attention


def _embedding(network: nn.Module, view: View) -> Tensor:
    """Operations of the value encoder and of projecting given gene vectors, whose inputs may need no gradient."""
    value, gene = network.embedding.value, network.embedding.gene
    linear = value.linear if hasattr(value, "linear") else getattr(value, "out", None)
    passes = 6 if getattr(value, "trainable", True) else 4
    flops = passes * (view.kind == VALUE).sum().double() * weights(linear)
    if hasattr(gene, "project"):
        flops = flops + (6 if gene.vector.requires_grad else 4) * len(gene.vector) * weights(gene.project)
    return flops
