"""Second read of the store: bring the chosen counts of one range into shard order."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from scfm.corpus.csr import write_csr
from scfm.corpus.scan import part_range
from scfm.corpus.settings import ScatterSettings
from scfm.corpus.source import open_source
from scfm.datasets import Dataset
from scfm.errors import ScfmError
from scfm.files import must_exist, whole, write_json


def scatter(
    settings: ScatterSettings,
    selection: Path,
    part: int,
    parts: int,
    out: Path,
    soma_path: Path | None = None,
    deposits: Sequence[tuple[Path, Dataset]] = (),
) -> dict:
    """Write the chosen cells of one range, chosen genes only, ordered by their row in the shards.

    A bucket is then one slice of each part, so that no file per bucket and part is needed. Writes under `out` the
    files of `write_csr`, rows.npy (int64, ascending) and part.json. Memory: the range's chosen counts, twice.

    Returns:
        The content of part.json: start, stop, cells, joinids_sha256 (of the whole selection).

    Raises:
        ScfmError: the selection was made from another store.
    """
    manifest = json.loads(must_exist(selection / "manifest.json", "selection").read_text())
    cells = pd.read_parquet(selection / "cells.parquet", columns=["soma_joinid", "row"])
    project = _projection(selection)
    with open_source(settings.source, soma_path, deposits, settings.retry) as store, whole(out) as folder:
        if settings.source.model_dump(mode="json") != manifest["source"] or len(store.features) != project.shape[0]:
            raise ScfmError(f"{selection}: selected from another store than the one given; select again")
        start, stop = part_range(store.cells, part, parts)
        own = cells[(cells["soma_joinid"] >= start) & (cells["soma_joinid"] < stop)]
        blocks, joinids = [csr_matrix((0, project.shape[1]), dtype=np.int64)], own["soma_joinid"].to_numpy()
        for low in range(start, stop, settings.block):
            inside = joinids[(joinids >= low) & (joinids < low + settings.block)]
            blocks.append(store.counts(low, min(low + settings.block, stop), inside) @ project)
        order = np.argsort(own["row"].to_numpy())
        counts = csr_matrix(vstack(blocks, format="csr")[order])
        counts.sort_indices()
        write_csr(folder, counts.indptr, counts.indices, counts.data)
        np.save(folder / "rows.npy", own["row"].to_numpy()[order])
        about = {"start": start, "stop": stop, "cells": len(own), "joinids_sha256": manifest["joinids_sha256"]}
        write_json(folder / "part.json", about)
    return about


def _projection(selection: Path) -> csr_matrix:
    """Features to genes, 0/1 int64 CSR [features of the store, genes]; no two measured features share a gene."""
    features = pd.read_parquet(selection / "features.parquet")
    genes = len(pd.read_parquet(selection / "genes.parquet", columns=["gene"]))
    total = int(json.loads((selection / "manifest.json").read_text())["features"])
    ones = np.ones(len(features), dtype=np.int64)
    return csr_matrix((ones, (features["soma_joinid"], features["gene"])), shape=(total, genes))
