"""Deposits of pooled CRISPR screens as 10x text files beside a table of the guide of each cell.

As in GSE90546 (Adamson et al. 2016, Cell, doi 10.1016/j.cell.2016.11.048): `*_matrix.mtx.txt.gz`, `*_barcodes.tsv.gz`,
`*_genes.tsv.gz` and `*_cell_identities.csv.gz`. GSE133344 has the same files.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.geo import Keep, only_file
from scfm.reading import reading
from scfm.triplets import matrix_market_size, read_triplets

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

GUIDE = "guide identity"
"""Column with the name of a guide and its plasmid."""
PLASMID = r"_p[A-Z]{2}\d+(-\d+)?$"
"""What follows the target in the name of a guide: SPI1_pDS255, 3x_neg_ctrl_pMJ144-1."""


def read_guides(folder: Path, keep: Keep) -> "AnnData":
    """Cells that `keep` keeps, of all barcodes of the matrix.

    Returns:
        AnnData: X CSR float32 [cells, genes]; obs the columns of the identities as text, missing where a cell has no
        guide, `target` (the guide without its plasmid, where there is a column `GUIDE`) and `gem_group` (what follows
        the barcode's last "-"); var `ensembl`, named by symbol, or by Ensembl id where several genes have the symbol.

    Raises:
        ScfmError: a file is missing or damaged, files do not fit together, or a barcode occurs twice.
    """
    import anndata
    import pandas as pd

    matrix, identities = only_file(folder, "*_matrix.mtx*.gz"), only_file(folder, "*_cell_identities.csv.gz")
    barcodes = _column(only_file(folder, "*_barcodes.tsv.gz"), 1, "the barcodes, one a line")[0]
    genes = _column(only_file(folder, "*_genes.tsv.gz"), 2, "the genes, id and symbol separated by a tab")
    header, *size = matrix_market_size(matrix)
    if size != [len(genes), len(barcodes)]:
        raise ScfmError(
            f"{matrix}: {size[0]} genes by {size[1]} cells where the other files name {len(genes)} and "
            f"{len(barcodes)}; take the files of one sample"
        )
    obs = _identities(identities, pd.Index(barcodes))
    kept = np.flatnonzero(keep(obs))
    counts = read_triplets(matrix, kept, len(genes), sep=" ", header=header)
    names = genes[0].where(genes[1].duplicated(keep=False), genes[1])
    ensembl = genes[0].str.split(".").str[0]
    var = pd.DataFrame({"ensembl": ensembl.to_numpy()}, index=names.to_numpy())
    return anndata.AnnData(counts, obs=obs.iloc[kept], var=var)


def _column(path: Path, columns: int, expected: str) -> "pd.DataFrame":
    """The first columns of a table without header, as text."""
    import pandas as pd

    with reading(path, path.name, expected):
        return pd.read_csv(path, sep="\t", header=None, usecols=range(columns), dtype=str, keep_default_na=False)


def _identities(path: Path, barcodes: "pd.Index") -> "pd.DataFrame":
    """obs of all barcodes, in their order."""
    import pandas as pd

    with reading(path, path.name, "a table of guides, one row a cell, its barcode first"):
        table = pd.read_csv(path, dtype=str, index_col=0)
    for what, names in ((path, table.index), ("barcodes", barcodes)):
        if not names.is_unique:
            raise ScfmError(f"{what}: cell '{names[names.duplicated()][0]}' stands twice; expected each cell once")
    strange = table.index.difference(barcodes)
    if len(strange):
        raise ScfmError(f"{path}: cell '{strange[0]}' is not among the barcodes; take the files of one sample")
    obs = table.reindex(barcodes)
    if GUIDE in obs:
        obs["target"] = obs[GUIDE].str.replace(PLASMID, "", regex=True)
    return obs.assign(gem_group=barcodes.str.rsplit("-", n=1).str[-1])
