"""A training step of a network on generated cells, ours and in the released design, and what it stands on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from generate import generate
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from scfm.models.attention import attend
from scfm.models.bmfm.network import Network, Reconstruction, combine, reconstruction_tasks
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import Cells, View, make_view
from scfm.pretrain.precision import autocast

INPUTS = {"mlm": {"zeros": {"strategy": "interleave", "plain_cells": 0.0}}, "wced": {"dropout": 0.2}}
"""Zeros and dropout as the runs have them."""


@dataclass
class Cost:
    """Seconds of one step: of the wall clock, and of all cores."""

    wall: float
    cpu: float


def problem(objective: str, cells: int, tokens: int, genes: int, device: torch.device, encoder: dict | None = None):
    """Network of the paper's size, but for keys of `encoder`, and the view of a batch."""
    keys = {"tokens": tokens, **INPUTS[objective]}
    settings = Bmfm.model_validate({"encoder": encoder or {}, "objective": {"kind": objective}, "input": keys})
    counts = next(generate(cells, genes, min(1_900, genes // 3)))
    lengths = torch.from_numpy(np.diff(counts.indptr).astype(np.int64))
    gene, count = torch.from_numpy(counts.indices.astype(np.int64)), torch.from_numpy(counts.data)
    batch = Cells(gene, count, lengths, torch.zeros(cells, dtype=torch.int64)).to(device)
    draw = torch.Generator(device).manual_seed(0)
    view = make_view(batch, settings, torch.ones(1, genes, dtype=torch.bool, device=device), draw)
    return Network(settings, genes, None, 0).to(device), view


def our_loss(network: Network, view: View) -> Tensor:
    """The loss of training."""
    return _loss(network.tasks(view)[0])


def released_loss(network: Network, view: View) -> Tensor:
    """The same loss by padded cells, blocks that are computed again, and the decoder at every position."""
    tokens = network.embedding(view)
    lengths = view.starts.diff()
    real = torch.arange(view.longest, device=lengths.device) < lengths[:, None]
    x = tokens.new_zeros(*real.shape, tokens.shape[1]).masked_scatter(real[:, :, None], tokens)
    for block in network.encoder.blocks:
        x = checkpoint(_padded_block, block, x, real[:, None, None, :], use_reentrant=False)
    x = network.encoder.norm(x)
    if network.settings.objective.kind == "wced":
        predicted = Reconstruction(*network.decoder.layers(x)[:, 0].chunk(2, dim=1))
    else:
        predicted = Reconstruction(*network.decoder(x)[real][view.target_position].unbind(1))
    return _loss(reconstruction_tasks(predicted, view, network.settings.objective))


def _padded_block(block: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    cells, longest, width = x.shape
    q, k, v = block.qkv(block.norm_attention(x)).view(cells, longest, 3, block.heads, -1).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(cells, longest, width)
    x = x + block.out(mixed)
    gate, up = block.gate_up(block.norm_ffn(x)).chunk(2, dim=2)
    return x + block.down(F.silu(gate) * up)


def _loss(tasks: dict) -> Tensor:
    return combine(tasks, {name: task.count for name, task in tasks.items()})


def time_step(network: Network, view: View, loss: Callable, precision: str, repeats: int) -> Cost:
    """The fastest of some updates after one that warms up: forward, backward, AdamW."""
    device, optimizer = view.gene.device, torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        with autocast(device, precision):
            value = loss(network, view)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return _fastest(step, device, repeats)


def time_kernels(network: Network, view: View, precision: str, repeats: int) -> Cost:
    """The encoder's products with weights and its attention alone, forward and backward, over all tokens."""
    device, settings = view.gene.device, network.settings.encoder
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    block, tokens, head = network.encoder.blocks[0], len(view.gene), settings.hidden // settings.heads
    layers = [layer.weight.detach().to(dtype) for layer in (block.qkv, block.out, block.gate_up, block.down)]
    products = [(torch.randn(tokens, w.shape[1], device=device, dtype=dtype), w) for w in layers]
    heads = [torch.randn(tokens, settings.heads, head, device=device, dtype=dtype) for _ in range(3)]
    for tensor in (*heads, *(part for pair in products for part in pair)):
        tensor.requires_grad_()

    def kernels() -> None:
        for x, weight in products:
            out = F.linear(x, weight)
            torch.autograd.grad(out, (x, weight), out.detach())
        out = attend(*heads, view.starts, view.longest)
        torch.autograd.grad(out, heads, out.detach())

    cost = _fastest(kernels, device, repeats)
    return Cost(cost.wall * settings.layers, cost.cpu * settings.layers)


def saved_bytes(network: Network, view: View, precision: str) -> int:
    """What the forward pass keeps for the backward pass, each storage once, without parameters."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, Tensor] = {}  # the tensors themselves, so that no address comes twice

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast(view.gene.device, precision):
        loss = our_loss(network, view)
    size = sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in own)
    del loss
    return size


def _fastest(work: Callable, device: torch.device, repeats: int) -> Cost:
    costs = []
    for _ in range(repeats + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        costs.append(Cost(time.perf_counter() - wall, time.process_time() - cpu))
    return min(costs[1:], key=lambda cost: cost.wall)
