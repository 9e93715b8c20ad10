"""Second read of the store: bring the chosen counts of one range into shard order."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.ahead import ahead
from scfm.corpus.csr import as_counts, write_csr
from scfm.corpus.scan import blocks, part_range
from scfm.corpus.settings import ScatterSettings, Source
from scfm.corpus.source import Store, open_source
from scfm.corpus.spans import Spans
from scfm.datasets import Dataset
from scfm.errors import ScfmError
from scfm.files import must_exist, whole, write_json

RUN = 2**24
"""Nonzeros after which a run is ordered and written while the next one is collected: some 200 MB of memory, whatever
the number of cells."""
Piece = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Genes and counts of a block of cells, in narrow integers; number of genes of each cell; its row in the shards."""


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
        runs = 0
        # What reads ahead is closed first, so that no read is under way when the store closes.
        with closing(ahead(_blocks(store, joinids, rows, settings.block, start, stop))) as blocks_of_part:
            pieces = ((*as_counts(onto_genes(assemble(), gene_of, genes)), own) for assemble, own in blocks_of_part)
            with closing(ahead(_runs(pieces, run))) as runs_of_part:
                for collected in runs_of_part:
                    _write_run(folder / f"run-{runs:05d}", collected)
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
    from scfm.corpus.kernels import map_columns

    indptr, gene, count = map_columns(counts.indptr, counts.indices, counts.data, gene_of, genes)
    out = csr_matrix((count, gene, indptr), shape=(counts.shape[0], genes))
    out.has_canonical_format = True
    return out


def _own(selection: Path, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """soma_joinid, ascending, and row in the shards of the chosen cells of one range, int64."""
    where = [("soma_joinid", ">=", start), ("soma_joinid", "<", stop)]
    cells = pd.read_parquet(selection / "cells.parquet", columns=["soma_joinid", "row"], filters=where)
    cells = cells.sort_values("soma_joinid")
    return cells["soma_joinid"].to_numpy(), cells["row"].to_numpy()


def _blocks(
    store: Store, joinids: np.ndarray, rows: np.ndarray, block: int, start: int, stop: int
) -> Iterator[tuple[Callable[[], csr_matrix], np.ndarray]]:
    """What gives the counts of the chosen cells, and their rows in the shards, block after block."""
    for low, high in blocks(start, stop, block):
        own = slice(*np.searchsorted(joinids, [low, high]))
        yield store.read(low, high, joinids[own]), rows[own]


def _runs(pieces: Iterable[Piece], run: int) -> Iterator[list[Piece]]:
    """The pieces in lists of at least `run` nonzeros; one empty list if there is none."""
    collected, nonzeros, any_yet = [], 0, False
    for piece in pieces:
        collected.append(piece)
        nonzeros += len(piece[0])
        if nonzeros >= run:
            yield collected
            collected, nonzeros, any_yet = [], 0, True
    if collected or not any_yet:
        yield collected


def _write_run(folder: Path, pieces: list[Piece]) -> None:
    lengths, rows = (np.concatenate([np.empty(0, np.int64), *(piece[k] for piece in pieces)]) for k in (2, 3))
    of = np.repeat(np.arange(len(pieces)), [len(piece[3]) for piece in pieces])
    stop = np.concatenate([np.empty(0, np.int64), *(np.cumsum(piece[2]) for piece in pieces)])
    order = np.argsort(rows)
    spans = of[order], (stop - lengths)[order], stop[order]
    genes, counts, _ = Spans([piece[0] for piece in pieces], [piece[1] for piece in pieces]).copy(*spans)
    write_csr(folder, np.concatenate([[0], np.cumsum(lengths[order])]), genes, counts)
    np.save(folder / "rows.npy", rows[order])
