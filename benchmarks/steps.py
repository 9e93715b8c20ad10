"""A training step of a network on generated cells, ours and in the released design, and what it stands on."""

import time
from collections.abc import Callable
from itertools import accumulate

import torch
from generate import cells_of
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from scfm.models.attention import attend
from scfm.models.bmfm.network import Network, Reconstruction, reconstruction_tasks
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import View, make_view
from scfm.models.cells import ragged
from scfm.models.tasks import combine
from scfm.pretrain.precision import HALF, autocast

INPUTS = {
    "mlm": {"tokens": 2_048, "zeros": {"strategy": "interleave", "plain_cells": 0.0}},
    "wced": {"tokens": 8_192, "dropout": 0.2},
}
"""Zeros and dropout as the runs have them; the limit of MLM, whose zeros fill it, is a quarter of the paper's."""


def problem(
    objective: str, lengths: list[int], genes: int, device: torch.device, encoder: dict | None = None
) -> tuple[Network, View]:
    """Network of the paper's size, but for keys of `encoder`, and the view of cells that express so many genes."""
    described = {"encoder": encoder or {}, "objective": {"kind": objective}, "input": INPUTS[objective]}
    settings, draw = Bmfm.model_validate(described), torch.Generator(device).manual_seed(0)
    cells, measured = ragged(cells_of(lengths, genes), {}), torch.ones(1, genes, dtype=torch.bool, device=device)
    return Network(settings, genes, None, 0).to(device), make_view(cells.to(device), settings, measured, draw)


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
        x = checkpoint(padded_block, block, x, real[:, None, None, :], use_reentrant=False)
    x = network.encoder.norm(x)
    if network.settings.objective.kind == "wced":
        predicted = Reconstruction(*network.decoder.layers(x)[:, 0].chunk(2, dim=1))
    else:
        predicted = Reconstruction(*network.decoder(x)[real][view.target_position].unbind(1))
    return _loss(reconstruction_tasks(predicted, view, network.settings.objective))


def padded_block(block: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """One block over padded cells: x [cells, longest, width], mask bool [cells, 1, 1, longest], the real tokens."""
    cells, longest, width = x.shape
    q, k, v = block.qkv(block.norm_attention(x)).view(cells, longest, 3, block.heads, -1).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(cells, longest, width)
    x = x + block.out(mixed)
    gate, up = block.gate_up(block.norm_ffn(x)).chunk(2, dim=2)
    return x + block.down(F.silu(gate) * up)


def _loss(tasks: dict) -> Tensor:
    return combine(tasks, {name: task.count for name, task in tasks.items()})


def updater(network: Network, loss: Callable, precision: str) -> Callable[[View], None]:
    """Forward and backward pass of a view, and AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)

    def update(view: View) -> None:
        with autocast(view.gene.device, precision):
            value = loss(network, view)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


def time_step(network: Network, view: View, loss: Callable, precision: str, repeats: int) -> float:
    """Seconds of an update, as `fastest` takes them."""
    update = updater(network, loss, precision)
    return fastest(lambda: update(view), view.gene.device, repeats)


def time_kernels(network: Network, view: View, precision: str, repeats: int) -> float:
    """Seconds of the encoder's products with weights and its attention alone, forward and backward, over all tokens."""
    device, settings = view.gene.device, network.settings.encoder
    dtype = HALF[precision] or torch.float32
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

    return fastest(kernels, device, repeats) * settings.layers


def time_product(device: torch.device, precision: str) -> float:
    """Operations a second of a large square product: 2,048 on a CPU, 8,192 on a GPU."""
    n = 8_192 if device.type == "cuda" else 2_048
    a, b = (torch.randn(n, n, device=device).to(HALF[precision] or torch.float32) for _ in range(2))
    return 2 * n**3 / fastest(lambda: a @ b, device, 3)


def peak_memory(work: Callable, device: torch.device) -> int:
    """Most bytes that `work` holds at a time, beside what was there before."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = (event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]")
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def fastest(work: Callable, device: torch.device, repeats: int) -> float:
    """CPU seconds of all threads, on a GPU seconds of the wall clock: the least after a call that warms up."""
    on_gpu, spent = device.type == "cuda", []
    clock = time.perf_counter if on_gpu else time.process_time
    for _ in range(repeats + 1):
        start = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize(device)
        spent.append(clock() - start)
    return min(spent[1:])
