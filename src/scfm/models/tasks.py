"""Objectives as sums with counts, from which an update over any number of batches and processes is exact."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Task:
    """One objective on one batch: a sum and its count, so that ranks and micro-batches add up exactly."""

    total: Tensor
    count: Tensor
    weight: float


@dataclass
class GeneTargets:
    """Targets that are values of genes, one-dimensional and alike in length, and what was predicted for them."""

    gene: Tensor
    """int64, gene index."""
    truth: Tensor
    """float32, log1p of counts scaled to 10,000 a cell."""
    value: Tensor
    """float32, predicted if the gene is expressed."""
    zero_logit: Tensor
    """float32, log odds that it is not."""


def combine(tasks: dict[str, Task], counts: dict[str, Tensor]) -> Tensor:
    """Σ w·(sum / count) / Σ w over the tasks that have a target; `counts` are those of the whole update."""
    present = {name: (counts[name] > 0).float() * task.weight for name, task in tasks.items()}
    weights = torch.stack(list(present.values())).sum().clamp(min=1e-12)
    return sum(present[name] * task.total / counts[name].clamp(min=1) for name, task in tasks.items()) / weights
