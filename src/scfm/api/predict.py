"""Numbers of cells."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from scfm.api.cells import Cells, Reading, describe, loaded, to_write
from scfm.model import Model

if TYPE_CHECKING:
    from anndata import AnnData


def predict(
    adata: "AnnData",
    model: Model | Path | str,
    *,
    key_added: str | None = None,
    copy: bool = False,
    batch_size: int = 256,
    progress: bool | None = None,
    verbose: bool = True,
    **reading: Unpack[Reading],
) -> "AnnData":
    """Predict the number that a model was fine-tuned on, e.g. an age, and return `adata`.

    Writes to `adata.obs[key]`, float64 in the unit of the column that was learnt, NaN where a cell expresses no known
    gene. `adata.uns[key]` says what was read and found, and of the training cells column, mean and SD.

    Args:
        model: one that `scfm.finetune` wrote for a column of numbers; loaded or its directory.
        key_added: key of obs and uns; `scfm_` and the name of the column learnt if None.
        copy, batch_size, progress, verbose, reading: as in `scfm.embed`.

    Raises:
        ScfmError: the model predicts no number; and as `scfm.embed`.
    """
    from scfm.finetuning.target import predict_numbers, target_of

    model, adata = loaded(model), to_write(adata, copy)
    target = target_of(model)
    key = key_added or f"scfm_{target['column']}"
    cells = Cells.open(adata, model, **reading)
    numbers, filled = np.full(adata.n_obs, np.nan), 0
    for rows, part in cells.each(lambda block: predict_numbers(model, block, cells.values, batch_size), progress):
        numbers[rows] = part
        filled += len(rows)
    adata.obs[key] = numbers
    adata.uns[key] = {**cells.facts, "cells_without_known_gene": adata.n_obs - filled, **target}
    if verbose:
        print(f"predict: {describe(adata.uns[key], adata.n_obs)}; {summary(adata, key)}")
    return adata


def summary(adata: "AnnData", key: str) -> str:
    """Where the numbers are, their range, and that of the training cells, in words."""
    numbers, target = adata.obs[key], adata.uns[key]
    return (
        f"obs['{key}'] {numbers.min():.4g} to {numbers.max():.4g}, learnt from {target['mean']:.4g} ± "
        f"{target['sd']:.4g}"
    )
