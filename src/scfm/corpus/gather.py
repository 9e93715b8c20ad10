"""Merge the scattered parts into shards."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.corpus.csr import CountsFolder, CountsFolders
from scfm.corpus.pieces import read_pieces
from scfm.corpus.reader import Counts
from scfm.corpus.write import write_shards
from scfm.errors import ScfmError
from scfm.files import must_exist


def gather(selection: Path, parts: Sequence[Path], out: Path) -> dict:
    """Write the shards directory; one bucket is read while another is written.

    Each run is ordered by the rows of the shards, so its slice of a bucket holds exactly cells of it; copying all
    slices in row order completes the global permutation. Cells that express none of the kept genes are left out and
    counted. Memory grows with a bucket, and by 16 bytes a cell for the digest of all.

    Returns:
        The manifest of the shards.

    Raises:
        ScfmError: parts are missing or belong to another selection.
    """
    manifest = json.loads(must_exist(selection / "manifest.json", "selection").read_text())
    genes = pd.read_parquet(selection / "genes.parquet")
    runs = [run for part in parts for run in _runs(Path(part), manifest)]
    found = sum(len(rows) for _, rows in runs)
    if found != manifest["cells"]:
        raise ScfmError(
            f"{out}: the parts hold {found:,} of {manifest['cells']:,} chosen cells; give all parts of one scatter"
        )
    with np.load(selection / "measured.npz") as stored:
        datasets, measured = stored["datasets"].astype(str).tolist(), stored["measured"]
    empty = sum(int((np.diff(CountsFolder(run).indptr) == 0).sum()) for run, _ in runs)
    about = {key: value for key, value in manifest.items() if key not in ("cells", "genes")}
    about |= {"cells_without_kept_gene": empty}
    buckets = _buckets(selection / "cells.parquet", runs, manifest)
    return write_shards(out, buckets, genes, datasets, measured, about)


def _runs(folder: Path, manifest: dict) -> list[tuple[Path, np.ndarray]]:
    """Folder and rows of each run."""
    about = json.loads(must_exist(folder / "part.json", "scattered part").read_text())
    if about["joinids_sha256"] != manifest["joinids_sha256"]:
        raise ScfmError(f"{folder}: scattered for another selection; scatter again")
    names = [folder / f"run-{run:05d}" for run in range(about["runs"])]
    return [(name, np.load(name / "rows.npy", mmap_mode="r")) for name in names]


def _buckets(path: Path, runs: list[tuple[Path, np.ndarray]], manifest: dict) -> Iterator[tuple[Counts, pd.DataFrame]]:
    """(counts, cells) of one bucket after the other, in row order; `path` is the table of the cells."""
    buckets = -(-manifest["cells"] // manifest["shard_cells"])
    edges = manifest["cells"] * np.arange(buckets + 1) // buckets
    for (start, stop), cells in zip(pairwise(edges), read_pieces(path, np.diff(edges)), strict=True):
        # Opened anew, so that what was mapped of them does not add up over the buckets.
        folders = [CountsFolder(run) for run, _ in runs]
        slices = [np.searchsorted(rows, [start, stop]) for _, rows in runs]
        rows = np.concatenate([rows[low:high] for (_, rows), (low, high) in zip(runs, slices, strict=True)])
        order = np.argsort(rows)
        if not np.array_equal(cells["row"], np.arange(start, stop)):
            raise ScfmError(f"{path}: its cells are not in the order of their rows; select again")
        if not np.array_equal(rows[order], cells["row"]):
            raise ScfmError(f"{path}: the parts do not hold each of its cells once; give all parts of one scatter")
        of = np.repeat(np.arange(len(runs)), [high - low for low, high in slices])
        begin, end = (
            np.concatenate([f.indptr[low + k : high + k] for f, (low, high) in zip(folders, slices, strict=True)])
            for k in (0, 1)
        )
        gene, count, lengths = CountsFolders(folders).read(of[order], begin[order], end[order])
        kept = lengths > 0
        yield (gene, count, lengths[kept]), cells[kept].drop(columns=["row", "mito_fraction"])
