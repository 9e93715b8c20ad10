"""Metrics of predicted perturbed cells against closed forms and scipy."""

import numpy as np
import pytest
import toy_cells as toy
from scipy.sparse import csr_matrix
from scipy.stats import false_discovery_control, mannwhitneyu

from scfm.errors import ScfmError
from scfm.perturbation import Scoring, evaluate, hold_out, screen, summarise
from scfm.perturbation.differential import benjamini_hochberg, log2_fold_change, profile, rank_sum_test
from scfm.perturbation.metrics import HIGHER, METRICS, compare, discrimination, overlap
from scfm.perturbation.settings import Holdout
from scfm.perturbation.summary import REFERENCE, SCORED


@pytest.fixture(scope="module")
def real():
    return profile(toy.sparse(1, 0), toy.labels())


def shifted(real, deltas):
    """The profile with other effects, tests left as they are."""
    return type(real)(real.perturbations, real.control + deltas, real.control, real.fdr, real.log_fold)


def test_a_perfect_prediction_has_the_best_of_every_metric(real):
    table = compare(real, real, toy.genes())
    assert (table["significant"] > 0).all()
    for metric in METRICS:
        assert table[metric].to_numpy() == pytest.approx(float(metric in HIGHER), abs=1e-12), metric


def test_p_values_are_those_of_scipy(real):
    rng = np.random.default_rng(0)
    perturbed, control = rng.poisson([0.0, 0.1, 1, 5, 0.0], (40, 5)), rng.poisson([0.0, 0.3, 1, 3, 2], (60, 5))
    values = [csr_matrix(np.log1p(x.astype(np.float64))) for x in (perturbed, control)]
    expected = mannwhitneyu(perturbed[:, 1:], control[:, 1:], use_continuity=True, method="asymptotic").pvalue
    ours = rank_sum_test(*values)
    assert ours[0] == 1  # nobody expresses it
    assert ours[1:] == pytest.approx(expected, abs=1e-10)
    assert np.allclose(ours[1:], expected, rtol=1e-10, atol=0)
    cells, labels = toy.cells(1, 0), toy.labels()
    x, y = (cells[labels == name].astype(np.float64) for name in ("G003", toy.CONTROL))
    expected = false_discovery_control(mannwhitneyu(x, y, method="asymptotic").pvalue)
    assert real.fdr[3] == pytest.approx(expected, abs=1e-10)


def test_adjusted_p_values_are_monotone_and_those_of_scipy():
    p = np.random.default_rng(0).random(200) ** 3
    q = benjamini_hochberg(p)
    assert (np.diff(q[np.argsort(p)]) >= 0).all()
    assert (q >= p).all()
    assert q == pytest.approx(false_discovery_control(p), abs=1e-15)


def test_fold_changes_are_of_back_transformed_means():
    change = log2_fold_change(np.log1p([[3.0, 0.0, 1.0, 0.0]]), np.log1p([1.5, 2.0, 0.0, 0.0]))
    assert change[0, 0] == pytest.approx(1)
    assert change[0, 1:].tolist() == [-np.inf, np.inf, 0]


def test_discrimination_by_hand_ties_and_the_target():
    d = np.array([[0.0, 0, 1], [0, 0, 3], [0, 0, 6]])
    names, genes = np.array(["a", "b", "c"]), np.array(["a", "x", "y"])
    assert discrimination(d, d, names, genes).tolist() == [1, 1, 1]
    # b is nearest, then a, then c.
    assert discrimination(d, np.full((3, 3), [0, 0, 3.2]), names, genes) == pytest.approx([2 / 3, 1, 1 / 3])
    halfway = np.array([[0, 0, 2.0], [0, 0, 3], [0, 0, 6]])
    assert discrimination(d, halfway, names, genes)[0] == pytest.approx(1 - 0.5 / 3)
    wrong_target = d.copy()
    wrong_target[0, 0] = 100
    assert discrimination(d, wrong_target, names, genes)[0] == 1
    assert np.isnan(discrimination(d[:1], d[:1], names[:1], genes)).all()


def test_the_target_alone_does_not_change_discrimination(real):
    altered = real.deltas.copy()
    own = np.arange(len(altered))
    altered[own, own] += 50.0
    before = compare(real, real, toy.genes())["pds"]
    assert compare(real, shifted(real, altered), toy.genes())["pds"].tolist() == before.tolist()


def test_overlap_by_hand():
    hits = np.array([[True, True, False, False], [False] * 4])
    found = np.array([[True, False, True, True], [True] * 4])
    # The two largest fold changes among those found are of genes 2 and 0.
    fold = np.array([[-2.0, 9, 3, 1], [1, 2, 3, 4]])
    assert overlap(hits, found, fold).tolist() == [0.5, 0]


def test_scaled_effects_raise_the_error_and_none_has_no_correlation(real):
    plain, doubled, none = (compare(real, shifted(real, f * real.deltas), toy.genes()) for f in (1, 2, 0))
    assert (doubled["mae"] > plain["mae"]).all()
    assert doubled["pearson_delta"].to_numpy() == pytest.approx(1)
    assert none["pearson_delta"].tolist() == [0] * toy.PERTURBATIONS
    assert none["mae_delta"].to_numpy() == pytest.approx(np.abs(real.deltas).mean(1))


def test_shuffled_labels_discriminate_by_chance():
    rng = np.random.default_rng(3)
    d = rng.normal(size=(20, 300))
    names, genes = np.array([f"p{i:02d}" for i in range(20)]), np.array([f"g{i}" for i in range(300)])
    scores = [discrimination(d, d[rng.permutation(20)], names, genes).mean() for _ in range(400)]
    # Expected 0.5 + 1 / (2 P).
    assert np.mean(scores) == pytest.approx(0.525, abs=0.02)
    assert 0.40 < scores[0] < 0.65


def test_predictions_of_other_perturbations_are_refused(real):
    other = type(real)(real.perturbations[::-1], real.means, real.control, real.fdr, real.log_fold)
    with pytest.raises(ScfmError, match="not of the same perturbations"):
        compare(real, other, toy.genes())


@pytest.fixture(scope="module")
def twelve():
    rng = np.random.default_rng(5)
    names = [f"P{i:02d}" for i in range(12)]
    ratio = {name: np.exp(rng.normal(0, 0.8, 40) * (rng.random(40) < 0.4)) for name in names}
    rate, blocks, labels = rng.gamma(2, 1.5, 40), [], []
    for name in [*names, "control"]:
        blocks.append(rng.poisson(rate * ratio.get(name, np.ones(40)), (60, 40)))
        labels += [name] * 60
    import anndata
    import pandas as pd

    obs = pd.DataFrame({"perturbation": labels, "background": "b"}, index=[f"c{i}" for i in range(len(labels))])
    return screen(anndata.AnnData(csr_matrix(np.vstack(blocks).astype(np.float32)), obs=obs))


def test_the_mean_of_perturbations_scores_zero_and_the_truth_more(twelve):
    sides = hold_out(twelve.obs, Holdout(test=0.5))[""]
    truth = twelve[sides == "test"].copy()
    tables = evaluate(twelve, sides, Scoring(), {"truth": truth})
    assert set(tables) == {"control_mean", "perturbation_mean", "truth", "ceiling"}  # others know nothing
    summary = summarise(tables, Scoring()).set_index(["name", "metric"])
    for metric in (*(f"{name}_scaled" for name in SCORED), "score"):
        assert summary.loc[(REFERENCE, metric), ["value", "low", "high"]].tolist() == [0, 0, 0], metric
        assert summary.loc[("truth", metric), "value"] == pytest.approx(1), metric
    for metric in METRICS:
        ends = summary.loc[("truth", metric)]
        assert ends["low"] - 1e-12 <= ends["value"] <= ends["high"] + 1e-12
        assert ends["value"] == pytest.approx(float(metric in HIGHER), abs=1e-6), metric
    assert summary.loc[("control_mean", "pearson_delta"), "value"] == 0
    assert 0.5 < summary.loc[("ceiling", "pearson_delta"), "value"] < 1


def test_the_ceiling_is_carried_to_full_depth(twelve):
    sides = hold_out(twelve.obs, Holdout(test=0.5))[""]
    tables = evaluate(twelve, sides, Scoring())
    half = tables["ceiling"]["pearson_delta"].mean()
    summary = summarise(tables, Scoring()).set_index(["name", "metric"])
    assert summary.loc[("ceiling", "pearson_delta"), "value"] == pytest.approx(2 * half / (1 + half))
    assert summary.loc[("ceiling", "mae"), "value"] == pytest.approx(tables["ceiling"]["mae"].mean())


def test_results_depend_on_the_seed_alone(twelve):
    sides = hold_out(twelve.obs, Holdout(test=0.5))[""]
    first, again = (summarise(evaluate(twelve, sides, Scoring()), Scoring()) for _ in range(2))
    assert first.equals(again)
