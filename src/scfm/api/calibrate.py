"""The temperature of a model's probabilities, fitted on cells whose labels are known."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from scfm.api.cells import Cells, Reading, describe, to_write
from scfm.api.hub import on_hub
from scfm.api.lineages import fit_temperature
from scfm.errors import ScfmError
from scfm.files import write_json
from scfm.model import CALIBRATION, load

if TYPE_CHECKING:
    from anndata import AnnData


def calibrate(
    adata: "AnnData",
    model: Path | str,
    column: str = "cell_type_ontology_term_id",
    *,
    batch_size: int = 256,
    progress: bool | None = None,
    verbose: bool = True,
    **reading: Unpack[Reading],
) -> dict:
    """Fit the temperature of a model directory on validation cells, and write it there as `calibration.json`.

    One number divides the logits (Guo et al. 2017), so that a type that is given 80 % is right in 80 % of such cells,
    as far as one number can do it. No cell changes its most probable leaf. `scfm.annotate` uses it from then on and
    says so. The cells must be none that the model was trained on.

    Args:
        model: directory with a head of cell types.
        column: of obs, ids of the model's terms at any depth; other labels, and those of a root, do not count.
        batch_size, progress, verbose, reading: as in `scfm.embed`.

    Returns:
        temperature, cells it was fitted on, and mean −log P(label) before and after.

    Raises:
        ScfmError: there is no such column, no cell has a label below a root; and as `scfm.annotate`.
    """
    if on_hub(model):
        raise ScfmError(f"model: '{model}' is on the Hub, and calibrate writes to a directory; name the directory")
    folder, model = Path(model), load(model)
    model.must_annotate()
    if column not in adata.obs:
        raise ScfmError(f"obs: there is no column '{column}'; choose among {', '.join(map(str, adata.obs))}")
    cells = Cells.open(to_write(adata, copy=False), model, **reading)
    found = list(cells.each(lambda block: model.node_probabilities(block, cells.values, batch_size), progress))
    leaves, rows = np.concatenate([part for _, part in found]), np.concatenate([rows for rows, _ in found])
    table = np.vstack([model.tree.membership, np.zeros(len(model.tree.leaves), bool)])
    labels = adata.obs[column].astype(str).iloc[rows]
    own = table[[model.tree.row.get(label, -1) for label in labels]]
    temperature, before, after = fit_temperature(leaves, own)
    fitted = int((own.any(1) & ~own.all(1)).sum())
    about = {"temperature": temperature, "cells": fitted, "loss_before": before, "loss_after": after}
    write_json(folder / CALIBRATION, about)
    if verbose:
        print(
            f"calibrate: {describe(cells.facts, adata.n_obs)}; {fitted:,} labelled; temperature {temperature:.3f}, "
            f"mean -log P(label) {before:.4f} -> {after:.4f}, in {folder / CALIBRATION}"
        )
    return about
