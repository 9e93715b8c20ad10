"""The rule for winners and losers."""

import numpy as np
import pytest

from scfm.learnability.outcomes import detection_auc, is_loser, is_winner, score
from scfm.learnability.settings import Learnability


def test_rule_needs_both_conditions_and_is_mirrored():
    z = np.array([-2.1, -2.1, -1.9, -2.0, 2.1, 2.1, np.nan])
    residual = np.log([0.89, 0.91, 0.5, 0.5, 1 / 0.89, 1 / 0.91, 0.5])
    np.testing.assert_array_equal(is_winner(z, residual, 2, 0.9), [True, False, False, False, False, False, False])
    np.testing.assert_array_equal(is_loser(z, residual, 2, 0.9), [False, False, False, False, True, False, False])


def test_planted_winners_are_found(simulated):
    errors = simulated(n=2000, winners=0.03, shift=6)
    scored = score(errors, Learnability(min_nonzero=50))
    winner = scored.outcome == "winner"
    assert winner[scored.planted].mean() > 0.95
    assert winner[~scored.planted].mean() < 0.02
    assert (scored.outcome == "loser").mean() < 0.02


def test_score_is_the_definition(simulated):
    errors = simulated(n=500)
    scored = score(errors, Learnability(min_nonzero=200))
    assert (scored.gene == errors.gene).all()
    assert (scored.reliable == (errors.n_nonzero >= 200)).all()
    own = scored[scored.reliable]
    np.testing.assert_allclose(own.residual, np.log(own.rescaled_mae / own.trend))
    np.testing.assert_allclose(own.z, own.residual / own.local_sd)
    ordered = own.sort_values("zero_fraction").trend
    assert (np.diff(ordered) >= -1e-12).all()
    assert (scored.outcome[~scored.reliable] == "").all()
    assert scored.z[~scored.reliable].isna().all()
    assert (scored["sparse"] == (errors.zero_fraction > 0.65)).all()


def test_unreliable_genes_change_nothing(simulated):
    errors = simulated(n=300)
    weak = errors.assign(gene=errors.gene + "x", n_nonzero=5, rescaled_mae=0.01)
    import pandas as pd

    with_weak = score(pd.concat([weak, errors], ignore_index=True), Learnability()).iloc[300:]
    np.testing.assert_array_equal(with_weak.z, score(errors, Learnability()).z)


@pytest.mark.parametrize("gated", [True, False])
def test_gated_chooses_the_error(simulated, gated):
    errors = simulated(n=200).assign(rescaled_mae_ungated=0.5)
    scored = score(errors, Learnability(gated=gated))
    known = scored.trend[scored.reliable]
    assert np.allclose(known, 0.5) == (not gated)


def test_gene_never_expressed_and_gene_never_measured_are_not_evaluated(simulated):
    errors = simulated(n=120)
    errors.loc[0, ["n_nonzero", "zero_fraction", "rescaled_mae", "rescaled_mae_ungated"]] = [0, 1, np.nan, np.nan]
    errors.loc[1, ["n", "n_nonzero", "zero_fraction", "rescaled_mae"]] = [0, 0, np.nan, np.nan]
    scored = score(errors, Learnability(min_nonzero=1))
    assert not scored.reliable[:2].any()
    assert not scored["sparse"][1]
    assert scored["sparse"][0]
    assert scored.reliable[2:].all()


def test_detection_auc_needs_zeros_and_nonzeros(simulated):
    errors = simulated(n=5).assign(auc=[0.1, 0.2, 0.3, 0.4, 0.5], n=[120, 119, 119, 300, 300])
    errors["n_nonzero"] = [100, 100, 99, 280, 281]
    auc = detection_auc(errors, Learnability(min_nonzero=100, min_zeros=20))
    np.testing.assert_array_equal(auc, [0.1, np.nan, np.nan, 0.4, np.nan])


def test_none_reliable(simulated):
    scored = score(simulated(n=10), Learnability(min_nonzero=10**6))
    assert (scored.outcome == "").all()
    assert scored.z.isna().all()
    assert not scored.reliable.any()
