"""Cell types of cells."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from scfm.api.cells import Cells, Reading, describe, loaded, to_write
from scfm.api.lineages import calibrated, lineages
from scfm.errors import ScfmError
from scfm.model import Model
from scfm.ontology import UNKNOWN, LabelTree

if TYPE_CHECKING:
    from anndata import AnnData


def annotate(
    adata: "AnnData",
    model: Model | Path | str,
    decode: str = "leaf",
    *,
    threshold: float | None = None,
    level: int | None = None,
    nodes: bool = False,
    key_added: str = "scfm",
    copy: bool = False,
    batch_size: int = 256,
    progress: bool | None = None,
    verbose: bool = True,
    **reading: Unpack[Reading],
) -> "AnnData":
    """Annotate cells with the labels of a model, cell types of the Cell Ontology, and return `adata`.

    Writes to obs: `{key}_id` and `{key}_name` of the type, `{key}_probability`, `{key}_lineage`, the names from the
    root down, and `{key}_confidence`, the probability of each of them, both joined by " > ". `adata.uns[key]` says what
    was read and found, how it was decoded, and the temperature (1 without calibration, see `scfm.calibrate`).

    A cell is `unknown` where it expresses no known gene, or where no term below a root reaches the threshold.

    Args:
        model: a model with a head of cell types, or a fine-tuned one; loaded or its directory.
        decode: `leaf` (most probable leaf) or `greedy` (from the root to the most probable child).
        threshold: stop at the deepest term of the lineage that is at least so probable.
        level: stop so many steps below the root at most.
        nodes: write the probability of every term too, to `obsm[key]`, columns as in `uns[key]["nodes"]`.
        key_added, copy, batch_size, progress, verbose, reading: as in `embed`.

    Raises:
        ScfmError: the model has no head of cell types, `decode` or a limit is unknown; and as `embed`.
    """
    if decode not in ("leaf", "greedy"):
        raise ScfmError(f"decode: '{decode}' is not known; choose leaf or greedy")
    if (threshold is not None and not 0 <= threshold <= 1) or (level is not None and level < 0):
        raise ScfmError(f"threshold {threshold}, level {level}: expected a probability and a number of steps from 0 on")
    model, adata = loaded(model), to_write(adata, copy)
    model.must_annotate()
    cells = Cells.open(adata, model, **reading)
    rows_of = [(UNKNOWN, UNKNOWN, np.nan, "", "")] * adata.n_obs
    every = np.full((adata.n_obs, len(model.tree.nodes)), np.nan, np.float32) if nodes else None
    filled = 0
    for rows, leaves in cells.each(lambda block: model.node_probabilities(block, cells.values, batch_size), progress):
        leaves = calibrated(leaves, model.temperature)
        chances = leaves @ model.tree.membership.T.astype(np.float32)
        for row, path, own in zip(rows, lineages(model.tree, leaves, decode), chances, strict=True):
            rows_of[row] = _entry(model.tree, path, own, threshold, level)
        if nodes:
            every[rows] = chances
        filled += len(rows)
    table = pd.DataFrame(rows_of, columns=["id", "name", "probability", "lineage", "confidence"])
    for name in table:
        adata.obs[f"{key_added}_{name}"] = table[name].to_numpy(np.float32 if name == "probability" else object)
    if nodes:
        adata.obsm[key_added] = every
    empty, how = adata.n_obs - filled, {"decode": decode, "temperature": model.temperature}
    limits = {name: value for name, value in (("threshold", threshold), ("level", level)) if value is not None}
    found = {"cells_without_known_gene": empty, "nodes": list(model.tree.nodes)}
    adata.uns[key_added] = {**cells.facts, **found, **how, **limits}
    if verbose:
        sure = f"temperature {model.temperature:.2f}" if model.calibration else "not calibrated"
        unknown = (table["id"] == UNKNOWN).sum()
        print(f"annotate: {describe(adata.uns[key_added], adata.n_obs)}; {unknown:,} unknown; {decode}, {sure}")
    return adata


def _entry(
    tree: LabelTree, path: list[str], chances: np.ndarray, threshold: float | None, level: int | None
) -> tuple[str, str, float, str, str]:
    """Id, name, probability, lineage and confidence of one cell.

    Args:
        path: terms from the root down. chances: float [terms], in the order of `tree.nodes`.
    """
    row = tree.row
    kept = [
        term
        for term in path
        if (level is None or tree.depth[term] <= level) and (threshold is None or chances[row[term]] >= threshold)
    ]
    last = kept[-1] if kept else None
    if last is None or (tree.children[last] and not tree.parents[last]):
        return UNKNOWN, UNKNOWN, np.nan, "", ""
    kept = [term for term in kept if tree.lineage[row[last], row[term]]]
    names, confidence = [tree.names[term] for term in kept], [f"{chances[row[term]]:.3f}" for term in kept]
    return last, tree.names[last], chances[row[last]], " > ".join(names), " > ".join(confidence)
