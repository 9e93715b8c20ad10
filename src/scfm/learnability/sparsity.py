"""How much of the error is a matter of sparsity alone."""

import numpy as np
import pandas as pd

from scfm.learnability.outcomes import by_zero_fraction
from scfm.learnability.settings import Learnability
from scfm.learnability.trend import isotonic_trend


def sparsity(genes: pd.DataFrame, settings: Learnability) -> dict[str, float]:
    """R² of the isotonic fit of log(rescaled MAE) on the zero fraction, and their Spearman correlation.

    Returns:
        r2, spearman, spearman_squared; NaN with fewer than 3 reliable genes or where nothing varies.
    """
    from scipy.stats import spearmanr

    _, zero_fraction, log_error = by_zero_fraction(genes, settings)
    if len(log_error) < 3 or np.ptp(log_error) == 0:
        return dict.fromkeys(["r2", "spearman", "spearman_squared"], np.nan)
    unexplained = np.sum((log_error - isotonic_trend(zero_fraction, log_error)) ** 2)
    rho = spearmanr(zero_fraction, log_error).statistic if np.ptp(zero_fraction) else np.nan
    total = np.sum((log_error - log_error.mean()) ** 2)
    return {"r2": float(1 - unexplained / total), "spearman": float(rho), "spearman_squared": float(rho**2)}
