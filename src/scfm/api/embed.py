"""Vectors of cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from scfm.api.cells import Cells, Reading, describe, loaded, to_write
from scfm.errors import ScfmError
from scfm.model import Model

if TYPE_CHECKING:
    from anndata import AnnData


def embed(
    adata: "AnnData",
    model: Model | Path | str,
    pooling: str | Sequence[str] | None = None,
    *,
    key_added: str = "X_scfm",
    group_key: str | Sequence[str] | None = None,
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
        pooling: one of the model's `poolings`, e.g. `cls` or `mean`, or several, put side by side; None for its first.
        group_key: for systems that read sets of cells, columns of obs whose cells belong together, see
            `SetModel.embed`; these hold all cells in memory.
        copy: return a changed copy and leave `adata` as it is.
        batch_size: most cells at once; as many gene tokens as the device takes bound it too. It changes no result.
        progress: show a bar; None for on a terminal. verbose: print what was found, in one line.
        reading: how the expression is read, see `scfm.api.cells.Reading`.

    Raises:
        ScfmError: unknown pooling; what `Cells.open` raises: values or genes that are not what is expected.
    """
    model, adata = loaded(model), to_write(adata, copy)
    names = [pooling or model.poolings[0]] if isinstance(pooling, str | None) else list(pooling)
    model.must_offer(names)
    cells = Cells.open(adata, model, **reading)
    vectors, filled = None, 0
    together = {} if model.reads_tokens else {"group_key": group_key}
    if model.reads_tokens and group_key is not None:
        raise ScfmError(f"group_key: run '{model.about['run']}' reads each cell by itself; leave it out")

    def vectors_of(block: "AnnData") -> dict[str, np.ndarray]:
        return model.embed(block, names, cells.values, batch_size, **together)

    for rows, pooled in cells.each(vectors_of, progress, at_once=not model.reads_tokens):
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
