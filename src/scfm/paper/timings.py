"""Run times and peak memory by rule, from the TSV files that Snakemake's `benchmark:` writes."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from scfm.files import must_exist
from scfm.paper.tidy import read_table

COLUMNS = ("s", "max_rss")


def timings(folders: Iterable[Path]) -> pd.DataFrame:
    """One row for each rule, longest first.

    The rule is a file's path below its folder up to the first hyphen of its name: both `pretrain/train-mlm-0.tsv` and
    `pretrain/train-wced-0.tsv` belong to `pretrain/train`.

    Returns:
        Columns rule, jobs, seconds (sum over jobs), longest (seconds), peak_mib (largest resident set).

    Raises:
        ScfmError: a folder is missing, or a file is not a Snakemake benchmark.
    """
    rows = []
    for folder in folders:
        for path in sorted(must_exist(folder, "the folder of benchmark files").rglob("*.tsv")):
            measured = _read(path)
            rule = (path.relative_to(folder).parent / path.stem.split("-")[0]).as_posix()
            rows.append({"rule": rule, "s": measured.s.mean(), "max_rss": measured.max_rss.max()})
    jobs = pd.DataFrame(rows, columns=["rule", *COLUMNS])
    table = jobs.groupby("rule", as_index=False).agg(
        jobs=("s", "size"), seconds=("s", "sum"), longest=("s", "max"), peak_mib=("max_rss", "max")
    )
    return table.sort_values(["seconds", "rule"], ascending=[False, True], ignore_index=True).round(1)


def _read(path: Path) -> pd.DataFrame:
    """One benchmark file; jobs too short to be sampled have `NA` or `-` as their memory."""
    table = read_table(path, COLUMNS, "a benchmark file of Snakemake")
    return table.assign(max_rss=pd.to_numeric(table.max_rss, errors="coerce"), s=pd.to_numeric(table.s))
