"""What a cytokine makes of a donor: the vector of the treated sample from that of the control, donors held out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.donor_vectors import (
    Representation,
    given_representations,
    moments,
    read_donors,
    samples_of,
)
from scfm.benchmarks.read import finite, read_embeddings
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.task_settings import Cytokine, DonorTask
from scfm.errors import ScfmError
from scfm.perturbation.metrics import row_correlation

if TYPE_CHECKING:
    import pandas as pd

LEAST = 3
"""Fewest donors with both samples: one is held out, and two tell its change from their own differences."""
NO_CHANGE, MEAN_SHIFT, FITTED = "no_change", "mean_shift", "fitted"
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], Callable[[np.ndarray, np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class Pairs:
    """A control sample and a treated one of the same donor, row numbers among the samples."""

    control: np.ndarray
    """int [pairs]."""
    treated: np.ndarray
    """int [pairs]."""
    donor: np.ndarray
    """int [pairs], number of the donor."""
    condition: np.ndarray
    """float [pairs, conditions], one for the condition of each."""
    left_out: int
    """Donors without a control or without a treated sample."""
    names: tuple[str, ...]
    """Of the conditions."""


def cytokine(
    path: Path, donors: Path, pooling: str, fit: Fit, settings: Cytokine, samples_as: DonorTask, study: str
) -> "pd.DataFrame":
    """Score the change of donor vectors in every dataset of a file that is asked for cytokine.

    Of each vector, a model's own and the mean of the cells' vectors that it reads: `no_change`, the control's own
    vector; `mean_shift`, the control's plus the mean change of the training donors; `fitted`, what `fit` learns from
    the training donors.

    Args:
        path: cell vectors that the model reads, of some pooling. donors: its donor vectors.
        fit: `fit_change` of its system.
        samples_as: which samples there are.

    Returns:
        Tidy rows, `pooling` the vector and after a colon the prediction: what `scores` returns, donors, pairs and
        donors_left_out.

    Raises:
        ScfmError: what `read_embeddings`, `read_donors`, `samples_of`, `given_representations` and `pairs_of` raise.
    """
    import pandas as pd

    given, tables = read_donors(donors), []
    whose = {"run": str(given.uns["run"]), "seed": int(given.uns["seed"])}
    for embedding in (one for one in read_embeddings(path, "cytokine") if one.pooling == pooling):
        samples = samples_of(embedding, {}, samples_as)
        pairs = pairs_of(samples.table, str(embedding.facts["control"]).split(","), embedding.dataset)
        kept = samples.of_cell >= 0
        vectors = np.zeros_like(embedding.vectors)
        vectors[kept] = finite(embedding, kept)
        means, _ = moments(vectors, samples.of_cell, len(samples.table))
        mean = Representation(f"{embedding.pooling}:mean", means, ())
        own = given_representations(given, samples, embedding.dataset)
        counts = {"donors": pairs.donor.max() + 1, "pairs": len(pairs.donor), "donors_left_out": pairs.left_out}
        for vector in (*own, mean):
            for name, predicted in predictions(vector, pairs, fit, settings, whose["seed"]):
                rows = scores(predicted, vector.vectors, pairs, settings)
                rows += [Measurement(key, float(value), len(pairs.donor)) for key, value in counts.items()]
                context = embedding.context(study, "cytokine") | whose | {"pooling": f"{vector.pooling}:{name}"}
                tables.append(tidy(rows, **context))
    if not tables:
        raise ScfmError(f"{path}: no pooling '{pooling}'; name the one that the model of donors reads")
    return pd.concat(tables, ignore_index=True)


def pairs_of(table: "pd.DataFrame", controls: list[str], dataset: str) -> Pairs:
    """Every treated sample with the control of its donor.

    Args:
        table: columns donor and sample ("" where it is not known). controls: names of samples that mean no treatment.

    Raises:
        ScfmError: no control is named, or fewer than three donors have both samples.
    """
    is_control = table["sample"].isin([name for name in controls if name]).to_numpy()
    control = table[is_control].drop_duplicates("donor").reset_index().set_index("donor")["index"]
    is_treated = ~is_control & (table["sample"] != "").to_numpy()  # empty: nobody knows
    treated = table[is_treated & table["donor"].isin(control.index).to_numpy()]
    names = sorted(set(treated["donor"]))
    if len(names) < LEAST:
        said = ", ".join(filter(None, controls)) or "none"
        raise ScfmError(
            f"dataset '{dataset}': {len(names)} of {table['donor'].nunique()} donors have both a control sample (named "
            f"{said}) and a treated one, {LEAST} are needed; name sample_column and control in the sheet of datasets, "
            "or take 'cytokine' off its tasks"
        )
    conditions, code = np.unique(treated["sample"].astype(str), return_inverse=True)
    return Pairs(
        control.loc[treated["donor"]].to_numpy(),
        treated.index.to_numpy(),
        np.searchsorted(names, treated["donor"]),
        np.eye(len(conditions))[code],
        table["donor"].nunique() - len(names),
        tuple(conditions),
    )


def predictions(
    vector: Representation, pairs: Pairs, fit: Fit, settings: Cytokine, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each prediction of the treated vectors, float64 [pairs, width], every donor's by the other donors alone.

    Raises:
        ScfmError: all donors of a treatment are held out at once, so that none is left to learn it from.
    """
    before, after = vector.vectors[pairs.control], vector.vectors[pairs.treated]
    yield NO_CHANGE, before
    shifted, fitted = np.empty_like(before), np.empty_like(before)
    number = pairs.donor.max() + 1
    fold_of = np.random.default_rng(settings.seed).permutation(number) % min(settings.folds, number)
    for fold in range(fold_of.max() + 1):
        out = fold_of[pairs.donor] == fold
        seen = ~out
        known = pairs.condition[seen]
        if len(alone := np.flatnonzero(pairs.condition[out].any(0) & ~known.any(0))):
            raise ScfmError(
                f"treatment '{pairs.names[alone[0]]}': all its donors are held out at once; "
                "give it donors of other folds, set folds of the task to the number of donors, or leave it out"
            )
        sums = np.maximum(known.sum(0), 1)[:, None]
        shifted[out] = before[out] + pairs.condition[out] @ (known.T @ (after - before)[seen] / sums)
        change = fit(before[seen], after[seen], known, pairs.donor[seen], seed * 1000 + fold)
        fitted[out] = change(before[out], pairs.condition[out])
    yield MEAN_SHIFT, shifted
    yield FITTED, fitted


def scores(predicted: np.ndarray, vectors: np.ndarray, pairs: Pairs, settings: Cytokine) -> list[Measurement]:
    """Metrics over all held-out pairs, with percentile intervals of the bootstrap over donors.

    error: summed squared distance to the treated vectors, over that of the unchanged controls; 1 for no change, 0 is
    best. change_pearson: mean correlation over elements of the predicted with the true change, 0 where none is
    predicted, so that a head which declines to change gains nothing; true changes that are constant are passed over.
    retrieval_top1: share of the predictions whose nearest treated vector of that condition is the donor's own.

    Args:
        predicted: float64 [pairs, width]. vectors: float64 [samples, width].
    """
    from scipy.spatial.distance import cdist

    before, after = vectors[pairs.control], vectors[pairs.treated]
    off, size = ((x - after) ** 2 @ np.ones(after.shape[1]) for x in (predicted, before))
    related = row_correlation(predicted - before, after - before)
    distance = cdist(predicted, after, "sqeuclidean")
    distance[pairs.condition @ pairs.condition.T == 0] = np.inf
    found = (distance.argmin(1) == np.arange(len(after))).astype(float)
    member = np.eye(pairs.donor.max() + 1)[:, pairs.donor]  # [donors, pairs]
    known = np.isfinite(related)
    parts = {
        "error": (off, size),
        "change_pearson": (np.where(known, related, 0), known),
        "retrieval_top1": (found, np.ones(len(found))),
    }
    interval = settings.interval
    drawn = np.random.default_rng(interval.seed).integers(len(member), size=(interval.resamples, len(member)))
    tail, rows = (1 - interval.confidence) / 2, []
    for name, (above, below) in parts.items():
        top, bottom = member @ above, member @ below.astype(float)
        values = {name: _ratio(top.sum(), bottom.sum())}
        again = _ratio(top[drawn].sum(1), bottom[drawn].sum(1))
        ends = np.nanquantile(again, [tail, 1 - tail]) if np.isfinite(again).any() else (np.nan, np.nan)
        values |= dict(zip((f"{name}_low", f"{name}_high"), ends, strict=True))
        rows += [Measurement(key, float(value), len(after)) for key, value in values.items()]
    return rows


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
