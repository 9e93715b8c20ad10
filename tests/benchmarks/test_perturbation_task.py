"""The task perturbation: prepared datasets and predicted cells in, tidy tables out."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.perturbation import cells_of, perturbation
from scfm.benchmarks.results import COLUMNS
from scfm.benchmarks.settings import Preparation
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.datasets import Dataset, read_datasets
from scfm.errors import ScfmError
from scfm.perturbation import Holdout, Quality, hold_out
from scfm.perturbation.metrics import METRICS

SHEET = Path(__file__).parents[2] / "config" / "datasets.tsv"
HOLDOUT = Holdout(prompted=True, test=0.5)
TASK = PerturbationTask(holdouts={"s": (HOLDOUT,)}, quality=Quality(min_cells=10, min_controls=10))


@pytest.fixture
def screen_file(tmp_path):
    """A prepared dataset of three types under six perturbations."""

    def write(**changes):
        rng = np.random.default_rng(0)
        names, types = ["control", *(f"G{i}" for i in range(6))], ["a", "b", "c"]
        ratio = np.exp(rng.normal(0, 1, (7, 40)) * (rng.random((7, 40)) < 0.4) * (np.arange(7) > 0)[:, None])
        rate = rng.gamma(2, 2, (3, 40))
        kind, name = (grid.ravel().repeat(25) for grid in np.meshgrid(range(3), range(7), indexing="ij"))
        obs = pd.DataFrame({"cell_type": np.array(types)[kind], "perturbation": np.array(names)[name]})
        obs.index = [f"c{i}" for i in obs.index]
        adata = anndata.AnnData(csr_matrix(rng.poisson(rate[kind] * ratio[name]).astype(np.float32)), obs=obs)
        adata.var_names = [f"G{i}" for i in range(40)]
        facts = {"name": "s", "values": "counts", "tasks": "perturbation", "organism": "Homo sapiens"}
        adata.uns["scfm"] = facts | {"contaminated": "true", "control": "control", "separator": "+"} | changes
        path = tmp_path / "s.h5ad"
        adata.write_h5ad(path)
        return path

    return write


def predicted(path, tmp_path, **columns):
    """The real cells as their own prediction, with a prediction of another split beside."""
    cells = cells_of(anndata.read_h5ad(path), TASK)
    test = cells[hold_out(cells.obs, HOLDOUT)[""] == "test"].copy()
    test.obs = test.obs[["background", "perturbation"]].assign(dataset="s", split="perturbations_prompted", **columns)
    other = test.copy()
    other.obs["split"], other.obs["perturbation"] = "backgrounds", "nothing"
    out = anndata.concat([test, other], index_unique="-")
    out.write_h5ad(tmp_path / "predicted.h5ad")
    return tmp_path / "predicted.h5ad"


def test_a_model_stands_beside_the_baselines_and_the_ceiling(screen_file, tmp_path):
    path = screen_file()
    table, pairs = perturbation([path], TASK, "study", "model", 7, predicted(path, tmp_path))
    assert list(table.columns) == list(COLUMNS)
    runs = ["control_mean", "perturbation_mean", "additive", "nearest", "model", "ceiling"]
    assert table["run"].unique().tolist() == runs
    assert set(table["split"]) == {"perturbations_prompted"}
    assert set(table["seed"]) == {7}
    assert dict(zip(table["run"], table["contaminated"], strict=True)) == dict.fromkeys(runs, "false") | {
        "model": "true"
    }
    value = table.set_index(["run", "metric"])["value"]
    assert value["model", "score"] == pytest.approx(1)
    assert value["perturbation_mean", "score"] == 0
    assert value["additive", "pearson_delta"] > value["perturbation_mean", "pearson_delta"] + 0.3
    for metric in METRICS:
        ends = [value["additive", metric + end] for end in ("_low", "", "_high")]
        assert np.isnan(ends).all() or ends == sorted(ends), metric
    assert value["model", "perturbations"] == 3
    assert (table["n"] == 3 * 25).all()
    assert len(pairs) == 3 * len(runs)
    assert set(METRICS) < set(pairs.columns)


def test_folds_are_joined(screen_file):
    task = TASK.model_copy(update={"holdouts": {"s": (Holdout(kind="backgrounds", folds=3), Holdout(test=0.5))}})
    table, pairs = perturbation([screen_file()], task, "study", "", 0)
    count = table[table["metric"] == "perturbations"].set_index(["split", "run"])["value"]
    assert count["backgrounds", "nearest"] == 18
    assert count["perturbations", "control_mean"] == 9
    assert ("perturbations", "nearest") not in count.index  # knows nothing of perturbations that nobody saw
    assert set(pairs["fold"][pairs["split"] == "backgrounds"]) == {"0", "1", "2"}


def test_data_that_cannot_be_scored(screen_file, tmp_path):
    task = PerturbationTask(holdouts={"t": (Holdout(),)})
    for changes, words, settings in (
        ({"tasks": "probe"}, "no dataset is asked for perturbation", TASK),
        ({"control": ""}, "perturbation_column or control is empty", TASK),
        ({"values": "lognorm"}, "perturbation needs raw counts, it holds lognorm", TASK),
        ({}, "holdouts: dataset 't' is not among s", task),
    ):
        with pytest.raises(ScfmError, match=words):
            perturbation([screen_file(**changes)], settings, "study", "", 0)


def test_perturbation_command(screen_file, tmp_path):
    path = screen_file()
    out, details = tmp_path / "p.csv", tmp_path / "p.pairs.csv"
    options = ["--study", "s", "--settings", TASK.model_dump_json(), "--out", str(out), "--out-pairs", str(details)]
    result = CliRunner().invoke(app, ["perturbation", str(path), *options])
    assert result.output.startswith("benchmarks perturbation: 1 datasets, mean pearson_delta control_mean 0.000")
    assert pd.read_csv(out).columns.tolist() == list(COLUMNS)
    assert len(pd.read_csv(details)) == 15
    result = CliRunner().invoke(app, ["perturbation", str(path), *options, "--run", "model"])
    assert "--predictions and --run go together" in str(result.exception)


def test_the_sheet_names_columns_controls_and_backgrounds():
    sheet = read_datasets(SHEET)
    asked = [row for row in sheet.values() if "perturbation" in row.tasks]
    assert {row.name for row in asked} >= {
        *("perturb_norman", "perturb_mcfaline", "kang_ifnb", "gbm_panobinostat", "synthetic_screen"),
        *("norman", "adamson", "replogle_k562", "replogle_rpe1", "sciplex3", "parse_10m_pbmc", "vcc_h1"),
    }
    for row in asked:
        assert row.perturbation_column, row.name
        assert row.control, row.name
        assert row.values == "counts", row.name


def test_the_common_form_keeps_perturbation_and_background(tmp_path):
    from scfm.benchmarks.prepare import prepare

    obs = {"gene": ["A_B", "ctrl", "B_A", None], "line": ["x", "x", "y", "y"]}
    adata = anndata.AnnData(csr_matrix(np.ones((4, 2), np.float32)), obs=pd.DataFrame(obs, index=list("abcd")))
    adata.var_names = ["CD3E", "MS4A1"]
    adata.write_h5ad(tmp_path / "d.h5ad")
    row = Dataset(
        name="d",
        values="counts",
        perturbation_column="gene",
        control=("ctrl",),
        separator="_",
        background_column="line",
    )
    genes = [("CD3E", "ENSG00000198851", [], []), ("MS4A1", "ENSG00000156738", [], [])]
    hgnc = pd.DataFrame(genes, columns=["gene", "ensembl", "aliases", "previous"])
    prepared = prepare(tmp_path / "d.h5ad", Preparation(dataset=row), hgnc)
    assert prepared.obs["perturbation"].tolist() == ["A_B", "ctrl", "B_A", "unknown"]
    assert prepared.obs["background"].tolist() == ["x", "x", "y", "y"]
    assert (prepared.uns["scfm"]["control"], prepared.uns["scfm"]["separator"]) == ("ctrl", "_")
