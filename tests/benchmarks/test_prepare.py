import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.prepare import prepare
from scfm.benchmarks.read import read_prepared
from scfm.benchmarks.settings import Preparation
from scfm.datasets import read_datasets
from scfm.errors import ScfmError
from scfm.ontology import Ontology

HGNC = pd.DataFrame(
    [
        ("TP53", "ENSG00000141510", [], ["P53"]),
        ("CD3E", "ENSG00000198851", ["T3E"], []),
        ("MS4A1", "ENSG00000156738", ["CD20"], []),
        ("NKG7", "ENSG00000105374", [], []),
    ],
    columns=["gene", "ensembl", "aliases", "previous"],
)


def deposit(path: Path, genes: list[str], matrix: list, ensembl: list[str] | None = None) -> Path:
    obs = pd.DataFrame(index=[f"c{i}" for i in range(len(matrix))])
    obs["type"] = [["T", "B"][i % 2] for i in range(len(matrix))]
    obs["donor"] = [["x", "y", "z"][i % 3] for i in range(len(matrix))]
    obs["one"] = "same"
    obs["id"] = [["CL:0000084", "CL:0000236"][i % 2] for i in range(len(matrix))]
    var = pd.DataFrame({"ensembl_id": ensembl} if ensembl else {}, index=genes)
    anndata.AnnData(csr_matrix(np.array(matrix, dtype=np.float32)), obs=obs, var=var).write_h5ad(path)
    return path


def settings(contaminated: object = False, tasks: tuple | None = None, **row: object) -> Preparation:
    fields = {"name": "d", "values": "counts", "label_column": "type", "donor_column": "donor", **row}
    return Preparation.model_validate({"dataset": fields, "contaminated": contaminated, "tasks": tasks})


def test_a_file_of_cellxgene_is_prepared_by_its_row_of_the_sheet(tmp_path: Path) -> None:
    """Ensembl ids as names, counts in raw, normalised values in X."""
    counts = csr_matrix(np.array([[4, 0, 1], [0, 2, 0], [3, 3, 0]], dtype=np.float32))
    obs = pd.DataFrame(index=["c0", "c1", "c2"])
    obs["cell_type"] = pd.Categorical(["T cell", "B cell", "T cell"])
    obs["cell_type_ontology_term_id"] = pd.Categorical(["CL:0000084", "CL:0000236", "CL:0000084"])
    obs["donor_id"] = pd.Categorical(["TSP1", "TSP2", "TSP2"])
    var = pd.DataFrame({"feature_name": ["CD3E", "MS4A1", "ENSG00000000001"]})
    var.index = ["ENSG00000198851", "ENSG00000156738", "ENSG00000000001"]
    adata = anndata.AnnData(counts, obs=obs, var=var)
    adata.raw = adata.copy()
    adata.X = adata.X.multiply(0.37).tocsr()
    adata.write_h5ad(tmp_path / "blood.h5ad")
    row = read_datasets(Path(__file__).parents[2] / "config" / "datasets.tsv")["tabula_sapiens_v2_blood"]
    done = prepare(tmp_path / "blood.h5ad", Preparation(dataset=row, contaminated=False, tasks=()), HGNC)
    assert done.var_names.tolist() == ["CD3E", "MS4A1"]
    assert done.X.toarray().tolist() == [[4, 0], [0, 2], [3, 3]]
    assert done.obs.batch.tolist() == ["TSP1", "TSP2", "TSP2"]
    assert done.obs.cell_type_ontology_term_id.tolist() == ["CL:0000084", "CL:0000236", "CL:0000084"]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return deposit(tmp_path / "d.h5ad", ["CD3E", "CD20"], [[1, 2], [3, 4], [5, 6]])


def test_genes_get_approved_symbols_and_unknown_ones_go(tmp_path: Path) -> None:
    genes = ["CD20", "P53", "AC012345.1", "RP11-1", "NKG7"]
    ensembl = ["x", "x", "ENSG00000198851", "ENSG00000000001", "x"]
    path = deposit(tmp_path / "d.h5ad", genes, [[1, 2, 3, 4, 5], [0, 0, 0, 0, 6]], ensembl)
    adata = prepare(path, settings(), HGNC)
    assert adata.var_names.tolist() == ["MS4A1", "TP53", "CD3E", "NKG7"]
    assert adata.X.toarray().tolist() == [[1, 2, 3, 5], [0, 0, 0, 6]]
    facts = adata.uns["scfm"]
    assert [facts[f"genes_{what}"] for what in ("deposited", "unknown", "merged", "dropped")] == [5, 1, 0, 0]


@pytest.mark.parametrize(
    ("genes", "kept"), [(["P53", "TP53"], 2), (["TP53", "P53"], 1), (["P53", "ENSG00000141510"], 1)]
)
def test_of_colliding_genes_the_exact_one_wins_then_the_first(tmp_path: Path, genes: list[str], kept: int) -> None:
    adata = prepare(deposit(tmp_path / "d.h5ad", genes, [[1, 2]]), settings(), HGNC)
    assert adata.var_names.tolist() == ["TP53"]
    assert adata.X.toarray().tolist() == [[kept]]
    assert (adata.uns["scfm"]["genes_merged"], adata.uns["scfm"]["genes_dropped"]) == (0, 1)


def test_names_of_one_gene_in_different_batches_are_added_up(tmp_path: Path) -> None:
    # Batch x has the old name of TP53, y the new one; of CD20 and MS4A1 batch x has both, so the exact one wins.
    matrix = [[4, 0, 1, 2], [0, 5, 0, 3], [0, 6, 7, 0]]
    path = deposit(tmp_path / "d.h5ad", ["P53", "TP53", "CD20", "MS4A1"], matrix)
    adata = prepare(path, settings(batch_column="donor"), HGNC)
    assert adata.var_names.tolist() == ["TP53", "MS4A1"]
    assert adata.X.toarray().tolist() == [[4, 2], [5, 3], [6, 0]]
    assert (adata.uns["scfm"]["genes_merged"], adata.uns["scfm"]["genes_dropped"]) == (1, 1)


def test_cells_without_known_gene_are_dropped_and_counted(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["CD3E", "strange"], [[1, 1], [0, 7], [2, 0]])
    adata = prepare(path, settings(), HGNC)
    assert adata.obs_names.tolist() == ["c0", "c2"]
    assert adata.uns["scfm"]["cells_without_known_gene"] == 1


def test_no_known_gene(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["Cd3e", "Ms4a1"], [[1, 1]])
    with pytest.raises(ScfmError, match="none of 2 genes is known to HGNC \\(first: 'Cd3e'\\)"):
        prepare(path, settings(), HGNC)


def test_no_cell_with_a_known_gene(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["CD3E", "strange"], [[0, 1], [0, 7]])
    with pytest.raises(ScfmError, match="no cell has a value above 0"):
        prepare(path, settings(), HGNC)


@pytest.mark.parametrize(
    ("marked", "cells", "word"),
    [
        (False, [False] * 3, "false"),
        (True, [True] * 3, "true"),
        ({"column": "donor", "values": ["y"], "reason": "r"}, [False, True, False], "partly"),
        ({"column": "donor", "values": ["x", "y", "z"], "reason": "r"}, [True] * 3, "true"),
    ],
)
def test_contaminated_cells(three: Path, marked: object, cells: list[bool], word: str) -> None:
    adata = prepare(three, settings(marked), HGNC)
    assert adata.obs["contaminated"].tolist() == cells
    assert adata.uns["scfm"]["contaminated"] == word


def test_contaminated_by_a_value_that_does_not_occur(three: Path) -> None:
    with pytest.raises(ScfmError, match="'frozen', which does not occur in column 'donor'"):
        prepare(three, settings({"column": "donor", "values": ["frozen"], "reason": "r"}), HGNC)


def test_a_named_batch_column_with_one_batch_is_an_error_for_integration_only(three: Path) -> None:
    with pytest.raises(ScfmError, match="batch column 'one' holds the single batch 'same'"):
        prepare(three, settings(tasks=("integration",), batch_column="one"), HGNC)
    assert prepare(three, settings(tasks=("probe",), batch_column="one"), HGNC).uns["scfm"]["single_batch"]
    adata = prepare(three, settings(tasks=("integration",)), HGNC)
    assert adata.uns["scfm"]["single_batch"]
    assert adata.uns["scfm"]["tasks"] == "integration"


def test_ontology_ids_must_be_live_terms(three: Path) -> None:
    ontology = Ontology({"CL:0000084": "T cell"}, {"CL:0000084": ()})
    prepare(three, settings(), HGNC, ontology)
    with pytest.raises(ScfmError, match="'CL:0000236' is not a live term"):
        prepare(three, settings(ontology_column="id"), HGNC, ontology)


def test_command_writes_a_prepared_dataset_and_one_line(three: Path, tmp_path: Path) -> None:
    columns = ["symbol", "ensembl_gene_id", "entrez_id", "uniprot_ids", "alias_symbol", "prev_symbol", "locus_group"]
    row = ["CD3E", "ENSG00000198851", "916", "P07766", "", "", "protein-coding gene"]
    hgnc, out = tmp_path / "hgnc.tsv", tmp_path / "out" / "d.h5ad"
    hgnc.write_text("\t".join(columns) + "\n" + "\t".join(row) + "\n")
    data = json.dumps(settings().model_dump(mode="json"))
    arguments = ["prepare", "--dataset-settings", data, "--hgnc", hgnc, "--input", three, "--out", out]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1
    assert read_prepared(out).shape == (3, 1)


def test_a_failed_command_leaves_no_output(three: Path, tmp_path: Path) -> None:
    data = json.dumps({**settings().model_dump(mode="json"), "contaminated": "maybe"})
    arguments = ["prepare", "--dataset-settings", data, "--hgnc", "x", "--input", three, "--out", tmp_path / "o.h5ad"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, ScfmError)
    assert not (tmp_path / "o.h5ad").exists()


def test_other_files_are_no_prepared_datasets(three: Path) -> None:
    with pytest.raises(ScfmError, match="not a prepared dataset"):
        read_prepared(three)
