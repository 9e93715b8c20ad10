"""Datasets of another species: genes through orthologs, results apart from those of human cells."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.integration import integration
from scfm.benchmarks.ontology import annotate
from scfm.benchmarks.prepare import prepare
from scfm.benchmarks.settings import Preparation
from scfm.benchmarks.task_settings import Integration, OntologyTask
from scfm.datasets import read_datasets
from scfm.errors import ScfmError
from scfm.genes import read_hgnc
from scfm.ontology import LabelTree, Ontology
from scfm.orthologs import one_to_one, read_pairs
from scfm.settings import as_json

HGNC = pd.DataFrame(
    [("CD4", "ENSG1", [], ["OLD4"]), ("MS4A1", "ENSG2", [], []), ("H2BC1", "ENSG3", [], []), ("LYZ", "ENSG4", [], [])],
    columns=["gene", "ensembl", "previous", "aliases"],
)
# Lyz1 and Lyz2 share an ortholog; Two has two of them; Cd4's stands under its old name; Ms4a1 is known by its id.
PAIRS = pd.DataFrame(
    [("Cd4", "OLD4"), ("ENSMUSG2", "MS4A1"), ("Lyz1", "LYZ"), ("Lyz2", "LYZ"), ("Two", "H2BC1"), ("Two", "MS4A2")],
    columns=["gene", "human"],
)


def deposit(path: Path, genes: list[str], ids: list[str] | None = None) -> Path:
    obs = pd.DataFrame({"type": ["T", "B"] * 4, "lib": list("aabbccdd")}, index=[f"c{i}" for i in range(8)])
    var = pd.DataFrame({"ensembl_id": ids} if ids else {}, index=genes)
    matrix = np.arange(1, 8 * len(genes) + 1).reshape(8, -1)
    anndata.AnnData(csr_matrix(matrix.astype(np.float32)), obs=obs, var=var).write_h5ad(path)
    return path


def settings(human_names: bool = False, **row: object) -> Preparation:
    fields = {
        "name": "d",
        "values": "counts",
        "label_column": "type",
        "batch_column": "lib",
        "organism": "Mus musculus",
    }
    return Preparation.model_validate({"dataset": fields | row, "human_names": human_names})


def test_one_to_one_orthologs_rename_genes_and_others_are_dropped_and_counted(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["Cd4", "B220", "Lyz1", "Lyz2", "Two", "Xist"], ["", "ENSMUSG2.3", *[""] * 4])
    adata = prepare(path, settings(), HGNC, orthologs=PAIRS)
    assert adata.var_names.tolist() == ["CD4", "MS4A1"]
    assert set(adata.obs["organism"]) == {"mus_musculus"}
    assert adata.X[0].toarray().tolist() == [[1, 2]]
    facts = adata.uns["scfm"]
    assert {key: facts[key] for key in facts if key.startswith("genes_")} == {
        **{"genes_deposited": 6, "genes_with_ortholog": 2, "genes_with_several": 3},
        **{"genes_unknown": 4, "genes_merged": 0, "genes_dropped": 0},
    }
    assert one_to_one(PAIRS).to_dict() == {"Cd4": "OLD4", "ENSMUSG2": "MS4A1"}


def test_genes_under_human_names_stay_as_they_are(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["CD4", "LYZ"])
    assert prepare(path, settings(human_names=True), HGNC).var_names.tolist() == ["CD4", "LYZ"]


def test_orthologs_are_needed(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["Cd4", "Lyz1"])
    with pytest.raises(ScfmError, match="genes of Mus musculus need orthologs; name a file with --orthologs"):
        prepare(path, settings(), HGNC)


def test_cells_that_a_filter_names_are_left_out(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["CD4", "LYZ"])
    adata = prepare(path, settings(human_names=True, keep="lib != b"), HGNC)
    assert adata.obs["batch"].tolist() == list("aaccdd")


def test_held_out_batches_are_those_of_the_prepared_file(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", ["CD4", "LYZ"])
    adata = prepare(path, settings(human_names=True, tasks=("heldout",)), HGNC)
    sides = adata.obs.groupby("batch")["split"].unique()
    assert all(len(side) == 1 for side in sides)
    assert sorted(side[0] for side in sides) == ["dev", "test", "train", "train"]
    assert adata.uns["scfm"]["held_out"].startswith("held out ")
    plain = prepare(path, settings(human_names=True, tasks=("probe",)), HGNC)
    assert (set(plain.obs["split"]), plain.uns["scfm"]["held_out"]) == ({""}, "")
    with pytest.raises(ScfmError, match="dataset 'd': all cells of known types are linked"):
        prepare(path, settings(human_names=True, tasks=("heldout",), batch_column=""), HGNC)


def test_results_on_mouse_are_tasks_of_their_own(prepared, tmp_path: Path) -> None:
    facts = {"name": "d", "tasks": "integration", "contaminated": "false", "organism": "Mus musculus"}
    obs = pd.DataFrame({"dataset": "d", "cell_type": ["T", "B"] * 20, "batch": ["a"] * 20 + ["b"] * 20})
    obs.index = [f"d/{i}" for i in range(40)]
    vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    uns = {"run": "r", "seed": 0, "datasets": {"d": facts}}
    anndata.AnnData(obs=obs, obsm={"cls": vectors}, uns=uns).write_h5ad(tmp_path / "e.h5ad")
    table = integration(tmp_path / "e.h5ad", Integration(), "s")
    assert set(table["task"]) == {"integration_mus_musculus"}

    class Model:
        tree = LabelTree.prune(
            Ontology({"c": "c", "a": "a", "b": "b"}, {"c": (), "a": ("c",), "b": ("c",)}), ["a", "b"]
        )

        def node_probabilities(self, adata: object, *, values: str) -> np.ndarray:
            return np.full((adata.n_obs, 2), 0.5, np.float32)

    path = prepared("m", cells=4, cell_type_ontology_term_id="a", uns_organism="Mus musculus")
    ontology = Ontology({"c": "c", "a": "a", "b": "b"}, {"c": (), "a": ("c",), "b": ("c",)})
    answers = annotate(Model(), [path], ontology, OntologyTask(), study="s", run="r", seed=0)
    assert set(answers[0]["task"]) == {"ontology_mus_musculus"}


@pytest.mark.parametrize(("name", "least"), [("mouse_hspc_indrop", 15_000), ("mouse_brain_merfish", 1_000)])
def test_real_mouse_genes_are_mapped(mirror_folder: Path, pytestconfig, tmp_path: Path, name: str, least: int) -> None:
    annotation = mirror_folder / "annotation"
    report = next(annotation.glob("mgi_HOM_MouseHumanSequence*"))
    row = read_datasets(pytestconfig.rootpath / "config/datasets.tsv")[name]
    words = ["prepare", "--dataset-settings", as_json(Preparation(dataset=row)), "--orthologs", str(report)]
    words += ["--input", str(mirror_folder / f"datasets/{name}.h5ad"), "--out", str(tmp_path / "d.h5ad")]
    hgnc = next(annotation.glob("hgnc*"))
    result = CliRunner().invoke(app, [*words, "--hgnc", str(hgnc)])
    assert result.exit_code == 0, result.output
    adata = anndata.read_h5ad(tmp_path / "d.h5ad")
    facts, pairs = adata.uns["scfm"], read_pairs(report, "mus_musculus")
    assert least <= adata.n_vars <= facts["genes_with_ortholog"] < facts["genes_deposited"]
    assert set(adata.var_names) <= set(read_hgnc(hgnc)["gene"])
    assert facts["genes_with_several"] > 0
    assert len(one_to_one(pairs)) < pairs["gene"].nunique()
