"""Run times and peak memory, from the TSV files that Snakemake's `benchmark:` writes."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from scfm.files import must_exist
from scfm.paper.tidy import read_table

COLUMNS = ("s", "max_rss")


def read_jobs(folders: Iterable[Path]) -> pd.DataFrame:
    """One row for each job.

    The rule is a file's path below its folder up to the first hyphen of its name: both `pretrain/train-mlm-0.tsv` and
    `pretrain/train-wced-0.tsv` belong to `pretrain/train`. The stage is the first part of that path.

    Returns:
        Columns stage, rule, job, seconds, peak_mib (largest resident set; NaN for a job too short to be sampled).

    Raises:
        ScfmError: a folder is missing, or a file is not a Snakemake benchmark.
    """
    rows = []
    for folder in folders:
        for path in sorted(must_exist(folder, "the folder of benchmark files").rglob("*.tsv")):
            measured, name = _read(path), path.relative_to(folder).with_suffix("")
            rule = (name.parent / name.name.split("-")[0]).as_posix()
            rows.append((name.parts[0], rule, name.as_posix(), measured.s.mean(), measured.max_rss.max()))
    return pd.DataFrame(rows, columns=["stage", "rule", "job", "seconds", "peak_mib"])


def summed(jobs: pd.DataFrame, by: str) -> pd.DataFrame:
    """One row for each rule or stage, longest first.

    Returns:
        Columns `by`, jobs, seconds (sum over jobs), longest (seconds), peak_mib (largest resident set).
    """
    table = jobs.groupby(by, as_index=False).agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), longest=("seconds", "max"), peak_mib=("peak_mib", "max")
    )
    return table.sort_values(["seconds", by], ascending=[False, True], ignore_index=True).round(1)


def largest(jobs: pd.DataFrame, count: int = 10) -> pd.DataFrame:
    """The jobs that took the most memory: columns job, peak_mib, seconds."""
    return jobs.nlargest(count, "peak_mib")[["job", "peak_mib", "seconds"]].round(1).reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    """One benchmark file; jobs too short to be sampled have `NA` or `-` as their memory."""
    table = read_table(path, COLUMNS, "a benchmark file of Snakemake")
    return table.assign(max_rss=pd.to_numeric(table.max_rss, errors="coerce"), s=pd.to_numeric(table.s))
