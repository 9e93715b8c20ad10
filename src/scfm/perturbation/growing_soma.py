"""A SOMA experiment that grows by blocks of cells, so that no more than a piece of them is in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import tiledbsoma as soma

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

    from scfm.perturbation.growing import Add

PIECE = 1 << 22
"""Nonzeros written together: every piece is a fragment of each array, and many fragments are slow to read. Writing 8
million of them takes 640 MB in all, and 40 million as much."""


@contextmanager
def growing_soma(
    path: Path, genes: "pd.DataFrame", cells: int, uns: dict[str, dict[str, int | float]]
) -> "Iterator[Add]":
    """Function that adds cells to a new experiment; see `scfm.perturbation.growing.growing`.

    The experiment: obs with soma_joinid and obs_id, both the number of the cell, and the columns of the blocks;
    ms["RNA"] with var (soma_joinid, var_id and the columns of `genes`), X["data"] sparse float32 and uns, whose
    dictionaries are collections with their values as metadata, as `tiledbsoma.io.to_anndata` reads them.
    """
    with soma.Experiment.create(str(path)) as top:
        rna = top.add_new_collection("ms").add_new_collection("RNA", soma.Measurement)
        _write_frame(rna, "var", _arrow(genes.rename_axis("var_id").reset_index(), 0), len(genes))
        facts = rna.add_new_collection("uns")
        for name, values in uns.items():
            facts.add_new_collection(name).metadata.update(values)
        x = rna.add_new_collection("X").add_new_sparse_ndarray("data", type=pa.float32(), shape=(cells, len(genes)))
        x.close()
        growing = _Growing(top, x.uri, cells)
        yield growing.add
        growing.write()


@dataclass
class _Growing:
    """Number of the cells that are written, and those that wait for the next piece."""

    top: soma.Experiment
    x: str
    cells: int
    written: int = 0
    waiting: "list[tuple[csr_matrix, pd.DataFrame]]" = field(default_factory=list)

    def add(self, counts: "csr_matrix", obs: "pd.DataFrame") -> None:
        self.waiting.append((counts, obs))
        if sum(one.nnz for one, _ in self.waiting) >= PIECE:
            self.write()

    def write(self) -> None:
        """Write all that waits."""
        import pandas as pd
        from scipy.sparse import vstack

        if not self.waiting:
            return
        counts, obs = zip(*self.waiting, strict=True)
        self.waiting = []
        matrix, start = vstack(counts).tocoo(), self.written
        self.written += matrix.shape[0]
        rows = np.arange(start, self.written)
        table = pd.concat(obs, ignore_index=True).assign(obs_id=rows.astype(str))
        _write_frame(self.top, "obs", _arrow(table, start), self.cells)
        places = {"soma_dim_0": rows[matrix.row], "soma_dim_1": matrix.col.astype(np.int64)}
        with soma.SparseNDArray.open(self.x, "w") as x:
            x.write(pa.table(places | {"soma_data": matrix.data.astype(np.float32)}))


def _write_frame(parent: soma.Collection, name: str, table: pa.Table, rows: int) -> None:
    """Write rows of a data frame, a new one of `rows` if there is none.

    It is opened anew, since an open one does not know the categories that its last write has brought.
    """
    if name not in parent:
        parent.add_new_dataframe(name, schema=table.schema, domain=[[0, rows - 1]]).close()
    with soma.DataFrame.open(parent[name].uri, "w") as frame:
        frame.write(table)


def _arrow(table: "pd.DataFrame", start: int) -> pa.Table:
    """The same with soma_joinid from `start` on, texts and categories as SOMA knows them."""
    ids = np.arange(start, start + len(table), dtype=np.int64)
    return pa.table({"soma_joinid": ids} | {name: _column(table[name]) for name in table})


def _column(values: "pd.Series") -> pa.Array:
    if hasattr(values, "cat"):
        codes = pa.array(values.cat.codes.to_numpy(), pa.int32())
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.cat.categories, pa.large_string()))
    return pa.array(values, pa.large_string() if values.dtype.kind == "O" else None)
