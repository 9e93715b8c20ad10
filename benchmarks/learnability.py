"""Learnability of one run: seconds for its parts, beside a plain loop over the genes; planted winners found again."""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import typer
from scipy.stats import norm

from scfm.learnability.detection import detection
from scfm.learnability.gating import gating
from scfm.learnability.groups import crosstab, group_table
from scfm.learnability.null import draw_nulls, null_rates, planted_winners
from scfm.learnability.outcomes import by_zero_fraction, score
from scfm.learnability.sensitivity import sensitivity
from scfm.learnability.settings import Learnability

FAMILIES, PROGRAMS = 37, 5
AXES = ("family", "program")


def simulate(n: int, seed: int = 0) -> pd.DataFrame:
    """Gene errors: a line in zero fraction with normal noise of 0.2 on the log scale, and groups dealt at random."""
    rng = np.random.default_rng(seed)
    zero_fraction = rng.uniform(0.05, 0.95, n)
    error = np.exp(np.log(0.2) + 1.5 * zero_fraction + rng.normal(0, 0.2, n))
    family = [f"F{i}" for i in rng.integers(FAMILIES, size=n)]
    names = {"gene": [f"G{i}" for i in range(n)], "family": family}
    names["family_group"] = ["many" if name in ("F1", "F2", "F3") else name for name in family]
    names |= {"program": [f"P{i}" for i in rng.integers(PROGRAMS, size=n)]}
    counts = {"n": 4000, "n_nonzero": (4000 * (1 - zero_fraction)).astype(int), "zero_fraction": zero_fraction}
    errors = {"rescaled_mae": error, "rescaled_mae_ungated": 0.9 * error, "rescaled_mae_null": 1.2 * error}
    return pd.DataFrame(names | counts | errors | {"auc": rng.uniform(0.6, 1, n)})


def loop(genes: pd.DataFrame, settings: Learnability) -> np.ndarray:
    """Local standard deviations as one writes them first: a mask over all genes for each gene."""
    _, zero_fraction, values = by_zero_fraction(genes, settings)
    return np.array([values[abs(zero_fraction - own) <= settings.half_width].std(ddof=1) for own in zero_fraction])


def timed(what: str, function: Callable[[], object]) -> object:
    """Call `function` and print the seconds that it took, by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    print(f"| {what} | {time.perf_counter() - wall:.2f} | {time.process_time() - cpu:.2f} |")
    return result


def theory(share: float, shift: float, t: float) -> tuple[float, float]:
    """Sensitivity and false discovery where the local SD is that of the mixture and the trend follows its mean."""
    mean, sd = -share * shift, np.sqrt(1 + share * (1 - share) * shift**2)
    found, false = share * norm.cdf(mean - t * sd + shift), (1 - share) * norm.cdf(mean - t * sd)
    return found / share, false / (found + false)


def main(genes: int = 20_000, planted: int = 5_000) -> None:
    """Time the analysis of so many genes, and plant winners among so many others."""
    settings = Learnability(reference_family="F0", reference_program="P0")
    errors = simulate(genes)
    warm = score(simulate(500), settings)  # imports
    warm = warm.join(null_rates(warm, draw_nulls(warm, settings)))
    group_table(warm, warm, "family", {}, settings)
    print(f"{genes:,} genes, {FAMILIES} families, {PROGRAMS} programs\n\n| part | wall s | CPU s |\n|---|---|---|")
    scored = timed("trend, local SD, Z, outcome", lambda: score(errors, settings))
    timed("the same local SD by a loop over genes", lambda: loop(errors, settings))
    null = timed(f"null models, 3 × {settings.permutations.n} draws", lambda: draw_nulls(scored, settings))
    scored = scored.join(null_rates(scored, null))
    for by in ("family", "family_group", "program"):
        timed(f"table by {by}", lambda by=by: group_table(scored, errors, by, {}, settings))
    timed("cross-tabulation", lambda: crosstab(scored))
    timed("detection against quantification", lambda: detection(scored, settings, AXES))
    timed("gated against ungated", lambda: gating(scored, settings, AXES))
    timed("sensitivity, 24 combinations with their null", lambda: sensitivity(scored, settings))
    timed(f"planted winners, {settings.permutations.n} draws", lambda: planted_winners(scored, settings))
    found = planted_winners(simulate(planted), settings)
    share, shift = settings.planted.share, settings.planted.shift
    sensitivity_, false = theory(share, shift, settings.t)
    print(
        f"\n{planted:,} genes, {share:.0%} of them {shift:g} SD lower: sensitivity {found['recall']:.3f} "
        f"(theory {sensitivity_:.3f}), false discovery {found['false_share']:.3f} (theory {false:.3f})"
    )


if __name__ == "__main__":
    typer.run(main)
