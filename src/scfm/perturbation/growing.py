"""An h5ad that grows by blocks of cells, so that no more than a block is in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    from scipy.sparse import csr_matrix

Add = Callable[["csr_matrix", "pd.DataFrame"], None]
CHUNK = 1 << 16
"""Values that are compressed together."""


@contextmanager
def growing(path: Path, genes: "pd.DataFrame") -> Iterator[Add]:
    """Function that adds cells to a new h5ad: counts CSR [cells, genes], and obs.

    Every block has the columns of the first: numbers, or categories that are the same in all blocks. Cells are named by
    their number. Without any call the file holds no cells.

    Args:
        genes: var of the file.
    """
    import h5py
    from anndata.io import write_elem

    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "var", genes)
        for name in ("uns", "layers", "obsm", "obsp", "varm", "varp"):
            write_elem(file, name, {})
        _start_matrix(file, len(genes))

        def add(counts: "csr_matrix", obs: "pd.DataFrame") -> None:
            start = len(file["X/indptr"]) - 1
            numbered = obs.set_axis([str(i) for i in range(start, start + len(obs))])
            _add_matrix(file, counts)
            if "obs" in file:
                _add_obs(file, numbered)
            else:
                write_elem(file, "obs", numbered, dataset_kwargs={"maxshape": (None,), "chunks": True})

        yield add


def write_uns(path: Path, uns: dict) -> None:
    """Put `uns` into an h5ad."""
    import h5py
    from anndata.io import write_elem

    with h5py.File(path, "r+") as file:
        write_elem(file, "uns", uns)


def _start_matrix(file: "h5py.File", genes: int) -> None:
    group = file.create_group("X")
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": np.array([0, genes])})
    for name, kind in (("data", np.float32), ("indices", np.int32)):
        group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(CHUNK,), compression="gzip")
    group.create_dataset("indptr", data=np.zeros(1, np.int64), maxshape=(None,), chunks=(CHUNK,))


def _add_matrix(file: "h5py.File", counts: "csr_matrix") -> None:
    group = file["X"]
    last = int(group["indptr"][-1])
    _extend(group["data"], counts.data)
    _extend(group["indices"], counts.indices)
    _extend(group["indptr"], last + counts.indptr[1:].astype(np.int64))
    group.attrs["shape"] = np.array([len(group["indptr"]) - 1, counts.shape[1]])


def _add_obs(file: "h5py.File", obs: "pd.DataFrame") -> None:
    group = file["obs"]
    _extend(group[group.attrs["_index"]], obs.index.to_numpy(object))
    for name in group.attrs["column-order"]:
        if hasattr(obs[name], "cat"):
            _extend(group[name]["codes"], obs[name].cat.codes.to_numpy())
        else:
            _extend(group[name], obs[name].to_numpy())


def _extend(dataset: "h5py.Dataset", values: np.ndarray) -> None:
    start = len(dataset)
    dataset.resize((start + len(values),))
    dataset[start:] = values
