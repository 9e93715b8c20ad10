"""Synthetic cells under perturbations, whose genes vary together by programmes, and a training of Lingshu-Cell."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from scfm.models.cells import ragged
from scfm.models.tasks import combine

GENES, TYPES, PERTURBATIONS, PROGRAMMES = 64, 4, 8, 4
HELD_OUT = np.array([[0, 1], [1, 3], [2, 5], [3, 7], [0, 6]])
"""Type and perturbation of the pairs that training lacks; perturbation 0 is the control."""


class Screen:
    """Log means of types, programmes that vary from cell to cell, and changes of perturbations, alike in all types."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.types = rng.normal(0.3, 0.6, GENES) + rng.normal(0, 0.5, (TYPES, GENES))
        member = np.arange(GENES) % PROGRAMMES == np.arange(PROGRAMMES)[:, None]
        self.loading = member * rng.choice([-0.6, 0.6], GENES)
        moved = rng.random((PERTURBATIONS + 1, GENES)) < 0.2
        self.moves = moved * rng.normal(0, 0.8, (PERTURBATIONS + 1, GENES))
        self.moves[0] = 0

    def draw(self, rng, kind, perturbation):
        """Counts float32 [cells, genes] of cells of types and perturbations, int64 [cells] each."""
        n = len(kind)
        log = self.types[kind] + self.moves[perturbation] + rng.normal(0, 0.8, (n, PROGRAMMES)) @ self.loading
        counts = rng.poisson(np.exp(np.minimum(log + rng.normal(0, 0.3, (n, 1)), 3))).astype(np.float32)
        return np.minimum(counts, 23)

    def corpus(self, rng, cells):
        """Counts, types and perturbations of training cells; a third are controls."""
        kind = rng.integers(TYPES, size=3 * cells)
        perturbation = np.where(rng.random(3 * cells) < 1 / 3, 0, rng.integers(1, PERTURBATIONS + 1, size=3 * cells))
        held = (np.stack([kind, perturbation], 1)[:, None] == HELD_OUT).all(2).any(1)
        kind, perturbation = kind[~held][:cells], perturbation[~held][:cells]
        return self.draw(rng, kind, perturbation), kind, perturbation


def codes_of(kind, perturbation):
    """int64 [cells, 2, 1], as the network numbers them."""
    own = np.where(perturbation > 0, TYPES + perturbation - 1, -1)
    return torch.from_numpy(np.stack([kind, own], 1)[:, :, None])


def fit(network, counts, labels, steps, batch, rate, seed=0):
    """Train on random batches; the losses of all steps, nats a gene."""
    rng, draw = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    measured = torch.ones(1, counts.shape[1], dtype=torch.bool)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    losses = []
    for _ in range(steps):
        rows = rng.integers(len(counts), size=batch)
        cells = ragged(csr_matrix(counts[rows]), {name: codes[rows] for name, codes in labels.items()})
        view = network.view(cells, measured, draw, "train")
        loss = combine(network.tasks(view)[0], network.counts(view))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses
