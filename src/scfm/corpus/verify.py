"""Whether a shards directory is what its manifest says, and consistent in itself."""

from pathlib import Path

import numpy as np
import pandas as pd

from scfm.corpus.common import TEXT
from scfm.corpus.csr import SENTINEL, CountsFolder
from scfm.corpus.joinids import joinids_sha256
from scfm.corpus.shards import Shards
from scfm.corpus.write import ARRAYS, file_digests
from scfm.errors import ScfmError
from scfm.reading import DAMAGED

CELLS = 8_192
"""Cells of a shard that are checked at once."""
COLUMNS = ("soma_joinid", *TEXT, "split", "n_counts", "n_genes")
"""Columns that cells.parquet must have."""


def verify(path: Path) -> dict:
    """Check files, tables and counts of a shards directory.

    In this order: every file is there and no other, with its size; cells.parquet holds the cells of the manifest, each
    once, with all labels; digests; genes and measured genes; then of every shard the bounds of its cells, ids of genes
    (in range, ascending within a cell), counts, overflow table and each cell's totals.

    Returns:
        cells, genes, shards, datasets, bytes.

    Raises:
        ScfmError: the first fault.
    """
    shards = Shards.open(path)
    manifest, path = shards.manifest, shards.path
    _files(path, manifest)
    cells = _cells(shards)
    _digests(path, manifest)
    _tables(shards)
    start = 0
    for shard in manifest["shards"]:
        stop = start + shard["cells"]
        _shard(path / shard["name"], shard, cells.iloc[start:stop], manifest["genes"])
        start = stop
    size = sum(file["bytes"] for file in manifest["files"].values())
    sizes = {"cells": len(cells), "genes": manifest["genes"], "shards": len(manifest["shards"])}
    return {**sizes, "datasets": len(shards.datasets), "bytes": size}


def _files(path: Path, manifest: dict) -> None:
    missing = [key for key in ("files", "cells", "genes", "written_sha256") if key not in manifest]
    if missing:
        raise _fault(path / "manifest.json", f"key '{missing[0]}' is missing", "write the shards again")
    listed = manifest["files"]
    needed = ["cells.parquet", "genes.parquet", "measured.npz"]
    needed += [f"{shard['name']}/{array}.npy" for shard in manifest["shards"] for array in ARRAYS]
    if set(needed) != set(listed):
        odd = sorted(set(needed) ^ set(listed))[0]
        raise _fault(path / "manifest.json", f"'{odd}' is listed as a file or as part of a shard, not as both")
    for name, about in listed.items():
        if not (path / name).is_file():
            raise _fault(path / name, "is missing", "write the shards again")
        if (size := (path / name).stat().st_size) != about["bytes"]:
            raise _fault(path / name, f"has {size:,} bytes where the manifest says {about['bytes']:,}")
    found = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    # Snakemake keeps notes of its own beside what a rule writes.
    strange = sorted(found - {*listed, "manifest.json", ".snakemake_timestamp"})
    if strange:
        raise _fault(path / strange[0], "is not in the manifest", "remove it, or write the shards again")


def _cells(shards: Shards) -> pd.DataFrame:
    at = shards.path / "cells.parquet"
    try:
        cells = shards.cells
    except DAMAGED as error:
        raise _fault(at, f"cannot be read ({' '.join(str(error).split())})") from error
    absent = [name for name in COLUMNS if name not in cells]
    if absent:
        raise _fault(at, f"column '{absent[0]}' is absent", "write the shards again")
    twice = cells["soma_joinid"][cells["soma_joinid"].duplicated()]
    if len(twice):
        raise _fault(at, f"cell {twice.iloc[0]} stands there twice", "write the shards again")
    if joinids_sha256(cells["soma_joinid"].to_numpy()) != shards.manifest["written_sha256"]:
        raise _fault(
            at,
            "holds other cells than the manifest says: one of them is of another selection or release",
            "put them right",
        )
    for total in (shards.manifest["cells"], sum(shard["cells"] for shard in shards.manifest["shards"])):
        if total != len(cells):
            raise _fault(at, f"holds {len(cells):,} cells where the manifest says {total:,}")
    empty = [name for name in (*TEXT, "split") if cells[name].isna().any() or (cells[name] == "").any()]
    if empty:
        raise _fault(at, f"column '{empty[0]}' is empty for a cell; expected 'unknown' at least")
    sides = set(cells["split"]) - {"train", "validation"}
    if sides:
        raise _fault(at, f"column 'split' holds '{sorted(sides)[0]}'; expected train or validation")
    return cells


def _digests(path: Path, manifest: dict) -> None:
    for name, about in manifest["files"].items():
        if file_digests(path, [name])[name]["sha256"] != about["sha256"]:
            raise _fault(path / name, "its sha256 is not that of the manifest: it was damaged or replaced")


def _tables(shards: Shards) -> None:
    genes, at = shards.genes, shards.path / "genes.parquet"
    if len(genes) != shards.manifest["genes"] or not genes["gene"].is_unique:
        raise _fault(at, f"expected {shards.manifest['genes']:,} genes, each once")
    if shards.measured.shape != (len(shards.datasets), len(genes)):
        shape = f"{len(shards.datasets)} datasets by {len(genes):,} genes"
        raise _fault(shards.path / "measured.npz", f"has the shape {shards.measured.shape}; expected {shape}")
    shards.dataset_codes  # noqa: B018, raises where a dataset is missing


def _shard(folder: Path, about: dict, cells: pd.DataFrame, genes: int) -> None:
    """Check one shard against its cells of cells.parquet."""
    counts = CountsFolder(folder)
    arrays = {name: getattr(counts, name) for name in ARRAYS}
    indptr, nnz = arrays["indptr"], about["nnz"]
    if len(indptr) != len(cells) + 1 or indptr[0] != 0 or indptr[-1] != nnz or (np.diff(indptr) < 0).any():
        raise _fault(folder / "indptr.npy", f"does not divide {nnz:,} entries among {len(cells):,} cells")
    for name in ("genes", "counts"):
        if arrays[name].shape != (nnz,) or arrays[name].dtype != np.uint16:
            raise _fault(folder / f"{name}.npy", f"holds no {nnz:,} 16-bit integers")
    table, large = arrays["overflow"], 0
    for start in range(0, len(cells), CELLS):
        own = cells.iloc[start : start + CELLS]
        large += _check_cells(counts, start, own, genes)
    if table.shape != (large, 2) or (np.diff(table[:, 0]) <= 0).any() or (table[:, 1] < SENTINEL).any():
        raise _fault(
            folder / "overflow.npy", f"does not hold the {large:,} counts of {SENTINEL:,} and more, by position"
        )


def _check_cells(counts: CountsFolder, start: int, cells: pd.DataFrame, genes: int) -> int:
    """Check neighbouring cells; number of their counts that stand in the overflow table."""
    gene, count, lengths = counts.read(np.arange(start, start + len(cells)))
    edges = np.concatenate([[0], np.cumsum(lengths)])
    if gene.size and int(gene.max()) >= genes:
        raise _fault(counts.folder / "genes.npy", f"gene id {int(gene.max())} lies outside of {genes:,} genes")
    descends = np.zeros(len(gene) + 1, dtype=bool)
    descends[1:-1] = gene[1:] <= gene[:-1]
    descends[edges] = False  # where a cell begins
    if descends.any():
        where = start + np.searchsorted(edges, np.flatnonzero(descends)[0], side="right") - 1
        raise _fault(counts.folder / "genes.npy", f"gene ids of cell {where} do not ascend")
    if count.size and count.min() < 1:
        raise _fault(counts.folder / "counts.npy", "holds a count below 1")
    totals = np.concatenate([[0], np.cumsum(count, dtype=np.int64)])[edges]
    for name, found in (("n_counts", np.diff(totals)), ("n_genes", lengths)):
        wrong = np.flatnonzero(found != cells[name].to_numpy())
        if wrong.size:
            raise _fault(
                counts.folder,
                f"cell {start + wrong[0]} has {name} {found[wrong[0]]:,}, in cells.parquet "
                f"{cells[name].iloc[wrong[0]]:,}",
            )
    return int((count >= SENTINEL).sum())


def _fault(at: Path, what: str, todo: str = "replace the file, or write the shards again") -> ScfmError:
    return ScfmError(f"{at}: {what}; {todo}")
