"""The check against the planted truth."""

import numpy as np
import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.learnability.check import check
from scfm.learnability.settings import Learnability, Resampling

SETTINGS = Learnability(bootstrap=Resampling(n=500, seed=0))


def planted(rates, n=100, seeds=3, reliable=1.0):
    """Truth and tables in which each program wins at a given rate."""
    truth = pd.DataFrame(
        {"gene": [f"{name}{i}" for name in rates for i in range(n)], "planted": np.repeat(list(rates), n)}
    )
    rng = np.random.default_rng(0)
    tables = {}
    for seed in range(seeds):
        evaluated = rng.random(len(truth)) < reliable
        won = (rng.random(len(truth)) < truth.planted.map(rates)) & evaluated
        outcome = np.where(won, "winner", np.where(evaluated, "expected", ""))
        tables["wced", str(seed)] = pd.DataFrame(
            {"gene": truth.gene, "reliable": evaluated, "outcome": outcome, "null_shuffle": 0.1, "null_sign": 0.04}
        )
    return truth, tables


def test_planted_programs_are_found():
    truth, tables = planted({"type": 0.4, "latent": 0.1, "noise": 0.05, "background": 0.02})
    table = check(truth, tables, SETTINGS).set_index("check")
    difference = table.loc["wced/type_minus_noise"]
    assert difference.holds == "yes"
    assert difference.required
    assert difference.low > 0
    assert difference.low < difference.value < difference.high
    assert not table.loc["wced/latent_minus_noise"].required
    own = pd.concat(tables.values())
    own = own[own.gene.str.startswith("type")]
    assert table.loc["wced/type"].value == (own.outcome == "winner").mean()
    assert table.loc["wced/type"].n == 300
    assert list(table.loc[["wced/0/type", "wced/2/noise"]].n) == [100, 100]


def test_null_rates_are_those_of_the_same_evaluated_genes():
    truth, tables = planted({"type": 0.4, "latent": 0.1, "noise": 0.05}, reliable=0.5)
    for number, table in enumerate(tables.values()):
        table["null_sign"] = np.where(table.reliable, 0.01 * np.arange(len(table)) + number, 99.0)
    result = check(truth, tables, SETTINGS).set_index("check")
    own = [table[table.reliable & table.gene.str.startswith("noise")].null_sign for table in tables.values()]
    assert np.isclose(result.loc["wced/1/noise"].null_sign, own[1].mean())
    assert np.isclose(result.loc["wced/noise"].null_sign, pd.concat(own).mean())
    assert np.isclose(result.loc["wced/type"].null_shuffle, 0.1)
    assert np.isnan(result.loc["wced/type_minus_noise"].null_sign)


def test_equal_rates_do_not_hold():
    truth, tables = planted({"type": 0.1, "latent": 0.1, "noise": 0.1})
    table = check(truth, tables, SETTINGS).set_index("check")
    assert table.loc["wced/type_minus_noise"].holds == "no"


def test_interval_agrees_with_the_normal_approximation():
    # One seed: the bootstrap over genes is that of independent Bernoulli outcomes.
    truth, tables = planted({"type": 0.5, "latent": 0.5, "noise": 0.2}, n=400, seeds=1)
    row = check(truth, tables, Learnability(bootstrap=Resampling(n=4000))).set_index("check").loc["wced/type"]
    half = 1.96 * np.sqrt(row.value * (1 - row.value) / 400)
    assert np.isclose(row.high - row.low, 2 * half, rtol=0.1)


def test_seeds_of_one_gene_are_not_counted_as_independent():
    truth, tables = planted({"type": 0.3, "latent": 0.3, "noise": 0.3}, seeds=1)
    same = {("wced", str(seed)): tables["wced", "0"] for seed in range(5)}
    one, five = (check(truth, given, SETTINGS).set_index("check").loc["wced/type"] for given in (tables, same))
    assert np.allclose([one.low, one.high], [five.low, five.high])


def test_rates_are_over_evaluated_genes():
    truth, tables = planted({"type": 0.5, "latent": 0.1, "noise": 0.1}, reliable=0.5)
    row = check(truth, tables, SETTINGS).set_index("check").loc["wced/type"]
    assert row.n < 200
    assert 0.35 < row.value < 0.65


def test_nothing_evaluated_does_not_hold():
    truth, tables = planted({"type": 0.5, "latent": 0.1, "noise": 0.1}, reliable=0.0)
    table = check(truth, tables, SETTINGS).set_index("check")
    row = table.loc["wced/type_minus_noise"]
    assert np.isnan(row.value)
    assert np.isnan(row.low)
    assert row.holds == "no"


def test_wrong_truth_is_refused():
    truth, tables = planted({"type": 0.5, "latent": 0.1, "noise": 0.1})
    with pytest.raises(ScfmError, match="planted as 'latent'"):
        check(truth[truth.planted != "latent"], tables, SETTINGS)
    with pytest.raises(ScfmError, match="no gene of --truth"):
        check(truth.assign(gene="x" + truth.gene), tables, SETTINGS)
