"""What the learnability stage says of every run: its winners beside the null models, and what they depend on."""

import json
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.paper.tables.genes import called
from scfm.paper.tidy import read_table

Folders = dict[tuple[str, str], Path]
NULLS = ("shuffle", "sign", "normal")
OF_RUN = ["epoch", "genes", "reliable", "winners", "winner_rate", "losers", "sparse_winners"]
QUALITY = ["median_rescaled_mae", "median_rescaled_mae_ungated", "median_rescaled_mae_null", "median_auc"]
# File of a run's folder to what its rows are about; the rest are figures, of which the mean over the seeds stands.
OVER_SEEDS = {
    "sensitivity": ["half_width", "t", "sparse_cut", "default"],
    "detection": ["axis", "group"],
    "gating": ["axis", "group"],
}


def learnability_tables(folders: Folders) -> dict[str, pd.DataFrame]:
    """Every table of the learnability of all runs, by name.

    Args:
        folders: (run, seed) to the folder of the learnability stage.

    Returns:
        learnability (see `overview`), winners (see `genes.called`), crosstab (see `crosstabs`), and sensitivity,
        detection and gating: the columns of the stage's tables after run and seeds (how many), as means over seeds.

    Raises:
        ScfmError: no folder given; a file is missing or lacks a column.
    """
    if not folders:
        raise ScfmError("--learnability: no folder given; give RUN/SEED=FOLDER for each run and seed")
    genes = {key: folder / "genes.parquet" for key, folder in folders.items()}
    tables = {"learnability": overview(folders), "winners": called(genes, "winner"), "crosstab": crosstabs(folders)}
    return tables | {name: _over_seeds(folders, name, keys) for name, keys in OVER_SEEDS.items()}


def overview(folders: Folders) -> pd.DataFrame:
    """One row for each run and seed: how many win, what the null models give instead, and how well planted are found.

    Returns:
        run, seed, the keys of the run's summary in `OF_RUN`, for each null model null_rate_<name> (winners / reliable
        genes, as winner_rate), null_share_sign (null winners / winners), r2 and spearman_squared of the sparsity, the
        keys in `QUALITY`, planted_sensitivity (found / planted), planted_false_discovery (not planted / called), note.

    Raises:
        ScfmError: a summary is missing or lacks a key.
    """
    rows = []
    for (run, seed), folder in folders.items():
        path = must_exist(folder / "summary.json", "a learnability summary")
        summary = json.loads(path.read_text())
        try:
            null = {f"null_rate_{name}": summary["null"].get(name, {}).get("rate") for name in NULLS}
            row = {"run": run, "seed": seed} | {key: summary[key] for key in OF_RUN} | null
            row |= {"null_share_sign": summary["null"].get("sign", {}).get("share")}
            row |= {key: summary["sparsity"][key] for key in ("r2", "spearman_squared")}
            row |= {key: summary[key] for key in QUALITY}
            row |= {"planted_sensitivity": summary["planted"]["recall"]}
            row |= {"planted_false_discovery": summary["planted"]["false_share"], "note": summary["note"]}
        except KeyError as error:
            raise ScfmError(f"{path}: key {error} is missing; make it again with 'scfm learnability genes'") from error
        rows.append(row)
    return pd.DataFrame(rows)


def crosstabs(folders: Folders) -> pd.DataFrame:
    """Families against programs, both in the order of the rules.

    Returns:
        One row for each family that has a gene, and one for `all`: family, for each program its genes, genes (their
        sum), then for each run and program `<run>_<program>`: winners / evaluated genes as text (means over seeds;
        empty where none is evaluated).
    """
    columns = ["family", "program", "annotated", "evaluated", "winners"]
    parts = []
    for (run, seed), folder in folders.items():
        part = read_table(folder / "crosstab.csv", columns, "a cross-tabulation of families and programs")
        everything = part.groupby("program", as_index=False, sort=False)[columns[2:]].sum().assign(family="all")
        parts.append(pd.concat([part, everything]).assign(run=run, seed=seed))
    cells = pd.concat(parts)
    genes = cells.drop_duplicates(["family", "program"]).pivot(index="family", columns="program", values="annotated")
    genes = genes.loc[[*_names(folders, "families", genes.index), "all"], _names(folders, "programs", genes.columns)]
    genes = genes.fillna(0).astype(int)
    table = genes.assign(genes=genes.sum(axis=1))
    for run in dict.fromkeys(run for run, _ in folders):
        means = cells[cells.run == run].groupby(["family", "program"])[["winners", "evaluated"]].mean()
        means = means[means.evaluated > 0]
        texts = means.winners.map("{:g}".format) + "/" + means.evaluated.map("{:g}".format)
        for program in genes:
            own = texts[texts.index.get_level_values("program") == program].droplevel("program")
            table[f"{run}_{program}"] = own.reindex(table.index).fillna("")
    return table.rename_axis("family", axis=0).rename_axis(None, axis=1).reset_index()


def _names(folders: Folders, name: str, known: pd.Index) -> list[str]:
    """Families or programs in the order of their rules, of which there are genes."""
    table = read_table(next(iter(folders.values())) / f"{name}.csv", [], f"a table of {name}")
    return [group for group in table.iloc[:, 0] if group in known]


def _over_seeds(folders: Folders, name: str, keys: list[str]) -> pd.DataFrame:
    """One table of all runs: run, seeds, `keys`, and the means of the other columns."""
    parts = []
    for run in dict.fromkeys(run for run, _ in folders):
        own = [folder / f"{name}.csv" for (other, _), folder in folders.items() if other == run]
        rows = pd.concat([read_table(path, keys, f"a table of {name}") for path in own])
        means = rows.groupby(keys, sort=False, as_index=False).mean()
        means.insert(0, "seeds", len(own))
        means.insert(0, "run", run)
        parts.append(means)
    return pd.concat(parts, ignore_index=True)
