"""Second read of the store: bring the chosen counts of one range into shard order."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.ahead import ahead
from scfm.corpus.csr import copy_spans, write_csr
from scfm.corpus.scan import part_range
from scfm.corpus.settings import ScatterSettings, Source
from scfm.corpus.source import Store, open_source
from scfm.datasets import Dataset
from scfm.errors import ScfmError
from scfm.files import must_exist, whole, write_json

RUN = 2**25
"""Nonzeros after which a run is ordered and written: 270 MB of memory, whatever the number of cells."""


def scatter(
    settings: ScatterSettings,
    selection: Path,
    part: int,
    parts: int,
    out: Path,
    soma_path: Path | None = None,
    deposits: Sequence[tuple[Path, Dataset]] = (),
    run: int = RUN,
) -> dict:
    """Write the chosen cells of one range, chosen genes only, as runs that are ordered by the rows of the shards.

    A bucket is then one slice of each run, so that no file per bucket and part is needed. Writes under `out`
    run-00000, ... (the files of `write_csr` and rows.npy, int64, ascending) and part.json.

    Args:
        run: nonzeros of a run, reached within a block.

    Returns:
        The content of part.json: start, stop, cells, runs, joinids_sha256 (of the whole selection).

    Raises:
        ScfmError: the selection was made from another store.
    """
    manifest = json.loads(must_exist(selection / "manifest.json", "selection").read_text())
    gene_of, genes = gene_of_feature(selection)
    with open_source(settings.source, soma_path, deposits, settings.retry) as store, whole(out) as folder:
        refuse_other_store(selection, manifest, settings.source, store)
        start, stop = part_range(store.cells, part, parts)
        joinids, rows = _own(selection, start, stop)
        folder.mkdir()
        blocks, runs = [], 0
        for counts, own in ahead(_blocks(store, joinids, rows, settings.block, start, stop)):
            blocks.append((onto_genes(counts, gene_of, genes), own))
            if sum(block.nnz for block, _ in blocks) >= run:
                _write_run(folder / f"run-{runs:05d}", blocks)
                blocks, runs = [], runs + 1
        if blocks or not runs:
            _write_run(folder / f"run-{runs:05d}", blocks)
            runs += 1
        about = {"start": start, "stop": stop, "cells": len(rows), "runs": runs}
        about["joinids_sha256"] = manifest["joinids_sha256"]
        write_json(folder / "part.json", about)
    return about


def refuse_other_store(selection: Path, manifest: dict, source: Source, store: Store) -> None:
    """Refuse a store that a selection was not made from.

    Raises:
        ScfmError: the settings of the source or the number of features differ.
    """
    if source.model_dump(mode="json") != manifest["source"] or len(store.features) != manifest["features"]:
        raise ScfmError(f"{selection}: selected from another store than the one given; select again")


def gene_of_feature(selection: Path) -> tuple[np.ndarray, int]:
    """Gene index of each feature of the store, int32 [features], -1 where it is not kept; and the number of genes."""
    features = pd.read_parquet(selection / "features.parquet")
    genes = len(pd.read_parquet(selection / "genes.parquet", columns=["gene"]))
    gene_of = np.full(int(json.loads((selection / "manifest.json").read_text())["features"]), -1, dtype=np.int32)
    gene_of[features["soma_joinid"]] = features["gene"]
    return gene_of, genes


def onto_genes(counts: csr_matrix, gene_of: np.ndarray, genes: int) -> csr_matrix:
    """Counts of the kept genes, [cells, genes], genes ascending in each row; features of one gene are summed."""
    gene, count, indptr = gene_of[counts.indices], counts.data, counts.indptr
    dropped = np.flatnonzero(gene < 0)
    if dropped.size:
        kept = gene >= 0
        gene, count, indptr = gene[kept], count[kept], indptr - np.searchsorted(dropped, indptr)
    out = csr_matrix((count, gene, indptr), shape=(counts.shape[0], genes))
    out.sum_duplicates()
    return out


def _own(selection: Path, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """soma_joinid, ascending, and row in the shards of the chosen cells of one range, int64."""
    where = [("soma_joinid", ">=", start), ("soma_joinid", "<", stop)]
    cells = pd.read_parquet(selection / "cells.parquet", columns=["soma_joinid", "row"], filters=where)
    return cells["soma_joinid"].to_numpy(), cells["row"].to_numpy()


def _blocks(
    store: Store, joinids: np.ndarray, rows: np.ndarray, block: int, start: int, stop: int
) -> Iterator[tuple[csr_matrix, np.ndarray]]:
    """Counts of the chosen cells and their rows in the shards, block after block."""
    for low in range(start, stop, block):
        own = slice(*np.searchsorted(joinids, [low, low + block]))
        yield store.counts(low, min(low + block, stop), joinids[own]), rows[own]


def _write_run(folder: Path, blocks: list[tuple[csr_matrix, np.ndarray]]) -> None:
    counts, rows = [block for block, _ in blocks], np.concatenate([np.empty(0, np.int64), *(own for _, own in blocks)])
    of = np.repeat(np.arange(len(blocks)), [block.shape[0] for block in counts])
    start, stop = (
        np.concatenate([np.empty(0, np.int64), *(block.indptr[side] for block in counts)])
        for side in (slice(None, -1), slice(1, None))
    )
    order = np.argsort(rows)
    spans = of[order], start[order], stop[order]
    indptr = np.concatenate([[0], np.cumsum(spans[2] - spans[1])])
    # Narrow before they are copied; no gene index is past 16 bits, since the selection refuses such.
    genes = {k: block.indices.astype(np.uint16) for k, block in enumerate(counts)}
    wide = max((block.dtype for block in counts), key=lambda dtype: dtype.itemsize, default=np.int32)
    values = {k: block.data.astype(wide, copy=False) for k, block in enumerate(counts)}
    write_csr(folder, indptr, copy_spans(genes, *spans), copy_spans(values, *spans))
    np.save(folder / "rows.npy", rows[order])
