"""Files of cells that grow by blocks, so that no more than a block is in memory: h5ad, or SOMA."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    from scipy.sparse import csr_matrix

Add = Callable[["csr_matrix", "pd.DataFrame"], None]
CHUNK = 1 << 16
"""Values that are compressed together."""


FORMATS = (".h5ad", ".soma")
"""Endings of the names of such files; a SOMA is a folder."""


def check_format(path: Path) -> None:
    """Raise if a name does not say which format is to be written.

    Raises:
        ScfmError: it does not.
    """
    if path.suffix not in FORMATS:
        raise ScfmError(f"{path}: the ending '{path.suffix}' is none of {', '.join(FORMATS)}; name the format by one")


def growing(
    path: Path, genes: "pd.DataFrame", cells: int, uns: dict[str, dict[str, int | float]]
) -> AbstractContextManager[Add]:
    """Function that adds cells to a new file: counts CSR [cells, genes], and obs.

    Every block has the columns of the first: numbers, or categories that are the same in all blocks. Cells are named by
    their number.

    Args:
        path: its ending, of `FORMATS`, says what is written. genes: var of the file. cells: how many are going to be
            added, at least one. uns: of the file.
    """
    check_format(path)
    if path.suffix == ".h5ad":
        return growing_h5ad(path, genes, uns)
    from scfm.perturbation.growing_soma import growing_soma

    return growing_soma(path, genes, cells, uns)


@contextmanager
def growing_h5ad(path: Path, genes: "pd.DataFrame", uns: dict[str, dict[str, int | float]]) -> Iterator[Add]:
    """Function that adds cells to a new h5ad; see `growing`."""
    import h5py
    from anndata.io import write_elem

    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "var", genes)
        write_elem(file, "uns", uns)
        for name in ("layers", "obsm", "obsp", "varm", "varp"):
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
