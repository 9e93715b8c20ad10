"""Label prediction on frozen embeddings: the cz-benchmarks protocol."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.read import labelled, read_embeddings
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.task_settings import Probe
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import ClassifierMixin

METRICS = ("accuracy", "macro_f1", "precision", "recall", "auroc")


def probe(path: Path, settings: Probe, study: str) -> "pd.DataFrame":
    """Score every embedding of a file whose dataset is asked for the probe.

    Returns:
        Tidy rows: `<metric>_<classifier>` for each fold, the same over all folds (fold empty), and `<metric>`, the
        mean over the classifiers. Metrics accuracy, macro_f1, precision, recall (macro), auroc (one against rest,
        macro). Cells of unknown type and of classes with fewer than `settings.min_cells` cells are left out.

    Raises:
        ScfmError: what `read_embeddings` raises; a dataset with fewer than two classes of that size.
    """
    import pandas as pd

    tables = []
    for embedding in read_embeddings(path, "probe"):
        vectors, labels, _ = labelled(embedding)
        classes, sizes = np.unique(labels, return_counts=True)
        kept = np.isin(labels, classes[sizes >= settings.min_cells])
        large = int((sizes >= settings.min_cells).sum())
        if large < 2:
            raise ScfmError(
                f"dataset '{embedding.dataset}': {large} class with {settings.min_cells} cells or more where the probe "
                "needs two; take 'probe' off its tasks or name another label column"
            )
        measurements = cross_validate(vectors[kept], labels[kept], settings)
        tables.append(tidy(measurements, **embedding.context(study, "probe")))
    return pd.concat(tables, ignore_index=True)


def cross_validate(vectors: np.ndarray, labels: np.ndarray, settings: Probe) -> list[Measurement]:
    """Every metric of every classifier and fold, then the means.

    F1, precision and recall are macro averages for two classes as well.

    Args:
        vectors: float [cells, width].
        labels: strings [cells], at least two classes, each with a cell for every fold.

    Source: cz-benchmarks 0.15, MetadataLabelPredictionTask.
    """
    from sklearn.model_selection import StratifiedKFold

    codes = np.unique(labels, return_inverse=True)[1]
    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    rows, means = [], {}
    for name in settings.classifiers:
        table = []
        for fold, (train, test) in enumerate(folds.split(vectors, codes)):
            values = _fit_and_score(classifier(name, settings.seed), vectors, codes, train, test)
            table.append(values)
            rows += [
                Measurement(f"{metric}_{name}", value, n=len(test), fold=str(fold))
                for metric, value in zip(METRICS, values, strict=True)
            ]
        means[name] = np.mean(table, axis=0)
    for name, values in means.items():
        rows += [Measurement(f"{metric}_{name}", v, n=len(codes)) for metric, v in zip(METRICS, values, strict=True)]
    overall = np.mean(list(means.values()), axis=0)
    return rows + [Measurement(metric, v, n=len(codes)) for metric, v in zip(METRICS, overall, strict=True)]


def classifier(name: str, seed: int) -> "ClassifierMixin":
    """A fresh classifier: "lr", "knn" (both on features scaled to unit variance) or "rf"."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "rf":
        return RandomForestClassifier(random_state=seed)
    model = {"lr": LogisticRegression, "knn": KNeighborsClassifier}[name]()
    return make_pipeline(StandardScaler(with_mean=False), model)


def _fit_and_score(
    model: "ClassifierMixin", vectors: np.ndarray, codes: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[float, ...]:
    """Values of `METRICS` on the test cells."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

    with warnings.catch_warnings():
        # The protocol stops the logistic regression after its default 100 iterations, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors[train], codes[train])
    probabilities = model.predict_proba(vectors[test])
    predicted = model.classes_[probabilities.argmax(1)]
    truth = codes[test]
    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
    scores = probabilities[:, 1] if len(model.classes_) == 2 else probabilities
    auroc = roc_auc_score(truth, scores, average="macro", multi_class="ovr")
    return accuracy_score(truth, predicted), f1, precision, recall, auroc
