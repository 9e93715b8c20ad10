"""The planted truth of the synthetic census: are the planted programs found again?"""

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.learnability.settings import Learnability

PLANTED = ("type", "latent", "noise")
DIFFERENCES = {("type", "noise"): True, ("latent", "noise"): False}
"""Pairs whose winner rates are compared, and whether the interval must lie above 0."""
COLUMNS = ["check", "run", "seed", "quantity", "value", "low", "high", "winners", "n", "required", "holds"]
NULL_RATES = ["null_shuffle", "null_sign"]


def check(truth: pd.DataFrame, tables: dict[tuple[str, str], pd.DataFrame], settings: Learnability) -> pd.DataFrame:
    """Winner rates of the planted programs, and their differences with 95 % intervals.

    Rates are over evaluated genes. Intervals are percentiles of a bootstrap over the genes of each program; a
    gene keeps its outcomes of all seeds together, since these are not independent.

    Args:
        truth: gene and planted ("type", "latent", "noise", …).
        tables: (run, seed) to scored genes.

    Returns:
        One row for the rate of each run, seed and program, for each run's rate pooled over its seeds (seed "")
        with its interval, and for each run's differences: check (unique name), run, seed, quantity, value, low,
        high, winners, n (evaluated genes, summed over seeds when pooled), required (bool), holds ("yes" or
        "no": the whole interval lies above 0; "" for rates), null_shuffle and null_sign (the rate of the same genes
        under the null models, see `scfm.learnability.null`; NaN for differences).

    Raises:
        ScfmError: a planted program has no gene, or no planted gene is in a table.
    """
    absent = [name for name in PLANTED if not (truth.planted == name).any()]
    if absent:
        raise ScfmError(f"--truth: no gene is planted as '{absent[0]}'; give the truth of the synthetic census")
    rows = []
    for run in dict.fromkeys(run for run, _ in tables):
        own = {seed: table for (name, seed), table in tables.items() if name == run}
        rows += _check_run(truth, run, own, settings)
    return pd.DataFrame(rows, columns=[*COLUMNS, *NULL_RATES]).astype({"winners": "Int64", "n": "Int64"})


def _check_run(truth: pd.DataFrame, run: str, tables: dict[str, pd.DataFrame], settings: Learnability) -> list[dict]:
    won, seen, null = _outcomes(truth, run, tables)
    rng = np.random.default_rng(settings.bootstrap.seed)
    rows, rates, draws = [], {}, {}
    for name in PLANTED:
        inside = (truth.planted == name).to_numpy()
        for place, seed in enumerate(tables):
            wins, n = int(won[inside, place].sum()), int(seen[inside, place].sum())
            row = {"check": f"{run}/{seed}/{name}", "run": run, "seed": seed, "quantity": name}
            row |= _null_means(null, seen, inside, place)
            rows.append(row | {"value": wins / n if n else np.nan, "winners": wins, "n": n, "required": False})
        gene_won, gene_seen = won[inside].sum(1), seen[inside].sum(1)
        draws[name] = _bootstrap(gene_won, gene_seen, settings.bootstrap.n, rng)
        rates[name] = gene_won.sum() / gene_seen.sum() if gene_seen.sum() else np.nan
        row = {"check": f"{run}/{name}", "run": run, "seed": "", "quantity": name, "value": rates[name]}
        counts = {"winners": int(gene_won.sum()), "n": int(gene_seen.sum()), "required": False}
        rows.append(row | _interval(draws[name]) | counts | _null_means(null, seen, inside))
    for (name, other), required in DIFFERENCES.items():
        quantity = f"{name}_minus_{other}"
        row = {"check": f"{run}/{quantity}", "run": run, "seed": "", "quantity": quantity, "required": required}
        interval = _interval(draws[name] - draws[other])
        holds = "yes" if interval["low"] > 0 else "no"
        rows.append(row | {"value": rates[name] - rates[other]} | interval | {"holds": holds})
    return [{"holds": "", "seed": ""} | row for row in rows]


def _outcomes(
    truth: pd.DataFrame, run: str, tables: dict[str, pd.DataFrame]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Winner and evaluated (bool [planted genes, seeds] each), and the null rates by name (float, the same shape).

    A gene absent from a table is not evaluated.
    """
    won, seen, null = [], [], {name: [] for name in NULL_RATES}
    for seed, table in tables.items():
        genes = table.set_index("gene").reindex(truth.gene)
        if genes.outcome.isna().all():
            raise ScfmError(f"--genes {run}:{seed}: holds no gene of --truth; give a run trained on the same corpus")
        won.append((genes.outcome == "winner").to_numpy())
        seen.append(genes.reliable.eq(True).to_numpy())
        for name, rates in null.items():
            rates.append(genes[name].to_numpy(float))
    return np.column_stack(won), np.column_stack(seen), {name: np.column_stack(rates) for name, rates in null.items()}


def _null_means(
    null: dict[str, np.ndarray], seen: np.ndarray, inside: np.ndarray, seed: int | slice = slice(None)
) -> dict[str, float]:
    """Mean null rates of the evaluated genes `inside` a program, of one seed (its position) or all."""
    evaluated = seen[inside, seed]
    return {name: rates[inside, seed][evaluated].mean() if evaluated.any() else np.nan for name, rates in null.items()}


def _bootstrap(won: np.ndarray, seen: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Winner rates (float64 [draws]) of programs drawn gene by gene with replacement; NaN if none is evaluated."""
    # The number of times each gene is drawn is multinomial, so that no index array of draws x genes is needed.
    times = rng.multinomial(len(won), np.full(len(won), 1 / len(won)), size=n)
    total = (times @ seen).astype(float)
    return np.divide(times @ won, total, out=np.full(n, np.nan), where=total > 0)


def _interval(draws: np.ndarray) -> dict[str, float]:
    """Percentile 95 % interval over the defined draws; NaN if no draw is defined."""
    known = draws[~np.isnan(draws)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return {"low": float(low), "high": float(high)}
