"""Mechanism of action of drugs that the classifier never saw (figure 6)."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.integration import score
from scfm.benchmarks.read import Embedding, finite, read_embeddings
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.task_settings import Moa
from scfm.datasets import UNKNOWN
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("auroc", "recall", "f1")
BIO = ("nmi", "ari", "asw_label", "avg_bio")


def moa(path: Path, settings: Moa, study: str) -> "pd.DataFrame":
    """Score every embedding of a file whose dataset is asked for moa.

    Returns:
        Tidy rows. Over cells auroc (one against rest), recall and f1, all macro, and over drugs, each by its cells'
        mean probabilities, drug_auroc, drug_recall and drug_f1: for each test fold (fold `<repeat>.<part>`), then mean
        and standard deviation (`<metric>_sd`) over them. nmi, ari, asw_label and avg_bio with mechanisms as labels.
        classes, drugs, and those left out for want of drugs: classes_left_out, drugs_left_out.

    Raises:
        ScfmError: what `read_embeddings` raises; a dataset without drugs and mechanisms, a drug of two mechanisms, or
            fewer than two classes with enough drugs.
    """
    import pandas as pd

    tables = []
    for embedding in read_embeddings(path, "moa"):
        treated = treated_cells(embedding, settings)
        sizes = treated.groupby("mechanism")["drug"].nunique()
        small = sizes[sizes < settings.folds]  # they cannot stand on both sides
        kept = ~treated["mechanism"].isin(small.index)
        classes = len(sizes) - len(small)
        if classes < 2:
            raise ScfmError(
                f"dataset '{embedding.dataset}': {classes} mechanism with {settings.folds} drugs or more where moa "
                "needs two; take 'moa' off its tasks or name another mechanism_column"
            )
        cells = treated[kept]
        vectors = finite(embedding, cells["row"].to_numpy())
        labels, drugs = cells["mechanism"].to_numpy(), cells["drug"].to_numpy()
        counts = {"classes": classes, "drugs": len(set(drugs))}
        counts |= {"classes_left_out": len(small), "drugs_left_out": int(small.sum())}
        measured = cross_validate(vectors, labels, drugs, settings)
        bio = score(vectors, labels, cells["batch"].to_numpy(), settings.avg_bio)
        measured += [measurement for measurement in bio if measurement.metric in BIO]
        measured += [Measurement(name, count, n=len(cells)) for name, count in counts.items()]
        tables.append(tidy(measured, **embedding.context(study, "moa")))
    return pd.concat(tables, ignore_index=True)


def treated_cells(embedding: Embedding, settings: Moa) -> "pd.DataFrame":
    """row, drug, mechanism, batch of the cells that were given a drug of known mechanism.

    Raises:
        ScfmError: the dataset names no drugs or mechanisms, or a drug has two mechanisms.
    """
    absent = [column for column in ("drug", "mechanism") if column not in embedding.obs]
    if absent:
        raise ScfmError(
            f"dataset '{embedding.dataset}': no column '{absent[0]}', which moa needs; name drug_column and "
            "mechanism_column in the sheet of datasets"
        )
    cells = embedding.obs[["drug", "mechanism", "batch"]].astype(str).assign(row=np.arange(len(embedding.obs)))
    cells = cells[~cells["mechanism"].isin([UNKNOWN, *settings.vehicle]) & (cells["drug"] != UNKNOWN)]
    pairs = cells[["drug", "mechanism"]].drop_duplicates()
    twice = pairs[pairs["drug"].duplicated(keep=False)]
    if len(twice):
        raise ScfmError(
            f"dataset '{embedding.dataset}': drug '{twice['drug'].iloc[0]}' has the mechanisms "
            f"{' and '.join(twice['mechanism'].iloc[:2])}; expected one for each drug, correct the column"
        )
    return cells


def drug_folds(labels: np.ndarray, drugs: np.ndarray, settings: Moa) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, train, test), row numbers: whole drugs on one side, every class on both.

    Args:
        labels, drugs: strings [cells]; every class has at least as many drugs as there are folds.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold

    names, first = np.unique(drugs, return_index=True)
    classes = labels[first]
    dealt = RepeatedStratifiedKFold(n_splits=settings.folds, n_repeats=settings.repeats, random_state=settings.seed)
    for number, (_, held) in enumerate(dealt.split(names, classes)):
        out = np.isin(drugs, names[held])
        train, test = np.flatnonzero(~out), np.flatnonzero(out)
        assert not set(drugs[train]) & set(drugs[test])
        assert set(labels[train]) == set(labels[test]) == set(classes)
        yield f"{number // settings.folds}.{number % settings.folds}", train, test


def cross_validate(vectors: np.ndarray, labels: np.ndarray, drugs: np.ndarray, settings: Moa) -> list[Measurement]:
    """Every metric of every fold, then mean and standard deviation (ddof 1) over the folds.

    Args:
        vectors: float [cells, width].
        labels, drugs: strings [cells].
    """
    rows = []
    for fold, train, test in drug_folds(labels, drugs, settings):
        classes, chances = probabilities(vectors[train], labels[train], vectors[test], settings)
        rows += [replace(m, fold=fold) for m in _measure(labels[test], chances, classes, "")]
        names, of = np.unique(drugs[test], return_inverse=True)
        means = np.stack([chances[of == i].mean(0) for i in range(len(names))])
        first = np.unique(of, return_index=True)[1]
        rows += [replace(m, fold=fold) for m in _measure(labels[test][first], means, classes, "drug_")]
    over = []
    for metric in dict.fromkeys(row.metric for row in rows):
        values = [row.value for row in rows if row.metric == metric]
        n = len(set(drugs)) if metric.startswith("drug_") else len(labels)
        over += [Measurement(metric, float(np.mean(values)), n=n)]
        over += [Measurement(f"{metric}_sd", float(np.std(values, ddof=1)), n=n)]
    return rows + over


def probabilities(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, settings: Moa
) -> tuple[np.ndarray, np.ndarray]:
    """(classes, probabilities [test cells, classes]) of a logistic regression on features scaled by the train cells."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=settings.iterations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit is a setting
        model.fit(train, labels)
    return model.classes_, model.predict_proba(test)


def _measure(truth: np.ndarray, chances: np.ndarray, classes: np.ndarray, prefix: str) -> list[Measurement]:
    """`METRICS` under a prefix; every class occurs in `truth`."""
    from sklearn.metrics import f1_score, recall_score, roc_auc_score

    predicted = classes[chances.argmax(1)]
    each = [roc_auc_score(truth == name, chances[:, i]) for i, name in enumerate(classes)]
    values = (
        np.mean(each),
        recall_score(truth, predicted, average="macro", zero_division=0),
        f1_score(truth, predicted, average="macro", zero_division=0),
    )
    return [Measurement(f"{prefix}{name}", float(v), n=len(truth)) for name, v in zip(METRICS, values, strict=True)]
