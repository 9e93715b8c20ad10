"""Merge the scattered parts into shards."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from scfm.corpus.csr import CountsFolder
from scfm.corpus.write import write_shards
from scfm.errors import ScfmError
from scfm.files import must_exist


def gather(selection: Path, parts: Sequence[Path], out: Path) -> dict:
    """Write the shards directory; one bucket is in memory at a time.

    Each part is ordered by the rows of the shards, so the slices of a bucket hold exactly its cells; putting them in
    row order completes the global permutation. Cells that express none of the kept genes are left out and counted.

    Returns:
        The manifest of the shards.

    Raises:
        ScfmError: parts are missing or belong to another selection.
    """
    manifest = json.loads(must_exist(selection / "manifest.json", "selection").read_text())
    cells = pd.read_parquet(selection / "cells.parquet").sort_values("row", ignore_index=True)
    genes = pd.read_parquet(selection / "genes.parquet")
    folders = [_part(Path(part), manifest) for part in parts]
    found = np.sort(np.concatenate([rows for _, rows in folders])) if folders else np.empty(0)
    if not np.array_equal(found, cells["row"]):
        raise ScfmError(
            f"{out}: the parts hold {len(found):,} of {len(cells):,} chosen cells; give all parts of one scatter"
        )
    with np.load(selection / "measured.npz") as stored:
        datasets, measured = stored["datasets"].astype(str).tolist(), stored["measured"]
    empty = sum(int((np.diff(counts.indptr) == 0).sum()) for counts, _ in folders)
    about = {key: value for key, value in manifest.items() if key not in ("cells", "genes")}
    about |= {"cells_without_kept_gene": empty}
    buckets = _buckets(cells, folders, len(genes), manifest["buckets"])
    return write_shards(out, buckets, genes, datasets, measured, about)


def _part(folder: Path, manifest: dict) -> tuple[CountsFolder, np.ndarray]:
    about = json.loads(must_exist(folder / "part.json", "scattered part").read_text())
    if about["joinids_sha256"] != manifest["joinids_sha256"]:
        raise ScfmError(f"{folder}: scattered for another selection; scatter again")
    return CountsFolder(folder), np.load(folder / "rows.npy")


def _buckets(
    cells: pd.DataFrame, folders: list[tuple[CountsFolder, np.ndarray]], genes: int, buckets: int
) -> Iterator[tuple[csr_matrix, pd.DataFrame]]:
    """(counts [cells, genes], cells) of one bucket after the other, in row order."""
    edges = len(cells) * np.arange(buckets + 1) // buckets
    for start, stop in pairwise(edges):
        slices, rows = [], []
        for counts, own in folders:
            low, high = np.searchsorted(own, [start, stop])
            gene, count, lengths = counts.read(np.arange(low, high))
            indptr = np.concatenate([[0], np.cumsum(lengths)])
            slices.append(csr_matrix((count, gene, indptr), shape=(high - low, genes)))
            rows.append(own[low:high])
        order = np.argsort(np.concatenate(rows))
        bucket = vstack(slices, format="csr")[order]
        kept = np.diff(bucket.indptr) > 0
        yield bucket[kept], cells.iloc[start:stop][kept].drop(columns=["row", "mito_fraction"])
