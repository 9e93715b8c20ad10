"""Donors by vectors made from their cells: what tells of age, disease or condition, with whole donors held out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.donor_probe import Target, cross_validate, target_of
from scfm.benchmarks.donor_retrieval import retrieval
from scfm.benchmarks.donor_vectors import (
    Representation,
    Samples,
    cell_representations,
    composition,
    given_representations,
    read_donors,
    samples_of,
)
from scfm.benchmarks.read import Embedding, finite, read_embeddings
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.task_settings import DonorTask
from scfm.datasets import UNKNOWN
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def donor(path: Path, settings: DonorTask, study: str, donors: Path | None = None) -> "pd.DataFrame":
    """Score donor vectors made from every embedding of a file whose dataset is asked for donor.

    The vectors, by their pooling: `<pooling>:mean` and `<pooling>:mean_sd` of each embedding, `composition` (shares of
    cell types, which no model has a part in) once for each dataset, and the poolings of `donors`.

    Args:
        donors: h5ad of donor vectors, as `scfm.benchmarks.donor_vectors.read_donors` takes it; if it names its run,
            these alone are scored, for that run.

    Returns:
        Tidy rows, `split` the target: what `cross_validate` returns for each target, what `retrieval` returns, and
        donors, samples and samples_left_out, those with too few cells.

    Raises:
        ScfmError: what `read_embeddings`, `samples_of`, `target_of`, `cross_validate` and `read_donors` raise; fewer
            than two donors; a dataset without donor targets; NaN in an embedding.
    """
    import pandas as pd

    given = read_donors(donors) if donors else None
    tables, done = [], set()
    for embedding in read_embeddings(path, "donor"):
        targets = targets_of(embedding)
        samples = samples_of(embedding, targets, settings)
        if samples.table["donor"].nunique() < 2:
            raise ScfmError(
                f"dataset '{embedding.dataset}': one donor ('{samples.table['donor'].iloc[0]}') has "
                f"{settings.min_cells} cells where the task donor needs several; take 'donor' off its tasks"
            )
        known = [_target(samples, name, kind, embedding.dataset) for name, kind in targets.items()]
        first = embedding.dataset not in done
        done.add(embedding.dataset)
        if given is not None and "run" in given.uns:
            if not first:
                continue
            embedding = replace(embedding, run=str(given.uns["run"]), seed=int(given.uns["seed"]))
            scored = ((own, True) for own in given_representations(given, samples, embedding.dataset))
        else:
            scored = _representations(embedding, samples, settings, given if first else None, first)
        for representation, of_model in scored:
            rows = retrieval(representation.halves, settings.interval) + _counts(samples)
            for target in known:
                rows += cross_validate(representation.vectors[target.rows], target, settings)
            context = embedding.context(study, "donor") | {"pooling": representation.pooling}
            tables.append(tidy(rows, **context | ({} if of_model else {"contaminated": "false"})))
    return pd.concat(tables, ignore_index=True)


def targets_of(embedding: Embedding) -> dict[str, str]:
    """Target of the donors to its kind.

    Raises:
        ScfmError: the dataset has none.
    """
    pairs = [text.rpartition(":") for text in str(embedding.facts.get("donor_targets", "")).split(",") if text]
    if not pairs:
        raise ScfmError(
            f"dataset '{embedding.dataset}': no donor_targets, which the task donor predicts; name them in the sheet "
            "of datasets"
        )
    return {name: kind for name, _, kind in pairs}


def _representations(
    embedding: Embedding, samples: Samples, settings: DonorTask, given: "AnnData | None", first: bool
) -> Iterator[tuple[Representation, bool]]:
    """Each representation, and whether the model has a part in it; those of no single pooling only at the first."""
    if first and (shares := composition(embedding.obs["cell_type"].astype(str).to_numpy(), samples, settings)):
        yield shares, False
    kept = samples.of_cell >= 0
    vectors = np.zeros_like(embedding.vectors)
    vectors[kept] = finite(embedding, kept)
    for representation in cell_representations(vectors, samples, embedding.pooling, settings):
        yield representation, True
    for representation in given_representations(given, samples, embedding.dataset) if given is not None else ():
        yield representation, True


def _target(samples: Samples, name: str, kind: str, dataset: str) -> Target:
    """One target of the samples for which it is known."""
    values = samples.table[name].to_numpy(object)
    rows = np.flatnonzero(values != UNKNOWN)
    donors = samples.table["donor"].to_numpy(str)[rows]
    return target_of(name, kind, rows, donors, values[rows].astype(str), dataset)


def _counts(samples: Samples) -> list[Measurement]:
    count = len(samples.table)
    values = {"donors": samples.table["donor"].nunique(), "samples": count, "samples_left_out": samples.left_out}
    return [Measurement(name, value, count) for name, value in values.items()]
