"""The optimizer of a run and how its rate changes."""

import torch
from torch import nn

from scfm.pretrain.settings import Training


def make_optimizer(
    network: nn.Module, training: Training, updates: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW with weight decay on matrices only; the rate rises linearly, stays, and may fall linearly at the end.

    Args:
        updates: updates of the whole training.
    """
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)

    def rate(step: int) -> float:
        rise = min(1.0, (step + 1) / max(training.warmup_steps, 1))
        fall = min(1.0, (updates - step) / training.decay_steps) if training.decay_steps else 1.0
        return rise * max(fall, 0.0)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
