"""Fine-tuning on held-out batches (figure 5): the encoder unfrozen, a fresh head, the split of the linear probe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.heldout import check_classes
from scfm.benchmarks.metrics.classification import held_out_scores
from scfm.benchmarks.read import asked, read_prepared, task_of
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.seen import how_much, mark_seen
from scfm.benchmarks.split import DEV, TEST, TRAIN, sides_of
from scfm.benchmarks.task_settings import FinetuneTask
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.model import Model

POOLING = "finetuned"
"""What stands in the column `pooling`."""


def finetune(
    model: "Model", paths: Sequence[Path], settings: FinetuneTask, seen: "pd.DataFrame | None" = None, **whose: object
) -> "pd.DataFrame":
    """Fine-tune a model on every prepared dataset that is asked for it, each from the same pretrained weights.

    Training cells teach, dev cells choose the epoch, and test cells are read once, at the end. Cells of unknown type
    are left out everywhere. A system of sets reads the cells of each side together, never those of two sides.

    Args:
        seen: what `scfm.benchmarks.contamination.contamination` returns, to mark datasets that the run has seen.
        whose: study, run and seed for the tables; the seed is also that of the fine-tuning.

    Returns:
        Tidy rows of what `held_out_scores` returns, and epoch: the one whose weights were kept, `n` the training cells;
        contaminated where test cells are.

    Raises:
        ScfmError: no dataset is asked for the task; a dataset's training cells are of one class, or it has no dev
            cell; what `sides_of` and the fine-tuning raise.
    """
    import pandas as pd

    tables = []
    for path in paths:
        adata = read_prepared(path)
        facts = adata.uns["scfm"]
        if not asked(facts, "finetune"):
            continue
        if seen is not None:
            mark_seen(adata, seen, str(whose["run"]))
        name = str(facts["name"])
        sides = sides_of(adata.obs, name)
        measurements = _measure(model, adata, sides, name, settings, int(whose["seed"]))
        contaminated = how_much(adata.obs["contaminated"][sides == TEST], str(facts["contaminated"]))
        more = {"pooling": POOLING, "task": task_of(facts, "finetune"), "contaminated": contaminated, "dataset": name}
        tables.append(tidy(measurements, **whose, **more))
    if not tables:
        raise ScfmError("none of the datasets is asked for finetune; add 'finetune' to the tasks of one")
    return pd.concat(tables, ignore_index=True)


def _measure(
    model: "Model", adata: "AnnData", sides: np.ndarray, name: str, settings: FinetuneTask, seed: int
) -> list[Measurement]:
    from scfm.finetuning import sets
    from scfm.finetuning import train as tokens

    kind, training = (tokens, settings.training) if model.reads_tokens else (sets, settings.sets)
    train, dev, test = (adata[sides == side] for side in (TRAIN, DEV, TEST))
    if not dev.n_obs:
        raise ScfmError(f"dataset '{name}': no dev cell to choose the epoch by; each class has a single training cell")
    labels = train.obs["cell_type"].astype(str).to_numpy()
    check_classes(labels, name, "finetune")
    values = str(adata.uns["scfm"]["values"])
    tuned, metrics = kind.finetune(model, train, dev, "cell_type", training, seed, values)
    truth = test.obs["cell_type"].astype(str).to_numpy()
    scores = held_out_scores(truth, kind.predict(tuned, test, values), set(labels), settings.interval)
    kept = int(metrics.loc[metrics["kept"], "epoch"].iloc[0])
    return [*scores, Measurement("epoch", kept, train.n_obs, split="test")]
