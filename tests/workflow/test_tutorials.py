"""Every tutorial runs from its first cell to its last on a finished study, and leaves what it promises."""

import ast
from pathlib import Path

import anndata
import nbformat
import numpy as np
import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.paper.notebook import run_notebook

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs/tutorials"
NAMES = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))


@pytest.fixture(scope="session")
def given(results):
    """Tutorial to the parameters that point at the finished study."""
    model = str(results / "pretrain/wced_hce/0")
    datasets = results / "benchmarks/datasets"
    cells = str(datasets / "synthetic_holdout.h5ad")
    sheet = str(ROOT / "config/embeddings.tsv")
    return {
        "annotate_pbmcs": {"model": model},
        "embed_and_integrate": {"model": model, "cells": cells},
        "explain_a_cell_type": {"model": model, "cells": cells, "most": 10},
        "finetune_on_own_labels": {"model": model, "epochs": 2},
        "bring_your_own_model": {"against": model, "datasets": str(datasets), "sheet": sheet},
    }


@pytest.fixture
def run(given, tmp_path, monkeypatch):
    """Function: run a tutorial; its folder of results, what it printed, and how many pictures it shows."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def of(name, **changes):
        out, done = tmp_path / "out", tmp_path / "done.ipynb"
        parameters = given[name] | {"out": str(out)} | changes
        run_notebook(TUTORIALS / f"{name}.ipynb", done, tmp_path / "log.ipynb", parameters)
        outputs = [one for cell in nbformat.read(done, as_version=4).cells for one in cell.get("outputs", [])]
        printed = "".join(one["text"] for one in outputs if one.get("name") == "stdout")
        return out, printed, sum("image/png" in one.get("data", {}) for one in outputs)

    return of


def test_each_tutorial_is_tried(given):
    assert sorted(given) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_parameters_name_what_make_study_makes(given, name):
    """The test replaces no more than the paths and sizes that the reader sees."""
    first = next(
        cell for cell in nbformat.read(TUTORIALS / f"{name}.ipynb", as_version=4).cells if "tags" in cell.metadata
    )
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(first.source).body}
    assert given[name].keys() <= values.keys()
    assert values["out"] == f"../../results/tutorials/{name}"
    for key, value in values.items():
        if str(value).startswith("../../results/demo/"):
            assert given[name][key].endswith(value.removeprefix("../../results/demo/"))


@pytest.mark.slow
def test_pbmcs_are_annotated(run):
    out, printed, pictures = run("annotate_pbmcs")
    annotated = anndata.read_h5ad(out / "annotated.h5ad")
    assert {"scfm_id", "scfm_name", "scfm_probability", "scfm_lineage", "scfm_confidence"} <= set(annotated.obs)
    table = pd.read_csv(out / "accuracy.csv")
    # The printed figure again, from the file: of the monocytes, B and NK cells and so on, those called so.
    right = (table["cells"] * table["right"]).sum() / table["cells"].sum()
    assert f"{right:.1%} of {table['cells'].sum()} cells are right" in printed
    assert pictures >= 2
    assert (out / "flows.png").stat().st_size > 0


@pytest.mark.slow
def test_cells_are_embedded_and_scored(run):
    out, printed, pictures = run("embed_and_integrate")
    embedded = anndata.read_h5ad(out / "embedded.h5ad")
    assert {"X_scfm", "X_pca"} <= set(embedded.obsm)
    assert np.isfinite(embedded.obsm["X_scfm"]).all()
    scores = pd.read_csv(out / "scores.csv", index_col=["task", "metric"])
    assert scores.filter(regex="X_").shape[1] == 2
    assert printed.count("highest for") == 2
    assert pictures == 2


@pytest.mark.slow
def test_a_type_is_explained_and_the_explanation_checked(run):
    out, printed, pictures = run("explain_a_cell_type")
    genes = pd.read_csv(out / "genes.csv")
    assert genes["effect"].is_monotonic_decreasing
    assert "Both name " in printed
    assert "The call " in printed
    assert pictures == 1


@pytest.mark.slow
def test_labels_of_ones_own_are_learnt(run):
    out, printed, pictures = run("finetune_on_own_labels")
    assert (out / "model/model.safetensors").is_file()
    scores = pd.read_csv(out / "scores.csv", index_col=0)
    # What depends on no model: 240 of 700 cells are dendritic, a quarter of each label is kept aside.
    assert scores.loc["most frequent label", "accuracy"] == pytest.approx(60 / 175)
    assert f"names {scores.loc['fine-tuned model', 'accuracy']:.1%} right" in printed
    assert pictures == 2


@pytest.mark.slow
def test_a_model_of_ones_own_is_scored(run, results):
    out, printed, pictures = run("bring_your_own_model")
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["run"]) == {"my_embedding", "pca"}
    vectors = anndata.read_h5ad(out / "my_model.h5ad")
    cells = anndata.read_h5ad(results / "benchmarks/datasets/synthetic_holdout.h5ad").obs_names
    assert list(vectors.obs_names) == [f"synthetic_holdout/{cell}" for cell in cells]
    assert (out / "embeddings.tsv").read_text().startswith((ROOT / "config/embeddings.tsv").read_text())
    assert "Macro F1" in printed
    assert pictures == 1


@pytest.mark.slow
def test_a_missing_model_is_named(run, tmp_path):
    with pytest.raises(ScfmError, match="no_model"):
        run("annotate_pbmcs", model=str(tmp_path / "no_model"))
