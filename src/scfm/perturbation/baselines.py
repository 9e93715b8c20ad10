"""Baselines that every prediction of perturbed cells stands beside: pseudobulks by simple rules, and cells around them.

Each takes pseudobulks of what may be known (`pseudobulks` of the cells that are trained on, shown or queried) and the
(background, perturbation) pairs asked for, and adds an effect to the control mean of the background:

- control_mean: none.
- perturbation_mean: the mean effect of the perturbations known in that background, or of all known where none is: the
  reference of the challenge's scaled score. Combinations count as perturbations.
- additive: the effect of that very perturbation, on average over the backgrounds where it is known; else the sum of the
  effects of its partners, each from the same background where it is known there, else on average over the others.
- nearest: the effect of that very perturbation in the background, among those where it is known, whose control mean is
  nearest (Euclidean).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.perturbation.cells import CONTROL, controls, log_normalised, partners

MOST_CELLS = 1000
"""Cells that are drawn around a pseudobulk, for the tests between cells."""

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix


def pseudobulks(cells: "AnnData", total: float) -> "AnnData":
    """Mean log-normalised expression of every (background, perturbation), controls among them.

    Args:
        cells: counts in the form of `scfm.perturbation.cells.screen`.
        total: counts to which every cell is scaled.

    Returns:
        AnnData: X float64 [pairs, genes]; obs background, perturbation, cells (number).
    """
    import anndata
    from scipy.sparse import csr_matrix

    groups = cells.obs.groupby(["background", "perturbation"], observed=True)
    code = groups.ngroup().to_numpy()
    obs = groups.size().rename("cells").reset_index()
    member = csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))), shape=(len(obs), len(code)))
    sums = np.asarray((member @ log_normalised(cells.X, total)).todense(), dtype=np.float64)
    obs.index = obs.index.astype(str)
    return anndata.AnnData(sums / obs["cells"].to_numpy()[:, None], obs=obs, var=cells.var[[]].copy())


def predict(name: str, known: "AnnData", query: "pd.DataFrame") -> "AnnData":
    """Pseudobulks that a baseline predicts.

    Args:
        name: one of `BASELINES`.
        known: of `pseudobulks`.
        query: columns background and perturbation, in the common form.

    Returns:
        AnnData: X float64 [query, genes], not below 0; obs background, perturbation and informed (bool): False where
        the baseline knows nothing of the perturbation and predicts the control.

    Raises:
        ScfmError: a background has no controls among what is known, or the baseline is none.
    """
    import anndata

    if name not in BASELINES:
        raise ScfmError(f"baseline '{name}' is unknown; choose among {', '.join(BASELINES)}")
    facts = _known(known)
    out = np.empty((len(query), known.n_vars))
    informed = np.zeros(len(query), dtype=bool)
    backgrounds, names = (query[column].astype(str).to_numpy() for column in ("background", "perturbation"))
    for background in np.unique(backgrounds):
        if background not in facts.controls:
            raise ScfmError(f"background '{background}': no control cell is known; give some to start from")
        rows = np.flatnonzero(backgrounds == background)
        shifts = BASELINES[name](facts, background, list(names[rows]))
        informed[rows] = [shift is not None for shift in shifts]
        nothing = np.zeros(known.n_vars)
        shift = np.stack([nothing if one is None else one for one in shifts])
        out[rows] = np.maximum(facts.controls[background] + shift, 0)
    obs = query[["background", "perturbation"]].assign(informed=informed)
    obs.index = [str(i) for i in range(len(obs))]
    return anndata.AnnData(out, obs=obs, var=known.var.copy())


def cells_around(bulk: np.ndarray, counts: "csr_matrix", total: float, rng: np.random.Generator) -> "csr_matrix":
    """Cells that differ from control cells as a predicted pseudobulk differs from theirs.

    Each gene's counts are thinned or added to, at random, by the ratio of the back-transformed means; so the share of
    cells that express a gene changes as in real cells, and tests between cells mean something.

    Args:
        bulk: predicted mean of log-normalised expression [genes].
        counts: of the control cells [cells, genes].
        total: counts to which cells are scaled in `bulk`.

    Returns:
        CSR float32 counts [cells, genes], of at most `MOST_CELLS` of the control cells.
    """
    from scipy.sparse import csr_matrix

    base = np.expm1(np.asarray(log_normalised(counts, total).astype(np.float64).mean(0)).ravel())
    wanted = np.expm1(bulk)
    ratio = np.divide(wanted, base, out=np.ones_like(base), where=base > 0)
    if counts.shape[0] > MOST_CELLS:
        counts = counts[np.sort(rng.choice(counts.shape[0], MOST_CELLS, replace=False))]
    thinned = counts.astype(np.int64)
    thinned.data = rng.binomial(thinned.data, np.minimum(ratio, 1)[thinned.indices])
    # What is added is proportional to a cell's depth, as are its counts.
    depth = np.asarray(counts.sum(1)).ravel() / total
    more = np.flatnonzero(wanted > base)
    mean = np.divide(np.asarray(counts.sum(0), dtype=np.float64).ravel(), depth.sum())[more] * (ratio[more] - 1)
    mean = np.where(base[more] > 0, mean, wanted[more])
    added = rng.poisson(depth[:, None] * mean)
    place = (np.repeat(np.arange(len(depth)), len(more)), np.tile(more, len(depth)))
    extra = csr_matrix((added.ravel(), place), shape=counts.shape)
    out = csr_matrix(thinned + extra, dtype=np.float32)
    out.eliminate_zeros()
    return out


@dataclass(frozen=True)
class Known:
    """What is known of the backgrounds."""

    controls: dict[str, np.ndarray]
    """Background to the mean of its controls [genes]."""
    effects: dict[str, dict[str, np.ndarray]]
    """Background to perturbation to its effect [genes]; each background has an entry."""

    def of(self, perturbation: str) -> dict[str, np.ndarray]:
        """Background to the effect of a perturbation, where it is known."""
        return {one: table[perturbation] for one, table in self.effects.items() if perturbation in table}


def _known(bulks: "AnnData") -> Known:
    names = sorted(set(bulks.obs["background"].astype(str)))
    start = {one: bulks.X[controls(bulks.obs, one)[0]] for one in names}
    effects: dict[str, dict[str, np.ndarray]] = {one: {} for one in names}
    pairs = bulks.obs[["background", "perturbation"]].astype(str).itertuples(index=False)
    for mean, (background, perturbation) in zip(bulks.X, pairs, strict=True):
        if perturbation != CONTROL:
            effects[background][perturbation] = mean - start[background]
    return Known(start, effects)


def _control_mean(known: Known, background: str, names: list[str]) -> list[np.ndarray | None]:
    return [np.zeros_like(known.controls[background])] * len(names)


def _perturbation_mean(known: Known, background: str, names: list[str]) -> list[np.ndarray | None]:
    own = list(known.effects[background].values())
    every = own or [effect for table in known.effects.values() for effect in table.values()]
    return [np.mean(every, axis=0) if every else None] * len(names)


def _additive(known: Known, background: str, names: list[str]) -> list[np.ndarray | None]:
    out = []
    for name in names:
        there = known.of(name)
        parts = [there] if there else [known.of(one) for one in sorted(partners(name))]
        parts = [effects.get(background, np.mean(list(effects.values()), axis=0)) for effects in parts if effects]
        out.append(np.sum(parts, axis=0) if parts else None)
    return out


def _nearest(known: Known, background: str, names: list[str]) -> list[np.ndarray | None]:
    start = known.controls[background]
    distance = {one: float(np.linalg.norm(mean - start)) for one, mean in known.controls.items() if one != background}
    out = []
    for name in names:
        there = known.of(name)
        nearest = min((one for one in there if one != background), key=distance.__getitem__, default=None)
        out.append(None if nearest is None else there[nearest])
    return out


BASELINES: dict[str, Callable[[Known, str, list[str]], list[np.ndarray | None]]] = {
    "control_mean": _control_mean,
    "perturbation_mean": _perturbation_mean,
    "additive": _additive,
    "nearest": _nearest,
}
"""Name to its effects [genes] of some perturbations in one background, None where it knows nothing."""
