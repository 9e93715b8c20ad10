"""The genes and the matrix of an AnnData in the order of a model's vocabulary."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.expression import VALUES, check_values

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix


def find(names: Sequence[str], genes: pd.DataFrame) -> np.ndarray:
    """Gene index of each name, int64; -1 where unknown.

    Args:
        names: approved symbols, or Ensembl ids with or without version. genes: columns gene and ensembl.
    """
    names = pd.Index(names).astype(str)
    by_symbol = pd.Index(genes["gene"]).get_indexer(names)
    by_ensembl = pd.Series(np.arange(len(genes)), index=genes["ensembl"])
    by_ensembl = by_ensembl[by_ensembl.index.notna() & (by_ensembl.index != "") & ~by_ensembl.index.duplicated()]
    ids = by_ensembl.reindex(names.str.replace(r"\.\d+$", "", regex=True)).fillna(-1).to_numpy(np.int64)
    return np.where(by_symbol >= 0, by_symbol, ids)


def match(adata: "AnnData", index: np.ndarray, genes: Sequence[str], values: str) -> "csr_matrix":
    """Linear values, float32 CSR [cells, vocabulary]; genes outside the vocabulary are left out.

    Args:
        index: int64 [columns], gene of the vocabulary of each column of `adata`, -1 where unknown.
        genes: symbols of the vocabulary.
        values: what `adata.X` holds: one of `VALUES`.

    Raises:
        ScfmError: unknown kind of values, no X, values of another kind, no cell, no known gene, one gene twice, or a
            cell without any.
    """
    import scipy.sparse as sp

    if values not in VALUES:
        raise ScfmError(f"values: '{values}' is not known; choose among {', '.join(VALUES)}")
    if not adata.n_obs:
        raise ScfmError("obs: there is no cell; give at least one")
    if adata.X is None:
        raise ScfmError(f"X: the cells have no expression matrix; put {values} there")
    known = np.flatnonzero(index >= 0)
    if not len(known):
        raise ScfmError(
            f"var_names: none of {adata.n_vars:,} genes is in the model's vocabulary "
            f"(first: {', '.join(map(str, adata.var_names[:3]))}); expected human gene symbols or Ensembl ids"
        )
    one_column_a_gene(adata.var_names, index, genes)
    x = sp.csr_matrix(adata.X[:, known]).astype(np.float32)
    check_values(x.data, values)
    if values == "lognorm":
        x.data = np.expm1(x.data)
    place = sp.csr_matrix(
        (np.ones(len(known), np.float32), (np.arange(len(known)), index[known])), shape=(len(known), len(genes))
    )
    matched = (x @ place).tocsr()
    matched.eliminate_zeros()
    matched.sort_indices()
    empty = np.flatnonzero(np.diff(matched.indptr) == 0)
    if len(empty):
        raise ScfmError(
            f"cell '{adata.obs_names[empty[0]]}' and {len(empty) - 1:,} more: no known gene is expressed; "
            "remove these cells first"
        )
    return matched


def one_column_a_gene(names: pd.Index, index: np.ndarray, genes: Sequence[str]) -> None:
    """Raise a sentence if two columns mean one gene of the vocabulary.

    Args:
        names: of the columns. index, genes: as in `match`.

    Raises:
        ScfmError: they do.
    """
    known = index[index >= 0]
    again = known[pd.Index(known).duplicated()]
    if len(again):
        first, second = names[index == again[0]][:2]
        raise ScfmError(
            f"var_names: '{first}' and '{second}' are both gene '{genes[again[0]]}' of the model "
            f"({len(again):,} of {len(known):,} known columns repeat a gene); merge or remove them first"
        )
