"""Log-normalised cells of ten perturbations and a control, real and predicted, for comparison with cell-eval."""

import numpy as np
from scipy.sparse import csr_matrix

CELLS, GENES, PERTURBATIONS = 1000, 100, 10
CONTROL = "control"


def genes() -> np.ndarray:
    """Names; the first ten are the perturbations' targets."""
    return np.array([f"G{i:03d}" for i in range(GENES)])


def labels() -> np.ndarray:
    """Perturbation of each cell, strings [cells], nearly as many of each."""
    return np.array([*genes()[:PERTURBATIONS], CONTROL])[np.arange(CELLS) % (PERTURBATIONS + 1)]


def cells(seed: int, noise: float) -> np.ndarray:
    """float32 [cells, genes]; `noise` is the standard deviation of the error in the effects, drawn with `seed`."""
    truth, rng = np.random.default_rng(0), np.random.default_rng(seed)
    base = truth.normal(0, 1, GENES)
    effects = truth.normal(0, 0.7, (PERTURBATIONS + 1, GENES)) * (truth.random((PERTURBATIONS + 1, GENES)) < 0.3)
    effects[:PERTURBATIONS, :PERTURBATIONS] -= 2 * np.eye(PERTURBATIONS)
    effects[:PERTURBATIONS] += noise * rng.normal(0, 1, (PERTURBATIONS, GENES))
    effects[PERTURBATIONS] = 0
    rate = np.exp(base + effects[np.arange(CELLS) % (PERTURBATIONS + 1)])
    counts = rng.poisson(rate * rng.gamma(4, 0.25, rate.shape)).astype(np.float64)
    return np.log1p(counts * (200 / np.maximum(counts.sum(1, keepdims=True), 1))).astype(np.float32)


def sparse(seed: int, noise: float) -> csr_matrix:
    return csr_matrix(cells(seed, noise))
