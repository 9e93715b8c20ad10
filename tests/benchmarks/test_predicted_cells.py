"""A system trained anew on each fold: what it is trained on, what it is shown, and what is written."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from small_stack import PROMPT, RUN, TRAINING
from typer.testing import CliRunner

from scfm.benchmarks.anew import predicting_runs, run_on
from scfm.benchmarks.commands import app
from scfm.benchmarks.fold_shards import write_fold
from scfm.benchmarks.perturbation import ANEW, perturbation
from scfm.benchmarks.predict import Fold, learnt, predict
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.corpus import Shards
from scfm.errors import ScfmError
from scfm.perturbation import Holdout, Quality, hold_out
from scfm.pretrain.settings import parse_run
from scfm.settings import as_json

NAMES = ("control", "x", "y", "z", "x+y")
BACKGROUNDS = {"kind": "backgrounds", "folds": 2}


@pytest.fixture
def adata():
    """Twelve cells of each of three types under five conditions; gene 0 numbers the cell, gene 1 the perturbation."""
    rng = np.random.default_rng(0)
    kind, name = (grid.ravel().repeat(12) for grid in np.meshgrid(range(3), range(5), indexing="ij"))
    counts = 1 + rng.poisson(3, (len(kind), 20))
    counts[:, 0], counts[:, 1] = np.arange(len(kind)) + 1, name + 1
    obs = pd.DataFrame({"cell_type": np.array(list("abc"))[kind], "perturbation": np.array(NAMES)[name]})
    obs = obs.assign(donor="one", dataset="s").set_index("c" + obs.index.astype(str))
    out = anndata.AnnData(csr_matrix(counts.astype(np.float32)), obs=obs)
    out.var_names = [f"G{i}" for i in range(20)]
    facts = {"name": "s", "values": "counts", "tasks": "perturbation", "organism": "Homo sapiens"}
    out.uns["scfm"] = facts | {"contaminated": "true", "control": "control", "separator": "+"}
    return out


@pytest.fixture
def path(adata, tmp_path):
    adata.write_h5ad(tmp_path / "s.h5ad")
    return tmp_path / "s.h5ad"


def task(*holdouts, **changes):
    quality = Quality(min_cells=10, min_controls=10)
    return PerturbationTask(holdouts={"s": holdouts}, quality=quality, predicted=6, **changes)


def laid(runs, systems, **keys):
    return predicting_runs(runs, PerturbationTask(systems=systems, **keys), "study")


def prompted(run=RUN):
    return laid({"stack": parse_run(run, "run")}, {"stack": {"model": {"prompt": PROMPT}}})["stack"]


def test_shards_of_a_fold_hold_its_training_cells_alone(adata, tmp_path):
    adata.obs["background"] = adata.obs["cell_type"]
    sides = hold_out(adata.obs, Holdout(kind="backgrounds", test=0.3))[""]
    train = np.flatnonzero(sides == "train")
    assert write_fold(adata, sides == "train", 0.25, 0, tmp_path / "shards") == len(train) == 120
    shards = Shards.open(tmp_path / "shards")
    gene, count, lengths = shards.read(np.arange(len(shards)))
    assert set(count[gene == 0] - 1) == set(train), "no other cell"
    assert shards.genes["gene"].tolist() == adata.var_names.tolist()
    cells = shards.cells
    assert cells["split"].value_counts().to_dict() == {"train": 90, "validation": 30}
    assert (cells["condition"] == cells["perturbation"]).all()
    assert set(cells["background"]) == set(adata.obs["cell_type"].to_numpy()[train])
    assert set(cells["dataset_id"]) == {"s"}
    assert set(cells["tissue"]) == {"unknown"}
    assert lengths.sum() == (adata.X[train] > 0).sum()
    with pytest.raises(ScfmError, match="1 training cells in a fold"):
        write_fold(adata, np.arange(len(sides)) == 5, 0.25, 0, tmp_path / "none")


def test_predicted_cells_of_each_fold_are_scored_beside_the_baselines(path, tmp_path, capsys, monkeypatch):
    from scfm.models.stack import system

    shown, own = [], system.predict

    def watch(network, cells, sides, query, number, seed):
        shown.append((cells, sides, query))
        return own(network, cells, sides, query, number, seed)

    monkeypatch.setattr(system, "predict", watch)
    unseen = Holdout(kind="combinations", seen=1, test=1.0)
    settings = task(Holdout(**BACKGROUNDS), Holdout(kind="combinations", test=1.0), unseen)
    made = predict([path], prompted(), settings, "stack", 0, tmp_path / "work", 0)
    said = capsys.readouterr().err
    assert "s, combinations_1_seen: left out, for it is shown no cell of 'x+y'" in said
    assert set(made.obs["split"]) == {"backgrounds", "combinations_2_seen"}
    assert made.n_obs == 6 * (3 * 4 + 3)
    assert made.uns[ANEW]
    for cells, sides, query in shown:
        assert set(sides) <= {"train", "prompt", "query"}
        pairs = set(zip(cells.obs["background"], cells.obs["perturbation"], strict=True))
        assert not pairs & set(query.itertuples(index=False, name=None)), "no test cell is shown"
        assert cells.var_names.tolist() == [f"G{i}" for i in range(20)]
    made.write_h5ad(tmp_path / "made.h5ad")
    table, pairs = perturbation([path], settings, "study", "stack", 0, tmp_path / "made.h5ad", alone=True)
    assert set(table["run"]) == set(pairs["run"]) == {"stack"}
    left_out = table[table["split"] == unseen.name]
    assert left_out["metric"].tolist() == ["perturbations"], "what it cannot predict is counted, without a score"
    assert set(table["split"]) - {unseen.name} == {"backgrounds", "combinations_2_seen"}
    assert unseen.name not in set(pairs["split"])
    assert set(table["contaminated"]) == {"false"}, "trained on nothing but the fold"
    both, _ = perturbation([path], settings, "study", "stack", 0, tmp_path / "made.h5ad")
    assert set(both["run"][both["split"] == "combinations_1_seen"]) >= {"control_mean", "ceiling"}
    score = both[(both["run"] == "stack") & (both["metric"] == "pearson_delta")].value.to_numpy()
    assert "score" in set(table["metric"]), "scaled by a baseline that is not written"
    assert np.array_equal(score, table[table["metric"] == "pearson_delta"].value.to_numpy()), "alone or not"


def test_a_system_that_goes_by_names_learns_from_controls_of_held_out_backgrounds(path, adata, tmp_path, capsys):
    told = {"model": {"conditions": [{"column": "background"}, {"column": "perturbation", "control": "control"}]}}
    small = {"tokens": 16, "transformer": {"group": 4, "hidden": 8, "layers": 1, "heads": 2, "ffn": 8}}
    run = parse_run({"system": "lingshu", "model": small, "training": TRAINING}, "run")
    run = laid({"lingshu": run}, {"lingshu": told})["lingshu"]
    prompted = Holdout(prompted=True, test=0.3)
    made = predict([path], run, task(Holdout(**BACKGROUNDS), prompted), "lingshu", 0, tmp_path / "work", 0)
    assert set(made.obs["split"]) == {"backgrounds"}
    assert "left out, for it is shown no cell of" in capsys.readouterr().err, "a prompt alone tells it nothing"
    assert set(made.obs["background"]) == set("abc")
    sides = hold_out(adata.obs.assign(background=adata.obs["cell_type"]), Holdout(**BACKGROUNDS))["0"]
    fold = Fold(("s", "backgrounds", "0"), adata, sides)
    assert set(np.unique(fold.sides[learnt(fold, run)])) == {"train", "query"}


def test_predictions_of_something_else_are_refused(path, tmp_path):
    other = anndata.AnnData(csr_matrix((2, 2)), obs=pd.DataFrame({"dataset": "t", "split": "u"}, index=["a", "b"]))
    other.write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(ScfmError, match="no cell of s and its held-out parts"):
        perturbation([path], task(Holdout(**BACKGROUNDS)), "study", "stack", 0, tmp_path / "other.h5ad")


def test_nothing_to_predict_is_a_sentence(path, tmp_path):
    with pytest.raises(ScfmError, match="run 'stack': it predicts perturbations that it is shown elsewhere"):
        predict([path], prompted(), task(Holdout(test=0.5)), "stack", 0, tmp_path / "work", 0)


def test_runs_that_predict():
    run = parse_run(RUN, "run")
    control = run.model_copy(update={"trained": False})
    assert not laid({"stack": run}, {})
    override = {"stack": {"model": {"prompt": PROMPT}, "training": {"epochs": 3}}}
    found = laid({"stack": run, "random": control}, override)
    assert list(found) == ["stack"]
    assert found["stack"].training.epochs == 3
    assert found["stack"].training.batch_cells == 32
    with pytest.raises(ScfmError, match=r"perturbation.systems: 'stak' is no system; choose among bmfm, cellplm"):
        laid({"stack": run}, {"stak": {}})
    with pytest.raises(ScfmError, match=r"run 'stack': unknown key 'model.promt'; did you mean 'prompt'"):
        laid({"stack": run}, {"stack": {"model": {"promt": {}}}})


def test_keys_of_one_dataset_are_laid_over_those_of_the_system():
    systems = {"stack": {"model": {"prompt": PROMPT}, "training": {"epochs": 3}}}
    keys = {"by_dataset": {"s": {"stack": {"training": {"epochs": 5}}}}}
    run = laid({"stack": parse_run(RUN, "run")}, systems, **keys)["stack"]
    asked = task(Holdout(**BACKGROUNDS), **keys)
    assert [run_on(run, name, asked).training.epochs for name in ("s", "another")] == [5, 3]
    assert run_on(run, "s", asked).model == run.model
    with pytest.raises(ScfmError, match=r"by_dataset.s, run 'stack': unknown key 'training.epoch'"):
        laid({"stack": run}, systems, by_dataset={"s": {"stack": {"training": {"epoch": 5}}}})
    without = task(Holdout(**BACKGROUNDS), by_dataset={"s": {"stack": {"model": {"prompt": None}}}})
    with pytest.raises(ScfmError, match=r"by_dataset.s.stack: it predicts no perturbed cells with these keys"):
        run_on(run, "s", without)


def test_the_folds_of_a_dataset_are_trained_by_its_keys(path, tmp_path, monkeypatch):
    from scfm.benchmarks import predict as module

    epochs, own = [], module.predict_fold

    def watch(fold, run, *rest):
        epochs.append(run.training.epochs)
        return own(fold, run, *rest)

    monkeypatch.setattr(module, "predict_fold", watch)
    settings = task(Holdout(**BACKGROUNDS), by_dataset={"s": {"stack": {"training": {"epochs": 1}}}})
    predict([path], prompted(), settings, "stack", 0, tmp_path / "work", 0)
    assert epochs == [1, 1]
    elsewhere = task(Holdout(**BACKGROUNDS), by_dataset={"t": {}})
    with pytest.raises(ScfmError, match=r"perturbation.by_dataset: dataset 't' is not among s; correct it"):
        predict([path], prompted(), elsewhere, "stack", 0, tmp_path / "work", 0)


def test_hold_outs_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'perturbations' stands there twice; keep one, with folds"):
        task(Holdout(seed=0), Holdout(seed=1))


def test_predict_command(path, tmp_path):
    settings = as_json(task(Holdout(kind="combinations", test=1.0)))
    rest = [
        "--run",
        "stack",
        "--seed",
        "0",
        "--work",
        str(tmp_path / "work"),
        "--settings",
        settings,
        "--device",
        "cpu",
    ]
    out = tmp_path / "made.h5ad"
    command = ["predict", str(path), *rest, "--out", str(out), "--run-settings"]
    done = CliRunner().invoke(app, [*command, as_json(prompted())])
    assert done.exit_code == 0, done.output
    assert "benchmarks predict stack/0: s, combinations_2_seen: 1 folds, 3 pairs, 18 cells" in done.output
    assert anndata.read_h5ad(out).obs["perturbation"].unique().tolist() == ["x+y"]
    done = CliRunner().invoke(app, [*command, as_json(RUN)])
    assert "with these settings predicts no perturbed cells" in str(done.exception)
    score = ["perturbation", str(path), "--study", "s", "--out", str(out), "--out-pairs", str(out), "--alone"]
    assert "--alone needs --predictions" in str(CliRunner().invoke(app, score).exception)
