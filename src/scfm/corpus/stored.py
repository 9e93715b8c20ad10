"""Which datasets a store holds, and from which publications."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scfm.corpus.settings import SourceSettings
from scfm.corpus.source import open_source
from scfm.datasets import Dataset


def stored_datasets(
    settings: SourceSettings, soma_path: Path | None = None, deposits: Sequence[tuple[Path, Dataset]] = ()
) -> pd.DataFrame:
    """Datasets of a store, as it lists them itself.

    Args:
        soma_path, deposits: as `scfm.corpus.source.open_source` takes them.

    Returns:
        dataset_id, title, doi (bare and in lower case; several are joined by ", "; "" where the store names none).

    Raises:
        ScfmError: the store cannot be opened.
    """
    columns = {"dataset_id": "dataset_id", "dataset_title": "title", "collection_doi": "doi"}
    with open_source(settings.source, soma_path, deposits, settings.retry) as store:
        table = store.datasets.reindex(columns=list(columns)).fillna("").astype(str).rename(columns=columns)
    table["doi"] = table["doi"].str.lower().str.replace(r"https?://(dx\.)?doi\.org/", "", regex=True)
    return table
