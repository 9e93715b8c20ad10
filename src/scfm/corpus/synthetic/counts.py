"""Expression of the synthetic census: effects of the programs, calibrated rates, counts."""

import numpy as np
import pandas as pd
from scipy.sparse import csc_matrix, csr_matrix, hstack

from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic.donors import in_state, state_effects
from scfm.corpus.synthetic.genes import LATENTS
from scfm.corpus.synthetic.tissue import layer_effects

BLOCK = 256
TYPE_SD = (1.4, 1.1, 1.0)
"""Standard deviations of the log effects of a type's far ancestor, near ancestor and itself."""
PLAIN_SCALE = 0.1
"""Type effects of plain background genes, relative to those of program "type"."""
MARKER_LOG = 1.5
"""Log ratio of a marker between its types and the others."""
DYING_LOG = 3.2
"""Log ratio of mitochondrial genes in dying cells."""


def draw_counts(cells: pd.DataFrame, types: pd.DataFrame, genes: pd.DataFrame, settings: Synthetic) -> csr_matrix:
    """Counts int32 CSR [cells, genes], drawn in blocks of genes; memory grows with cells x 256.

    Every block has its own generator, so that the result depends on the settings only.
    """
    technical = _Technical(cells, len(genes), settings)
    effects = type_effects(types, settings.planted, np.random.default_rng([settings.seed, 3]))
    ill, state = (in_state(cells, types), state_effects(genes, settings)) if settings.donor_truth else (None, None)
    layers = layer_effects(genes, settings) if settings.tissue else None
    blocks = []
    for start in range(0, len(genes), BLOCK):
        part = genes.iloc[start : start + BLOCK]
        rng = np.random.default_rng([settings.seed, 4, start])
        log_rate = log_effects(part, cells, types, effects, rng)
        log_rate += technical.block(start, start + len(part))
        log_rate += np.log(cells["depth"].to_numpy())[:, None]
        if state is not None:
            log_rate += ill[:, None] * state[start : start + len(part)]
        if layers is not None:
            log_rate += layers[cells["layer"].to_numpy(), start : start + len(part)]
        dying = (cells["state"] == "dying").to_numpy()[:, None] & part["gene"].str.startswith("MT-").to_numpy()
        log_rate += DYING_LOG * dying
        good = ((cells["state"] == "good") & (cells["dataset_id"] != cells["dataset_id"].iloc[-1])).to_numpy()
        log_rate += solve_base(log_rate[good], part["target"].to_numpy(), settings.overdispersion)
        blocks.append(csc_matrix(negative_binomial(np.exp(log_rate), settings.overdispersion, rng)))
    return csr_matrix(hstack(blocks))


def solve_base(log_rate: np.ndarray, target: np.ndarray, overdispersion: float) -> np.ndarray:
    """Log base rate [genes] that gives each gene its expected zero fraction over the cells, by bisection.

    The probability of a zero is (1 + a mu)^(-1/a) for overdispersion a, exp(-mu) for a = 0.

    Args:
        log_rate: float [cells, genes], log expected count without the base rate.
        target: zero fraction of each gene, inside (0, 1).
    """
    rate = np.exp(log_rate)
    low, high = np.full(len(target), -20.0), np.full(len(target), 12.0)
    for _ in range(32):
        middle = (low + high) / 2
        mean = rate * np.exp(middle)
        zero = np.exp(-np.log1p(overdispersion * mean) / overdispersion) if overdispersion else np.exp(-mean)
        too_many = zero.mean(axis=0) > target
        low, high = np.where(too_many, middle, low), np.where(too_many, high, middle)
    return (low + high) / 2


def negative_binomial(mean: np.ndarray, overdispersion: float, rng: np.random.Generator) -> np.ndarray:
    """Counts int32 of the shape of `mean`; Poisson without overdispersion."""
    if overdispersion:
        mean = mean * rng.gamma(1 / overdispersion, overdispersion, size=mean.shape)
    return rng.poisson(mean).astype(np.int32)


def type_effects(types: pd.DataFrame, planted: int, rng: np.random.Generator) -> np.ndarray:
    """Log effects [types, planted]: shared within ancestors, so that related types are alike."""
    effects = np.zeros((len(types), planted))
    for column, sd in zip(("coarser", "coarse", "id"), TYPE_SD, strict=True):
        codes, levels = pd.factorize(types[column])
        effects += rng.normal(0, sd, (len(levels), planted))[codes]
    return effects


def log_effects(
    genes: pd.DataFrame, cells: pd.DataFrame, types: pd.DataFrame, effects: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Biological log effects [cells, genes]."""
    code = cells["type"].to_numpy()
    rank = {latent: np.argsort(np.argsort(cells[latent].to_numpy())) for latent in LATENTS}
    # Columns are filled one by one because each role has its own rule; everything within is vectorised over cells.
    out = np.zeros((len(cells), len(genes)))
    for column, gene in enumerate(genes.itertuples()):
        shared = effects[code, gene.pair if gene.pair >= 0 else rng.integers(effects.shape[1])]
        if gene.planted == "type":
            out[:, column] = shared
        elif gene.planted == "noise":
            out[:, column] = rng.permutation(shared)
        elif gene.latent:
            ordered = np.sort(shared)
            out[:, column] = (ordered if rng.random() < 0.5 or gene.planted == "background" else ordered[::-1])[
                rank[gene.latent]
            ]
        elif gene.role == "marker":
            out[:, column] = MARKER_LOG * _at_or_below(gene.where, types)[code]
        elif gene.role == "plain":
            out[:, column] = PLAIN_SCALE * shared
    return out


def _at_or_below(where: str, types: pd.DataFrame) -> np.ndarray:
    """Bool [types]: the type, or one of its two ancestors, is among the terms joined by "|"."""
    return types[["id", "coarse", "coarser"]].isin(where.split("|")).any(axis=1).to_numpy()


class _Technical:
    """Log effects of dataset, batch and donor on each gene, drawn once."""

    def __init__(self, cells: pd.DataFrame, genes: int, settings: Synthetic) -> None:
        rng = np.random.default_rng([settings.seed, 5])
        self._levels = []
        for columns, share in ((["dataset_id"], 1), (["dataset_id", "batch"], 0.5), (["dataset_id", "donor_id"], 0.25)):
            codes, levels = pd.factorize(pd.MultiIndex.from_frame(cells[columns]))
            self._levels.append((codes, rng.normal(0, share * settings.dataset_sd, (len(levels), genes))))

    def block(self, start: int, stop: int) -> np.ndarray:
        """Sum over the three levels, float64 [cells, stop - start]."""
        return sum(effect[:, start:stop][codes] for codes, effect in self._levels)
