import numpy as np
import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.paper.settings import Arm, Paper
from scfm.paper.tables.pairs import holm, pairs
from scfm.paper.tables.ranks import ranks

WCED, MLM, PCA = Arm(run="wced", pooling="cls"), Arm(run="mlm", pooling="cls"), Arm(run="pca", pooling="pca")
SETTINGS = Paper(bootstrap=200)


@pytest.fixture
def shifted(make):
    """Function: two runs of one seed whose macro F1 differs by the given amounts, one for each dataset."""

    def results(*differences):
        sides = (("wced", 1.0), ("mlm", 0.0))
        return make(
            [
                (run, "cls", f"d{i}", "probe", "macro_f1", 0, 0.5 + times * difference)
                for i, difference in enumerate(differences)
                for run, times in sides
            ]
        )

    return results


def test_seeds_are_averaged_and_seen_datasets_left_out(tidy):
    table = pairs(tidy, [(WCED, MLM), (WCED, PCA)], SETTINGS).set_index(["metric", "contrast"])
    row = table.loc["avg_bio", "wced/cls − mlm/cls"]
    assert (row.datasets, row.seeds, row.better, row.equal, row.worse) == (2, 2, 2, 0, 0)
    assert row.difference == pytest.approx(0.2)
    assert (row.low, row.high) == (pytest.approx(0.1), pytest.approx(0.3))
    even = table.loc["avg_bio", "wced/cls − pca/pca"]
    assert (even.difference, even.equal) == (0, 2)
    assert set(table.index.get_level_values("metric")) == {"score", "avg_bio", "macro_f1"}


def test_the_exact_test_of_a_clear_difference_gives_the_smallest_p(shifted):
    row = pairs(shifted(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), [(WCED, MLM)], SETTINGS).iloc[0]
    assert row.p == row.smallest_p == 2 / 2**6
    assert row.p_adjusted == row.p
    against = pairs(shifted(0.1, 0.2, 0.3, 0.4, 0.5, -0.6), [(WCED, MLM)], SETTINGS).iloc[0]
    # Rank sum of the negative side: 6. Of the 64 signs, 14 have a sum of 6 or less.
    assert against.p == pytest.approx(2 * 14 / 64)
    assert (against.better, against.worse) == (5, 1)


def test_no_difference_and_a_single_dataset(shifted):
    assert pairs(shifted(0.0, 0.0, 0.0), [(WCED, MLM)], SETTINGS).iloc[0].p == 1.0
    one = pairs(shifted(0.3), [(WCED, MLM)], SETTINGS).iloc[0]
    assert one.difference == pytest.approx(0.3)
    assert one[["low", "high", "p", "smallest_p", "p_adjusted"]].isna().all()


def test_holm():
    p = pd.Series([0.04, np.nan, 0.01, 0.03], index=list("abcd"))
    adjusted = holm(p)
    assert adjusted.loc["c"] == pytest.approx(0.03)
    assert adjusted.loc["d"] == pytest.approx(0.06)
    assert adjusted.loc["a"] == pytest.approx(0.06)
    assert np.isnan(adjusted.loc["b"])
    assert holm(pd.Series([0.6, 0.7])).tolist() == [1.0, 1.0]


def test_bad_contrasts(tidy):
    with pytest.raises(ScfmError, match="--contrast: none"):
        pairs(tidy, [], SETTINGS)
    with pytest.raises(ScfmError, match="wced/cls − none/cls: no dataset and seed in common"):
        pairs(tidy, [(WCED, Arm(run="none", pooling="cls"))], SETTINGS)


def test_ranks_over_unseen_datasets(tidy):
    table = ranks(tidy)
    bio = table[table.metric == "avg_bio"].set_index(["run", "pooling"])
    assert set(bio.datasets) == {2}
    assert set(bio.of) == {6}
    assert bio.loc[("mlm", "mean"), ["mean_rank", "first"]].tolist() == [1, 2]
    assert bio.loc[("wced", "cls"), "mean_rank"] == bio.loc[("pca", "pca"), "mean_rank"] == 2.5
    assert bio.loc[("random", "cls"), "mean_rank"] == 5.5
    assert bio.index[0] == ("mlm", "mean")
    assert bio.kendall_w.iloc[0] == pytest.approx(1.0)


def test_ranks_agree_with_friedman_by_hand(make):
    values = {"a": (0.9, 0.8, 0.1), "b": (0.5, 0.6, 0.7), "c": (0.1, 0.2, 0.3), "d": (0.2, 0.1, 0.9)}
    rows = [
        (run, "cls", f"d{i}", "probe", "macro_f1", 0, value)
        for run, own in values.items()
        for i, value in enumerate(own)
    ]
    table = ranks(make(rows)).set_index("run")
    sums = table.mean_rank * 3
    k, n = 4, 3
    statistic = 12 / (n * k * (k + 1)) * (sums**2).sum() - 3 * n * (k + 1)
    assert table.kendall_w.iloc[0] == pytest.approx(statistic / (n * (k - 1)))
    assert 0 < table.friedman_p.iloc[0] < 1


def test_a_dataset_without_a_value_of_every_model_does_not_rank(make):
    rows = [("a", "cls", d, "integration", "avg_batch", 0, 0.1) for d in ("d1", "d2")]
    rows += [("b", "cls", "d1", "integration", "avg_batch", 0, 0.2)]
    table = ranks(make(rows))
    assert set(table.datasets) == {1}
    assert table.kendall_w.isna().all()
    assert ranks(make([(*row[:-1], np.nan) for row in rows])).empty


def test_datasets_that_were_all_seen_give_no_row(tidy):
    seen = tidy[tidy.dataset == "seen"].assign(contaminated=True)
    assert pairs(seen, [(WCED, MLM)], SETTINGS).empty
    assert ranks(seen).empty
