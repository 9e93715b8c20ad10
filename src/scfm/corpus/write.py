"""Writer of the training shards."""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.corpus.ahead import ahead
from scfm.corpus.csr import refuse_many_genes, write_csr
from scfm.corpus.joinids import joinids_sha256
from scfm.corpus.pieces import write_pieces
from scfm.corpus.reader import Counts
from scfm.errors import ScfmError
from scfm.files import whole, write_json

ARRAYS = ("indptr", "genes", "counts", "overflow")
"""Files of one shard."""


def write_shards(
    path: Path,
    parts: Iterable[tuple[Counts, pd.DataFrame]],
    genes: pd.DataFrame,
    datasets: list[str],
    measured: np.ndarray,
    about: dict | None = None,
) -> dict:
    """Write a shards directory, one shard for each part; it appears only when whole.

    Args:
        parts: (counts of some cells, genes ascending in each; one row of cell columns for each), one shard each; the
            next one is made while one is written.
        genes: row = gene index, column `gene` unique.
        datasets, measured: ids and bool [datasets, genes].
        about: further entries of the manifest.

    Returns:
        The manifest; `files` holds size and digest of every other file, for `scfm corpus verify`.

    Raises:
        ScfmError: more than 65,536 genes, repeated genes, no cell at all, or not as many genes as counts.
    """
    from scfm.corpus.kernels import row_sums

    refuse_many_genes(len(genes))
    if not genes["gene"].is_unique:
        raise ScfmError(f"genes: '{genes['gene'][genes['gene'].duplicated()].iloc[0]}' occurs twice; merge its rows")
    shards, joinids, digests = [], [], []
    with whole(path) as folder, ThreadPoolExecutor(1) as pool:
        folder.mkdir()
        with write_pieces(folder / "cells.parquet") as add_cells:
            for (gene, count, lengths), cells in ahead(parts):
                name = f"shard-{len(shards):05d}"
                indptr = np.concatenate([[0], np.cumsum(lengths)])
                if not len(gene) == len(count) == indptr[-1]:
                    raise ScfmError(
                        f"{path}: {name} has {len(gene):,} genes, {len(count):,} counts and cells of {indptr[-1]:,}; "
                        "give one of each for every nonzero"
                    )
                write_csr(folder / name, indptr, gene, count)
                shards.append({"name": name, "cells": len(lengths), "nnz": len(gene)})
                digests.append(pool.submit(file_digests, folder, [f"{name}/{array}.npy" for array in ARRAYS]))
                # Totals over the kept genes of the whole cell: what normalisation divides by.
                add_cells(cells.assign(n_counts=row_sums(indptr, count), n_genes=lengths))
                if "soma_joinid" in cells:
                    joinids.append(cells["soma_joinid"].to_numpy())
        cells = sum(shard["cells"] for shard in shards)
        if not cells:
            raise ScfmError(f"{path}: there is no cell to write; relax the quality thresholds or the sampling")
        genes.to_parquet(folder / "genes.parquet", index=False)
        np.savez(folder / "measured.npz", datasets=np.asarray(datasets, dtype=str), measured=measured.astype(bool))
        manifest = {**(about or {}), "shards": shards, "cells": cells, "genes": len(genes)}
        if joinids:
            written = np.concatenate(joinids)
            joinids.clear()
            manifest["written_sha256"] = joinids_sha256(written)
        files = {name: digest for shard in digests for name, digest in shard.result().items()}
        manifest["files"] = files | file_digests(folder, ("cells.parquet", "genes.parquet", "measured.npz"))
        write_json(folder / "manifest.json", manifest)
    return manifest


def file_digests(folder: Path, names: Sequence[str]) -> dict[str, dict]:
    """Name below `folder` to bytes and sha256 of the file."""
    digests = {}
    for name in names:
        with (folder / name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        digests[name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256}
    return digests
