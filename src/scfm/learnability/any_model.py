"""Per-gene errors of any model: reading a table of them, and leaving out what it has no columns for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.learnability.analysis import Analysis, analyse
from scfm.learnability.outcomes import error_column
from scfm.learnability.read import ERRORS, at_epoch, check_errors, read_annotation, read_table
from scfm.learnability.settings import Learnability

NEEDED = ("gene", "n_nonzero", "zero_fraction", "rescaled_mae")
# What an absent column leaves out: columns of tables, keys of the summary, and whole tables.
DEPENDENT = {
    "epoch": ("training dynamics", {"epoch", "dynamics"}),
    "rescaled_mae_ungated": (
        "gated against ungated",
        {"rescaled_mae_ungated", "median_rescaled_mae_ungated", "spearman_ungated", "gating"},
    ),
    "rescaled_mae_null": (
        "comparison with the null error",
        {"rescaled_mae_null", "median_rescaled_mae_null", "share_beating_null", "median_improvement"},
    ),
    "auc": ("detection", {"auc", "median_auc", "median_auc_genes", "detection"}),
    "n": ("detection", {"n", "median_auc", "median_auc_genes", "detection"}),
}


def read_model(path: Path, settings: Learnability) -> tuple[pd.DataFrame, list[str]]:
    """Per-gene errors of one run of any model, from CSV, TSV or parquet.

    Returns:
        The table with every column of `read.ERRORS` (run: the file's name, seed and epoch: 0, others: NaN where
        absent) and those it has beyond, and the columns that were absent.

    Raises:
        ScfmError: as `read.read_table` and `read.check_errors`; the settings ask for ungated errors and there are none.
    """
    errors = read_table(path, NEEDED, "a table of per-gene errors")
    absent = [name for name in DEPENDENT if name not in errors]
    if error_column(settings) in absent:
        raise ScfmError(
            f"{path}: column '{error_column(settings)}' is missing; gated: false needs it; add it or leave gated true"
        )
    filled = {"run": path.name.split(".")[0], "seed": 0, "epoch": 0}
    for name in ERRORS:
        if name not in errors:
            errors[name] = filled.get(name, np.nan)
    return check_errors(errors, path), absent


def analyse_model(path: Path, annotation: Path | None, settings: Learnability) -> tuple[Analysis, list[str]]:
    """Analyse a table of per-gene errors as far as its columns go.

    Args:
        annotation: family, family_group and program of genes, see `read.read_annotation`; genes that are not in it
            belong to no group. None: no tables of groups.

    Returns:
        The analysis, whose genes keep the columns that are not known here, and a phrase for each thing left out or
        kept.

    Raises:
        ScfmError: as `read_model` and `read.read_annotation`.
    """
    errors, absent = read_model(path, settings)
    known = None if annotation is None else read_annotation(annotation, errors.gene.drop_duplicates(), complete=False)
    now = at_epoch(errors, settings.epoch)
    analysis = _without(analyse(errors, known, settings), absent)
    unknown = [name for name in now if name not in (*ERRORS, *analysis.genes)]
    said = [f"no {name}: {DEPENDENT[name][0]} left out" for name in absent]
    if known is None:
        said.append("no annotation: families and programs left out")
    elif unannotated := int((~now.gene.isin(known.gene)).sum()):
        said.append(f"{unannotated:,} genes without annotation are in no family")
    if unknown:
        said.append(f"kept as they are: {', '.join(unknown)}")
    return replace(analysis, genes=analysis.genes.assign(**now[unknown])), said


def _without(analysis: Analysis, absent: list[str]) -> Analysis:
    """The analysis without what depends on absent columns."""
    gone = set().union(*(DEPENDENT[name][1] for name in absent))
    changed = {"summary": {key: value for key, value in analysis.summary.items() if key not in gone}}
    for name, table in vars(analysis).items():
        if name in gone:
            changed[name] = None
        elif isinstance(table, pd.DataFrame):
            empty = [column for column in table if column in gone and table[column].isna().all()]
            changed[name] = table.drop(columns=empty)
    return replace(analysis, **changed)
