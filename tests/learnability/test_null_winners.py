"""Null models and the planted simulation."""

import numpy as np
from scipy.stats import norm

from scfm.learnability.null import draw_nulls, null_rates, null_winners, planted_winners
from scfm.learnability.outcomes import score
from scfm.learnability.settings import Learnability, Resampling

FEW = Resampling(n=40, seed=1)


def test_without_winners_every_null_makes_as_many(simulated):
    errors = simulated(n=3000, sd=0.2)
    null = null_winners(draw_nulls(errors, Learnability(permutations=FEW)))
    reliable = (errors.n_nonzero >= 100).sum()
    # Normal residuals beyond -2 SD; with an SD of 0.2 the condition on the ratio never binds.
    expected = norm.cdf(-2) * reliable
    assert abs(null["normal"]["mean"] - expected) < 0.2 * expected
    assert null["normal"]["low"] <= null["normal"]["mean"] <= null["normal"]["high"]
    for name in ("shuffle", "sign"):
        assert 0.8 < null[name]["share"] < 1.25


def test_planted_winners_stand_out_from_the_sign_null(simulated):
    null = null_winners(draw_nulls(simulated(n=2000, winners=0.04, shift=6), Learnability(permutations=FEW)))
    assert null["sign"]["share"] < 0.75
    assert null["sign"]["high"] < null["sign"]["observed"]


def test_narrow_spread_makes_no_winners_by_itself(simulated):
    null = null_winners(draw_nulls(simulated(n=1000, sd=0.01), Learnability(permutations=FEW)))
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
    assert null_winners(draw_nulls(errors, settings)) == null_winners(draw_nulls(errors, settings))


def test_rates_of_genes_add_up_to_the_null_winners(simulated):
    errors = simulated(n=500, winners=0.05)
    null = draw_nulls(errors, Learnability(permutations=FEW))
    rates, summary = null_rates(errors, null), null_winners(null)
    reliable = errors.n_nonzero >= 100
    for name, record in summary.items():
        assert np.isclose(rates[f"null_{name}"].sum(), record["mean"])
        assert np.isclose(record["rate"], record["mean"] / reliable.sum())
        assert (rates[f"null_{name}"].notna() == reliable).all()


def test_no_reliable_gene(simulated):
    settings = Learnability(min_nonzero=10**6, permutations=FEW)
    null = draw_nulls(simulated(n=5), settings)
    assert null_winners(null) == {}
    assert null_rates(simulated(n=5), null).isna().all(axis=None)
    assert np.isnan(planted_winners(simulated(n=5), settings)["recall"])


def expected(share, shift, t=2.0):
    """Sensitivity and false discovery of Z < -t where a share of standard normal residuals lies `shift` lower.

    The isotonic trend of a straight line follows the mean of both parts, which is share x shift lower, and the local
    standard deviation is that of the mixture: its variance is 1 and that of the shift, share (1 - share) shift².
    """
    mean, sd = -share * shift, np.sqrt(1 + share * (1 - share) * shift**2)
    found = share * norm.cdf(mean - t * sd + shift)
    false = (1 - share) * norm.cdf(mean - t * sd)
    return found / share, false / (found + false)


def test_planted_genes_are_found_as_often_as_theory_says(simulated):
    # 5,000 genes, 5 % lowered by 3 SD: 68 % are found, and 13 % of those called are false.
    settings = Learnability(min_nonzero=1, permutations=Resampling(n=40, seed=3))
    result = planted_winners(simulated(n=5000, sd=0.2), settings)
    recall, false_share = expected(0.05, 3)
    assert np.isclose(recall, 0.677, atol=5e-4)
    assert np.isclose(false_share, 0.135, atol=5e-4)
    # Binomial errors over 40 x 250 planted and 40 x 196 called genes, and 0.01 for the trend's own noise.
    assert abs(result["recall"] - recall) < 3 * np.sqrt(recall * (1 - recall) / 10_000) + 0.01
    assert abs(result["false_share"] - false_share) < 3 * np.sqrt(false_share * (1 - false_share) / 7_800) + 0.01
    assert abs(result["planted"] - 250) < 10


def test_planted_winners_of_one_data_set_are_found(simulated):
    genes = score(simulated(n=5000, winners=0.05, shift=3, sd=0.2), Learnability(min_nonzero=1))
    called, planted = genes.outcome == "winner", genes.planted
    recall, false_share = expected(0.05, 3)
    assert abs((called & planted).sum() / planted.sum() - recall) < 3 * np.sqrt(recall * (1 - recall) / 250) + 0.01
    assert abs((called & ~planted).sum() / called.sum() - false_share) < 3 * np.sqrt(0.135 * 0.865 / 196) + 0.01
