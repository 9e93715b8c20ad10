"""Table 3: the genes that a run learns less well than their sparsity predicts (losers)."""

from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tidy import read_table

COLUMNS = ("gene", "family", "program", "z", "rescaled_mae", "trend", "outcome")


def losers(tables: dict[tuple[str, str], Path]) -> pd.DataFrame:
    """Genes that are losers of at least one run in at least one seed.

    Args:
        tables: (run, seed) to the learnability table `genes.parquet`.

    Returns:
        One row for each gene: gene, family, program, in_common (a loser of every run), then for each run
        `<run>_loser_seeds` (`k of n`) and the means over its seeds of z, rescaled_mae and trend.

    Raises:
        ScfmError: no table given, or a column is missing.
    """
    if not tables:
        raise ScfmError("--genes: no table given; give RUN/SEED=FILE for each run and seed")
    genes = pd.concat(
        [read_table(path, COLUMNS, "a table of gene outcomes").assign(run=run) for (run, _), path in tables.items()]
    )
    genes["loser"] = genes.outcome == "loser"
    runs = list(dict.fromkeys(run for run, _ in tables))
    chosen = genes[genes.gene.isin(genes.gene[genes.loser])]
    wide = chosen.drop_duplicates("gene").set_index("gene")[["family", "program"]]
    by_run = {run: chosen[chosen.run == run].groupby("gene") for run in runs}
    counts = pd.DataFrame({run: groups.loser.sum() for run, groups in by_run.items()}, index=wide.index).fillna(0)
    wide["in_common"] = (counts > 0).all(axis=1)
    for run, groups in by_run.items():
        n_seeds = sum(name == run for name, _ in tables)
        wide[f"{run}_loser_seeds"] = [f"{int(count)} of {n_seeds}" for count in counts[run]]
        wide = wide.join(groups[["z", "rescaled_mae", "trend"]].mean().add_prefix(f"{run}_"))
    wide["order"] = wide[[f"{run}_z" for run in runs]].max(axis=1)
    wide = wide.reset_index().sort_values(["in_common", "order", "gene"], ascending=[False, False, True])
    return wide.drop(columns="order").reset_index(drop=True)
