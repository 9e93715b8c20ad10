"""One interface to every source of cells: a SOMA, or deposits read in place."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.settings import Census, Files, Retry, Soma, Source
from scfm.datasets import Dataset
from scfm.errors import ScfmError

CENSUS_URI = "s3://cellxgene-census-public-us-west-2/cell-census/{release}/soma/"
"""Public bucket of the Census; read without credentials."""
CENSUS_CONFIG = {"vfs.s3.region": "us-west-2", "vfs.s3.no_sign_request": "true"}


class Store(Protocol):
    """Cells under the numbers 0 to cells - 1 (soma_joinid), read in contiguous ranges of them."""

    uri: str
    """Where it is, for messages."""
    cells: int
    """Number of cells, before the value filter."""
    features: pd.DataFrame
    """soma_joinid, feature_id, feature_name, organism (as in the Census, e.g. homo_sapiens), ordered by soma_joinid;
    further columns are the kind's own."""
    measured: pd.DataFrame
    """Bool [datasets, features], index dataset_id: the dataset could have seen the feature."""
    datasets: pd.DataFrame
    """dataset_id and dataset_title, collection_doi where it is known; in the order of `measured`."""

    def obs(self, start: int, stop: int) -> pd.DataFrame:
        """Cells of [start, stop) that pass the value filter, ordered by soma_joinid; see `common.common_cells`."""

    def counts(self, start: int, stop: int, joinids: np.ndarray) -> csr_matrix:
        """Counts of the given cells of [start, stop), ascending: CSR [len(joinids), features] of `raw_counts`."""

    def read(self, start: int, stop: int, joinids: np.ndarray) -> Callable[[], csr_matrix]:
        """As `counts`, but what can be done in another thread than the reading is left to the result,
        which is called once."""


@contextmanager
def open_source(
    source: Source,
    soma_path: Path | None = None,
    deposits: Sequence[tuple[Path, Dataset]] = (),
    retry: Retry = Retry(),  # noqa: B008, frozen
) -> Iterator[Store]:
    """Open the store that the settings name.

    Args:
        soma_path: the local SOMA, for sources of kind synthetic; a source of kind files may be read from one too.
        deposits: files and their rows of the sheet of datasets, for sources of kind files.

    Raises:
        ScfmError: the store cannot be opened or is not what the settings say.
    """
    if isinstance(source, Files) and soma_path is None:
        from scfm.corpus.deposits import open_deposits

        names = tuple(dataset.name for _, dataset in deposits)
        if names != source.datasets:
            raise ScfmError(
                f"--datasets: rows of {', '.join(names) or 'no dataset'} for corpus.source.datasets "
                f"{', '.join(source.datasets)}; give one file and one row for each, in this order"
            )
        yield open_deposits(deposits, source.value_filter)
        return
    from scfm.corpus.soma import open_soma

    uri, config = _location(source, soma_path)
    organism = getattr(source, "organism", "homo_sapiens")
    with open_soma(uri, config, organism, getattr(source, "value_filter", ""), retry) as store:
        yield store


def _location(source: Source, soma_path: Path | None) -> tuple[str, dict]:
    if isinstance(source, Census):
        return CENSUS_URI.format(release=source.release), CENSUS_CONFIG
    if isinstance(source, Soma):
        return source.uri, CENSUS_CONFIG if source.uri.startswith("s3://cellxgene-census-public") else {}
    if soma_path is None:
        raise ScfmError(f"--soma: missing; a source of kind '{source.kind}' is read from a local SOMA, name it")
    return str(soma_path), {}
