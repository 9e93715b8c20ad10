"""Vectors of donors by a model that reads their cells' vectors, in the form that the task `donor` takes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.donor_vectors import HALVES, Samples, halved, samples_of
from scfm.benchmarks.read import Embedding, finite, read_embeddings
from scfm.benchmarks.task_settings import DonorTask
from scfm.errors import ScfmError

if TYPE_CHECKING:
    from anndata import AnnData

    from scfm.donor_model import DonorModel

VECTORS = "cells"


def embed_donors(model: "DonorModel", path: Path, pooling: str, run: str, seed: int, settings: DonorTask) -> "AnnData":
    """Embed the samples of every dataset that is asked for donor or cytokine, and two disjoint halves of each.

    Args:
        path: cell embeddings of the run that the model was trained on. pooling: which of them.

    Returns:
        AnnData without X: obs dataset, donor, sample and half ("" for all cells); obsm `donor` float32 [rows, width];
        uns run and seed.

    Raises:
        ScfmError: what `read_embeddings` and `samples_of` raise; the file has no such pooling.
    """
    import anndata
    import pandas as pd

    tables, vectors, offered = [], [], []
    for embedding in read_embeddings(path, "donor", "cytokine"):
        offered.append(embedding.pooling)
        if embedding.pooling != pooling:
            continue
        samples = samples_of(embedding, {}, settings)
        rng = np.random.default_rng(settings.seed)
        for half, rows in _parts(samples, rng).items():
            tables.append(samples.table.assign(dataset=embedding.dataset, half=half))
            vectors.append(_vectors(model, embedding, rows, len(samples.table)))
    if not tables:
        raise ScfmError(f"{path}: no pooling '{pooling}'; choose among {', '.join(dict.fromkeys(offered))}")
    obs = pd.concat(tables, ignore_index=True)
    return anndata.AnnData(
        obs=obs.set_index(obs.index.astype(str)),
        obsm={"donor": np.concatenate(vectors)},
        uns={"run": run, "seed": seed},
    )


def _parts(samples: Samples, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Which half to the row of each cell's sample, -1 for cells of none."""
    halves = halved(samples.of_cell, rng)
    of_half = {half: np.where(halves % 2 == number, halves // 2, -1) for number, half in enumerate(HALVES)}
    return {"": samples.of_cell} | {half: np.where(halves >= 0, rows, -1) for half, rows in of_half.items()}


def _vectors(model: "DonorModel", embedding: Embedding, of_cell: np.ndarray, samples: int) -> np.ndarray:
    """float32 [samples, width], in the order of the rows that `of_cell` names."""
    import anndata
    import pandas as pd

    kept = of_cell >= 0
    width = len(str(samples))
    names = pd.Series(of_cell[kept]).astype(str).str.zfill(width)
    cells = anndata.AnnData(obs=pd.DataFrame({"row": names.to_numpy()}), obsm={VECTORS: finite(embedding, kept)})
    return model.embed_donors(cells, "row", VECTORS)[1]
