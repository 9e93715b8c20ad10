"""The deposit of sci-Plex 3 (GSM4150378): 188 drugs at four doses on three cell lines, 799,317 nuclei.

Srivatsan et al. 2020, Science, doi 10.1126/science.aax6234; what is done to the cells follows the authors' code
(github.com/cole-trapnell-lab/sci-plex, large_screen/Notebook3_preprocess_data.R).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.geo import Keep, only_file
from scfm.reading import reading
from scfm.triplets import read_triplets

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LEAST_HASHES, LEAST_RATIO = 5, 5
"""UMIs of a cell's hash, and their ratio to the second best, by which the authors take a label as certain."""
BAD_RT_WELL = 1
"""Well of reverse transcription that the authors leave out."""
COLUMNS = (
    "cell",
    "cell_type",
    "time_point",
    "replicate",
    "culture_plate",
    "well_oligo",
    "rt_well",
    "hash_umis_W",
    "hash_umis_P",
    "top_to_second_best_ratio_W",
    "top_to_second_best_ratio_P",
    "vehicle",
    "treatment",
    "catalog_number",
    "product_name",
    "dose",
    "target",
    "pathway",
    "pathway_level_1",
    "pathway_level_2",
)
"""Columns of pData that are read; `pathway` is that of the compound library, the levels are the authors' own."""
PLATE = ["cell_type", "time_point", "culture_plate"]
LINE = PLATE[:2]


def read_sciplex(folder: Path, keep: Keep) -> "AnnData":
    """Human genes of the certainly labelled cells that `keep` keeps.

    Returns:
        AnnData: X CSR float32 [cells, genes]; obs `COLUMNS` and `viability` (see there); var
        `ensembl`, named by symbol, or by Ensembl id where several genes have the symbol.

    Raises:
        ScfmError: a file is missing or damaged, a column is missing, or a cell has no column in the matrix or two.
    """
    import anndata
    import pandas as pd

    table = only_file(folder, "*_pData.txt.gz")
    with reading(table, table.name, "the table of cells, separated by blanks"):
        obs = pd.read_csv(table, sep=" ", usecols=list(COLUMNS), low_memory=False)
        obs = obs[_certain(obs)].set_index("cell", drop=False)
        obs["viability"] = viability(obs)
    obs = obs[keep(obs)]
    genes = _genes(only_file(folder, "*gene.annotations.txt.gz"))
    columns = _columns(only_file(folder, "*cell.annotations.txt.gz"), obs.index)
    matrix = read_triplets(only_file(folder, "*UMI.count.matrix.gz"), columns, len(genes))
    human = genes["id"].str.startswith("ENSG").to_numpy()  # the deposit holds mouse genes too, all but empty
    genes = genes[human]
    twice = genes["gene_short_name"].duplicated(keep=False)
    names = genes["id"].where(twice, genes["gene_short_name"])
    var = pd.DataFrame({"ensembl": genes["id"].str.split(".").str[0].to_numpy()}, index=names.to_numpy())
    return anndata.AnnData(matrix[:, np.flatnonzero(human)], obs=obs, var=var)


def viability(cells: "pd.DataFrame") -> np.ndarray:
    """Cells that a drug and dose leave, relative to vehicle, at most 1: float [cells].

    Cells of a well, corrected for the mean of its culture plate, on average over the wells of a drug and dose, divided
    by the same of the vehicle wells of that line and time. The authors fit a dose-response curve to these numbers;
    here they stand as observed.

    Args:
        cells: columns cell_type, time_point, culture_plate, well_oligo, treatment, dose, vehicle.
    """
    own = [*LINE, "treatment", "dose"]
    wells = cells.groupby([*PLATE, "well_oligo", "treatment", "dose", "vehicle"]).size().rename("n").reset_index()
    wells["n"] *= wells.groupby(LINE)["n"].transform("mean") / wells.groupby(PLATE)["n"].transform("mean")
    control = wells[wells["vehicle"]].groupby(LINE)["n"].mean().rename("control")
    treated = wells.groupby(own)["n"].mean().rename("treated").reset_index().join(control, on=LINE)
    treated["viability"] = (treated["treated"] / treated["control"]).clip(upper=1)
    return cells[own].merge(treated, on=own, how="left")["viability"].to_numpy()


def _certain(obs: "pd.DataFrame") -> "pd.Series":
    """Bool [cells]: the hashes tell the well and the plate."""
    certain = obs["cell_type"].notna() & (obs["rt_well"] != BAD_RT_WELL)
    for hash in "WP":
        certain &= (obs[f"hash_umis_{hash}"] >= LEAST_HASHES) & (obs[f"top_to_second_best_ratio_{hash}"] >= LEAST_RATIO)
    return certain


def _genes(path: Path) -> "pd.DataFrame":
    """Columns id and gene_short_name, in the order of the matrix."""
    import pandas as pd

    with reading(path, path.name, "the table of genes, id and gene_short_name separated by a blank"):
        return pd.read_csv(path, sep=" ", dtype=str, keep_default_na=False)[["id", "gene_short_name"]]


def _columns(path: Path, cells: "pd.Index") -> np.ndarray:
    """Numbers, from 0, of the cells among the matrix's columns."""
    import pandas as pd

    with reading(path, path.name, "the cells in the order of the matrix, one a line"):
        names = pd.read_csv(path, sep="\t", header=None, usecols=[0], dtype=str)[0]
    order = pd.Index(names[1:] if names[0] == "cell" else names)  # with or without a header
    if not order.is_unique:
        raise ScfmError(f"{path}: cell '{order[order.duplicated()][0]}' stands twice; expected each cell once")
    columns = order.get_indexer(cells)
    if (columns < 0).any():
        raise ScfmError(f"{path}: cell '{cells[columns < 0][0]}' of pData is missing; take both files of one deposit")
    return columns
