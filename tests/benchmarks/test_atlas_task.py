"""An atlas and effects on genes from prepared datasets: from training on a screen to the files, by the commands."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
import tiledbsoma
import tiledbsoma.io
from scipy.sparse import csr_matrix
from small_stack import PROMPT, RUN, STACK
from typer.testing import CliRunner

from scfm.benchmarks.anew import check_atlas, predicting_runs
from scfm.benchmarks.commands import app
from scfm.benchmarks.deltas import deltas, spread
from scfm.benchmarks.task_settings import AtlasTask, PerturbationTask
from scfm.errors import ScfmError
from scfm.perturbation import Holdout, Quality, hold_out
from scfm.pretrain.settings import parse_run
from scfm.settings import as_json

GENES = [f"G{i}" for i in range(20)]
TASK = PerturbationTask(
    quality=Quality(min_cells=10, min_controls=10),
    holdouts={"s": ({"kind": "perturbations", "prompted": True, "test": 0.67},)},
    shown=2,
)


def run_of(prompt=PROMPT):
    return parse_run(RUN | {"model": STACK | ({"prompt": prompt} if prompt else {})}, "run")


@pytest.fixture
def prepared(tmp_path):
    """Function: a prepared dataset of some types under some perturbations, each of which doubles genes of its own."""

    def make(name, types, perturbations, cells=15, genes=GENES, **facts):
        rng = np.random.default_rng(len(name))
        pairs = [(kind, what) for kind in types for what in perturbations for _ in range(cells)]
        obs = pd.DataFrame(pairs, columns=["cell_type", "perturbation"], index=[f"c{i}" for i in range(len(pairs))])
        rate = np.full((len(obs), len(genes)), 5.0)
        for number, what in enumerate(("x", "y", "z")):
            rate[(obs["perturbation"] == what).to_numpy(), 3 * number : 3 * number + 3] *= 3
        obs = obs.assign(donor="one", dataset=name)
        adata = anndata.AnnData(csr_matrix(rng.poisson(rate).astype(np.float32)), obs=obs)
        adata.var_names = list(genes)
        known = {"name": name, "values": "counts", "tasks": "perturbation", "organism": "Homo sapiens"}
        adata.uns["scfm"] = known | {"contaminated": "false", "control": "control", "separator": "+"} | facts
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
        return tmp_path / f"{name}.h5ad"

    return make


@pytest.fixture
def model(prepared, tmp_path):
    """A model directory of a network trained for an epoch on a screen of two types, and that screen."""
    screen = prepared("s", "ab", ("control", "x", "y", "z"))
    options = ["--run-settings", as_json(run_of().model_dump(mode="json")), "--run", "stack", "--seed", "0"]
    options += ["--settings", TASK.model_dump_json(), "--work", str(tmp_path / "work"), "--device", "cpu"]
    done = CliRunner().invoke(app, ["learn-screen", str(screen), *options, "--out", str(tmp_path / "model")])
    assert done.exit_code == 0, done.exception
    assert "updates on 108 cells" in done.output, "all cells of the screen but a tenth"
    return tmp_path / "model", screen


def call(model, screen, reference, out, **settings):
    asked = json.dumps({"cells": 12, "min_cells": 10} | settings)
    parts = {"model": model, "screen": screen, "reference": reference, "out": out, "out-table": out.with_suffix(".csv")}
    options = [text for name, path in parts.items() for text in (f"--{name}", str(path))]
    return CliRunner().invoke(app, ["atlas", *options, "--settings", asked, "--device", "cpu"])


def test_every_type_of_the_reference_under_every_perturbation_of_the_screen(model, prepared, tmp_path):
    reference = prepared("reference", "bcd", ("control",), genes=[*reversed(GENES[1:]), "other"], control="")
    done = call(*model, reference, tmp_path / "atlas.h5ad")
    assert done.exit_code == 0, done.exception
    assert "benchmarks atlas: 144 cells, 3 types under 3 perturbations and as controls" in done.output
    atlas, table = anndata.read_h5ad(tmp_path / "atlas.h5ad"), pd.read_csv(tmp_path / "atlas.csv")
    assert atlas.shape == (144, 20)
    assert set(atlas.obs["cell_type"]) == set("bcd")
    assert np.isfinite(atlas.obs["confidence"]).all()
    assert (atlas.X.data > 0).all()
    assert (atlas.X.data % 1 == 0).all()
    sources = anndata.read_h5ad(reference).X.sum(1).A1[atlas.obs["reference_row"]]
    made = np.asarray(atlas.X.sum(1)).ravel()
    assert np.median(np.abs(made / sources - 1)) < 0.2, "rewritten at the cell's own depth"
    assert table.groupby("cell_type")["pearson_delta"].count().to_dict() == {"b": 3, "c": 0, "d": 0}
    assert table["measured_cells"].where(table["cell_type"] == "b", 0).sum() == 60


def test_an_atlas_as_a_soma_and_a_line_on_cells_without_a_count(model, prepared, tmp_path):
    reference = prepared("reference", "bc", ("control",))
    adata = anndata.read_h5ad(reference)
    matrix = adata.X.tolil()
    matrix[[3, 20]] = 0
    adata.X = matrix.tocsr()
    adata.write_h5ad(reference)
    for ending in ("h5ad", "soma"):
        done = call(*model, reference, tmp_path / f"atlas.{ending}")
        assert done.exit_code == 0, done.exception
        assert done.output.endswith("; 2 of the reference without a count in the model's genes left out\n")
    file = anndata.read_h5ad(tmp_path / "atlas.h5ad")
    with tiledbsoma.open(str(tmp_path / "atlas.soma")) as experiment:
        read = tiledbsoma.io.to_anndata(experiment, "RNA")
    assert (read.X != file.X).nnz == 0
    assert read.obs.equals(file.obs)
    done = call(*model, reference, tmp_path / "atlas.csv")
    assert "the ending '.csv' is none of .h5ad, .soma" in str(done.exception)


@pytest.mark.parametrize(
    ("facts", "genes", "settings", "fault"),
    [
        ({"values": "lognorm"}, GENES, {}, "dataset 'reference': an atlas needs raw counts, it holds lognorm"),
        ({"organism": "Mus musculus"}, GENES, {}, "a screen of Homo sapiens for a reference of Mus musculus"),
        ({}, [f"other{i}" for i in range(20)], {}, "reference: 0 of the model's 20 genes are there"),
        ({}, GENES, {"perturbations": ["w"]}, "perturbation 'w' is unknown; the data has x, y, z"),
        ({}, GENES, {"types": ["c"], "min_cells": 16}, "15 cells of cell type 'c' where 16 are needed"),
    ],
)
def test_what_no_atlas_is_made_of_is_told_in_a_sentence(model, prepared, tmp_path, facts, genes, settings, fault):
    reference = prepared("reference", "bc", ("control",), genes=genes, **facts)
    done = call(*model, reference, tmp_path / "atlas.h5ad", **settings)
    assert isinstance(done.exception, ScfmError)
    assert fault in str(done.exception)
    assert not (tmp_path / "atlas.h5ad").exists()


def test_perturbed_cells_of_a_reference_are_passed_over(model, prepared, tmp_path):
    reference = prepared("reference", "c", ("control", "x"))
    assert call(*model, reference, tmp_path / "atlas.h5ad").exit_code == 0
    rows = anndata.read_h5ad(tmp_path / "atlas.h5ad").obs["reference_row"]
    assert set(anndata.read_h5ad(reference).obs["perturbation"].iloc[rows]) == {"control"}


def test_a_run_without_prompts_makes_no_atlas(prepared, tmp_path):
    options = ["--run-settings", as_json(run_of(None).model_dump(mode="json")), "--run", "stack", "--seed", "0"]
    options += ["--work", str(tmp_path), "--out", str(tmp_path / "model")]
    done = CliRunner().invoke(app, ["learn-screen", str(prepared("s", "ab", ("control", "x"))), *options])
    assert "run 'stack': with these settings it predicts by no prompts" in str(done.exception)


def test_a_study_names_a_run_and_datasets_that_it_has():
    runs = predicting_runs({"stack": run_of(), "plain": run_of(None)}, PerturbationTask(), "study")
    atlas = AtlasTask(run="stack", screen="s", reference="r")
    check_atlas(None, runs, ())
    check_atlas(atlas, runs, ("s", "r"))
    with pytest.raises(ScfmError, match="reference 'r' is no dataset that the study evaluates; choose among s"):
        check_atlas(atlas, runs, ("s",))
    with pytest.raises(ScfmError, match="run 'plain' predicts by no prompts in this study; choose among stack"):
        check_atlas(atlas.model_copy(update={"run": "plain"}), runs, ("s", "r"))


def real(path, run="model"):
    """The test cells themselves as a prediction."""
    adata = anndata.read_h5ad(path)
    adata.obs["background"] = adata.obs["cell_type"].astype(str)
    sides = hold_out(adata.obs, TASK.holdouts["s"][0])[""]
    made = adata[sides == "test"].copy()
    made.obs = made.obs[["background", "perturbation"]].assign(dataset="s", split="perturbations_prompted", fold="")
    made.uns = {"run": run}
    return made


def test_effects_of_a_perfect_prediction_are_the_measured_ones(prepared, tmp_path):
    path = prepared("s", "ab", ("control", "x", "y", "z"))
    real(path).write_h5ad(tmp_path / "made.h5ad")
    table = deltas([path], TASK, [tmp_path / "made.h5ad"])
    assert set(table["run"]) == {"model", "additive"}
    own, additive = (table[table["run"] == run] for run in ("model", "additive"))
    assert len(own) == len(additive) == 2 * 20, "two pairs, twenty genes"
    assert np.allclose(own["measured"], own["predicted"])
    assert np.corrcoef(additive["measured"], additive["predicted"])[0, 1] > 0.8, "the same effect in the other type"
    raised = own[own["measured"] > 0.5].groupby("perturbation")["gene"].apply(list).to_dict()
    planted = {"x": GENES[:3], "y": GENES[3:6], "z": GENES[6:9]}
    assert raised == {name: planted[name] for name in raised}
    assert len(raised) == 2


def test_a_split_that_nobody_predicts_has_no_rows_and_alone_is_an_error(prepared, tmp_path):
    path = prepared("s", "ab", ("control", "x", "y", "z"))
    real(path).write_h5ad(tmp_path / "made.h5ad")
    unseen = Holdout(kind="perturbations", test=0.3)
    both = TASK.model_copy(update={"holdouts": {"s": (*TASK.holdouts["s"], unseen)}})
    assert deltas([path], both, [tmp_path / "made.h5ad"]).equals(deltas([path], TASK, [tmp_path / "made.h5ad"]))
    with pytest.raises(ScfmError, match="no run and no baseline predicts any"):
        deltas([path], TASK.model_copy(update={"holdouts": {"s": (unseen,)}}), [tmp_path / "made.h5ad"])


def test_two_files_of_one_run_are_told_in_a_sentence(prepared, tmp_path):
    path = prepared("s", "ab", ("control", "x", "y", "z"))
    real(path, "additive").write_h5ad(tmp_path / "made.h5ad")
    with pytest.raises(ScfmError, match="run 'additive' is given twice, or has the name of a baseline"):
        deltas([path], TASK, [tmp_path / "made.h5ad"])


def test_pairs_are_spread_from_the_largest_effect_to_the_smallest():
    sizes = np.array([3.0, 9.0, 1.0, 5.0, 7.0])
    assert sizes[spread(sizes, 3)].tolist() == [9, 5, 1]
    assert sizes[spread(sizes, 9)].tolist() == [9, 7, 5, 3, 1]
    assert sizes[spread(sizes, 1)].tolist() == [9]
