"""Synthetic cells under perturbations, whose genes vary together by programmes, and a training of Lingshu-Cell."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from scfm.generation.samples import auroc
from scfm.models.cells import ragged
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.sampling import Asked
from scfm.models.lingshu.settings import Lingshu
from scfm.models.tasks import combine
from scfm.pretrain.average import Average

GENES, TYPES, PERTURBATIONS, PROGRAMMES = 64, 4, 8, 4
HELD_OUT = np.array([[0, 1], [1, 3], [2, 5], [3, 7], [0, 6]])
"""Type and perturbation of the pairs that training lacks; perturbation 0 is the control."""

SETTINGS = {
    "tokens": 24,
    "transformer": {"group": 4, "hidden": 64, "layers": 3, "heads": 4, "ffn": 128, "init_std": 0.1},
    "conditions": [{"column": "type"}, {"column": "perturbation", "control": "control"}],
    "sampling": {"batch_cells": 500},
}
NAMES = {
    "type": [f"t{i}" for i in range(TYPES)],
    "perturbation": [f"p{i + 1}" for i in range(PERTURBATIONS)],
}
STEPS, BATCH, RATE, DECAY, CELLS = 1500, 128, 2e-3, 0.99, 7800


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

    def real(self, kind, perturbation, number, seed=9):
        """Counts of cells of one type under one perturbation."""
        return self.draw(np.random.default_rng(seed), np.full(number, kind), np.full(number, perturbation))

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


def fit(network, counts, labels, steps, batch, rate, seed=0, average=0.0):
    """Train on random batches and take the average of the weights; the losses of all steps, nats a gene."""
    rng, draw = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    measured = torch.ones(1, counts.shape[1], dtype=torch.bool)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    # The rate rises over 100 steps and falls to 0 in the second half.
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1, (n + 1) / 100, 2 * (steps - n) / steps))
    averaged, losses = Average(network, average), []
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
        averaged.update(network)
        losses.append(loss.item())
    network.load_state_dict(averaged.network.state_dict())
    return losses


def trained(screen):
    """The network after its training on the screen."""
    counts, kind, perturbation = screen.corpus(np.random.default_rng(1), CELLS)
    codes = codes_of(kind, perturbation).numpy()
    network = Network(Lingshu.model_validate(SETTINGS), GENES, NAMES, 0)
    labels = {"type": codes[:, 0], "perturbation": codes[:, 1]}
    fit(network, counts, labels, STEPS, BATCH, RATE, average=DECAY)
    return network.eval()


def drawn(network, kind, perturbation, number, seed=0, **asked):
    """float [number, genes] of one type under one perturbation."""
    codes = codes_of(np.array([kind]), np.array([perturbation]))[0]
    chunks = network.generate(number, Asked(codes, **asked), torch.Generator().manual_seed(seed))
    return torch.cat(list(chunks)).numpy().astype(np.float32)


def moments(tables, moment):
    """Of each gene's log1p of counts in each table, one after the other."""
    return np.concatenate([moment(np.log1p(table), 0) for table in tables])


def correlations(tables):
    """Of all pairs of genes, over the cells of each table, one after the other."""
    pairs = np.triu_indices(GENES, 1)
    return np.concatenate([np.corrcoef(np.log1p(table).T)[pairs] for table in tables])


def alike(one, other):
    return np.corrcoef(one, other)[0, 1]


def depth_ratio(made, true):
    """Spread of counts per cell, made over real, mean over the tables."""
    return np.mean([np.std(own.sum(1)) / np.std(other.sum(1)) for own, other in zip(made, true, strict=True)])


def told_apart(made, true):
    """AUROC of a classifier of drawn and real cells, 500 of each table."""
    return auroc(*(np.log1p(np.concatenate([table[:500] for table in tables])) for tables in (true, made)), seed=0)
