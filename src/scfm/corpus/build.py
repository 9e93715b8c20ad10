"""Build a local SOMA laid out as the CELLxGENE Census from deposited files.

    census_data/homo_sapiens          Experiment: obs, ms["RNA"]: var, X["raw"], feature_dataset_presence_matrix
    census_info/datasets              one row a dataset; its soma_joinid is the row of the presence matrix
    census_info/summary               label, value

Genes stay under the names of the deposits; a gene is present in a dataset if the deposit lists it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import tiledbsoma as soma

from scfm.corpus.deposits import DepositStore, open_deposits
from scfm.datasets import Dataset
from scfm.errors import ScfmError
from scfm.files import whole

ORGANISM = "homo_sapiens"
BLOCK = 65_536
"""Cells written at once."""


def build_soma(paths: Sequence[Path], datasets: Sequence[Dataset], out: Path) -> dict:
    """Write the SOMA; a block of one deposit is in memory at a time.

    Args:
        paths, datasets: files and their rows of the sheet of datasets, in the same order.

    Returns:
        Numbers of cells, genes and datasets.

    Raises:
        ScfmError: numbers of files and rows differ, a dataset occurs twice, holds no human counts, or its file is
            not as its row says.
    """
    if not datasets or len(paths) != len(datasets):
        raise ScfmError(f"--settings: {len(datasets)} datasets for {len(paths)} files; give one row for each file")
    for dataset in datasets:
        if dataset.species != ORGANISM:
            raise ScfmError(f"dataset '{dataset.name}': organism is '{dataset.organism}'; the SOMA is of human cells")
    store = open_deposits(list(zip(paths, datasets, strict=True)))
    with whole(out) as folder, soma.Collection.create(str(folder)) as top:
        data = top.add_new_collection("census_data")
        info = top.add_new_collection("census_info")
        experiment = data.add_new_collection(ORGANISM, soma.Experiment)
        rna = experiment.add_new_collection("ms").add_new_collection("RNA", soma.Measurement)
        shape = (store.cells, len(store.features))
        x = rna.add_new_collection("X").add_new_sparse_ndarray("raw", type=pa.int32(), shape=shape)
        for start, stop in zip(store.starts[:-1], store.starts[1:], strict=True):
            for low in range(start, stop, BLOCK):
                _counts(x, store, low, min(low + BLOCK, stop))
        obs = store.obs(0, store.cells).drop(columns=["soma_joinid", "organism"]).assign(is_primary_data=True)
        _table(experiment, "obs", obs)
        _table(rna, "var", store.features[["feature_id", "feature_name"]])
        _presence(rna, store.measured.to_numpy())
        _table(info, "datasets", _about(datasets, np.diff(store.starts)))
        summary = {
            "census_build_date": "local",
            "total_cell_count": str(store.cells),
            "unique_genes": str(len(store.features)),
        }
        _table(info, "summary", pd.DataFrame({"label": summary.keys(), "value": summary.values()}))
    return {"cells": store.cells, "genes": len(store.features), "datasets": len(datasets)}


def _counts(x: soma.SparseNDArray, store: DepositStore, start: int, stop: int) -> None:
    """Write the counts of one range.

    Raises:
        ScfmError: a count does not fit 32 bits.
    """
    counts = store.counts(start, stop, np.arange(start, stop)).tocoo()
    if counts.nnz and counts.data.max() > np.iinfo(np.int32).max:
        raise ScfmError(f"{store.uri}: count {counts.data.max():,} does not fit 32 bits; correct the file")
    rows, columns = counts.row.astype(np.int64) + start, counts.col.astype(np.int64)
    x.write(pa.table({"soma_dim_0": rows, "soma_dim_1": columns, "soma_data": counts.data.astype(np.int32)}))


def _table(parent: soma.Collection, name: str, table: pd.DataFrame) -> None:
    """Write a data frame with soma_joinid 0, 1, ..."""
    table = table.assign(soma_joinid=np.arange(len(table), dtype=np.int64))
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    fields = [pa.field(f.name, pa.large_string() if pa.types.is_string(f.type) else f.type) for f in arrow.schema]
    schema = pa.schema(fields)
    with parent.add_new_dataframe(name, schema=schema, domain=[[0, max(0, len(table) - 1)]]) as frame:
        frame.write(arrow.cast(schema))


def _presence(rna: soma.Measurement, present: np.ndarray) -> None:
    """Args: present: bool [datasets, genes]."""
    rows, columns = (where.astype(np.int64) for where in np.nonzero(present))
    matrix = rna.add_new_sparse_ndarray("feature_dataset_presence_matrix", type=pa.uint8(), shape=present.shape)
    matrix.write(pa.table({"soma_dim_0": rows, "soma_dim_1": columns, "soma_data": np.ones(len(rows), dtype=np.uint8)}))


def _about(datasets: Sequence[Dataset], cells: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset_id": [dataset.name for dataset in datasets],
            "dataset_title": [dataset.title for dataset in datasets],
            "collection_name": [dataset.study for dataset in datasets],
            "collection_doi": [", ".join(dataset.doi) for dataset in datasets],
            "dataset_total_cell_count": cells.astype(np.int64),
        }
    )
