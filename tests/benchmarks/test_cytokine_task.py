"""Treated donors, predicted from their controls: a planted change, closed forms, donors held out, bad input."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.cytokine import FITTED, MEAN_SHIFT, NO_CHANGE, cytokine, pairs_of, predictions, scores
from scfm.benchmarks.donor_vectors import Representation
from scfm.benchmarks.task_settings import Cytokine, DonorTask
from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic.cytokine import DONORS as PLANTED_DONORS
from scfm.corpus.synthetic.cytokine import cytokine as plant
from scfm.errors import ScfmError
from scfm.models.pulsar.system import fit_change
from scfm.paper.commands import app
from scfm.paper.tables.cytokine import cytokine_table

DONORS, CELLS, WIDTH = 12, 30, 8
SAMPLES = DonorTask(repeats=1)


def samples(donors=DONORS, conditions=("ctrl", "ifn")):
    names = [(f"d{donor:02d}", condition) for donor in range(donors) for condition in conditions]
    return pd.DataFrame(names, columns=["donor", "sample"])


def planted(rng, donors=DONORS, size=1.0):
    """Vectors of samples: the change of a donor is along one direction, as long as its first element says."""
    control = rng.normal(size=(donors, WIDTH))
    along = np.zeros(WIDTH)
    along[2] = 3.0
    treated = control + size * (1 + control[:, :1]) * along
    return Representation("donor", np.stack([control, treated], 1).reshape(-1, WIDTH))


@pytest.fixture
def files(embeddings: Callable[..., Path], tmp_path) -> Callable[..., tuple[Path, Path]]:
    """Write cell vectors and donor vectors of samples with a planted change."""

    def run(table: pd.DataFrame, control: str = "ctrl", tasks: str = "cytokine") -> tuple[Path, Path]:
        rng = np.random.default_rng(0)
        obs = table.loc[np.repeat(table.index, CELLS)].reset_index(drop=True)
        change = np.where(obs["sample"] == "ifn", 1.0, 0.0)[:, None] * (np.arange(WIDTH) == 1)
        path = embeddings(rng.normal(size=(len(obs), WIDTH)) + change, "T", tasks=tasks)
        adata = anndata.read_h5ad(path)
        for name in obs:
            adata.obs[name] = obs[name].to_numpy()
        adata.uns["datasets"]["d"]["control"] = control
        adata.write_h5ad(path)
        given = table.assign(dataset="d", half="").set_index(table.index.astype(str))
        donors = tmp_path / "donors.h5ad"
        vectors = np.random.default_rng(1).normal(size=(len(table), 5)) + (table["sample"] == "ifn").to_numpy()[:, None]
        anndata.AnnData(obs=given, obsm={"donor": vectors}, uns={"run": "mine", "seed": 3}).write_h5ad(donors)
        return path, donors

    return run


def shift(before, after, condition, donor, seed):
    """A head that learns the mean change."""
    change = (after - before).mean(0)
    return lambda vectors, conditions: vectors + change


def test_a_planted_change_that_follows_from_the_donor_is_learnt():
    """The mean shift cannot know how strongly a donor answers; the head reads it from the control."""
    vector, pairs = planted(np.random.default_rng(0), 60), pairs_of(samples(60), ["ctrl"], "d")
    found = dict(predictions(vector, pairs, fit_change, Cytokine(folds=3), 0))
    error = {name: scores(made, vector.vectors, pairs, Cytokine())[0].value for name, made in found.items()}
    assert error[NO_CHANGE] == 1
    assert error[MEAN_SHIFT] == pytest.approx(0.5, abs=0.15)  # (1 + x)² has mean 2, of which 1 is the mean change
    assert error[FITTED] < 0.8 * error[MEAN_SHIFT]


def test_without_any_change_the_head_hardly_invents_one():
    vector, pairs = planted(np.random.default_rng(0), 20, size=0.0), pairs_of(samples(20), ["ctrl"], "d")
    made = dict(predictions(vector, pairs, fit_change, Cytokine(folds=2), 0))
    assert np.abs(made[FITTED] - made[NO_CHANGE]).max() < 0.05


def test_the_same_seed_gives_the_same_head():
    rng = np.random.default_rng(0)
    before, told = rng.normal(size=(8, 4)), np.ones((8, 1))
    one, other = (fit_change(before, before + 1, told, np.arange(8), 5)(before, told) for _ in range(2))
    assert (one == other).all()


def test_nothing_is_learnt_from_the_donor_that_is_predicted():
    vector, pairs = planted(np.random.default_rng(2)), pairs_of(samples(), ["ctrl"], "d")
    changed = Representation("donor", vector.vectors.copy())
    changed.vectors[pairs.treated[pairs.donor == 4]] += 100
    settings = Cytokine(folds=DONORS)
    for (name, one), (_, other) in zip(
        predictions(vector, pairs, shift, settings, 0), predictions(changed, pairs, shift, settings, 0), strict=True
    ):
        assert np.array_equal(one[4], other[4]), name


def test_each_condition_has_its_own_mean_shift():
    table = samples(6, ("ctrl", "a", "b"))
    pairs = pairs_of(table, ["ctrl"], "d")
    assert pairs.condition.sum(0).tolist() == [6, 6]
    vectors = np.random.default_rng(0).normal(size=(18, 2))
    vectors[1::3], vectors[2::3] = vectors[::3] + np.array([5, 0]), vectors[::3] + np.array([0, -2])
    made = dict(predictions(Representation("x", vectors), pairs, shift, Cytokine(), 0))
    np.testing.assert_allclose(made[MEAN_SHIFT], vectors[pairs.treated])


def test_a_treatment_of_one_donor_cannot_be_learnt_from_others():
    table = samples(conditions=("ctrl", "ifn"))
    table.loc[(table["donor"] == table["donor"].iloc[0]) & (table["sample"] == "ifn"), "sample"] = "tnf"
    pairs = pairs_of(table, ["ctrl"], "d")
    vector = Representation("x:mean", np.zeros((len(table), 3)))
    with pytest.raises(ScfmError, match="treatment 'tnf': all its donors are held out at once"):
        list(predictions(vector, pairs, shift, Cytokine(), 0))


def test_a_sample_of_unknown_treatment_is_no_treated_one():
    pairs = pairs_of(samples(4, ("", "ctrl", "ifn")), ["ctrl"], "d")
    assert pairs.treated.tolist() == [2, 5, 8, 11]
    assert pairs.condition.shape == (4, 1)


def test_a_head_that_learnt_nothing_changes_nothing():
    before = np.random.default_rng(0).normal(size=(2, 4))
    change = fit_change(before[:1], before[:1] + 1, np.ones((1, 1)), np.zeros(1, int), 0)
    assert (change(before, np.ones((2, 1))) == before).all()


def test_scores_are_their_definitions():
    rng = np.random.default_rng(3)
    pairs, vectors = pairs_of(samples(5), ["ctrl"], "d"), rng.normal(size=(10, 4))
    made = rng.normal(size=(5, 4))
    rows = {row.metric: row.value for row in scores(made, vectors, pairs, Cytokine())}
    before, after = vectors[::2], vectors[1::2]
    assert rows["error"] == pytest.approx(((made - after) ** 2).sum() / ((before - after) ** 2).sum())
    each = [np.corrcoef(made[i] - before[i], after[i] - before[i])[0, 1] for i in range(5)]
    assert rows["change_pearson"] == pytest.approx(np.mean(each))
    near = [np.linalg.norm(after - made[i], axis=1).argmin() == i for i in range(5)]
    assert rows["retrieval_top1"] == np.mean(near)
    assert rows["error_low"] <= rows["error"] <= rows["error_high"]
    perfect = {row.metric: row.value for row in scores(after, vectors, pairs, Cytokine())}
    assert (perfect["error"], perfect["retrieval_top1"]) == (0, 1)
    same = {row.metric: row.value for row in scores(before, vectors, pairs, Cytokine())}
    assert same["error"] == 1
    assert same["change_pearson"] == same["change_pearson_low"] == same["change_pearson_high"] == 0


def test_a_head_that_declines_to_change_some_donors_scores_0_there():
    rng = np.random.default_rng(4)
    pairs, vectors = pairs_of(samples(5), ["ctrl"], "d"), rng.normal(size=(10, 4))
    before, after = vectors[::2], vectors[1::2]
    made = np.where(np.arange(5)[:, None] < 2, before, after)
    rows = {row.metric: row.value for row in scores(made, vectors, pairs, Cytokine())}
    assert rows["change_pearson"] == pytest.approx(3 / 5)
    vectors[1] = vectors[0]
    rows = {row.metric: row.value for row in scores(made, vectors, pairs, Cytokine())}
    assert rows["change_pearson"] == pytest.approx(3 / 4), "a donor that the treatment did not change is passed over"


def test_rows_of_the_models_vector_and_of_the_mean_of_its_cells(files, tmp_path):
    path, donors = files(samples())
    table = cytokine(path, donors, "cls", shift, Cytokine(), SAMPLES, "s")
    names = [f"{vector}:{name}" for vector in ("donor", "cls:mean") for name in (NO_CHANGE, MEAN_SHIFT, FITTED)]
    assert list(dict.fromkeys(table["pooling"])) == names
    assert set(zip(table["run"], table["seed"], strict=True)) == {("mine", 3)}
    file, out = tmp_path / "tidy.csv", tmp_path / "table.csv"
    table.to_csv(file, index=False)
    done = CliRunner().invoke(app, ["table", "cytokine", "--tidy", str(file), "--out", str(out)])
    assert done.exit_code == 0, done.output
    shown = pd.read_csv(out)
    assert shown["vector"].tolist() == ["donor"] * 3 + ["cls:mean"] * 3
    assert shown["prediction"].tolist() == [NO_CHANGE, MEAN_SHIFT, FITTED] * 2
    assert (shown["donors"] == DONORS).all()
    assert shown["error"][0] == "1.000 (1.000 to 1.000)"
    assert shown["change_pearson"][0] == "0.000 (0.000 to 0.000)"
    assert float(shown["error"][4].split()[0]) < 0.7
    with pytest.raises(ScfmError, match="no measurement of task cytokine"):
        cytokine_table(table.assign(task="probe"))


@pytest.mark.parametrize(
    ("table", "control", "fault"),
    [
        (samples(1), "ctrl", "1 of 1 donors have both a control sample .named ctrl. and a treated one, 3 are needed"),
        (samples(8, ("ifn",)), "ctrl", "0 of 8 donors have both"),
        (samples(8, ("ctrl",)), "ctrl", "0 of 8 donors have both"),
        (samples(8), "", "named none"),
        (pd.concat([samples(2), samples(9, ("ctrl",))[2:]]), "ctrl", "2 of 9 donors have both"),
    ],
)
def test_donors_that_cannot_be_paired(files, table, control, fault):
    path, donors = files(table.reset_index(drop=True), control)
    with pytest.raises(ScfmError, match=fault):
        cytokine(path, donors, "cls", shift, Cytokine(), SAMPLES, "s")


def test_donors_without_both_samples_are_left_out_and_counted(files):
    table = pd.concat([samples(), pd.DataFrame({"donor": ["x", "y"], "sample": ["ctrl", "ifn"]})], ignore_index=True)
    rows = cytokine(*files(table), "cls", shift, Cytokine(), SAMPLES, "s")
    assert set(rows["value"][rows["metric"] == "donors_left_out"]) == {2}
    assert set(rows["value"][rows["metric"] == "donors"]) == {DONORS}


def test_files_that_do_not_fit(files):
    path, donors = files(samples())
    with pytest.raises(ScfmError, match="no pooling 'mean'"):
        cytokine(path, donors, "mean", shift, Cytokine(), SAMPLES, "s")
    path, donors = files(samples(), tasks="donor")
    with pytest.raises(ScfmError, match="no dataset is asked for cytokine"):
        cytokine(path, donors, "cls", shift, Cytokine(), SAMPLES, "s")


def test_the_planted_dataset_has_both_samples_and_one_type_that_answers():
    cells = plant(Synthetic(kind="synthetic", cells=600, genes=300, planted=20, types=6, holdout_cells=60, seed=0))
    assert cells.obs.groupby(["donor_id", "treatment"]).size().nunique() == 1
    assert cells.obs["donor_id"].nunique() == PLANTED_DONORS
    log = np.log1p(cells.X.toarray())
    treated = (cells.obs["treatment"] == "cytokine").to_numpy()
    moved = {}
    for name in cells.obs["cell_type"].unique():
        own = (cells.obs["cell_type"] == name).to_numpy()
        moved[name] = np.abs(log[own & treated].mean(0) - log[own & ~treated].mean(0)).mean()
    first, *others = sorted(moved.values(), reverse=True)
    assert first > 2 * max(others)
    share = cells.obs.groupby("donor_id")["planted_share"].first()
    answering = max(moved, key=moved.get)
    seen = (cells.obs["cell_type"] == answering).groupby(cells.obs["donor_id"]).mean()
    assert np.corrcoef(share, seen)[0, 1] > 0.9
