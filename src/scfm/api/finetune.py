"""A model for labels or numbers of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from scfm.api.cells import Cells, Reading, describe, loaded, to_write
from scfm.api.columns import labels_of, numbers_of, task_of
from scfm.errors import ScfmError
from scfm.model import Model, load
from scfm.model_directory import write_model
from scfm.ontology import LabelTree, Ontology
from scfm.settings import parse

if TYPE_CHECKING:
    from anndata import AnnData

RATES = {"all": 1e-4, "last": 1e-4, "lora": 1e-3, "head": 1e-3}
"""What learns beside the head to the learning rate, where none is given."""


def finetune(
    adata: "AnnData",
    model: Model | Path | str,
    column: str,
    out: Path | str,
    *,
    task: str | None = None,
    trainable: str = "all",
    last: int = 1,
    rank: int = 8,
    dev_share: float = 0.2,
    training: dict | None = None,
    seed: int = 0,
    progress: bool | None = None,
    verbose: bool = True,
    **reading: Unpack[Reading],
) -> Model:
    """Let a pretrained model learn the labels or numbers of an obs column, and write it as a model directory.

    Labels: `scfm.annotate` reads it as any other; those that all are terms of the pretrained model's ontology keep
    their lineage, others stand side by side. Numbers (regression): `scfm.predict` reads it; they are standardised by
    mean and SD of the training cells, and the loss is their squared error. The weights are those of the epoch with the
    lowest loss on held-out cells, and training stops after five epochs without a lower one.

    Args:
        column: of obs; cells without a label or number (NaN), or `unknown`, are left out.
        task: `labels` or `regression`; None for regression of integers and floats, labels of all else. A column
            of up to 20 distinct whole numbers needs it.
        out: the directory, which must not exist.
        trainable: beside the fresh head, `all`, the `last` blocks, `head` alone, or `lora`: changes of rank `rank`.
        dev_share: share of each label's cells, or of all with a number, that are held out, at least one of two.
        training: keys of `scfm.finetuning.Finetuning`, e.g. `{"epochs": 5}`.
        seed: of the split, the head, the order of the cells, dropout and LoRA.
        progress, verbose, reading: as in `scfm.embed`.

    Returns:
        The model, as `scfm.load` returns it.

    Raises:
        ScfmError: no such column, fewer than two labels with two cells, numbers that are infinite or all alike, whole
            numbers that may be labels, `out` exists, a setting is wrong, a loss that is not finite; as `scfm.embed`.
    """
    from scfm.finetuning import Finetuning
    from scfm.finetuning.parts import Parts
    from scfm.finetuning.target import predict_numbers, scores
    from scfm.finetuning.train import finetune as fit

    model, out = loaded(model), Path(out)
    model.must_read_tokens("finetune")
    if column not in adata.obs:
        raise ScfmError(f"obs: there is no column '{column}'; choose among {', '.join(map(str, adata.obs))}")
    if out.exists():
        raise ScfmError(f"{out}: exists already; name another directory for the model")
    usual = {"epochs": 30, "patience": 5, "learning_rate": RATES.get(trainable, 1e-4)}
    task = task_of(adata.obs[column], task)
    regression = task == "regression"
    truth = (numbers_of if regression else labels_of)(adata.obs[column])
    settings = parse(Finetuning, usual | (training or {}), "training")
    parts = parse(Parts, {"trainable": trainable, "last": last, "rank": rank}, "trainable")
    cells = Cells.open(to_write(adata, copy=False), model, **reading)
    known = _known(cells, truth, progress)
    groups = np.zeros(known.n_obs) if regression else known.obs[column].to_numpy()
    held_out = _held_out(groups, dev_share, seed)
    train, dev = known[~held_out], known[held_out]
    tuned, metrics = fit(model, train, dev, column, settings, seed, cells.values, parts, task)
    own = {"column": column, "parts": parts.model_dump(), "training": settings.model_dump(), "seed": seed}
    own |= {"cells": train.n_obs, "held_out": {"cells": dev.n_obs}}
    if regression:
        found = scores(dev.obs[column].to_numpy(), predict_numbers(tuned, dev, cells.values))
        own["held_out"] |= found
        what, tree = f"regression on {column} ({adata.obs[column].dtype})", None
        r2 = "none of one number" if found["r2"] is None else f"{found['r2']:.3f}"
        success = f", held-out R² {r2}, mean absolute error {found['mae']:.4g}"
    else:
        ((_, classes),) = tuned.classes.items()
        what, tree, success = f"{len(classes)} labels", _tree(model, classes), ""
    about = tuned.about | {"run": f"{model.about['run']}, {column}", "finetuned": own}
    nothing = pd.DataFrame(columns=["run", "epoch", "gene"])
    write_model(out, tuned.network, about, model.gene_table, tree, metrics, nothing, tuned.classes)
    if verbose:
        kept = metrics[metrics["kept"]].iloc[0]
        print(
            f"finetune: {describe(cells.facts, adata.n_obs)}; {what} of {train.n_obs:,} cells, "
            f"{dev.n_obs:,} held out; {trainable}, epoch {kept['epoch']:.0f} of {len(metrics)}, loss "
            f"{kept['dev_loss']:.4f}{success}; in {out}"
        )
    return load(out, model.device.type.replace("cuda", "gpu"))


def _known(cells: Cells, truth: pd.Series, progress: bool | None) -> "AnnData":
    """The cells whose label or number is known, in memory, genes of the model, `truth` in its column of obs."""
    import anndata

    known, blocks, kept = truth.notna().to_numpy(), [], []
    for rows, block in cells.each(lambda block: block, progress):
        blocks.append(block[known[rows]].copy())
        kept.append(rows[known[rows]])
    table = anndata.concat(blocks)
    table.obs[truth.name] = truth.to_numpy()[np.concatenate(kept)]
    return table


def _held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Bool [cells]: a share of each label, rounded, at least one cell of two and never the only one."""
    held_out = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    for label in sorted(set(labels)):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held_out[rows[: min(max(round(share * len(rows)), 1), len(rows) - 1)]] = True
    return held_out


def _tree(model: Model, classes: list[str]) -> LabelTree:
    """The labels under the terms of the model's ontology above them, or side by side where one is no term of it."""
    if model.tree is None or not set(classes) <= set(model.tree.names):
        return LabelTree({name: name for name in classes}, dict.fromkeys(classes, ()))
    return LabelTree.prune(Ontology(model.tree.names, model.tree.parents), classes)
