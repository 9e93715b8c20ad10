"""The table of what the runs have seen of the benchmark datasets, and marking a dataset by it."""

from pathlib import Path
from typing import TYPE_CHECKING

from scfm.errors import ScfmError
from scfm.files import must_exist

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

COLUMNS = ("run", "dataset", "census_dataset_ids", "doi", "found", "train_cells", "seen")
SEEN, NOT_FOUND, UNKNOWN = "yes", "not found", "unknown"


def read_contamination(path: Path) -> "pd.DataFrame":
    """Read a table of `scfm benchmarks contamination`.

    Raises:
        ScfmError: the file is missing or something else.
    """
    import pandas as pd

    table = pd.read_csv(must_exist(path, "table of contamination"), keep_default_na=False)
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
    if row["seen"] == SEEN and facts["contaminated"] == "false":
        facts["contaminated"] = "true"
        facts["contaminated_reason"] = f"trained on {row['train_cells']:,} cells of {row['found']}"
        adata.obs["contaminated"] = True
