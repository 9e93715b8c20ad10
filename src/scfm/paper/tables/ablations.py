"""Ablations: runs of one study that differ in one thing, side by side."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.paper.tables.hyperparameters import flatten
from scfm.paper.tidy import per_seed, read_table
from scfm.pretrain.settings import Run, parse_run

SCORES = {
    "macro_f1": "probe",
    "avg_bio": "integration",
    "avg_batch": "integration",
    "accuracy": "ontology",
    "hierarchical_f1": "ontology",
}
"""Metric of the benchmarks to its task."""
ERRORS = ("rescaled_mae", "rescaled_mae_ungated", "auc")
"""Columns of gene_errors.parquet."""
SPEED = "cells_per_s"
"""Column of metrics.csv; it depends on the machine and on what else ran there."""
NAMES = (".kind", ".label", ".loss")
"""Ends of the keys that say what a mapping is of."""
KEYS = ["metric", "pooling"]
COLUMNS = ["ablation", "base", "changes", *KEYS, "n", "seeds"]
COLUMNS += ["base_value", "ablation_value", "difference", "sd", "base_range"]


def ablations(
    pairs: Mapping[str, str], tidy: pd.DataFrame | None, models: Mapping[tuple[str, str], Path], min_nonzero: int
) -> pd.DataFrame:
    """Each ablation beside its base, paired by seed, pooling, and dataset or gene.

    Args:
        pairs: ablation to base.
        tidy: tidy results of both, if the study has benchmarks; contaminated ones are left out.
        models: (run, seed) to model directory.
        min_nonzero: fewest nonzero validation targets of a gene that counts.

    Returns:
        `COLUMNS`: n datasets or genes (the fewest of any seed); base_value and ablation_value the mean over seeds of
        the mean over datasets, or of the median over genes; difference their difference, sd its SD over seeds (NaN for
        one) and base_range the range of the base over all of its own seeds (NaN for one). What one side does not
        offer, as a pooling or the detection of zeros that it never sees, has no row.

    Raises:
        ScfmError: a run has no model, or a file is missing or lacks a column.
    """
    unknown = sorted({*pairs, *pairs.values()} - {run for run, _ in models})
    if unknown:
        raise ScfmError(f"--pair: run '{unknown[0]}' has no model directory; give one with --model")
    parts = [] if tidy is None else [_scores(tidy)]
    parts += [table for (run, seed), path in models.items() for table in _of_model(path, run, int(seed), min_nonzero)]
    values = pd.concat(parts, ignore_index=True).dropna(subset="value")
    settings = {run: _settings(path) for (run, _), path in models.items()}
    tables = []
    for ablation, base in pairs.items():
        table = _pair(values[values.run == ablation], values[values.run == base])
        table.insert(0, "ablation", ablation)
        table.insert(1, "base", base)
        table.insert(2, "changes", changes(settings[base], settings[ablation]))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def changes(base: Run, other: Run) -> str:
    """Settings in which two runs differ, `key: before → after`; of what only one has, its name and no defaults."""
    whole, chosen = ([_flat(run, exclude_defaults=brief) for run in (base, other)] for brief in (False, True))
    keys = [key for key in dict.fromkeys([*whole[0], *whole[1]]) if whole[0].get(key) != whole[1].get(key)]
    keys = [key for key in keys if key in chosen[0] | chosen[1] or key.endswith(NAMES)]
    return "; ".join(f"{key}: {whole[0].get(key, '–')} → {whole[1].get(key, '–')}" for key in keys)


def _flat(run: Run, **options: bool) -> dict[str, str]:
    return flatten(run.model_dump(mode="json", exclude={"description"}, **options))


def _settings(path: Path) -> Run:
    file = must_exist(path / "config.json", "the settings of a model")
    return parse_run(json.loads(file.read_text())["settings"], str(file))


def _scores(tidy: pd.DataFrame) -> pd.DataFrame:
    chosen = per_seed(tidy[(tidy.metric.map(SCORES) == tidy.task) & ~tidy.contaminated])
    return chosen.rename(columns={"dataset": "of"})[["run", "seed", *KEYS, "of", "value"]]


def _of_model(path: Path, run: str, seed: int, min_nonzero: int) -> list[pd.DataFrame]:
    """Speed of training and, of systems that have them, errors of the genes that count at the last validation."""
    speed = read_table(path / "metrics.csv", [SPEED], "a training log")[SPEED].iloc[-1]
    tables = [pd.DataFrame({"metric": [SPEED], "of": "", "value": speed})]
    if _settings(path).model.tracks_genes:
        genes = read_table(path / "gene_errors.parquet", ["epoch", "gene", "n_nonzero", *ERRORS], "errors of genes")
        genes = genes[(genes.epoch == genes.epoch.max()) & (genes.n_nonzero >= min_nonzero)]
        tables.insert(0, genes.melt("gene", ERRORS, "metric").rename(columns={"gene": "of"}))
    return [table.assign(run=run, seed=seed, pooling="") for table in tables]


def _pair(ablation: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    both = base.merge(ablation, on=["seed", *KEYS, "of"], suffixes=("_base", "_ablation"))
    both = _over(both, ["value_base", "value_ablation"])
    both["difference"] = both.value_ablation - both.value_base
    table = both.groupby(KEYS, sort=False, as_index=False).agg(
        n=("n", "min"),
        seeds=("seed", "nunique"),
        base_value=("value_base", "mean"),
        ablation_value=("value_ablation", "mean"),
        difference=("difference", "mean"),
        sd=("difference", "std"),
    )
    alone = _over(base, ["value"]).groupby(KEYS).value
    spread = (alone.max() - alone.min()).where(alone.count() > 1).rename("base_range")
    return table.merge(spread, left_on=KEYS, right_index=True, how="left")


def _over(values: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """One row for each seed, metric and pooling: medians over genes, else means, and the number n behind them."""
    groups = values.groupby([*KEYS, "seed"], sort=False)
    means, medians = groups[columns].mean(), groups[columns].median()
    of_genes = means.index.get_level_values("metric").isin(ERRORS)
    return pd.concat([means[~of_genes], medians[of_genes]]).assign(n=groups.size()).reset_index()
