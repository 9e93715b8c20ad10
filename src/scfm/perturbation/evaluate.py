"""Predicted perturbed cells and every baseline against the real ones that were held out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.perturbation.baselines import BASELINES, cells_around, predict, pseudobulks
from scfm.perturbation.cells import CONTROL, conditions, controls, log_normalised
from scfm.perturbation.differential import Profile, log2_fold_change, profile
from scfm.perturbation.metrics import ROUNDING, compare
from scfm.perturbation.predictions import check_predictions
from scfm.perturbation.settings import Scoring
from scfm.perturbation.split import OUT, TEST

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

CEILING = "ceiling"
"""Name of one half of the real cells as a prediction of the other."""


def evaluate(
    cells: "AnnData", sides: np.ndarray, scoring: Scoring, predictions: "dict[str, AnnData] | None" = None
) -> "dict[str, pd.DataFrame]":
    """Metrics of predictions, baselines and the ceiling on the test cells of one split.

    Effects are read within a background, against its real controls on both sides. Cells are scaled to the median count
    of the real ones.

    Args:
        cells: of `scfm.perturbation.cells.screen`.
        sides: of `scfm.perturbation.split.hold_out`, strings [cells].
        predictions: name of a model to its cells (counts) of every held-out pair.

    Returns:
        Name to a table of what `compare` gives, index (background, perturbation), and `cells`, the number of real ones.
        A baseline that knows nothing of any held-out perturbation is not among them.

    Raises:
        ScfmError: what `check_predictions` raises, or a model has the name of a baseline.
    """
    if both := sorted(set(predictions or {}) & {*BASELINES, CEILING}):
        raise ScfmError(f"model '{both[0]}' has the name of a baseline; give it another")
    total = float(np.median(np.asarray(cells.X.sum(1)).ravel()))
    test = cells[sides == TEST]
    query = conditions(test.obs)
    known = pseudobulks(cells[~np.isin(sides, (TEST, OUT))], total)
    checked = {name: check_predictions(one, cells.var_names, query) for name, one in (predictions or {}).items()}
    guesses = {name: predict(name, known, query) for name in BASELINES}
    guesses = {name: guess for name, guess in guesses.items() if guess.obs["informed"].any()}
    rng = np.random.default_rng(scoring.seed)
    found: dict[str, list] = {name: [] for name in (*guesses, *checked, CEILING)}
    for background, real, start in _backgrounds(test, cells):
        truth = _profile(real, start, total)
        size = real.obs["perturbation"].value_counts()
        for name in found:
            against = truth
            if name in guesses:
                guess = _baseline_profile(guesses[name], background, start, total, rng)
            elif name in checked:
                own = checked[name]
                guess = _profile(own[(own.obs["background"] == background).to_numpy()], start, total)
            else:
                guess, against = _halves(real, start, total, rng)
            table = compare(against, guess, cells.var_names.to_numpy(), scoring.alpha)
            found[name].append(table.assign(background=background, cells=size.reindex(table.index)))
    return {name: _joined(tables) for name, tables in found.items()}


def _joined(tables: list) -> "pd.DataFrame":
    import pandas as pd

    return pd.concat(tables).reset_index().set_index(["background", "perturbation"])


def _backgrounds(test: "AnnData", cells: "AnnData") -> "Iterator[tuple[str, AnnData, AnnData]]":
    """(background, its test cells, its controls)."""
    for background in sorted(set(test.obs["background"].astype(str))):
        real = test[(test.obs["background"] == background).to_numpy()]
        yield background, real, cells[controls(cells.obs, background)]


def _profile(perturbed: "AnnData", start: "AnnData", total: float) -> Profile:
    from scipy.sparse import vstack

    matrix = log_normalised(vstack([perturbed.X, start.X]).tocsr(), total)
    labels = np.concatenate([perturbed.obs["perturbation"].astype(str), [CONTROL] * start.n_obs])
    return profile(matrix, labels)


def _baseline_profile(
    guess: "AnnData", background: str, start: "AnnData", total: float, rng: np.random.Generator
) -> Profile:
    """Profile with the baseline's own pseudobulks, tested by cells around them."""
    import anndata
    import pandas as pd
    from scipy.sparse import vstack

    rows = np.flatnonzero(guess.obs["background"] == background)
    names = guess.obs["perturbation"].iloc[rows].astype(str).to_numpy()
    parts = [cells_around(guess.X[row], start.X, total, rng) for row in rows]
    labels = np.repeat(names, [part.shape[0] for part in parts])
    made = vstack(parts).tocsr()
    alive = np.flatnonzero(np.asarray(made.sum(1)).ravel() > 0)
    obs = pd.DataFrame({"perturbation": labels[alive]}, index=alive.astype(str))
    tested = _profile(anndata.AnnData(made[alive], obs=obs), start, total)
    means = guess.X[rows][np.argsort(names)]
    means = np.where(np.abs(means - tested.control) < ROUNDING, tested.control, means)
    return replace(tested, means=means, log_fold=log2_fold_change(means, tested.control))


def _halves(real: "AnnData", start: "AnnData", total: float, rng: np.random.Generator) -> tuple[Profile, Profile]:
    """Profiles of two disjoint halves of the cells of every perturbation and of the controls."""
    labels = real.obs["perturbation"].astype(str).to_numpy()
    parts: tuple[list, list] = ([], [])
    for name in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == name))
        half = len(order) // 2
        parts[0].append(order[:half])
        parts[1].append(order[half : 2 * half])
    order = rng.permutation(start.n_obs)
    half = start.n_obs // 2
    first, second = (
        _profile(real[np.concatenate(part)], start[own], total)
        for part, own in zip(parts, (order[:half], order[half : 2 * half]), strict=True)
    )
    return first, second
