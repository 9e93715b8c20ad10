"""The cells that a verb reads: which matrix, what it holds, which genes are known; block by block, backed or not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

import numpy as np
import pandas as pd

from scfm.api.hub import from_pretrained
from scfm.api.names import LEAST_KNOWN, human_names, known_genes
from scfm.errors import ScfmError
from scfm.expression import VALUES, detect_values
from scfm.model import Model

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

T = TypeVar("T")
BLOCK = 2_048
"""Cells in memory at once."""
PLACES = ("spatial",)
"""Keys of obsm with coordinates of the cells."""
SAMPLE, RUNS = 1_024, 8
"""Cells of which the kind of values is told, in so many runs spread over all."""


class Reading(TypedDict, total=False):
    """How a verb reads the expression of an AnnData; all of it may be left out."""

    values: str | None
    """What the matrix holds: `counts`, `tpm` (linear) or `lognorm` (natural log of 1 + linear); None to tell it from
    the data, which is said."""
    layer: str | None
    """Layer to read instead of X."""
    use_raw: bool | None
    """Read `adata.raw`; None for where there is no X."""
    gene_column: str | None
    """Column of var that names the genes, instead of var_names."""
    orthologs: "Path | str | pd.Series | None"
    """For genes of mouse, or of another species: a homology report or table, see `scfm.orthologs`, or human names by
    the species' names."""
    least_known: float
    """Share of known genes below which the cells are refused."""


@dataclass
class Cells:
    """What is read of an AnnData."""

    adata: "AnnData"
    where: str
    """`X`, `raw` or the name of a layer."""
    index: np.ndarray
    """int64 [columns], gene of the model's vocabulary, -1 where unknown."""
    genes: list[str]
    """Symbols of the vocabulary."""
    values: str
    facts: dict
    """For uns: what was found."""

    @classmethod
    def open(
        cls,
        adata: "AnnData",
        model: Model,
        *,
        values: str | None = None,
        layer: str | None = None,
        use_raw: bool | None = None,
        gene_column: str | None = None,
        orthologs: "Path | str | pd.Series | None" = None,
        least_known: float = LEAST_KNOWN,
    ) -> "Cells":
        """Look at genes and at a sample of cells; keywords as in `Reading`.

        Raises:
            ScfmError: there is no such matrix or column, no cell, values are not what is said, are scaled or could be
                several things; what `human_names` and `known_genes` raise.
        """
        where = _where(adata, layer, use_raw)
        names = _names(adata, where, gene_column)
        index, facts = known_genes(model, human_names(names, orthologs), least_known)
        if values not in (None, *VALUES):
            raise ScfmError(f"values: '{values}' is not known; choose among {', '.join(VALUES)}")
        cells = cls(adata, where, index, model.genes, values or "", facts)
        cells.values, sign = (values, "as was said") if values else cells.detect()
        own = {"run": model.about["run"], "seed": model.about["seed"], "matrix": where, "values": cells.values}
        species = "human" if orthologs is None else "human orthologs"
        cells.facts = {**own, "values_sign": sign, **facts, "genes_of": species}
        return cells

    @cached_property
    def columnwise(self) -> "csr_matrix | None":
        """The whole matrix by rows, if it is stored by columns, of which no block of cells can be read alone."""
        matrix = _matrix(self.adata, self.where) if not self.adata.is_view else None
        if getattr(matrix, "format", "") != "csc":
            return None
        return (matrix.to_memory() if hasattr(matrix, "to_memory") else matrix).tocsr()

    def rows(self, rows: slice | np.ndarray) -> "csr_matrix":
        """Values of known genes, float32 CSR [rows, known columns]."""
        import scipy.sparse as sp

        known = np.flatnonzero(self.index >= 0)
        whole = self.columnwise is not None
        part = self.columnwise[rows] if whole else _matrix(self.adata[rows], self.where)
        part = part.compute() if hasattr(part, "compute") else part
        return sp.csr_matrix(sp.csr_matrix(part)[:, known], dtype=np.float32)

    def detect(self) -> tuple[str, str]:
        """What the matrix holds, by a sample, and the sign of it; what is wrong with it, and what there is instead."""
        try:
            return detect_values(self.sample())
        except ScfmError as error:
            others = [f"layer '{name}'" for name in self.adata.layers if name != self.where]
            others += ["raw"] * (self.adata.raw is not None and self.where != "raw")
            instead = f"; there is also {', '.join(others)}" if others else ""
            raise ScfmError(f"{self.where}{str(error).removeprefix('X')}{instead}") from error

    def sample(self) -> "csr_matrix":
        """Some cells, known genes, in runs spread over all."""
        import scipy.sparse as sp

        n, run = self.adata.n_obs, SAMPLE // RUNS
        if n <= SAMPLE:
            return self.rows(slice(0, n))
        starts = np.linspace(0, n - run, RUNS).astype(int)
        return sp.vstack([self.rows(slice(start, start + run)) for start in starts], format="csr")

    def blocks(self, size: int) -> "Iterator[tuple[np.ndarray, AnnData]]":
        """Row numbers and an AnnData of those of `size` cells that express a known gene, named as the model's.

        Raises:
            ScfmError: values are not what they were told to be.
        """
        import anndata
        import scipy.sparse as sp

        var = pd.DataFrame(index=pd.Index(np.array(self.genes, object)[self.index[self.index >= 0]]))
        for start in range(0, self.adata.n_obs, size):
            stop = min(start + size, self.adata.n_obs)
            x = self.rows(slice(start, stop))
            kept = np.flatnonzero(np.asarray((x != 0).sum(1)).ravel())
            rows = start + kept
            obs = self.adata.obs.iloc[rows].set_index(pd.Index(rows.astype(str)))
            place = {name: self.adata.obsm[name][rows] for name in PLACES if name in self.adata.obsm}
            yield rows, anndata.AnnData(sp.csr_matrix(x[kept]), obs, var, obsm=place)

    def each(
        self, call: "Callable[[AnnData], T]", progress: bool | None, at_once: bool = False
    ) -> "Iterator[tuple[np.ndarray, T]]":
        """Row numbers, and what `call` makes of a block, for blocks with a cell.

        Args:
            progress: show a bar; None for on a terminal. at_once: one block of all cells.

        Raises:
            ScfmError: no cell expresses a known gene; what `blocks` raises.
        """
        from tqdm import tqdm

        n, any_cell = self.adata.n_obs, False
        size = n if at_once else BLOCK
        with tqdm(total=n, unit=" cells", disable=None if progress is None else not progress) as bar:
            for rows, block in self.blocks(size):
                if len(rows):
                    any_cell = True
                    yield rows, call(block)
                bar.update(min(size, n - bar.n))
        if not any_cell:
            raise ScfmError(f"{self.where}: no cell expresses a known gene; look at the matrix and at the gene names")


def describe(facts: dict, cells: int) -> str:
    """What was read and found, in one line, from the facts in uns."""
    text = (
        f"{cells:,} cells, {facts['values']} in {facts['matrix']} ({facts['values_sign']}), "
        f"{facts['genes_known']:,} of {facts['genes_given']:,} genes known ({facts['names']}, {facts['genes_of']})"
    )
    empty = facts.get("cells_without_known_gene")
    return f"{text}, {empty:,} cells express none of them" if empty else text


def loaded(model: Model | Path | str) -> Model:
    """The model itself, or loaded from its directory, or by its name on the Hub, `hf:owner/name`."""
    return model if isinstance(model, Model) else from_pretrained(model)


def to_write(adata: "AnnData", copy: bool) -> "AnnData":
    """What a verb writes to.

    Raises:
        ScfmError: a copy of a backed AnnData is asked for, or it is a view; there is no cell.
    """
    if not adata.n_obs:
        raise ScfmError("obs: there is no cell; give at least one")
    if adata.isbacked and adata.is_view:
        raise ScfmError(
            "adata: is a part of cells backed by a file, to which nothing can be added; embed all of them, or take the "
            "part into memory (.to_memory())"
        )
    if copy and adata.isbacked:
        raise ScfmError("copy: the cells are backed by a file; leave copy out, nothing is written to that file")
    return adata.copy() if copy else adata


def _where(adata: "AnnData", layer: str | None, use_raw: bool | None) -> str:
    if layer is not None and use_raw:
        raise ScfmError("layer, use_raw: both are given; choose one")
    if layer is not None:
        if layer not in adata.layers:
            raise ScfmError(f"layers: there is no '{layer}'; choose among {', '.join(adata.layers) or 'none'}")
        return layer
    there = "X" in adata.file if adata.isbacked else adata.X is not None
    if use_raw is None:
        use_raw = not there and adata.raw is not None
    if use_raw and adata.raw is None:
        raise ScfmError("raw: the cells have none; leave use_raw out")
    if not use_raw and not there:
        raise ScfmError("X: the cells have no expression matrix; put counts there, or name a layer")
    return "raw" if use_raw else "X"


def _names(adata: "AnnData", where: str, column: str | None) -> pd.Index:
    var = adata.raw.var if where == "raw" else adata.var
    if column is None:
        return var.index.astype(str)
    if column not in var:
        raise ScfmError(f"var: there is no column '{column}'; choose among {', '.join(map(str, var)) or 'none'}")
    return pd.Index(var[column].astype(str))


def _matrix(adata: "AnnData", where: str):
    """The matrix as it is stored, in memory or not."""
    return adata.raw.X if where == "raw" else adata.X if where == "X" else adata.layers[where]
