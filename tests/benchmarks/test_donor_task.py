"""Donors by vectors of their cells: planted truths, folds without a donor on both sides, closed forms, bad input."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from scipy.stats import t as student
from sklearn.metrics import f1_score, r2_score, roc_auc_score
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.donor import donor
from scfm.benchmarks.donor_probe import (
    classification_scores,
    cross_validate,
    donor_folds,
    interval,
    nearest,
    permuted,
    regression_scores,
    ridge,
    target_of,
)
from scfm.benchmarks.donor_retrieval import retrieval
from scfm.benchmarks.donor_vectors import halved, moments
from scfm.benchmarks.interval import Interval
from scfm.benchmarks.task_settings import DonorTask
from scfm.errors import ScfmError

QUICK = DonorTask(repeats=2)
DONORS, CELLS, WIDTH, TYPES = 100, 40, 6, 3


def classes(donors: np.ndarray, values: np.ndarray):
    return target_of("ill", "classification", np.arange(len(donors)), donors, values, "d")


def numbers(donors: np.ndarray, values: np.ndarray):
    return target_of("age", "regression", np.arange(len(donors)), donors, values.astype(str), "d")


@pytest.fixture
def write(embeddings: Callable[..., Path]) -> Callable[..., Path]:
    """Write embeddings of cells with obs columns and donor targets."""

    def run(vectors: np.ndarray, obs: pd.DataFrame, targets: str) -> Path:
        path = embeddings(vectors, "T", tasks="donor")
        adata = anndata.read_h5ad(path)
        for column in obs:
            adata.obs[column] = obs[column].to_numpy()
        adata.uns["datasets"]["d"]["donor_targets"] = targets
        adata.write_h5ad(path)
        return path

    return run


def cohort(carrier: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Cells of donors whose label is carried by nothing but composition, mean or variance: vectors and obs."""
    rng = np.random.default_rng(0)
    ill = np.repeat(np.arange(DONORS) % 2, CELLS)
    vectors = rng.normal(size=(DONORS * CELLS, WIDTH))
    shares = np.where(ill[:, None] * (carrier == "composition"), [0.5, 0.3, 0.2], [0.2, 0.3, 0.5])
    kinds = (rng.random(len(ill))[:, None] > np.cumsum(shares, 1)[:, :-1]).sum(1)
    if carrier == "mean":
        vectors[:, 0] += 0.8 * ill
    if carrier == "variance":  # as many cells up as down, so that the mean stays
        vectors[:, 0] += 1.5 * ill * np.tile([1, -1], len(ill) // 2)
    obs = pd.DataFrame({"donor": np.repeat([f"p{i}" for i in range(DONORS)], CELLS)})
    obs["cell_type"] = np.array(["a", "b", "c"])[kinds]
    return vectors, obs.assign(target_ill=np.where(ill, "yes", "no"))


@pytest.mark.parametrize(
    ("carrier", "finds"),
    [
        ("composition", ["composition"]),
        ("mean", ["cls:mean", "cls:mean_sd"]),
        ("variance", ["cls:mean_sd"]),
    ],
)
def test_a_label_is_found_by_what_carries_it_and_by_nothing_else(
    write: Callable[..., Path], carrier: str, finds: list[str]
) -> None:
    table = donor(write(*cohort(carrier), "ill:classification"), DonorTask(), "s")
    overall = table[(table["fold"] == "") & (table["split"] == "ill")].pivot_table("value", "metric", "pooling")
    assert set(overall.columns) == {"composition", "cls:mean", "cls:mean_sd"}
    for pooling, values in overall.items():
        found = pooling in finds
        assert (values["auroc"] >= 0.9) if found else (values["auroc"] <= 0.65), pooling
        assert 0.4 <= values["auroc_permuted"] <= 0.6
        assert values["auroc_low"] <= values["auroc"] <= values["auroc_high"]
        if found:
            assert values["accuracy"] > 0.8
            assert values["mapping_accuracy"] > 0.7
    counts = table[table["metric"] == "samples"].set_index("pooling")["value"]
    assert (counts == DONORS).all()
    assert table.set_index("pooling").loc["composition", "contaminated"].eq("false").all()


def test_a_number_in_the_mean_is_found(write: Callable[..., Path]) -> None:
    vectors, obs = cohort("none")
    age = np.random.default_rng(1).uniform(20, 90, DONORS)
    vectors[:, 1] += np.repeat((age - 55) / 40, CELLS)
    table = donor(write(vectors, obs.assign(target_age=np.repeat(age, CELLS)), "age:regression"), QUICK, "s")
    overall = table[(table["fold"] == "") & (table["split"] == "age")].pivot_table("value", "metric", "pooling")
    assert overall.loc["pearson", "cls:mean"] > 0.9
    assert overall.loc["mapping_pearson", "cls:mean"] > 0.5
    assert overall.loc["mae", "cls:mean"] < 0.5 * overall.loc["mae_permuted", "cls:mean"]
    assert overall.loc["pearson", "composition"] < 0.3
    assert abs(overall.loc["pearson_permuted", "cls:mean"]) < 0.25


def test_no_donor_stands_on_both_sides_and_each_class_on_both() -> None:
    donors = np.repeat([f"p{i:02d}" for i in range(12)], 2)
    values = np.where(np.arange(24) // 2 < 4, "a", "b")
    folds = list(donor_folds(classes(donors, values), DonorTask(repeats=3)))
    assert [(repeat, fold) for repeat, fold, _, _ in folds] == [(r, f) for r in range(3) for f in range(4)]
    for _, _, train, test in folds:
        assert not set(donors[train]) & set(donors[test])
        assert set(values[train]) == set(values[test]) == {"a", "b"}
        assert sorted([*train, *test]) == list(range(24))
    assert len({tuple(test) for _, _, _, test in folds}) > 4, "donors are dealt anew each time"
    two = np.tile(["a", "b"], 12)  # every donor has both, as before and after a treatment
    for _, _, train, test in donor_folds(classes(donors, two), QUICK):
        assert not set(donors[train]) & set(donors[test])
        assert set(two[test]) == {"a", "b"}
    sizes = [len(test) for *_, test in donor_folds(numbers(donors, np.arange(24.0)), QUICK)]
    assert sizes == [6] * 8, "three donors or more in each fold of a number"


def test_permuted_labels_stay_with_their_donor_or_sample() -> None:
    donors, rng = np.repeat([f"p{i:02d}" for i in range(10)], 3), np.random.default_rng(0)
    one = permuted(classes(donors, np.repeat(["a", "b"], 15)), rng)
    assert (pd.Series(one.truth).groupby(donors).nunique() == 1).all()
    assert one.truth.sum() == 15
    several = permuted(classes(donors, np.tile(["a", "b", "b"], 10)), rng)
    assert several.truth.sum() == 20


def test_ridge_is_the_closed_form_and_its_leave_one_out_error_that_of_leaving_out() -> None:
    rng = np.random.default_rng(0)
    for shape in ((30, 5), (12, 40)):
        vectors = rng.normal(size=shape)
        vectors -= vectors.mean(0)
        truth = vectors[:, 0] + rng.normal(size=shape[0]) + 50
        weights, offset = ridge(vectors, truth, (2.0,))
        expected = np.linalg.solve(vectors.T @ vectors + 2.0 * np.eye(shape[1]), vectors.T @ (truth - truth.mean()))
        np.testing.assert_allclose(weights, expected, atol=1e-10)
        assert offset == pytest.approx(truth.mean())
        penalties = (0.1, 10.0, 1000.0)
        errors = [_left_out(vectors, truth, penalty) for penalty in penalties]
        best = penalties[int(np.argmin(errors))]
        np.testing.assert_allclose(ridge(vectors, truth, penalties)[0], ridge(vectors, truth, (best,))[0])


def _left_out(vectors: np.ndarray, truth: np.ndarray, penalty: float) -> float:
    """Mean squared error of a ridge regression with each sample left out in turn."""
    errors = []
    for row in range(len(truth)):
        kept = np.arange(len(truth)) != row
        mean = vectors[kept].mean(0)
        own, around = vectors[kept] - mean, truth[kept].mean()
        weights = np.linalg.solve(own.T @ own + penalty * np.eye(own.shape[1]), own.T @ (truth[kept] - around))
        errors.append((truth[row] - around - (vectors[row] - mean) @ weights) ** 2)
    return float(np.mean(errors))


def test_metrics_are_those_of_scipy_and_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(2, 20))
    ours = regression_scores(truth, predicted)
    assert ours["pearson"] == pytest.approx(pearsonr(truth, predicted).statistic)
    assert ours["r2"] == pytest.approx(r2_score(truth, predicted))
    assert ours["mae"] == pytest.approx(np.abs(truth - predicted).mean())
    assert np.isnan(regression_scores(truth, np.ones(20))["pearson"])
    for count in (2, 3):
        codes, chances = rng.integers(count, size=30), rng.dirichlet(np.ones(count), 30)
        ours = classification_scores(codes, chances)
        scores = chances[:, 1] if count == 2 else chances
        assert ours["auroc"] == pytest.approx(roc_auc_score(codes, scores, average="macro", multi_class="ovr"))
        assert ours["weighted_f1"] == pytest.approx(f1_score(codes, chances.argmax(1), average="weighted"))
        assert ours["accuracy"] == pytest.approx((codes == chances.argmax(1)).mean())
    assert np.isnan(classification_scores(np.zeros(4, int), np.full((4, 2), 0.5))["auroc"])


def test_interval_is_the_corrected_resampled_t_test() -> None:
    values = np.array([0.5, 0.7, 0.6, 0.9, np.nan])
    mean, low, high = interval(values, 0.25, 0.95)
    half = student.ppf(0.975, 3) * np.sqrt((1 / 4 + 0.25) * np.var(values[:4], ddof=1))
    assert (mean, low, high) == pytest.approx((0.675, 0.675 - half, 0.675 + half))
    assert np.isnan(interval(np.array([np.nan]), 0.25, 0.95)).all()
    assert np.isnan(interval(np.array([0.5]), 0.25, 0.95)[1])


def test_means_and_deviations_of_groups() -> None:
    rng = np.random.default_rng(0)
    vectors, groups = rng.normal(5, 2, (50, 3)), np.repeat([0, 1, -1, 2, 1], 10)
    mean, sd = moments(vectors, groups, 3)
    for group in range(3):
        np.testing.assert_allclose(mean[group], vectors[groups == group].mean(0))
        np.testing.assert_allclose(sd[group], vectors[groups == group].std(0))


def test_halves_are_disjoint_and_as_large_as_each_other() -> None:
    of_cell = np.array([0, 1, 1, -1, 0, 0, 1, 0, -1, 0])
    halves = halved(of_cell, np.random.default_rng(0))
    assert (halves[of_cell < 0] == -1).all()
    assert (halves[of_cell >= 0] // 2 == of_cell[of_cell >= 0]).all()
    assert np.bincount(halves[of_cell >= 0]).tolist() == [3, 2, 2, 1]


def test_retrieval_finds_what_is_there_and_chance_where_nothing_is() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, 8))
    near = [(centres + rng.normal(0, 0.05, centres.shape), centres + rng.normal(0, 0.05, centres.shape))]
    values = {row.metric: row.value for row in retrieval(near, Interval()) if not row.fold}
    assert values["retrieval_top1"] == values["retrieval_top1_high"] == 1
    assert values["retrieval_chance"] == 1 / 50
    apart = [tuple(rng.normal(size=(2, 50, 8))) for _ in range(10)]
    values = {row.metric: row.value for row in retrieval(apart, Interval()) if not row.fold}
    assert values["retrieval_top1"] < 0.05
    assert retrieval([], Interval()) == []
    assert nearest(np.array([[1.0, 0], [-1, 0]]), np.array([[-5.0, 1]]), 1).tolist() == [[1]]


def test_conditions_of_a_donor_are_samples_and_are_held_out_together(write: Callable[..., Path]) -> None:
    vectors, obs = cohort("none")
    treated = np.arange(len(obs)) % 2
    vectors[:, 0] += 2.0 * treated
    obs["sample"] = obs["target_arm"] = np.where(treated, "drug", "none")
    table = donor(write(vectors, obs, "arm:classification"), DonorTask(repeats=1), "s")
    values = table[(table["fold"] == "") & (table["pooling"] == "cls:mean")].set_index("metric")["value"]
    assert values[["donors", "samples"]].tolist() == [DONORS, 2 * DONORS]
    assert values["auroc"] > 0.95


def test_small_samples_and_unknown_donors_are_left_out_and_counted(write: Callable[..., Path]) -> None:
    vectors, obs = cohort("mean")
    obs.loc[: CELLS - 1, "donor"] = "unknown"
    obs.loc[CELLS : CELLS + 9, "donor"] = "small"
    table = donor(write(vectors, obs, "ill:classification"), DonorTask(repeats=1, min_cells=25), "s")
    values = table[table["pooling"] == "cls:mean"].set_index("metric")["value"]
    assert (values["samples"], values["samples_left_out"]) == (DONORS - 1, 1)
    with pytest.raises(ScfmError, match=r"none of 100 samples has 50 cells; .*min_cells"):
        donor(write(vectors, obs, "ill:classification"), DonorTask(min_cells=50), "s")


@pytest.mark.parametrize(
    ("change", "targets", "sentence"),
    [
        ({"donor": "one", "target_ill": "yes"}, "ill:classification", "one donor .'one'. has"),
        (
            {"target_ill": lambda obs: np.arange(len(obs)) % 2},
            "ill:classification",
            "donor 'p0' has the values 0 and 1",
        ),
        ({}, "ill:regression", "'no' where a number is expected"),
        ({"target_ill": "yes"}, "ill:classification", "donors by class: 100 of 'yes'; .* needs two classes"),
        ({"target_ill": "3"}, "ill:regression", "100 donors with 1 values; a regression needs 6"),
        ({}, "age:regression", "no column 'target_age'"),
        ({}, "", "no donor_targets, which the task donor predicts"),
        ({"donor": "unknown"}, "ill:classification", "none of 0 samples has 20 cells; name its donor_column"),
    ],
)
def test_bad_columns(write: Callable[..., Path], change: dict, targets: str, sentence: str) -> None:
    vectors, obs = cohort("mean")
    with pytest.raises(ScfmError, match=sentence) as error:
        donor(write(vectors, obs.assign(**change), targets), QUICK, "s")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", [np.s_[5, 2], np.s_[:30, 4:]])
def test_nan_and_vectors_of_two_widths(write: Callable[..., Path], where: tuple) -> None:
    vectors, obs = cohort("mean")
    vectors[where] = np.nan  # narrower vectors are filled up with NaN
    with pytest.raises(ScfmError, match="the embedding holds NaN or infinite values"):
        donor(write(vectors, obs, "ill:classification"), QUICK, "s")


def given(obs: pd.DataFrame, path: Path, halves: bool = False, **columns: object) -> Path:
    """A file of donor vectors that tell the label."""
    donors = obs.drop_duplicates("donor")
    rows = pd.concat([donors.assign(half=half) for half in (("", "1", "2") if halves else ("",))])
    table = rows[["donor", "half"]].assign(**{"dataset": "d", **columns})
    table.index = [f"row{i}" for i in range(len(table))]
    vectors = np.random.default_rng(3).normal(0, 0.1, (len(donors), 4))
    vectors[:, 0] += (donors["target_ill"] == "yes").to_numpy()
    order = np.random.default_rng(4).permutation(len(table))
    adata = anndata.AnnData(obs=table, obsm={"cls_donor": np.tile(vectors, (len(rows) // len(donors), 1))})
    adata[order].copy().write_h5ad(path)
    return path


@pytest.mark.parametrize("halves", [False, True])
def test_vectors_of_a_model_stand_beside_them(write: Callable[..., Path], tmp_path: Path, halves: bool) -> None:
    vectors, obs = cohort("none")
    path = write(vectors, obs, "ill:classification")
    table = donor(path, DonorTask(repeats=1), "s", given(obs, tmp_path / "donors.h5ad", halves))
    values = table[(table["fold"] == "") & (table["pooling"] == "cls_donor")].set_index("metric")["value"]
    assert values["auroc"] > 0.95
    assert values.get("retrieval_top1") == (1 if halves else None)
    assert set(table["run"]) == {"r"}


def test_bad_files_of_donor_vectors(write: Callable[..., Path], tmp_path: Path) -> None:
    vectors, obs = cohort("none")
    path, out = write(vectors, obs, "ill:classification"), tmp_path / "donors.h5ad"

    def fails(sentence: str) -> None:
        with pytest.raises(ScfmError, match=sentence):
            donor(path, QUICK, "s", out)

    fails("donor vectors not found|no such|not found")
    given(obs[obs["donor"] != "p7"], out)
    fails("no row of dataset 'd' for donor 'p7'")
    given(obs, out, dataset="other")
    fails("no row of dataset 'd' for donor 'p0'")
    given(obs, out, halves=True, half="")
    fails("stands there twice")
    adata = anndata.read_h5ad(given(obs, out))
    adata.obsm["cls_donor"][3, 1] = np.nan
    adata.write_h5ad(out)
    fails("pooling 'cls_donor', dataset 'd': NaN or infinite values")
    anndata.AnnData(obs=adata.obs.drop(columns="donor"), obsm=dict(adata.obsm)).write_h5ad(out)
    fails("no obs column 'donor'")
    anndata.AnnData(obs=adata.obs).write_h5ad(out)
    fails("no table in obsm")


def test_control_of_pure_noise_is_chance() -> None:
    donors = np.array([f"p{i:03d}" for i in range(200)])
    target = classes(donors, np.where(np.arange(200) % 2, "a", "b"))
    rows = cross_validate(np.random.default_rng(5).normal(size=(200, 10)), target, DonorTask())
    values = {row.metric: row.value for row in rows if not row.fold}
    assert 0.4 <= values["auroc_permuted"] <= 0.6
    assert values["auroc_permuted_low"] < 0.5 < values["auroc_permuted_high"]


def test_donor_command(write: Callable[..., Path], tmp_path: Path) -> None:
    vectors, obs = cohort("mean")
    path, out = write(vectors, obs, "ill:classification"), tmp_path / "donor.csv"
    options = ["--embeddings", str(path), "--study", "s", "--out", str(out), "--settings", '{"repeats": 1}']
    result = CliRunner().invoke(app, ["donor", *options, "--donors", str(given(obs, tmp_path / "donors.h5ad"))])
    assert result.exit_code == 0, result.output
    assert "benchmarks donor r: 1 datasets, mean auroc composition" in result.output
    assert "cls_donor 1.000" in result.output
    table = pd.read_csv(out, keep_default_na=False)
    assert set(table["task"]) == {"donor"}
    assert not table.duplicated(["pooling", "metric", "split", "fold"]).any()
