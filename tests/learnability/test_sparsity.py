"""Share of the error that sparsity explains."""

import numpy as np
from scipy.stats import spearmanr

from scfm.learnability.outcomes import score
from scfm.learnability.settings import Learnability
from scfm.learnability.sparsity import sparsity


def test_perfect_order_is_explained_in_full(simulated):
    result = sparsity(simulated(n=200, sd=1e-12), Learnability(min_nonzero=1))
    assert result["r2"] > 1 - 1e-9
    assert abs(result["spearman_squared"] - 1) < 1e-9


def test_r2_is_that_of_the_scored_residuals(simulated):
    errors, settings = simulated(n=600, sd=0.3), Learnability()
    own = score(errors, settings).query("reliable")
    result = sparsity(errors, settings)
    log_error = np.log(own.rescaled_mae)
    assert np.isclose(result["r2"], 1 - np.sum(own.residual**2) / np.sum((log_error - log_error.mean()) ** 2))
    assert np.isclose(result["spearman"], spearmanr(own.zero_fraction, own.rescaled_mae).statistic)


def test_constant_zero_fraction_explains_nothing(simulated):
    result = sparsity(simulated(n=100).assign(zero_fraction=0.4), Learnability(min_nonzero=1))
    assert abs(result["r2"]) < 1e-9
    assert np.isnan(result["spearman"])


def test_too_few_genes_give_nan(simulated):
    assert np.isnan(list(sparsity(simulated(n=2), Learnability(min_nonzero=1)).values())).all()
