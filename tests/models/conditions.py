"""Synthetic conditions: programmes of genes that each condition shifts in all types, in some more than in others."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from scfm.models.cells import ragged

GENES, TYPES, PROGRAMMES, CONDITIONS, HELD_OUT, DEPTH = 128, 5, 10, 60, 12, 300


class Screen:
    """Log profiles of types, loadings of programmes, and how much of each a condition moves. Condition 0 is control."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.types = rng.normal(0, 1.0, GENES) + rng.normal(0, 0.7, (TYPES, GENES))
        self.loading = rng.normal(0, 1.0, (PROGRAMMES, GENES)) * (rng.random((PROGRAMMES, GENES)) < 0.5)
        self.moves = rng.normal(0, 0.45, (CONDITIONS + 1, PROGRAMMES)) * (
            rng.random((CONDITIONS + 1, PROGRAMMES)) < 0.4
        )
        self.moves[0] = 0
        self.gain = rng.uniform(0.5, 1.5, (TYPES, PROGRAMMES))

    def draw(self, rng, condition, kind):
        """Counts float32 [cells, genes] of cells of a condition (a number) and types int64 [cells]."""
        log = self.types[kind] + (self.moves[condition] * self.gain[kind]) @ self.loading
        rate = np.exp(log + rng.normal(0, 0.3, log.shape))
        return rng.poisson(DEPTH * rate / rate.sum(1, keepdims=True)).astype(np.float32)


def sets(screen, rng, conditions, treated, controls):
    """A set of each condition: so many of its cells and so many controls, of random types."""
    tables, labels = [], {"set": [], "condition": [], "cell_type": []}
    for number, condition in enumerate(conditions):
        kind = rng.integers(TYPES, size=treated + controls)
        tables += [screen.draw(rng, condition, kind[:treated]), screen.draw(rng, 0, kind[treated:])]
        labels["set"].append(np.full(treated + controls, number))
        labels["condition"].append(np.repeat([condition, 0], [treated, controls]))
        labels["cell_type"].append(kind)
    return ragged(csr_matrix(np.concatenate(tables)), {name: np.concatenate(own) for name, own in labels.items()})


def mean_log(counts):
    """Mean over cells of log1p of counts scaled to 300, float [genes]."""
    counts = torch.as_tensor(counts, dtype=torch.float32)
    return torch.log1p(counts * DEPTH / counts.sum(1, keepdim=True).clamp(min=1)).mean(0).numpy()
