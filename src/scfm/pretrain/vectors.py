"""Vectors of the corpus's cells by a trained run, for systems that read them in the place of counts."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.corpus import Reader
from scfm.errors import ScfmError
from scfm.files import must_exist, whole

if TYPE_CHECKING:
    from scfm.model import Model

BLOCK = 4_096
"""Cells embedded at once."""
SAMPLE = 4_096
"""Cells whose vectors stand for all of them in a digest."""


def write_vectors(model: "Model", pooling: str, corpus: Reader, out: Path) -> tuple[int, int]:
    """Write float32 [cells, width], a row for each row of the corpus, and return its shape.

    Raises:
        ScfmError: the model has no such pooling.
    """
    import anndata
    import scipy.sparse as sp
    from tqdm import tqdm

    model.must_offer([pooling])
    starts = range(0, len(corpus), BLOCK)
    rows = [np.arange(start, min(start + BLOCK, len(corpus))) for start in starts]
    var, table = pd.DataFrame(index=corpus.genes["gene"].astype(str)), None
    with whole(out) as temporary:
        for cells, (gene, count, lengths) in zip(rows, tqdm(corpus.stream(rows), total=len(rows)), strict=True):
            edges = np.concatenate([[0], np.cumsum(lengths)])
            counts = sp.csr_matrix((count.astype(np.float32), gene.astype(np.int32), edges), (len(cells), len(var)))
            obs = corpus.cells.iloc[cells].set_index(pd.Index(cells.astype(str)))
            vectors = model.embed(anndata.AnnData(counts, obs, var), pooling)[pooling]
            if table is None:
                shape = (len(corpus), vectors.shape[1])
                table = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            table[cells] = vectors
        if table is None:
            raise ScfmError(f"{corpus.path}: the corpus holds no cell; build it again")
        table.flush()
    return table.shape


def read_vectors(path: Path, corpus: Reader) -> np.ndarray:
    """The vectors of a corpus, float32 [cells, width], mapped into memory.

    Raises:
        ScfmError: the file is missing, of other cells, or a vector holds no number.
    """
    vectors = np.load(must_exist(path, "cell vectors"), mmap_mode="r")
    if vectors.ndim != 2 or len(vectors) != len(corpus):
        raise ScfmError(f"{path}: {vectors.shape} vectors for {len(corpus):,} cells; write them again for this corpus")
    for start in range(0, len(vectors), 2**16):
        if not np.isfinite(vectors[start : start + 2**16]).all():
            raise ScfmError(f"{path}: a vector holds no number (NaN); embed the corpus again")
    return vectors


def vectors_digest(vectors: np.ndarray) -> bytes:
    """Stands for vectors, float32 [cells, width]: a digest of some, evenly spread, since other weights change all."""
    rows = np.linspace(0, len(vectors) - 1, min(len(vectors), SAMPLE)).astype(np.int64)
    return hashlib.sha256(np.ascontiguousarray(vectors[rows]).tobytes()).digest()
