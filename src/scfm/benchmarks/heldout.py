"""Label prediction on held-out batches: a linear classifier on frozen embeddings (scEval)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.metrics.classification import held_out_scores
from scfm.benchmarks.read import labelled, read_embeddings
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.seen import how_much
from scfm.benchmarks.split import DEV, TEST, TRAIN, sides_of
from scfm.benchmarks.task_settings import Heldout
from scfm.datasets import UNKNOWN
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd


def heldout(path: Path, settings: Heldout, study: str) -> "pd.DataFrame":
    """Score every embedding of a file whose dataset is asked for held-out batches.

    The classifier learns on the parts train and dev of the split that `scfm benchmarks prepare` made.

    Returns:
        Tidy rows of what `held_out_scores` returns, `n` the test cells; contaminated where test cells are.

    Raises:
        ScfmError: what `read_embeddings` and `sides_of` raise; a dataset with a single class on the training side.
    """
    import pandas as pd

    tables = []
    for embedding in read_embeddings(path, "heldout"):
        vectors, labels, _ = labelled(embedding)
        known = embedding.obs[(embedding.obs["cell_type"].astype(str) != UNKNOWN).to_numpy()]
        sides = sides_of(known, embedding.dataset)
        train, test = np.isin(sides, (TRAIN, DEV)), sides == TEST
        check_classes(labels[train], embedding.dataset, "heldout")
        measurements = linear(vectors[train], labels[train], vectors[test], labels[test], settings)
        context = embedding.context(study, "heldout") | {
            "contaminated": how_much(known["contaminated"][test], embedding.facts["contaminated"])
        }
        tables.append(tidy(measurements, **context))
    return pd.concat(tables, ignore_index=True)


def linear(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, settings: Heldout
) -> list[Measurement]:
    """Scores on test cells of logistic regression fitted by stochastic gradient descent, on standardised features.

    Args:
        train, test: float [cells, width]. train_labels, test_labels: strings [cells], two classes or more in training.
    """
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=settings.seed))
    predicted = model.fit(train, train_labels).predict(test)
    return held_out_scores(test_labels, predicted, set(train_labels), settings.interval)


def check_classes(labels: np.ndarray, dataset: str, task: str) -> None:
    """Raise a sentence if the training cells are of one class.

    Raises:
        ScfmError: they are.
    """
    if len(set(labels)) < 2:
        raise ScfmError(
            f"dataset '{dataset}': the training cells are all '{labels[0]}' where a classifier needs two classes; take "
            f"'{task}' off its tasks or change benchmarks.split"
        )
