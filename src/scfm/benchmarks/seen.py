"""The table of what the runs have seen of the benchmark datasets, and marking a dataset by it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scfm.errors import ScfmError
from scfm.files import must_exist

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

COLUMNS = ("run", "dataset", "census_dataset_ids", "doi", "found", "train_cells", "seen")
SEEN, NOT_FOUND, UNKNOWN = "yes", "not found", "unknown"
UNTOLD = "training data unknown"
"""Of a model of others; UNKNOWN is said of a dataset that this study's store cannot be searched for."""


def read_contamination(path: Path) -> "pd.DataFrame":
    """Read a table of `scfm benchmarks contamination`.

    Raises:
        ScfmError: the file is missing or something else.
    """
    import pandas as pd

    table = pd.read_csv(
        must_exist(path, "table of contamination"), keep_default_na=False, na_values={"train_cells": [""]}
    )
    if list(table.columns) != list(COLUMNS):
        raise ScfmError(f"{path}: not a table of contamination; make it with 'scfm benchmarks contamination'")
    return table


def mark_seen(adata: "AnnData", table: "pd.DataFrame", run: str) -> None:
    """Mark a prepared dataset as contaminated where the run has seen it.

    What the study file says of the dataset, or of single cells of it, stands: the table only adds what nobody said.

    Raises:
        ScfmError: the table has no row for the run and the dataset.
    """
    facts = adata.uns["scfm"]
    own = table[(table["run"] == run) & (table["dataset"] == str(facts["name"]))]
    if len(own) != 1:
        raise ScfmError(
            f"table of contamination: {len(own)} rows for run '{run}' and dataset '{facts['name']}'; expected one, "
            "make the table again"
        )
    row = own.iloc[0]
    if facts["contaminated"] != "false":
        return
    if row["seen"] == SEEN:
        facts["contaminated"] = "true"
        facts["contaminated_reason"] = f"trained on {row['train_cells']:,.0f} cells of {row['found']}"
        adata.obs["contaminated"] = True
    elif row["seen"] == UNTOLD:
        facts["contaminated"] = "unknown"
        facts["contaminated_reason"] = "a model of others, whose training data is not known here"


def seen_by(adata: "AnnData", table: "pd.DataFrame", runs: Iterable[str]) -> dict[str, str]:
    """Run to what it has seen of a prepared dataset, as `contaminated` says it of the whole; adata is left as it is.

    Raises:
        ScfmError: what `mark_seen` raises.
    """
    found = {}
    for run in runs:
        cells = adata[:, :0].copy()
        mark_seen(cells, table, run)
        found[run] = str(cells.uns["scfm"]["contaminated"])
    return found


def how_much(contaminated: "pd.Series", said: str = "") -> str:
    """ "true", "partly" or "false": whether all, some or none of these cells were seen in pretraining.

    Args:
        said: of the whole dataset; of a model whose training data is "unknown", so it is for every part.
    """
    return said if said == "unknown" else "true" if contaminated.all() else "partly" if contaminated.any() else "false"
