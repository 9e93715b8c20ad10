"""Do two models learn the same genes beyond what their sparsity lets expect?"""

from itertools import product

import numpy as np
import pandas as pd

from scfm.errors import ScfmError


def overlap(first: int, second: int, shared: int, universe: int) -> dict[str, float]:
    """Compare the genes that two models share with the number expected by chance.

    Args:
        first, second: genes that each model calls (winners, or losers) within the universe.
        shared: genes that both call.
        universe: genes that either could have called.

    Returns:
        expected (first x second / universe), expected_percent (of `first`), percent (of `first`, shared), fold
        (shared / expected), only_first, only_second, union, p (hypergeometric, at least `shared`); NaN where
        undefined.
    """
    from scipy.stats import hypergeom

    expected = first * second / universe if universe else np.nan
    return {
        "expected": expected,
        "expected_percent": 100 * expected / first if first else np.nan,
        "percent": 100 * shared / first if first else np.nan,
        "fold": shared / expected if first and second else np.nan,
        "only_first": first - shared,
        "only_second": second - shared,
        "union": first + second - shared,
        "p": float(hypergeom.sf(shared - 1, universe, first, second)) if first and second else np.nan,
    }


def agreement(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Agreement of two runs in each universe of genes, for winners and for losers.

    Universes: `first` and `second` are the reliable genes of that run; `both` those evaluated in both.

    Args:
        first, second: scored genes of a run: gene, rescaled_mae, reliable, z, outcome; family, rescaled_mae_ungated and
            n_train_targets where they are there (what needs them is NaN otherwise).

    Returns:
        One row for each universe and outcome: universe, outcome, genes (in the universe), called_first,
        called_second, shared, the keys of `overlap`, then z_spearman over the shared genes and, over the
        families with a gene evaluated in both, families, family_z_spearman and family_mae_spearman (Spearman
        correlations of the family medians of Z and of the rescaled MAE, each run over its own reliable genes).
        The columns of `_median_errors` and train_targets_ratio, the median over the genes of second / first, stand
        only with the universe `both`, whose genes they are of.
    """
    absent = {"family": None, "rescaled_mae_ungated": np.nan, "n_train_targets": np.nan}
    first, second = (_with_columns(run, absent) for run in (first, second))
    genes = first.merge(second, on="gene", how="outer", suffixes=("_first", "_second"))
    reliable = {side: genes[f"reliable_{side}"].eq(True) for side in ("first", "second")}
    universes = {**reliable, "both": reliable["first"] & reliable["second"]}
    families, errors = _families(first, second), _median_errors(genes[universes["both"]])
    targets = (genes.n_train_targets_second / genes.n_train_targets_first)[universes["both"]]
    errors["train_targets_ratio"] = targets[np.isfinite(targets)].median()
    rows = []
    for (universe, inside), outcome in product(universes.items(), ("winner", "loser")):
        called = [inside & (genes[f"outcome_{side}"] == outcome) for side in ("first", "second")]
        shared = genes[called[0] & called[1]]
        row = {"universe": universe, "outcome": outcome, "genes": int(inside.sum())}
        row |= {"called_first": int(called[0].sum()), "called_second": int(called[1].sum()), "shared": len(shared)}
        row |= overlap(row["called_first"], row["called_second"], row["shared"], row["genes"])
        row |= {"z_spearman": spearman(shared.z_first, shared.z_second)} | families
        rows.append(row | (errors if universe == "both" else {}))
    return pd.DataFrame(rows)


def _with_columns(table: pd.DataFrame, defaults: dict) -> pd.DataFrame:
    return table.assign(**{name: value for name, value in defaults.items() if name not in table})


def _median_errors(genes: pd.DataFrame) -> dict[str, float]:
    """Median rescaled MAE of both runs over the same genes, gated and ungated, and second − first."""
    medians = {}
    for name, column in {"median_error": "rescaled_mae", "median_error_ungated": "rescaled_mae_ungated"}.items():
        known = genes[[f"{column}_first", f"{column}_second"]].dropna()
        first, second = known.median()
        medians |= {f"{name}_first": first, f"{name}_second": second, f"{name}_difference": second - first}
    return medians


def _families(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, float]:
    """Spearman correlations of the medians of the families that both runs evaluate."""
    medians = [run[run.reliable].groupby("family")[["z", "rescaled_mae"]].median() for run in (first, second)]
    both = medians[0].join(medians[1], how="inner", lsuffix="_first", rsuffix="_second")
    return {
        "families": len(both),
        "family_z_spearman": spearman(both.z_first, both.z_second),
        "family_mae_spearman": spearman(both.rescaled_mae_first, both.rescaled_mae_second),
    }


def spearman(first: pd.Series, second: pd.Series) -> float:
    """Spearman correlation over the pairs without NaN; NaN with fewer than 3 or where one side is constant."""
    from scipy.stats import spearmanr

    known = first.notna() & second.notna()
    first, second = first[known], second[known]
    if len(first) < 3 or first.nunique() < 2 or second.nunique() < 2:
        return np.nan
    return float(spearmanr(first, second).statistic)


def agreements(tables: dict[tuple[str, str], pd.DataFrame], pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Agreement of each pair of runs, in each seed that both have.

    Returns:
        first, second, seed, then the columns of `agreement`.

    Raises:
        ScfmError: a run of a pair is not among the tables, or the two have no seed in common.
    """
    parts = []
    for first, second in pairs:
        seeds = {run: {seed for name, seed in tables if name == run} for run in (first, second)}
        for run in (first, second):
            if not seeds[run]:
                raise ScfmError(f"--pairs {first}:{second}: no table of run '{run}' is given; add it with --genes")
        common = sorted(seeds[first] & seeds[second], key=int)
        if not common:
            raise ScfmError(f"--pairs {first}:{second}: the two runs have no seed in common; give tables of one seed")
        for seed in common:
            table = agreement(tables[first, seed], tables[second, seed])
            parts.append(pd.DataFrame({"first": first, "second": second, "seed": int(seed)}, table.index).join(table))
    return pd.concat(parts, ignore_index=True)
