"""Deposits that are folders of text files, made by hand in the form of GSM4150378 and of GSE138852."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scfm.benchmarks.library import read_library
from scfm.benchmarks.perturbation import cells_of
from scfm.benchmarks.prepare import prepare
from scfm.benchmarks.settings import Preparation
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.datasets import read_datasets
from scfm.deposit import read_deposit
from scfm.errors import ScfmError
from scfm.perturbation import CONTROL, Quality
from scfm.sciplex import viability

SHEET = read_datasets(Path(__file__).parents[2] / "config" / "datasets.tsv")
SCIPLEX, GRUBMAN = SHEET["sciplex3_a549"], SHEET["grubman_entorhinal"]
HGNC = pd.DataFrame(
    [("TSPAN6", "ENSG00000000003", [], []), ("DPM1", "ENSG00000000419", [], []), ("CD99", "ENSG00000002586", [], [])],
    columns=["gene", "ensembl", "aliases", "previous"],
)
GENES = """id gene_short_name
ENSG00000000003.14 TSPAN6
ENSMUSG00000000001.4 Gnai3
ENSG00000000419.12 DPM1
ENSG00000002586.19 CD99
ENSG00000002586.19_PAR_Y CD99
"""
WELLS = {"Vehicle": ("S0000", "Vehicle", "Vehicle", 0), "Drug X": ("S1", "HDAC", "Epigenetics", 10000)}
WELLS |= {"Drug Y": ("S2", "CDK", "Cell Cycle", 10000), "Drug Z": ("S3", "CDK", "Cell Cycle", 100)}
CELLS = {"Vehicle": 10, "Drug X": 4, "Drug Y": 9, "Drug Z": 2}
LIBRARY = '"Catalog.Number"\t"Product.Name"\t"Target"\t"Pathway"\n"S1"\t"X"\t"HDAC"\t"Epigenetics"\n'


def pdata() -> pd.DataFrame:
    """One plate of A549, so many cells of each well; one uncertain cell, one without a label, one of K562."""
    rows = []
    for number, (name, (catalog, level, pathway, dose)) in enumerate(WELLS.items()):
        rows += [(f"well{number}", name, catalog, level, pathway, dose)] * CELLS[name]
    rows += [rows[-1]] * 3
    table = pd.DataFrame(rows, columns=["well_oligo", "product_name", "treatment", "level", "pathway", "dose"])
    table = table.assign(
        cell=[f"A01_BC_{i}" for i in range(len(table))],
        cell_type="A549",
        time_point=24,
        replicate="rep1",
        culture_plate="plate1",
        rt_well=2,
        catalog_number=table["treatment"],
        pathway_level_1=table["level"],
        pathway_level_2="x",
        target="x",
        vehicle=np.where(table["dose"] == 0, "TRUE", "FALSE"),
        **{f"hash_umis_{hash}": 50.0 for hash in "WP"},
        **{f"top_to_second_best_ratio_{hash}": 9.0 for hash in "WP"},
    )
    table.loc[len(table) - 3, "top_to_second_best_ratio_W"] = 2.0
    table.loc[len(table) - 2, ["cell_type", "product_name", "dose"]] = np.nan
    table.loc[len(table) - 1, "cell_type"] = "K562"
    return table


def pack(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def sciplex(folder: Path, header: str = "", table: pd.DataFrame | None = None) -> Path:
    """The four files; cell i has i + 1 counts of gene 1, three of gene 2 (of mouse) and one of gene 5."""
    folder.mkdir()
    table = pdata() if table is None else table
    named = ["cell", *table.columns.drop("cell")]
    lines = table[named].to_csv(sep=" ", index=False, na_rep="NA", quoting=2)
    pack(folder / "GSM4150378_sciPlex3_pData.txt.gz", lines)
    stem = "GSM4150378_sciPlex3_A549_MCF7_K562_screen"
    pack(folder / f"{stem}_gene.annotations.txt.gz", GENES)
    cells = "".join(f"{cell}\tChem3_Screen2\n" for cell in table["cell"])
    pack(folder / f"{stem}_cell.annotations.txt.gz", header + cells)
    entries = [f"1\t{i + 1}\t{i + 1}\n2\t{i + 1}\t3\n5\t{i + 1}\t1\n" for i in range(len(table))]
    pack(folder / f"{stem}_UMI.count.matrix.gz", "".join(entries))
    return folder


@pytest.mark.parametrize("header", ["", "cell\tsample\n"])
def test_sciplex_cells_genes_and_labels(tmp_path: Path, header: str) -> None:
    adata = read_deposit(sciplex(tmp_path / "d", header), SCIPLEX)
    # Of Drug X, whose 4 of 10 cells are below 0.85; not of Drug Y (9 of 10), nor of Drug Z at the low dose.
    assert adata.obs_names.tolist() == [f"A01_BC_{i}" for i in range(10, 14)]
    assert adata.var_names.tolist() == ["TSPAN6", "DPM1", "ENSG00000002586.19", "ENSG00000002586.19_PAR_Y"]
    assert adata.var["ensembl"].tolist() == ["ENSG00000000003", "ENSG00000000419", *["ENSG00000002586"] * 2]
    assert adata.X.toarray().tolist() == [[n, 0, 0, 1] for n in range(11, 15)]
    assert set(adata.obs["drug"]) == {"Drug X"}
    assert set(adata.obs["mechanism"]) == {"HDAC"}
    assert set(adata.obs["catalog"]) == {"S1"}
    assert set(adata.obs["cell_type"]) == {"A549"}
    assert set(adata.obs["batch"]) == {"rep1"}


def test_sciplex_as_a_screen_has_the_vehicle_as_control(tmp_path: Path) -> None:
    prepared = prepare(sciplex(tmp_path / "d"), Preparation(dataset=SHEET["sciplex3"]), HGNC)
    cells = cells_of(prepared, PerturbationTask(quality=Quality(min_cells=2, min_controls=2)))
    sizes = cells.obs.groupby(["background", "perturbation"]).size()
    # Not Drug Z, which is there at a low dose alone.
    assert sizes.to_dict() == {("A549", CONTROL): 10, ("A549", "Drug X"): 4, ("A549", "Drug Y"): 9}
    assert set(cells.obs["batch"]) == {"rep1"}


def test_prepared_sciplex_with_mechanisms_of_the_deposit_or_the_library(tmp_path: Path) -> None:
    folder = sciplex(tmp_path / "d")
    adata = prepare(folder, Preparation(dataset=SCIPLEX), HGNC)
    assert adata.var_names.tolist() == ["TSPAN6", "DPM1", "CD99"]
    assert set(adata.obs["mechanism"]) == {"HDAC"}
    (tmp_path / "library.tsv").write_text(LIBRARY)
    adata = prepare(folder, Preparation(dataset=SCIPLEX), HGNC, library=read_library(tmp_path / "library.tsv"))
    assert set(adata.obs["mechanism"]) == {"Epigenetics"}
    (tmp_path / "other.tsv").write_text(LIBRARY.replace("S1", "S9"))
    with pytest.raises(ScfmError, match=r"no catalogue number is in the compound library \(first: 'S1'\)"):
        prepare(folder, Preparation(dataset=SCIPLEX), HGNC, library=read_library(tmp_path / "other.tsv"))


def test_viability_is_relative_to_vehicle_and_free_of_plates() -> None:
    wells = [("p1", "v", 0, True, 20), ("p1", "x", 9, False, 10), ("p2", "v", 0, True, 40), ("p2", "x", 9, False, 20)]
    wells += [("p1", "y", 9, False, 30), ("p2", "y", 9, False, 60)]
    rows = [(p, f"{p}{t}", t, dose, vehicle) for p, t, dose, vehicle, n in wells for _ in range(n)]
    cells = pd.DataFrame(rows, columns=["culture_plate", "well_oligo", "treatment", "dose", "vehicle"])
    cells = cells.assign(cell_type="A549", time_point=24)
    found = pd.Series(viability(cells)).groupby(cells["treatment"]).unique()
    assert found["v"].tolist() == [1]
    assert found["x"] == pytest.approx(0.5)
    assert found["y"].tolist() == [1], "at most 1"


def test_compound_library_of_the_mirror_knows_every_product_of_the_screen(mirror_folder: Path) -> None:
    library = read_library(mirror_folder / "annotation/sciplex_drugProperties_short.tsv")
    wells = pd.read_csv(mirror_folder / "annotation/sciplex_Supplementary_Table_3.txt.gz", sep="\t", dtype=str)
    used = wells["catalog_number"].drop_duplicates()
    assert len(used) == 189
    assert used.isin(library.index).mean() > 0.95
    assert library["S0000"] == "Vehicle"
    assert library["S1030"] == "Epigenetics"


@pytest.mark.parametrize("column", ["hash_umis_W", "dose", "pathway_level_1"])
def test_pdata_without_a_column(tmp_path: Path, column: str) -> None:
    table = pdata().rename(columns={column: "other"})
    with pytest.raises(ScfmError, match=rf"pData.txt.gz: cannot be read .*{column}"):
        read_deposit(sciplex(tmp_path / "d", table=table), SCIPLEX)


def test_cells_that_stand_twice(tmp_path: Path) -> None:
    with pytest.raises(ScfmError, match="cell 'twice' stands twice"):
        read_deposit(sciplex(tmp_path / "d", table=pdata().assign(cell="twice")), SCIPLEX)


def test_missing_and_damaged_files_of_sciplex(tmp_path: Path) -> None:
    folder = sciplex(tmp_path / "d")
    matrix = next(folder.glob("*matrix.gz"))
    whole = matrix.read_bytes()
    matrix.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ScfmError, match=r"UMI.count.matrix.gz: cannot be read"):
        read_deposit(folder, SCIPLEX)
    matrix.unlink()
    with pytest.raises(ScfmError, match=r"0 files .*matrix.gz; expected one, as deposited"):
        read_deposit(folder, SCIPLEX)
    pack(matrix, "1\t1\t1\n")
    pack(next(folder.glob("*cell.annotations.txt.gz")), "A01_BC_0\tx\n")
    with pytest.raises(ScfmError, match="cell 'A01_BC_10' of pData is missing"):
        read_deposit(folder, SCIPLEX)


def grubman(folder: Path, covariates: str | None = None) -> Path:
    folder.mkdir()
    pack(folder / "GSE138852_counts.csv.gz", '"","AAA_AD1_AD2","CCC_Ct1_Ct2"\n"TSPAN6",1,0\n"DPM1",2,5\n')
    text = '"","oupSample.batchCond","oupSample.cellType"\n"CCC_Ct1_Ct2","ct","oligo"\n"AAA_AD1_AD2","AD","astro"\n'
    pack(folder / "GSE138852_covariates.csv.gz", covariates or text)
    return folder


def test_counts_and_covariates_are_joined_by_cell(tmp_path: Path) -> None:
    adata = read_deposit(grubman(tmp_path / "d"), GRUBMAN)
    assert adata.obs_names.tolist() == ["AAA_AD1_AD2", "CCC_Ct1_Ct2"]
    assert adata.X.toarray().tolist() == [[1, 2], [0, 5]]
    assert adata.obs["condition"].tolist() == ["AD", "ct"]
    assert adata.obs["cell_type"].tolist() == ["astro", "oligo"]
    assert adata.obs["batch"].tolist() == ["AD1_AD2", "Ct1_Ct2"]
    prepared = prepare(tmp_path / "d", Preparation(dataset=GRUBMAN), HGNC)
    assert prepared.obs["condition"].tolist() == ["AD", "ct"]
    only = GRUBMAN.model_copy(update={"keep": "oupSample.cellType == oligo"})
    assert read_deposit(tmp_path / "d", only).X.toarray().tolist() == [[0, 5]]


def test_cells_of_one_file_only(tmp_path: Path) -> None:
    text = '"","oupSample.batchCond","oupSample.cellType"\n"AAA_AD1_AD2","AD","astro"\n'
    with pytest.raises(ScfmError, match="cell 'CCC_Ct1_Ct2' stands in one of"):
        read_deposit(grubman(tmp_path / "d", text), GRUBMAN)


def test_folder_of_another_form(tmp_path: Path) -> None:
    with pytest.raises(ScfmError, match=r"a folder of no known form; expected a file .*pData.txt.gz or"):
        read_deposit(tmp_path, SCIPLEX)
