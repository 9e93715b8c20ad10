"""Which datasets a store holds, and from which publications."""

from pathlib import Path

import pandas as pd

from scfm.corpus.settings import Source
from scfm.corpus.source import open_source


def stored_datasets(source: Source, soma_path: Path | None = None) -> pd.DataFrame:
    """Datasets of a store, as its census_info/datasets lists them.

    Args:
        soma_path: the local SOMA, for sources that are read from one.

    Returns:
        dataset_id, title, doi (bare and in lower case; several are joined by ", "; "" where the store names none).

    Raises:
        ScfmError: the store cannot be opened.
    """
    with open_source(source, soma_path) as store:
        frame = store.info["datasets"]
        columns = ["dataset_id", "dataset_title", "collection_doi"]
        table = frame.read(column_names=[name for name in columns if name in frame.schema.names]).concat().to_pandas()
    table = table.reindex(columns=columns).fillna("").astype(str)
    table["collection_doi"] = (
        table["collection_doi"].str.lower().str.replace(r"https?://(dx\.)?doi\.org/", "", regex=True)
    )
    return table.rename(columns={"dataset_title": "title", "collection_doi": "doi"})
