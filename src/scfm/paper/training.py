"""The training log of each run in one row."""

from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tidy import read_table


def training_summary(logs: dict[tuple[str, str], Path]) -> pd.DataFrame:
    """The last recorded value of every column of each metrics.csv.

    Args:
        logs: (run, seed) to metrics.csv.

    Returns:
        Columns run, seed, then the union of the logs' columns in their order.

    Raises:
        ScfmError: a log is missing or empty.
    """
    rows = []
    for (run, seed), path in logs.items():
        log = read_table(path, [], "a training log")
        if log.empty:
            raise ScfmError(f"{path}: the training log has no row; train the run again")
        rows.append({"run": run, "seed": seed, **log.ffill().iloc[-1].to_dict()})
    return pd.DataFrame(rows)
