import fractions

import numpy as np
import pandas as pd
import pytest

from scfm.corpus.sampling import equal_quotas, sample, stratified_quotas
from scfm.corpus.settings import Corpus
from scfm.corpus.steps import Cap, Fraction, Stratify, Total
from scfm.errors import ScfmError
from scfm.settings import parse


@pytest.fixture
def cells():
    sizes = {"a": 50, "b": 7, "c": 30}
    return pd.DataFrame({"soma_joinid": np.arange(87), "tissue": np.repeat(list(sizes), list(sizes.values()))})


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ([50, 7, 30], 30, [12, 7, 11]),
        ([50, 7, 30], 31, [12, 7, 12]),
        ([5, 5, 5], 7, [3, 2, 2]),
        ([5, 5, 5], 2, [1, 1, 0]),
        ([5, 1, 2], 100, [5, 1, 2]),
        ([4, 0], 3, [3, 0]),
        ([], 3, []),
    ],
)
def test_quotas_meet_the_total_exactly(sizes, total, expected):
    quotas = equal_quotas(np.array(sizes, dtype=int), total)
    assert quotas.sum() == min(total, sum(sizes))
    assert sorted(quotas) == sorted(expected)
    assert (quotas <= np.array(sizes, dtype=int)).all()
    open_groups = quotas[quotas < np.array(sizes, dtype=int)]
    assert open_groups.size == 0 or open_groups.max() - open_groups.min() <= 1


def test_equal_cap(cells):
    kept, report = sample(cells, [Cap(kind="cap", field="tissue", cells=10)])
    assert kept["tissue"].value_counts().to_dict() == {"a": 10, "b": 7, "c": 10}
    assert kept["soma_joinid"].is_monotonic_increasing
    assert report[["value", "before", "after"]].to_numpy().tolist() == [["a", 50, 10], ["b", 7, 7], ["c", 30, 10]]


def test_exact_total(cells):
    kept, _ = sample(cells, [Total(kind="total", field="tissue", cells=31)])
    assert len(kept) == 31
    assert kept["tissue"].value_counts()["b"] == 7


def test_shares_are_nested_and_seeded(cells):
    tenth, half = (set(sample(cells, [Fraction(kind="fraction", fraction=f)])[0]["soma_joinid"]) for f in (0.1, 0.5))
    assert tenth < half
    assert (len(tenth), len(half)) == (9, 44)
    other = set(sample(cells, [Fraction(kind="fraction", fraction=0.5, seed=1)])[0]["soma_joinid"])
    assert other != half


def test_a_cap_draws_at_random(cells):
    kept, _ = sample(cells, [Cap(kind="cap", field="tissue", cells=10, seed=1)])
    other, _ = sample(cells, [Cap(kind="cap", field="tissue", cells=10, seed=2)])
    assert kept["soma_joinid"].tolist() != other["soma_joinid"].tolist()


def test_steps_follow_each_other(cells):
    kept, report = sample(cells, [Cap(kind="cap", field="tissue", cells=10), Fraction(kind="fraction", fraction=0.5)])
    assert len(kept) == round(27 * 0.5)
    assert report["step"].tolist() == [1, 1, 1, 2]
    assert report["before"].tolist()[-1] == 27


def test_no_step_keeps_all(cells):
    kept, report = sample(cells, [])
    pd.testing.assert_frame_equal(kept, cells)
    assert report.empty


@pytest.fixture
def types():
    """Three tissues, four types, some combinations without any cell."""
    rng = np.random.default_rng(0)
    tissue = rng.choice(["blood", "gut", "lung"], 900, p=[0.6, 0.3, 0.1])
    kind = rng.choice(["B", "T", "NK", "rare"], 900, p=[0.5, 0.4, 0.09, 0.01])
    kept = ~((tissue == "lung") & (kind == "T"))
    table = pd.DataFrame({"tissue": tissue, "cell_type": kind})[kept].reset_index(drop=True)
    return table.assign(soma_joinid=np.arange(len(table)))


@pytest.mark.parametrize("seed", range(20))
def test_totals_are_exact_whatever_the_sizes(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 10 ** rng.integers(1, 6), size=rng.integers(1, 60))
    for total in (1, len(sizes), sizes.sum() // 3, sizes.sum() - 1, sizes.sum(), sizes.sum() + 5):
        expected = min(total, sizes.sum())
        equal = equal_quotas(sizes, total)
        assert equal.sum() == expected
        assert ((equal >= 0) & (equal <= sizes)).all()
        if expected >= np.minimum(sizes, 2).sum():
            kept = stratified_quotas(sizes, total, 2)
            assert kept.sum() == expected
            assert ((kept >= np.minimum(sizes, 2)) & (kept <= sizes)).all()


@pytest.mark.parametrize(
    ("sizes", "total", "least", "expected"),
    [
        ([100, 10, 1], 20, 2, [16, 3, 1]),  # 2 + 15·98/106, 2 + 15·8/106, all of 1
        ([100, 10, 1], 5, 2, [2, 2, 1]),  # no more than what none may lack
        ([6, 6], 5, 1, [3, 2]),  # equal remainders: the first
        ([4, 4, 4], 12, 9, [4, 4, 4]),
        ([3, 0, 5], 99, 1, [3, 0, 5]),
    ],
)
def test_stratified_quotas(sizes, total, least, expected):
    assert stratified_quotas(np.array(sizes), total, least).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_shares_go_by_largest_remainders(seed):
    rng = np.random.default_rng(seed)
    sizes, least = rng.integers(1, 500, size=12).tolist(), 3
    total = sum(sizes) // 4
    floor = [min(size, least) for size in sizes]
    others = [size - low for size, low in zip(sizes, floor, strict=True)]
    exact = [fractions.Fraction((total - sum(floor)) * other, sum(others)) for other in others]
    expected = [low + int(share) for low, share in zip(floor, exact, strict=True)]
    by_remainder = sorted(range(12), key=lambda group: (int(exact[group]) - exact[group], group))
    for group in by_remainder[: total - sum(expected)]:
        expected[group] += 1
    assert stratified_quotas(np.array(sizes), total, least).tolist() == expected


def test_millions_of_cells_do_not_overflow():
    quotas = stratified_quotas(np.array([60_000_000, 2_600_000, 1]), 62_000_000, 1)
    assert quotas.sum() == 62_000_000
    assert quotas[2] == 1


def test_a_cap_on_a_combination_of_fields(types):
    kept, report = sample(types, [Cap(kind="cap", field=["tissue", "cell_type"], cells=20)])
    sizes = types.groupby(["tissue", "cell_type"]).size()
    pd.testing.assert_series_equal(kept.groupby(["tissue", "cell_type"]).size(), sizes.clip(upper=20))
    assert set(report["field"]) == {"tissue | cell_type"}
    assert report["value"].tolist() == [" | ".join(names) for names in sizes.index]
    assert report["before"].tolist() == sizes.tolist()
    assert report["after"].tolist() == sizes.clip(upper=20).tolist()


def test_an_exact_total_over_a_combination_of_fields(types):
    kept, report = sample(types, [Total(kind="total", field=["tissue", "cell_type"], cells=101)])
    assert len(kept) == report["after"].sum() == 101
    full = report[report["after"] == report["before"]]
    assert np.ptp(report.drop(full.index)["after"]) <= 1


def test_one_name_and_a_list_of_one_are_the_same(types):
    one, other = (sample(types, [Cap(kind="cap", field=f, cells=9)])[0] for f in ("tissue", ["tissue"]))
    pd.testing.assert_frame_equal(one, other)


def test_categories_and_texts_are_sampled_alike(types):
    step = Total(kind="total", field=["tissue", "cell_type"], cells=101)
    kept, report = sample(types, [step])
    other, same = sample(types.astype({"tissue": "category", "cell_type": "category"}), [step])
    assert kept["soma_joinid"].tolist() == other["soma_joinid"].tolist()
    pd.testing.assert_frame_equal(report, same)


@pytest.mark.parametrize("size", [{"cells": 60}, {"fraction": 0.07}])
def test_stratification_loses_no_label(types, size):
    kept, report = sample(types, [Stratify(kind="stratify", field="cell_type", least=3, **size)])
    assert len(kept) == size.get("cells", round(0.07 * len(types)))
    before, after = types["cell_type"].value_counts(), kept["cell_type"].value_counts()
    assert set(after.index) == set(before.index)
    assert (after >= np.minimum(before, 3)).all()
    share = (after - 3) / (before - 3)
    assert share.max() - share.min() < 0.1  # in proportion, but for rounding: 1 of the 12 or so rare cells
    assert report.set_index("value")["after"].to_dict() == after.to_dict()


def test_too_small_a_stratified_sample_is_one_sentence(types):
    steps = [Fraction(kind="fraction", fraction=1.0), Stratify(kind="stratify", field="tissue", cells=5, least=2)]
    with pytest.raises(ScfmError, match=r"step 2 \(stratify\) keeps 5 cells, fewer than the 6 that 2 of each of 3"):
        sample(types, steps)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"kind": "cap", "field": "tisue", "cells": 3}, "'tissue'"),
        ({"kind": "cap", "field": [], "cells": 3}, "at least 1"),
        ({"kind": "total", "field": ["tissue", "tissue"], "cells": 3}, "names a column twice"),
        ({"kind": "stratify", "field": "tissue"}, "either cells or fraction"),
        ({"kind": "stratify", "field": "tissue", "cells": 3, "fraction": 0.5}, "either cells or fraction"),
    ],
)
def test_steps_that_mean_nothing(step, message):
    with pytest.raises(ScfmError, match=message) as raised:
        parse(Corpus, {"source": {"kind": "synthetic"}, "sampling": [step]}, "corpus")
    assert "\n" not in str(raised.value)
