"""From probabilities of leaves to a lineage of each cell."""

import numpy as np

from scfm.errors import ScfmError
from scfm.ontology import LabelTree


def lineages(tree: LabelTree, leaves: np.ndarray, decode: str) -> list[list[str]]:
    """Terms from the root down to what is decoded, for each cell: with every way up for `leaf`, one for `greedy`.

    Args:
        leaves: float [cells, leaves], probabilities.
    """
    if decode == "greedy":
        return tree.greedy(leaves)
    order = {term: i for i, term in enumerate(tree.nodes)}
    chosen = tree.leaf_argmax(leaves)
    above = {leaf: sorted(tree.ancestors(leaf) | {leaf}, key=order.get) for leaf in set(chosen)}
    return [above[leaf] for leaf in chosen]


def calibrated(leaves: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of a softmax whose logits are divided by the temperature, float32 [cells, leaves]."""
    logs = np.log(np.maximum(leaves, np.finfo(np.float32).tiny)) / temperature
    shares = np.exp(logs - logs.max(1, keepdims=True))
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def fit_temperature(leaves: np.ndarray, membership: np.ndarray) -> tuple[float, float, float]:
    """The temperature of the lowest mean −log P(label), and that value without and with it (Guo et al. 2017).

    Args:
        leaves: float [cells, leaves], probabilities. membership: bool [cells, leaves], the leaves of each label.

    Raises:
        ScfmError: no label leaves anything to decide.
    """
    from scipy.optimize import minimize_scalar

    told = ~membership.all(1) & membership.any(1)
    if not told.any():
        raise ScfmError("calibrate: no cell has a label below the root of the model's terms; name another column")

    def loss(log_temperature: float) -> float:
        chance = (calibrated(leaves[told], np.exp(log_temperature)) * membership[told]).sum(1)
        return float(-np.log(np.maximum(chance, 1e-38)).mean())

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(best.x)), loss(0.0), float(best.fun)
