"""Build a local SOMA laid out as the CELLxGENE Census from deposited h5ad files.

    census_data/homo_sapiens          Experiment: obs, ms["RNA"]: var, X["raw"], feature_dataset_presence_matrix
    census_info/datasets              one row a dataset; its soma_joinid is the row of the presence matrix
    census_info/summary               label, value

Genes stay under the names of the deposits; a gene is present in a dataset if the deposit lists it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import tiledbsoma as soma

from scfm.corpus.source import TEXT
from scfm.datasets import Dataset, read_deposit
from scfm.errors import ScfmError
from scfm.files import whole

if TYPE_CHECKING:
    from anndata import AnnData

ORGANISM = "homo_sapiens"


def build_soma(paths: Sequence[Path], datasets: Sequence[Dataset], out: Path) -> dict:
    """Write the SOMA; one deposit is in memory at a time.

    Args:
        paths, datasets: h5ad files and their rows of the sheet of datasets, in the same order.

    Returns:
        Numbers of cells, genes and datasets.

    Raises:
        ScfmError: numbers of files and rows differ, a dataset occurs twice, holds no human counts, or its file is
            not as its row says.
    """
    _check(paths, datasets)
    with whole(out) as folder, soma.Collection.create(str(folder)) as top:
        data = top.add_new_collection("census_data")
        info = top.add_new_collection("census_info")
        experiment = data.add_new_collection(ORGANISM, soma.Experiment)
        rna = experiment.add_new_collection("ms").add_new_collection("RNA", soma.Measurement)
        x = rna.add_new_collection("X").add_new_sparse_ndarray("raw", type=pa.int32(), shape=(1, 1))
        writer = _Deposits(x.uri)
        for path, dataset in zip(paths, datasets, strict=True):
            writer.add(read_deposit(path, dataset), dataset)
        obs, var = writer.cells(), writer.var()
        _table(experiment, "obs", obs)
        _table(rna, "var", var)
        _presence(rna, writer.present, len(var))
        _table(info, "datasets", _about(datasets, writer.obs))
        summary = {"census_build_date": "local", "total_cell_count": str(len(obs)), "unique_genes": str(len(var))}
        _table(info, "summary", pd.DataFrame({"label": summary.keys(), "value": summary.values()}))
    return {"cells": len(obs), "genes": len(var), "datasets": len(datasets)}


def _check(paths: Sequence[Path], datasets: Sequence[Dataset]) -> None:
    if not datasets or len(paths) != len(datasets):
        raise ScfmError(f"--settings: {len(datasets)} datasets for {len(paths)} files; give one row for each file")
    names = pd.Series([dataset.name for dataset in datasets])
    if names.duplicated().any():
        raise ScfmError(f"--settings: dataset '{names[names.duplicated()].iloc[0]}' occurs twice; name it once")
    for dataset in datasets:
        if dataset.values != "counts":
            raise ScfmError(f"dataset '{dataset.name}': values are {dataset.values}; a corpus needs raw counts")
        if dataset.organism != "Homo sapiens":
            raise ScfmError(f"dataset '{dataset.name}': organism is '{dataset.organism}'; the corpus is of human cells")


class _Deposits:
    """Appends deposits to X; keeps obs, the genes in order of first appearance, and who lists them."""

    def __init__(self, x_uri: str) -> None:
        self._x_uri = x_uri
        self._codes: dict[str, int] = {}
        self._ids: list[str] = []
        self.obs: list[pd.DataFrame] = []
        self._places: list[np.ndarray] = []
        self.present: list[np.ndarray] = []
        self._cells = 0

    def add(self, adata: "AnnData", dataset: Dataset) -> None:
        code = self._gene_codes(adata)
        counts = adata.X.tocoo()
        keep = counts.data > 0
        rows, columns = counts.row[keep].astype(np.int64) + self._cells, code[counts.col[keep]]
        values = counts.data[keep]
        if values.size and values.max() > np.iinfo(np.int32).max:
            raise ScfmError(
                f"dataset '{dataset.name}': count {values.max():.0f} does not fit 32 bits; correct the file"
            )
        # A new shape holds only for handles opened after it.
        with soma.open(self._x_uri, "w") as x:
            x.resize((self._cells + adata.n_obs, len(self._codes)))
        with soma.open(self._x_uri, "w") as x:
            x.write(pa.table({"soma_dim_0": rows, "soma_dim_1": columns, "soma_data": values.astype(np.int32)}))
        obs = adata.obs[list(TEXT)].reset_index(drop=True)
        self._places.append(adata.obsm["spatial"][:, :2] if "spatial" in adata.obsm else np.full((len(obs), 2), np.nan))
        self.obs.append(obs)
        self.present.append(np.unique(code))
        self._cells += adata.n_obs

    def cells(self) -> pd.DataFrame:
        """All rows of obs; x and y are NaN where the deposit has no coordinates."""
        x, y = np.concatenate(self._places).T.astype(np.float64)
        return pd.concat(self.obs, ignore_index=True).assign(x=x, y=y, is_primary_data=True)

    def _gene_codes(self, adata: "AnnData") -> np.ndarray:
        """soma_joinid of each gene of the deposit, int64."""
        ids = adata.var["ensembl"] if "ensembl" in adata.var else pd.Series("", index=adata.var_names)
        for name, gene_id in zip(adata.var_names, ids, strict=True):
            code = self._codes.setdefault(name, len(self._codes))
            if code == len(self._ids):
                self._ids.append(gene_id)
            elif not self._ids[code]:
                self._ids[code] = gene_id
        return np.array([self._codes[name] for name in adata.var_names], dtype=np.int64)

    def var(self) -> pd.DataFrame:
        """feature_id (the name where no Ensembl id is known) and feature_name."""
        names = list(self._codes)
        return pd.DataFrame(
            {"feature_id": [i or n for i, n in zip(self._ids, names, strict=True)], "feature_name": names}
        )


def _table(parent: soma.Collection, name: str, table: pd.DataFrame) -> None:
    """Write a data frame with soma_joinid 0, 1, ..."""
    table = table.assign(soma_joinid=np.arange(len(table), dtype=np.int64))
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    fields = [pa.field(f.name, pa.large_string() if pa.types.is_string(f.type) else f.type) for f in arrow.schema]
    schema = pa.schema(fields)
    with parent.add_new_dataframe(name, schema=schema, domain=[[0, max(0, len(table) - 1)]]) as frame:
        frame.write(arrow.cast(schema))


def _presence(rna: soma.Measurement, present: list[np.ndarray], genes: int) -> None:
    rows = np.repeat(np.arange(len(present), dtype=np.int64), [len(codes) for codes in present])
    columns = np.concatenate(present)
    matrix = rna.add_new_sparse_ndarray("feature_dataset_presence_matrix", type=pa.uint8(), shape=(len(present), genes))
    matrix.write(pa.table({"soma_dim_0": rows, "soma_dim_1": columns, "soma_data": np.ones(len(rows), dtype=np.uint8)}))


def _about(datasets: Sequence[Dataset], obs: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset_id": [dataset.name for dataset in datasets],
            "dataset_title": [dataset.title for dataset in datasets],
            "collection_name": [dataset.study for dataset in datasets],
            "collection_doi": [", ".join(dataset.doi) for dataset in datasets],
            "dataset_total_cell_count": np.array([len(table) for table in obs], dtype=np.int64),
        }
    )
