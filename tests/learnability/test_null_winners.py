"""Null models and the planted simulation."""

import numpy as np
from scipy.stats import norm

from scfm.learnability.null import null_winners, planted_winners
from scfm.learnability.settings import Learnability, Resampling

FEW = Resampling(n=40, seed=1)


def test_without_winners_every_null_makes_as_many(simulated):
    errors = simulated(n=3000, sd=0.2)
    null = null_winners(errors, Learnability(permutations=FEW))
    reliable = (errors.n_nonzero >= 100).sum()
    # Normal residuals beyond -2 SD; with an SD of 0.2 the condition on the ratio never binds.
    expected = norm.cdf(-2) * reliable
    assert abs(null["normal"]["mean"] - expected) < 0.2 * expected
    assert null["normal"]["low"] <= null["normal"]["mean"] <= null["normal"]["high"]
    for name in ("shuffle", "sign"):
        assert 0.8 < null[name]["share"] < 1.25


def test_planted_winners_stand_out_from_the_sign_null(simulated):
    null = null_winners(simulated(n=2000, winners=0.04, shift=6), Learnability(permutations=FEW))
    assert null["sign"]["share"] < 0.75
    assert null["sign"]["high"] < null["sign"]["observed"]


def test_narrow_spread_makes_no_winners_by_itself(simulated):
    null = null_winners(simulated(n=1000, sd=0.01), Learnability(permutations=FEW))
    # 2 SD are 2 %, so that the ratio of 0.9 keeps every gene out.
    assert null["normal"]["mean"] == 0
    assert null["normal"]["observed"] == 0
    assert np.isnan(null["normal"]["share"])


def test_simulation_finds_large_shifts(simulated):
    settings = Learnability(permutations=FEW)
    result = planted_winners(simulated(n=1500, sd=0.1), settings)
    assert result["recall"] > 0.6
    assert result["false_share"] < 0.4
    larger = settings.model_copy(update={"planted": settings.planted.model_copy(update={"shift": 8.0})})
    assert planted_winners(simulated(n=1500, sd=0.1), larger)["recall"] > result["recall"]


def test_same_seed_same_null(simulated):
    errors, settings = simulated(n=300), Learnability(permutations=FEW)
    assert null_winners(errors, settings) == null_winners(errors, settings)


def test_no_reliable_gene(simulated):
    settings = Learnability(min_nonzero=10**6, permutations=FEW)
    assert null_winners(simulated(n=5), settings) == {}
    assert np.isnan(planted_winners(simulated(n=5), settings)["recall"])
