"""Winners and losers: genes that are predicted better or worse than their zero fraction lets expect."""

import numpy as np
import pandas as pd

from scfm.learnability.settings import Learnability
from scfm.learnability.trend import residuals, windows

# A rescaled MAE of exactly 0 has no logarithm; this lies far below any error that a model reaches.
SMALLEST_ERROR = 1e-6


def is_winner(z: np.ndarray, residual: np.ndarray, t: float, ratio: float) -> np.ndarray:
    """Z < -t and rescaled MAE < ratio x trend (bool [genes]); `residual` is log(rescaled MAE / trend)."""
    return (z < -t) & (residual < np.log(ratio))


def is_loser(z: np.ndarray, residual: np.ndarray, t: float, ratio: float) -> np.ndarray:
    """The mirror image on the log scale: Z > t and rescaled MAE > trend / ratio (bool [genes])."""
    return (z > t) & (residual > -np.log(ratio))


def error_column(settings: Learnability) -> str:
    """Name of the column of rescaled MAE that the settings ask for."""
    return "rescaled_mae" if settings.gated else "rescaled_mae_ungated"


def reliable_genes(errors: pd.DataFrame, settings: Learnability) -> np.ndarray:
    """Genes with enough nonzero validation observations and a known error (bool [genes])."""
    known = errors["zero_fraction"].notna() & np.isfinite(errors[error_column(settings)])
    return ((errors["n_nonzero"] >= settings.min_nonzero) & known).to_numpy()


def detection_auc(genes: pd.DataFrame, settings: Learnability) -> pd.Series:
    """Detection AUC (float [genes]), NaN where the gene has fewer nonzero or zero targets than the settings ask."""
    enough = (genes["n_nonzero"] >= settings.min_nonzero) & (genes["n"] - genes["n_nonzero"] >= settings.min_zeros)
    return genes["auc"].where(enough)


def log_errors(genes: pd.DataFrame, settings: Learnability) -> np.ndarray:
    """Natural logarithm of the rescaled MAE (float64 [genes])."""
    return np.log(np.maximum(genes[error_column(settings)].to_numpy(float), SMALLEST_ERROR))


def by_zero_fraction(genes: pd.DataFrame, settings: Learnability) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers of the reliable genes in ascending zero fraction, their zero fractions and log errors."""
    rows = np.flatnonzero(reliable_genes(genes, settings))
    rows = rows[np.argsort(genes["zero_fraction"].to_numpy(float)[rows], kind="stable")]
    chosen = genes.iloc[rows]
    return rows, chosen["zero_fraction"].to_numpy(float), log_errors(chosen, settings)


def score(errors: pd.DataFrame, settings: Learnability) -> pd.DataFrame:
    """Trend, Z and outcome of every gene.

    Args:
        errors: one row a gene: gene, n, n_nonzero, zero_fraction, rescaled_mae, rescaled_mae_ungated, …

    Returns:
        `errors` with reliable (bool), trend (rescaled MAE), residual and local_sd (natural log), z, outcome
        ("winner", "loser", "expected"; "" for a gene that is not reliable) and sparse (bool).
    """
    rows, zero_fraction, log_error = by_zero_fraction(errors, settings)
    scored = errors.assign(
        reliable=reliable_genes(errors, settings),
        **dict.fromkeys(["trend", "residual", "local_sd", "z"], np.nan),
        outcome="",
        sparse=(errors["zero_fraction"] > settings.sparse_cut).to_numpy(bool),
    ).reset_index(drop=True)
    if len(rows):
        fit = residuals(zero_fraction, log_error, *windows(zero_fraction, settings.half_width, settings.min_window))
        columns = np.column_stack([np.exp(fit.trend), fit.residual, fit.local_sd, fit.z])
        scored.loc[rows, ["trend", "residual", "local_sd", "z"]] = columns
        rule = fit.z, fit.residual, settings.t, settings.ratio
        scored.loc[rows, "outcome"] = np.select([is_winner(*rule), is_loser(*rule)], ["winner", "loser"], "expected")
    return scored
