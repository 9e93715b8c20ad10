"""Gene vectors given in a file, such as those of a protein language model: some genes' rows of the embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.errors import ScfmError
from scfm.files import must_exist


@dataclass
class GivenVectors:
    """Vectors of some genes of a vocabulary."""

    gene: Tensor
    """int64 [given], gene indices, ascending."""
    vector: Tensor
    """float32 [given, dimensions]."""


def read_gene_vectors(path: Path | str, genes: Sequence[str], ensembl: Sequence[str]) -> GivenVectors:
    """The vectors that a file holds of these genes, scaled to a mean square length of 1.

    Projected by initial weights they then have the spread of the learnt rows beside them, whatever their origin.

    Args:
        path: .parquet or .csv with a column `gene` of symbols or Ensembl ids, with or without version, and a column
            for each dimension, or .npz with arrays `gene` [n] and `vector` [n, dimensions].
        genes: symbols of the vocabulary. ensembl: its Ensembl ids in the same order, empty where there is none.

    Raises:
        ScfmError: the file is missing, of another kind or damaged, a vector holds no number or a gene has two of
            them, all are zero, or none is of a gene of the vocabulary.
    """
    path = Path(path)
    names, vectors = _read(must_exist(path, "file of gene vectors (input.gene_vectors)"))
    if not np.isfinite(vectors).all():
        row = np.flatnonzero(~np.isfinite(vectors).all(1))[0]
        raise ScfmError(f"{path}: the vector of gene '{names[row]}' holds a missing or infinite value; correct it")
    names = names.astype(str).str.replace(r"^(ENSG\d+)\.\d+$", r"\1", regex=True)
    again = names[names.duplicated()]
    if not len(again):
        row, ids = names.get_indexer(pd.Index(genes)), pd.Index(ensembl)
        by_id = np.where(ids == "", -1, names.get_indexer(ids))
        again = names[by_id[(row >= 0) & (by_id >= 0)]]
    if len(again):
        raise ScfmError(f"{path}: gene '{again[0]}' has two vectors; keep one")
    row = np.maximum(row, by_id)
    given = np.flatnonzero(row >= 0)
    if not len(given):
        raise ScfmError(
            f"{path}: none of its {len(names):,} genes is in the vocabulary (first: {', '.join(names[:3])}); expected "
            "approved human gene symbols or Ensembl ids"
        )
    own = vectors[row[given]]
    length = np.sqrt((own**2).sum(1).mean())
    if not length:
        raise ScfmError(f"{path}: the vectors of all genes of the vocabulary are 0; give others")
    return GivenVectors(torch.from_numpy(given), torch.from_numpy(own / length).float())


def _read(path: Path) -> tuple[pd.Index, np.ndarray]:
    """Names of genes and float64 [genes, dimensions]."""
    readers = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".npz": np.load}
    if path.suffix not in readers:
        raise ScfmError(f"{path}: gene vectors of unknown kind; expected a file named .parquet, .csv or .npz")
    try:
        data = readers[path.suffix](path)
        missing = ({"gene", "vector"} if path.suffix == ".npz" else {"gene"}) - set(data)
        if missing:
            raise ValueError(f"it has no '{min(missing)}'")
        symbols = data["gene"]
        vectors = np.asarray(data["vector"] if path.suffix == ".npz" else data.drop(columns="gene"), np.float64)
    except (ValueError, TypeError, OSError, EOFError, BadZipFile) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ScfmError(f"{path}: not readable as gene vectors ({reason}); correct the file") from error
    if vectors.ndim != 2 or len(vectors) != len(symbols) or not vectors.size:
        raise ScfmError(f"{path}: {len(symbols)} genes and vectors of shape {vectors.shape}; expected one row for each")
    return pd.Index(symbols), vectors


def vectors_among(weights: dict[str, Tensor]) -> GivenVectors | None:
    """The given vectors of a network's saved weights, so that loading it needs no other file; None if it has none."""
    names = [f"embedding.gene.{name}" for name in ("given", "vector")]
    return GivenVectors(*(weights[name] for name in names)) if names[0] in weights else None


class PartlyGiven(nn.Embedding):
    """An embedding some of whose rows are given vectors, linearly projected; `weight` holds the others.

    Args:
        rows: of the whole table, the given ones among them.
        trainable: go on learning the given vectors; else only their projection is learnt.
    """

    def __init__(self, given: GivenVectors, rows: int, width: int, trainable: bool) -> None:
        super().__init__(rows - len(given.gene), width)
        self.register_buffer("given", given.gene.clone())
        if trainable:
            self.vector = nn.Parameter(given.vector.clone())
        else:
            self.register_buffer("vector", given.vector.clone())
        self.project = nn.Linear(given.vector.shape[1], width, bias=False)
        is_given = torch.zeros(rows, dtype=torch.bool).index_fill_(0, given.gene, True)
        place = torch.where(is_given, len(self.weight) + is_given.cumsum(0), (~is_given).cumsum(0)) - 1
        self.register_buffer("place", place, persistent=False)

    @torch.no_grad()
    def start(self, given: GivenVectors) -> None:
        """Put the given vectors back in their place, where every matrix was drawn at random."""
        self.vector.copy_(given.vector)

    def forward(self, row: Tensor) -> Tensor:
        """int64 [n] to float32 [n, width]."""
        table = torch.cat([self.weight, self.project(self.vector).to(self.weight.dtype)])
        return F.embedding(self.place[row], table)
