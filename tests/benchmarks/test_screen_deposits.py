"""Screens in the form in which they are deposited, made by hand, brought into the common form of perturbed cells."""

import gzip
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm.benchmarks.perturbation import cells_of
from scfm.benchmarks.prepare import prepare
from scfm.benchmarks.settings import Preparation
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.datasets import read_datasets
from scfm.errors import ScfmError
from scfm.perturbation import CONTROL, Quality

SHEET = read_datasets(Path(__file__).parents[2] / "config" / "datasets.tsv")
GENES = {"CD3E": "ENSG00000198851", "MS4A1": "ENSG00000156738", "LYZ": "ENSG00000090382"}
HGNC = pd.DataFrame(
    [(symbol, ensembl, [], []) for symbol, ensembl in GENES.items()], columns=["gene", "ensembl", "aliases", "previous"]
)
TASK = PerturbationTask(quality=Quality(min_cells=2, min_controls=2))
EACH = 3
"""Cells of each condition."""
REPLOGLE = {"gene": ["non-targeting", "AARS", "ZNF236"], "gem_group": ["1", "2", "1"]}
VCC = {"target_gene": ["non-targeting", "TMSB4X", "PRCP"], "guide_id": ["a", "b", "c"], "batch": ["Flex_1_01"] * 3}
PARSE = {"cytokine": ["PBS", "IL-2", "4-1BBL"], "donor": ["Donor1"] * 3, "cell_type": ["NK", "NK", "NK"]}
H5AD = [
    ("replogle_k562_essential", REPLOGLE, True, ("unknown", "AARS"), "gem_group"),
    ("replogle_rpe1_essential", REPLOGLE, True, ("unknown", "AARS"), "gem_group"),
    ("vcc_h1", VCC, False, ("unknown", "TMSB4X"), "batch"),
    ("parse_10m_pbmc", PARSE, False, ("NK", "IL-2"), None),
]


def write(path: Path, columns: dict, by_id: bool, counts: np.ndarray | None = None, dense: bool = False) -> Path:
    """An h5ad of so many cells of each condition, genes by Ensembl id as Replogle's or by symbol."""
    obs = pd.DataFrame(columns).loc[np.repeat(np.arange(3), EACH)]
    obs.index = [f"AAAC{i}-1" for i in range(len(obs))]
    counts = 1 + np.arange(len(obs) * 3).reshape(-1, 3) % 7 if counts is None else counts
    var = pd.DataFrame({"gene_name": list(GENES)}, index=list(GENES.values() if by_id else GENES))
    matrix = counts.astype(np.float32)
    anndata.AnnData(matrix if dense else csr_matrix(matrix), obs=obs, var=var).write_h5ad(path)
    return path


def screen_of(path: Path, name: str) -> anndata.AnnData:
    return cells_of(prepare(path, Preparation(dataset=SHEET[name]), HGNC), TASK)


@pytest.mark.parametrize(("name", "columns", "by_id", "pair", "batch"), H5AD)
def test_columns_of_an_h5ad_become_perturbation_background_and_batch(tmp_path, name, columns, by_id, pair, batch):
    cells = screen_of(write(tmp_path / "d.h5ad", columns, by_id, dense=by_id), name)
    assert cells.var_names.tolist() == list(GENES)
    control = cells.obs["perturbation"] == CONTROL
    assert control.sum() == EACH
    assert set(cells.obs["background"]) == {pair[0]}
    assert (cells.obs["perturbation"] == pair[1]).sum() == EACH
    if batch:
        assert cells.obs["batch"].tolist() == np.repeat(columns[batch], EACH).tolist()
    else:
        assert set(cells.obs["donor"]) == {"Donor1"}


@pytest.mark.parametrize(("name", "columns", "by_id", "pair", "batch"), H5AD)
def test_an_h5ad_that_is_another_is_told_in_a_sentence(tmp_path, name, columns, by_id, pair, batch):
    path, main = tmp_path / "d.h5ad", next(iter(columns))
    write(path, {"other" if key == main else key: values for key, values in columns.items()}, by_id)
    with pytest.raises(ScfmError, match=rf"obs column '{main}' \(perturbation\) not found; name one of"):
        screen_of(path, name)
    write(path, columns | {main: ["a", "b", "c"]}, by_id)
    with pytest.raises(ScfmError, match="no perturbation of 2 cells stands beside 2 control cells"):
        screen_of(path, name)
    write(path, columns, by_id, counts=np.log1p(np.arange(27).reshape(-1, 3)))
    with pytest.raises(ScfmError, match=r"non-integer values .* where counts are promised"):
        screen_of(path, name)


GUIDES = {
    "AAACATAC-1": ("SPI1_pDS255", "TRUE", 1),
    "AAACATTG-1": ("SPI1_pDS255", "TRUE", 1),
    "AAACCGTA-2": ("63(mod)_pBA580", "TRUE", 1),
    "AAACGCTG-2": ("Gal4-4(mod)_pBA582", "TRUE", 1),
    "AAACTTGA-2": ("SPI1_pDS255", "FALSE", 1),
    "AAAGACGT-1": ("SPI1_pDS255", "TRUE", 2),
    "AAAGAGAC-1": ("*", "TRUE", 1),
}
"""Barcode to guide, good coverage and number of cells; a last barcode of the matrix has none."""
BARCODES = [*GUIDES, "TTTTTTTT-1"]
ENTRIES = [(g + 1, c + 1, c + g + 1) for c in range(len(BARCODES)) for g in range(3)]


def adamson(folder: Path, **changes) -> Path:
    """The four files of a sample, as deposited; `changes` are texts of files by what their names end with."""
    folder.mkdir()
    lines = [f"{barcode},{guide},99,9,11,{good},{n}" for barcode, (guide, good, n) in GUIDES.items()]
    header = "cell BC,guide identity,read count,UMI count,coverage,good coverage,number of cells"
    entries = [f"{gene} {cell} {count}" for gene, cell, count in ENTRIES]
    size = f"3 {len(BARCODES)} {len(entries)}"
    texts = {
        "cell_identities.csv": "\n".join([header, *lines]),
        "barcodes.tsv": "\n".join(BARCODES),
        "genes.tsv": "\n".join(f"{ensembl}\t{symbol}" for symbol, ensembl in GENES.items()),
        "matrix.mtx.txt": "\n".join(["%%MatrixMarket matrix coordinate integer general", "%", size, *entries]),
    }
    for name, text in (texts | changes).items():
        if text:
            (folder / f"GSM2406681_10X010_{name}.gz").write_bytes(gzip.compress(f"{text}\n".encode()))
    return folder


def test_guides_of_a_folder_become_targets(tmp_path):
    prepared = prepare(adamson(tmp_path / "d"), Preparation(dataset=SHEET["adamson_upr"]), HGNC)
    assert prepared.obs_names.tolist() == BARCODES[:4], "one guide of good coverage each"
    assert prepared.X.toarray().tolist() == [[c + g + 1 for g in range(3)] for c in range(4)]
    assert prepared.obs["perturbation"].tolist() == ["SPI1", "SPI1", "63(mod)", "Gal4-4(mod)"]
    assert prepared.obs["batch"].tolist() == ["1", "1", "2", "2"]
    cells = cells_of(prepared, TASK)
    assert cells.obs["perturbation"].tolist() == ["SPI1", "SPI1", CONTROL, CONTROL]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"genes.tsv": ""}, r"0 files \*_genes.tsv.gz; expected one"),
        ({"barcodes.tsv": "\n".join(BARCODES[:-1])}, "3 genes by 8 cells where the other files name 3 and 7"),
        ({"barcodes.tsv": "\n".join([*BARCODES[:-1], BARCODES[0]])}, "'AAACATAC-1' stands twice"),
        ({"cell_identities.csv": "cell BC,guide identity\nZZZZ-1,SPI1_pDS255"}, "'ZZZZ-1' is not among the barcodes"),
        ({"cell_identities.csv": f"cell BC,guide\n{BARCODES[0]},x"}, "obs column 'number of cells' .* not found"),
        ({"matrix.mtx.txt": "%%MatrixMarket\n3 8 1\n1 1 0.5"}, "expected lines of gene, cell and a whole number"),
        ({"matrix.mtx.txt": "%%MatrixMarket"}, "no line with the size of the matrix"),
        ({"matrix.mtx.txt": "no matrix at all"}, "expected a Matrix Market file"),
    ],
)
def test_a_folder_that_is_another_is_told_in_a_sentence(tmp_path, changes, fault):
    with pytest.raises(ScfmError, match=fault):
        prepare(adamson(tmp_path / "d", **changes), Preparation(dataset=SHEET["adamson_upr"]), HGNC)


def test_a_folder_without_controls_is_told_in_a_sentence(tmp_path):
    header = "cell BC,guide identity,read count,UMI count,coverage,good coverage,number of cells"
    lines = [f"{barcode},SPI1_pDS255,9,9,9,TRUE,1" for barcode in BARCODES]
    folder = adamson(tmp_path / "d", **{"cell_identities.csv": "\n".join([header, *lines])})
    with pytest.raises(ScfmError, match="no perturbation of 2 cells stands beside 2 control cells"):
        screen_of(folder, "adamson_upr")
