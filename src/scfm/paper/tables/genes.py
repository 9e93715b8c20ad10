"""Genes that a run learns better (winners) or, in table 3, less well (losers) than their sparsity predicts."""

from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tidy import read_table

COLUMNS = ("gene", "family", "program", "z", "rescaled_mae", "trend", "outcome")


def losers(tables: dict[tuple[str, str], Path]) -> pd.DataFrame:
    """Table 3: the losers, see `called`."""
    return called(tables, "loser")


def called(tables: dict[tuple[str, str], Path], outcome: str) -> pd.DataFrame:
    """Genes with an outcome ("winner" or "loser") in at least one run and seed, those farthest off the trend first.

    Args:
        tables: (run, seed) to the learnability table `genes.parquet`.

    Returns:
        One row for each gene: gene, family, program, in_common (in every run), then for each run
        `<run>_<outcome>_seeds` (`k of n`) and the means over its seeds of z, rescaled_mae and trend.

    Raises:
        ScfmError: no table given, or a column is missing.
    """
    if not tables:
        raise ScfmError("--genes: no table given; give RUN/SEED=FILE for each run and seed")
    genes = pd.concat(
        [read_table(path, COLUMNS, "a table of gene outcomes").assign(run=run) for (run, _), path in tables.items()]
    )
    genes["called"] = genes.outcome == outcome
    runs = list(dict.fromkeys(run for run, _ in tables))
    chosen = genes[genes.gene.isin(genes.gene[genes.called])]
    wide = chosen.drop_duplicates("gene").set_index("gene")[["family", "program"]]
    by_run = {run: chosen[chosen.run == run].groupby("gene") for run in runs}
    counts = pd.DataFrame({run: groups.called.sum() for run, groups in by_run.items()}, index=wide.index).fillna(0)
    wide["in_common"] = (counts > 0).all(axis=1)
    for run, groups in by_run.items():
        n_seeds = sum(name == run for name, _ in tables)
        wide[f"{run}_{outcome}_seeds"] = [f"{int(count)} of {n_seeds}" for count in counts[run]]
        wide = wide.join(groups[["z", "rescaled_mae", "trend"]].mean().add_prefix(f"{run}_"))
    z = wide[[f"{run}_z" for run in runs]]
    wide["order"] = z.max(axis=1) if outcome == "loser" else -z.min(axis=1)
    wide = wide.reset_index().sort_values(["in_common", "order", "gene"], ascending=[False, False, True])
    return wide.drop(columns="order").reset_index(drop=True)
