"""Checks of predicted cells and of prompts, before anything is computed from them."""

from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.expression import check_values
from scfm.perturbation.cells import CONTROL

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LEAST_CELLS = 2
"""Cells without which a perturbation cannot be tested."""


def check_predictions(predicted: "AnnData", genes: "pd.Index", query: "pd.DataFrame") -> "AnnData":
    """Predicted cells of what was asked for, with the genes in the real cells' order.

    Args:
        predicted: a `Generator`'s output: X counts [cells, genes], obs perturbation and background in the common form.
            Control cells are passed over: effects are read against the real controls on both sides.
        genes: names of the real cells' genes.
        query: columns background and perturbation.

    Returns:
        AnnData: CSR float32 counts [cells, genes].

    Raises:
        ScfmError: a column or gene is missing, values are no counts, a cell is empty, a perturbation was not asked for,
            or one asked for has fewer than two cells.
    """
    import anndata
    from scipy.sparse import csr_matrix

    for column in ("perturbation", "background"):
        if column not in predicted.obs:
            raise ScfmError(f"predicted cells: obs column '{column}' not found; say what each cell is")
    order = _positions(predicted, genes, "predicted cells")
    rows = np.flatnonzero(predicted.obs["perturbation"].astype(str) != CONTROL)
    matrix = csr_matrix(predicted.X[rows], dtype=np.float32)
    check_counts(matrix.data, "predicted cells")
    matrix = matrix[:, order]
    empty = int((np.asarray(matrix.sum(1)).ravel() == 0).sum())
    if empty:
        raise ScfmError(f"predicted cells: {empty} of {len(rows)} hold no count; look at the model that made them")
    obs = predicted.obs.iloc[rows][["background", "perturbation"]].astype(str)
    sizes = obs.groupby(["background", "perturbation"]).size()
    asked = list(query[["background", "perturbation"]].itertuples(index=False, name=None))
    if strange := sorted(set(sizes.index) - set(asked)):
        raise ScfmError(
            f"predicted cells: '{strange[0][1]}' in background '{strange[0][0]}' is not among the {len(asked)} held "
            "out; predict those alone, by the names that the split gives"
        )
    for pair in asked:
        if sizes.get(pair, 0) < LEAST_CELLS:
            raise ScfmError(
                f"predicted cells: {sizes.get(pair, 0)} cells of '{pair[1]}' in background '{pair[0]}'; give "
                f"{LEAST_CELLS} or more of each perturbation asked for"
            )
    return anndata.AnnData(matrix, obs=obs, var=predicted.var.iloc[order][[]].copy())


def check_prompt(prompt: "AnnData", query: "AnnData", cells: int = LEAST_CELLS) -> None:
    """Raise if cells cannot be a prompt for query cells, or if there are too few of either.

    Args:
        prompt, query: X counts; uns["scfm"]["organism"] where known, as in prepared datasets.
        cells: least number of cells of each.

    Raises:
        ScfmError: other organisms, a gene of the query that the prompt lacks, values that are no counts, empty or too
            few cells.
    """
    organisms = [str(adata.uns.get("scfm", {}).get("organism", "")) for adata in (prompt, query)]
    if all(organisms) and organisms[0] != organisms[1]:
        raise ScfmError(
            f"prompt: cells of {organisms[0]} for a query of {organisms[1]}; give a prompt of the same organism, or "
            "bring its genes to orthologs when it is prepared"
        )
    _positions(prompt, query.var_names, "prompt")
    for name, adata in (("prompt", prompt), ("query", query)):
        if adata.n_obs < cells:
            raise ScfmError(f"{name}: {adata.n_obs} cells where {cells} are needed; give more, or a smaller set size")
        check_counts(getattr(adata.X, "data", adata.X), name)
        if empty := int((np.asarray(adata.X.sum(1)).ravel() == 0).sum()):
            raise ScfmError(f"{name}: {empty} of {adata.n_obs} cells hold no count; leave them out")


def check_perturbations(asked: "pd.Series", known: "pd.Series") -> None:
    """Raise if a perturbation is asked for that the data does not know.

    Raises:
        ScfmError: one is.
    """
    if strange := sorted(set(asked.astype(str)) - set(known.astype(str))):
        names = ", ".join(sorted(set(known.astype(str)) - {CONTROL})[:10])
        raise ScfmError(f"perturbation '{strange[0]}' is unknown; the data has {names}")


def check_counts(values: np.ndarray, what: str) -> None:
    """Raise if values are no raw counts.

    Raises:
        ScfmError: they are not; the sentence says so of `what`.
    """
    try:
        check_values(np.asarray(values).ravel(), "counts")
    except ScfmError as error:
        raise ScfmError(f"{what}: raw counts are needed: {error}") from error


def _positions(adata: "AnnData", genes: "pd.Index", what: str) -> np.ndarray:
    """Columns of the genes, in their order."""
    if not adata.var_names.is_unique:
        raise ScfmError(
            f"{what}: gene '{adata.var_names[adata.var_names.duplicated()][0]}' occurs more than once; merge"
        )
    order = adata.var_names.get_indexer(genes)
    if (order < 0).any():
        raise ScfmError(
            f"{what}: {int((order < 0).sum())} of {len(genes)} genes are missing, '{genes[order < 0][0]}' first; give "
            "every gene of the data, 0 where nothing is expected"
        )
    return order
