"""Counts of deposits that are lines of gene, cell and count, read in parts so that memory goes with the cells kept."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.reading import reading

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ENTRIES_AT_A_TIME = 10_000_000


def read_triplets(path: Path, columns: np.ndarray, genes: int, sep: str = "\t", header: int = 0) -> "csr_matrix":
    """Float32 CSR [len(columns), genes] of lines `gene cell count`, genes and cells numbered from 1.

    Args:
        columns: numbers, from 0, of the cells that are kept, in the order of the result.
        header: lines before the first entry.

    Raises:
        ScfmError: the file is missing or damaged, or a count is no whole number.
    """
    import pandas as pd
    from scipy.sparse import coo_matrix

    row = pd.Series(np.arange(len(columns)), index=columns)
    parts = []
    with reading(path, path.name, "lines of gene, cell and a whole number of counts"):
        numbers = {"header": None, "names": ["gene", "cell", "n"], "dtype": np.int32, "skiprows": header}
        for part in pd.read_csv(path, sep=sep, chunksize=ENTRIES_AT_A_TIME, **numbers):
            part = part[(part["cell"] - 1).isin(row.index)]
            parts.append(part.assign(cell=row[part["cell"] - 1].to_numpy()))
        entries = pd.concat(parts)
        place = (entries["cell"].to_numpy(), entries["gene"].to_numpy() - 1)
        return coo_matrix((entries["n"].to_numpy(np.float32), place), shape=(len(columns), genes)).tocsr()


def matrix_market_size(path: Path) -> tuple[int, int, int]:
    """(lines before the first entry, genes, cells) of a gzipped Matrix Market file.

    Raises:
        ScfmError: it is none.
    """
    with reading(path, path.name, "a Matrix Market file of counts, genes by cells"), gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines, 1):
            if not line.startswith("%"):
                genes, cells, _ = map(int, line.split())
                return number, genes, cells
    raise ScfmError(f"{path}: no line with the size of the matrix; expected a Matrix Market file, fetch it again")
