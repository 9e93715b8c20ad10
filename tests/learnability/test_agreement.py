"""Overlap of two runs, with the published numbers."""

from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom, spearmanr

from scfm.errors import ScfmError
from scfm.learnability.agreement import agreement, agreements, overlap, spearman
from scfm.learnability.outcomes import score
from scfm.learnability.settings import Learnability


def test_published_overlap_of_all_reliable_genes():
    result = overlap(371, 909, 283, 16_288)
    assert round(result["expected"], 1) == 20.7
    assert round(result["expected_percent"], 2) == 5.58
    assert round(result["fold"], 2) == 13.67
    assert result["only_second"] == 626
    assert result["only_first"] == 88


def test_published_overlap_of_genes_evaluated_in_both():
    result = overlap(371, 909, 283, 7_327)
    assert round(result["expected_percent"], 1) == 12.4
    assert round(result["fold"], 2) == 6.15


def test_published_losers():
    assert overlap(6, 13, 4, 16_288)["union"] == 15


def test_p_is_the_sum_of_the_upper_tail():
    result = overlap(10, 12, 5, 40)
    assert np.isclose(result["p"], hypergeom.pmf(np.arange(5, 11), 40, 12, 10).sum())
    assert np.isclose(overlap(10, 12, 0, 40)["p"], 1)


@pytest.mark.parametrize(("universe", "first", "second", "shared"), [(40, 10, 12, 5), (30, 30, 7, 7), (25, 1, 1, 1)])
def test_p_counts_the_ways_to_choose(universe, first, second, shared):
    ways = [comb(first, k) * comb(universe - first, second - k) for k in range(shared, min(first, second) + 1)]
    assert np.isclose(overlap(first, second, shared, universe)["p"], sum(ways) / comb(universe, second))


def test_no_winner_and_no_gene():
    result = overlap(0, 5, 0, 100)
    assert result["expected"] == 0
    assert np.isnan(result["fold"])
    assert np.isnan(result["p"])
    assert np.isnan(overlap(0, 0, 0, 0)["expected"])


def run(simulated, annotated, seed, **options):
    errors = simulated(n=900, seed=seed, **options)
    return score(errors.merge(annotated(errors.gene), on="gene"), Learnability())


def test_universes_count_genes_and_calls(simulated, annotated):
    first, second = (run(simulated, annotated, seed, winners=0.1) for seed in (0, 1))
    second = second.sample(frac=1, random_state=0).reset_index(drop=True)
    table = agreement(first, second).set_index(["universe", "outcome"])
    one, other = first.set_index("gene"), second.set_index("gene").loc[first.gene]
    for universe, inside in {
        "first": one.reliable,
        "second": other.reliable,
        "both": one.reliable & other.reliable,
    }.items():
        row = table.loc[(universe, "winner")]
        wins = [(side.outcome == "winner") & inside for side in (one, other)]
        shared = wins[0] & wins[1]
        assert row.genes == inside.sum()
        assert row.called_first == wins[0].sum()
        assert row.called_second == wins[1].sum()
        assert row.shared == shared.sum()
        assert np.isclose(row.z_spearman, spearmanr(one.z[shared], other.z[shared]).statistic)
    medians = [side[side.reliable].groupby("family").z.median() for side in (one, other)]
    assert np.isclose(row.family_z_spearman, spearmanr(*medians).statistic)
    assert row.families == 4


def test_errors_are_compared_over_the_same_genes(simulated, annotated):
    first, second = (run(simulated, annotated, seed) for seed in (0, 1))
    second = second.assign(rescaled_mae_ungated=lambda table: table.rescaled_mae_ungated + 0.5)
    second.loc[second.index % 2 == 0, "reliable"] = False
    table = agreement(first, second).set_index("universe")
    both = (first.reliable & second.reliable).to_numpy()  # the genes of both stand in the same order
    row = table.loc["both"].iloc[0]
    for name, column in (("median_error", "rescaled_mae"), ("median_error_ungated", "rescaled_mae_ungated")):
        medians = [side[column][both].median() for side in (first, second)]
        assert [row[f"{name}_first"], row[f"{name}_second"]] == medians
        assert row[f"{name}_difference"] == medians[1] - medians[0]
    assert row.median_error_ungated_difference > 0.3
    assert table.loc["first"].filter(like="median_error").isna().all(axis=None)
    none = agreement(first, second.assign(reliable=False))
    assert none.filter(like="median_error").isna().all(axis=None)


def test_training_targets_of_the_same_genes_are_compared(simulated, annotated):
    first, second = (run(simulated, annotated, seed) for seed in (0, 1))
    assert agreement(first, second).train_targets_ratio.isna().all()  # not counted
    first["n_train_targets"] = 10
    second["n_train_targets"] = np.where(second.index % 4 == 0, 10, 300)
    second.loc[second.index % 2 == 0, "reliable"] = False
    table = agreement(first, second).set_index("universe").train_targets_ratio
    assert (table.loc["both"] == 30).all()
    assert table.drop("both").isna().all()
    assert agreement(first.assign(n_train_targets=0), second).train_targets_ratio.isna().all()


def test_runs_without_families_and_ungated_errors_are_compared_all_the_same(simulated, annotated):
    scored = [run(simulated, annotated, seed, winners=0.1) for seed in (0, 1)]
    whole = agreement(*scored)
    bare = agreement(*(table.drop(columns=["family", "rescaled_mae_ungated"]) for table in scored))
    missing = [name for name in whole if "famil" in name or "ungated" in name]
    assert bare.drop(columns="families")[[name for name in missing if name != "families"]].isna().all(axis=None)
    assert (bare.families == 0).all()
    pd.testing.assert_frame_equal(bare.drop(columns=missing), whole.drop(columns=missing))


def test_a_run_agrees_with_itself(simulated, annotated):
    scored = run(simulated, annotated, 0, winners=0.05)
    table = agreement(scored, scored)
    winners = table[table.outcome == "winner"]
    assert (winners.shared == winners.called_first).all()
    assert np.allclose(winners.z_spearman, 1)
    assert (winners.p < 1e-10).all()


def test_independent_runs_share_what_chance_expects(simulated, annotated):
    first, second = (run(simulated, annotated, seed, winners=0.1) for seed in (0, 1))
    row = agreement(first, second).iloc[0]
    assert row.called_first > 20
    assert row.called_second > 20
    assert abs(row.shared - row.expected) < 3 * np.sqrt(row.expected)
    assert row.p > 0.001


def test_gene_missing_from_one_run_is_in_one_universe_only(simulated, annotated):
    scored = run(simulated, annotated, 0)
    gone = scored.gene[scored.reliable].iloc[0]
    table = agreement(scored, scored[scored.gene != gone]).set_index("universe").genes
    assert table["first"].iloc[0] == scored.reliable.sum()
    assert table["both"].iloc[0] == scored.reliable.sum() - 1


def test_spearman_needs_three_varying_pairs():
    assert np.isnan(spearman(pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0])))
    assert np.isnan(spearman(pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, 1.0, 1.0])))
    assert spearman(pd.Series([1.0, 2.0, np.nan, 4.0]), pd.Series([1.0, 2.0, 0.0, 9.0])) == pytest.approx(1)


def test_spearman_is_the_correlation_of_ranks():
    rng = np.random.default_rng(0)
    first, second = pd.Series(rng.integers(0, 10, 50)), pd.Series(rng.integers(0, 10, 50))  # with ties

    def ranks(values):
        return [np.mean([rank for rank, other in enumerate(sorted(values)) if other == value]) for value in values]

    assert np.isclose(spearman(first, second), np.corrcoef(ranks(first), ranks(second))[0, 1])


def test_pairs_go_seed_by_seed(simulated, annotated):
    tables = {(name, seed): run(simulated, annotated, int(seed)) for name in ("mlm", "wced") for seed in ("0", "1")}
    del tables["mlm", "1"]
    result = agreements(tables, [("mlm", "wced")])
    assert list(result.seed.unique()) == [0]
    assert len(result) == 6
    with pytest.raises(ScfmError, match="no table of run 'cls'"):
        agreements(tables, [("mlm", "cls")])
    with pytest.raises(ScfmError, match="no seed in common"):
        agreements({("mlm", "0"): Path(), ("wced", "1"): Path()}, [("mlm", "wced")])
