"""Synthetic tissues: cells of a few types, and programmes of genes that shift in all cells of a tissue alike."""

import numpy as np
from scipy.sparse import csr_matrix

from scfm.models.cells import ragged

GENES, TYPES, PROGRAMMES = 150, 6, 6


class World:
    """Means of types and loadings of programmes, the same in all tissues; counts are Poisson about exp of their sum."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.types = rng.normal(0, 0.8, (TYPES, GENES)) + rng.normal(-0.3, 0.7, GENES)
        self.loading = rng.normal(0, 0.45, (PROGRAMMES, GENES))

    def draw(self, rng, tissues, cells):
        """Counts float32 [tissues, cells, genes] and types int64 [tissues, cells] of fresh tissues."""
        kind = rng.integers(TYPES, size=(tissues, cells))
        shift = rng.normal(0, 0.8, (tissues, 1, PROGRAMMES)) @ self.loading
        return rng.poisson(np.exp(self.types[kind] + shift)).astype(np.float32), kind


def batch(counts, set_of):
    """Counts [cells, genes] as cells of numbered sets."""
    return ragged(csr_matrix(counts), {"set": np.asarray(set_of, dtype=np.int64)})
