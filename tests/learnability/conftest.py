"""Simulated gene errors: a known trend, known spread, known winners."""

import numpy as np
import pandas as pd
import pytest

FAMILIES = ["Kinase", "Synapse", "Peptidase", "Unclassified"]
PROGRAMS = ["constitutive", "identity_associated", "unassigned"]


def simulate(n: int = 1000, seed: int = 0, winners: float = 0.0, shift: float = 4.0, sd: float = 0.05) -> pd.DataFrame:
    """One epoch of gene errors; log error = line in zero fraction + normal noise, minus `shift` SD for winners."""
    rng = np.random.default_rng(seed)
    zero_fraction = rng.uniform(0.05, 0.95, n)
    planted = rng.random(n) < winners
    log_error = np.log(0.2) + 1.5 * zero_fraction + rng.normal(0, sd, n) - shift * sd * planted
    error = np.exp(log_error)
    return pd.DataFrame(
        {
            "run": "wced",
            "seed": 0,
            "epoch": 3,
            "gene": [f"G{i}" for i in range(n)],
            "n": 1000,
            "n_nonzero": (1000 * (1 - zero_fraction)).astype(int),
            "zero_fraction": zero_fraction,
            "rescaled_mae": error,
            "rescaled_mae_ungated": error * 0.9,
            "rescaled_mae_null": error * 1.25,
            "auc": rng.uniform(0.8, 0.95, n),
            "planted": planted,
        }
    )


def annotate(genes: pd.Series) -> pd.DataFrame:
    """Families and programs dealt out in turn."""
    place = np.arange(len(genes))
    family = np.array(FAMILIES)[place % len(FAMILIES)]
    return pd.DataFrame(
        {"gene": genes, "family": family, "family_group": family, "program": np.array(PROGRAMS)[place % len(PROGRAMS)]}
    )


@pytest.fixture
def simulated():
    """The function `simulate`."""
    return simulate


@pytest.fixture
def annotated():
    """The function `annotate`."""
    return annotate
