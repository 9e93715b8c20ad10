import numpy as np
import pandas as pd
import pytest

from scfm.corpus.sampling import equal_quotas, sample
from scfm.corpus.settings import Cap, Fraction, Total


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
