"""Deposits of the Gene Expression Omnibus that are folders of text files, under the names they are downloaded by."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.reading import reading

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Keep = Callable[["pd.DataFrame"], np.ndarray]
"""From obs to bool [cells]."""
GENES_AT_A_TIME = 500


def read_folder(folder: Path, keep: Keep) -> "AnnData":
    """Read the cells of a folder that `keep` keeps.

    Raises:
        ScfmError: the folder is of no form that is known, a file is missing or damaged, or files do not fit together.
    """
    from scfm.guides import read_guides
    from scfm.sciplex import read_sciplex

    readers = {
        "*_pData.txt.gz": read_sciplex,
        "*_covariates.csv.gz": read_counts_csv,
        "*_cell_identities.csv.gz": read_guides,
    }
    for pattern, reader in readers.items():
        if any(Path(folder).glob(pattern)):
            return reader(Path(folder), keep)
    raise ScfmError(
        f"{folder}: a folder of no known form; expected a file {' or '.join(readers)} in it, or name a file"
    )


def only_file(folder: Path, pattern: str) -> Path:
    """The one file of a folder whose name fits.

    Raises:
        ScfmError: there is none, or several.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ScfmError(f"{folder}: {len(found)} files {pattern}; expected one, as deposited")
    return found[0]


def read_counts_csv(folder: Path, keep: Keep) -> "AnnData":
    """A table of counts, genes by cells, and one of covariates, cells by columns, as in GSE138852.

    Returns:
        AnnData: X CSR float32 [cells, genes]; obs the covariates and `library`, what follows the barcode in a cell's
        name.

    Raises:
        ScfmError: a file is missing or damaged, or a cell of one file is not in the other.
    """
    import anndata
    import pandas as pd
    from scipy.sparse import csr_matrix, vstack

    counts, covariates = only_file(folder, "*_counts.csv.gz"), only_file(folder, "*_covariates.csv.gz")
    with reading(covariates, covariates.name, "a table of covariates, one row a cell"):
        obs = pd.read_csv(covariates, index_col=0)
    with reading(counts, counts.name, "a table of counts, one row a gene"):
        parts = list(pd.read_csv(counts, index_col=0, chunksize=GENES_AT_A_TIME))
    cells, genes = parts[0].columns, pd.Index(np.concatenate([part.index for part in parts]))
    absent = cells.symmetric_difference(obs.index)
    if len(absent):
        raise ScfmError(f"{folder}: cell '{absent[0]}' stands in one of {counts.name} and {covariates.name} only")
    matrix = vstack([csr_matrix(part.to_numpy(dtype=np.float32)) for part in parts]).T.tocsr()
    obs = obs.loc[cells].assign(library=cells.str.split("_", n=1).str[1])
    kept = keep(obs)
    return anndata.AnnData(matrix[np.flatnonzero(kept)], obs=obs[kept], var=pd.DataFrame(index=genes))
