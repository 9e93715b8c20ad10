"""Vectors of cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from scfm.api.cells import Cells, Reading, describe, loaded, to_write
from scfm.model import Model

if TYPE_CHECKING:
    from anndata import AnnData


def embed(
    adata: "AnnData",
    model: Model | Path | str,
    pooling: str | Sequence[str] = "cls",
    *,
    key_added: str = "X_scfm",
    copy: bool = False,
    batch_size: int = 256,
    progress: bool | None = None,
    verbose: bool = True,
    **reading: Unpack[Reading],
) -> "AnnData":
    """Write cell embeddings to `adata.obsm[key_added]` (float32 [cells, width]) and return `adata`.

    `adata.uns[key_added]` says what was read and found: run, seed, pooling, matrix, values and by which sign they were
    told, genes known and given, cells without a known gene, whose vectors are NaN. A backed AnnData is read in blocks;
    its file stays as it is.

    Args:
        model: a loaded model or its directory.
        pooling: one of the model's `poolings`, e.g. `cls` or `mean`, or several, put side by side.
        copy: return a changed copy and leave `adata` as it is.
        batch_size: most cells at once; as many gene tokens as the device takes bound it too. It changes no result.
        progress: show a bar; None for on a terminal. verbose: print what was found, in one line.
        reading: how the expression is read, see `scfm.api.cells.Reading`.

    Raises:
        ScfmError: unknown pooling; what `Cells.open` raises: values or genes that are not what is expected.
    """
    model, adata = loaded(model), to_write(adata, copy)
    names = [pooling] if isinstance(pooling, str) else list(pooling)
    model.must_offer(names)
    cells = Cells.open(adata, model, **reading)
    vectors, filled = None, 0
    for rows, pooled in cells.each(lambda block: model.embed(block, names, cells.values, batch_size), progress):
        part = np.hstack([pooled[name] for name in names])
        if vectors is None:
            vectors = np.full((adata.n_obs, part.shape[1]), np.nan, np.float32)
        vectors[rows] = part
        filled += len(rows)
    empty = adata.n_obs - filled
    facts = {**cells.facts, "cells_without_known_gene": empty, "pooling": "+".join(names)}
    adata.obsm[key_added], adata.uns[key_added] = vectors, facts
    if verbose:
        print(f"embed: {describe(facts, adata.n_obs)}; {facts['pooling']}, {vectors.shape[1]} wide")
    return adata
