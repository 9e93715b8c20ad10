"""What every source of cells gives, whatever it is made of: one form of cells, genes and counts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.datasets import OBS
from scfm.errors import ScfmError

BATCH = ("dataset_id", "assay")
"""obs columns that make a batch where the store names none (the Census does not)."""
TEXT = tuple(name for name in OBS if name != "split")
"""Text columns of the cells; a published split of a deposit is of no use here."""
FIXED_POINT = 2**16
"""Log-normalised values are summed as integers of this many steps per unit: sums are exact, so that the result does
not depend on how the store was cut into ranges and blocks."""
WIDE = 2**24
"""Counts from here on are kept in 64 bits, so that sums of a few never overflow."""


def common_cells(table: pd.DataFrame) -> pd.DataFrame:
    """soma_joinid int64, the columns `TEXT` (strings, "unknown" where missing), x and y (float64) of any obs."""
    out = pd.DataFrame({"soma_joinid": table["soma_joinid"].to_numpy(np.int64)})
    for name in TEXT:
        values = table[name].astype(object) if name in table else pd.Series("unknown", index=table.index, dtype=object)
        out[name] = values.where(values.notna(), "unknown").astype(str).to_numpy(object)
    if "batch" not in table:
        out["batch"] = out[BATCH[0]].str.cat(out[BATCH[1]], sep=":")
    for name in ("x", "y"):
        out[name] = table[name].to_numpy(np.float64) if name in table else np.nan
    return out


def raw_counts(counts: csr_matrix, where: str) -> csr_matrix:
    """The same matrix as int32, or int64 where a count comes near that limit, without stored zeros.

    Args:
        where: store and matrix, for the message.

    Raises:
        ScfmError: a value is negative or no whole number.
    """
    values = counts.data
    low, high = (values.min(), values.max()) if counts.nnz else (0, 0)
    whole_numbers = values.astype(narrow(high), copy=False)
    unlike = values.dtype.kind not in "iu" and not np.array_equal(whole_numbers, values)
    refuse_no_counts(low < 0 or unlike, where)
    out = csr_matrix((whole_numbers, counts.indices, counts.indptr), shape=counts.shape)
    if low == 0:
        out.eliminate_zeros()
    return out


def narrow(largest: float) -> type:
    """Type of counts up to this one."""
    return np.int32 if largest < WIDE else np.int64


def refuse_no_counts(wrong: bool, where: str) -> None:
    """Refuse a matrix that holds something else than counts.

    Raises:
        ScfmError: `wrong`.
    """
    if wrong:
        raise ScfmError(f"{where} holds negative or non-integer values; a corpus needs raw counts")


def union_features(deposits: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """One list of features for several deposits: genes of one species and name are one feature.

    Args:
        deposits: name, id ("" where unknown), organism; one row a gene, names unique within a deposit.

    Returns:
        feature_id (first one known, else the name), feature_name, organism, other_id (a second id that deposits give
        to this name, "" where they agree), in the order of first appearance; and the row of each deposit's genes
        there, int64 [genes of the deposit].
    """
    every = pd.concat(deposits, ignore_index=True)
    codes, keys = pd.factorize(pd.MultiIndex.from_frame(every[["organism", "name"]]))
    features = pd.DataFrame({"feature_name": keys.get_level_values(1), "organism": keys.get_level_values(0)})
    known = every.assign(code=codes)[every["id"] != ""].drop_duplicates(["code", "id"])
    first = known.drop_duplicates("code").set_index("code")["id"]
    second = known[known["code"].duplicated()].drop_duplicates("code").set_index("code")["id"]
    features["feature_id"] = first.reindex(features.index).fillna(features["feature_name"])
    features["other_id"] = second.reindex(features.index).fillna("")
    edges = np.cumsum([len(genes) for genes in deposits])[:-1]
    return features[["feature_id", "feature_name", "organism", "other_id"]], np.split(codes.astype(np.int64), edges)
