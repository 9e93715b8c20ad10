"""What drawn cells are compared with, and the controls that say what the comparison can see.

The held-out cells are halved at random: one half is the reference; the other is the `ceiling`, what a perfect draw
would score; with the counts of each gene dealt out anew over its cells it is `independent`, which keeps the law of
each gene and nothing of how they vary together. `training` are cells that the runs were trained on: a difference
between them and the reference is one of datasets, which no model of the training cells closes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.generation.settings import JOIN

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.corpus.reader import Reader

CEILING, INDEPENDENT, TRAINING = "ceiling", "independent", "training"
CONTROLS = (CEILING, TRAINING, INDEPENDENT)
"""Cells that no model drew, in the order of the tables."""
GENES_AT_A_TIME = 256
"""Genes whose counts are dealt out at once, all cells of them in memory."""


@dataclass(frozen=True)
class Source:
    """Cells to be compared with the reference."""

    name: str
    """A run, or one of `CONTROLS`."""
    seed: int
    cells: "AnnData"
    """X counts [cells, genes] in the genes of the reference, each with a count."""
    empty: int = 0
    """Cells that were left out because they hold none."""

    def under(self, condition: str) -> "AnnData":
        """Those drawn under a condition, or of a control those that have its value; none where that is not known."""
        if self.name not in CONTROLS:
            return self.cells[(self.cells.obs["condition"] == condition).to_numpy()]
        return having(self.cells, condition)


def having(cells: "AnnData", condition: str) -> "AnnData":
    """Real cells of a condition `column=value`, all of them for ""; `donor_id` is also looked for as `donor`."""
    column, _, value = condition.partition(JOIN)
    if not column:
        return cells
    known = [name for name in (column, column.removesuffix("_id")) if name in cells.obs]
    rows = (cells.obs[known[0]].astype(str) == value).to_numpy() if known else np.zeros(cells.n_obs, bool)
    return cells[rows]


def sources(
    real: "AnnData", drawn: Sequence["AnnData"], training: "Reader", most: int, seed: int
) -> tuple["AnnData", list[Source]]:
    """The reference, and what is compared with it: runs in their order, then controls.

    Args:
        real: prepared cells, X counts. drawn: as `scfm.generation.draw.draw` returns them.
        training: the corpus. most: cells that are taken of it.

    Raises:
        ScfmError: the genes of the drawn cells differ, or the real cells know none of them.
    """
    genes = drawn[0].var_names
    if any(not genes.equals(one.var_names) for one in drawn):
        raise ScfmError("drawn cells: runs of other genes; compare runs of one corpus")
    shared = real.var_names[real.var_names.isin(genes)]
    if not len(shared):
        raise ScfmError("real cells: none of their genes is one of the drawn cells; name another dataset")
    rng = np.random.default_rng(seed)
    known, _ = _with_counts(real, shared)
    order = rng.permutation(known.n_obs)
    reference, other = known[order[::2]].copy(), known[order[1::2]].copy()
    runs = [Source(str(one.uns["run"]), int(one.uns["seed"]), *_with_counts(one, shared)) for one in drawn]
    corpus = taken(training, most, rng)
    absent = shared[~shared.isin(corpus.var_names)]
    if len(absent):
        raise ScfmError(f"corpus: gene '{absent[0]}' of the drawn cells is none of it; draw with runs of this corpus")
    controls = {CEILING: other, TRAINING: corpus, INDEPENDENT: shuffled(other, rng)}
    return reference, [*runs, *(Source(name, 0, *_with_counts(cells, shared)) for name, cells in controls.items())]


def shuffled(cells: "AnnData", rng: np.random.Generator) -> "AnnData":
    """The counts of every gene dealt out over the cells at random."""
    from scipy.sparse import csc_matrix, hstack

    counts, out = csc_matrix(cells.X), cells.copy()
    blocks = (counts[:, start : start + GENES_AT_A_TIME].toarray() for start in range(0, cells.n_vars, GENES_AT_A_TIME))
    out.X = hstack([csc_matrix(rng.permuted(block, axis=0)) for block in blocks], format="csr")
    return out


def taken(training: "Reader", most: int, rng: np.random.Generator) -> "AnnData":
    """Some of the corpus's training cells at random; obs as in the corpus."""
    import anndata
    from scipy.sparse import csr_matrix

    rows = training.rows("train")
    rows = np.sort(rng.choice(rows, min(most, len(rows)), replace=False))
    ((gene, count, lengths),) = training.stream([rows])
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    genes = training.genes
    counts = csr_matrix((count.astype(np.float32), gene.astype(np.int64), bounds), shape=(len(rows), len(genes)))
    obs = training.cells.iloc[rows]
    var = genes[[]].set_axis(genes["gene"].astype(str), axis=0)
    return anndata.AnnData(counts, obs=obs.set_axis(obs.index.astype(str), axis=0), var=var)


def marker_genes(cells: "AnnData", label: str) -> list[str]:
    """Of each cell type the gene whose share of expressing cells most exceeds that in all other cells, each once."""
    names, codes = np.unique(cells.obs[label].astype(str), return_inverse=True)
    if len(names) < 2:
        return []
    member = np.eye(len(names))[codes]
    expressing = member.T @ (cells.X > 0).astype(np.float64)
    inside = expressing / member.sum(0)[:, None]
    outside = (expressing.sum(0) - expressing) / (len(codes) - member.sum(0))[:, None]
    return list(dict.fromkeys(cells.var_names[(inside - outside).argmax(1)]))


def _with_counts(cells: "AnnData", genes: "pd.Index") -> tuple["AnnData", int]:
    """Cells with a count in some genes, and how many have none."""
    from scipy.sparse import csr_matrix

    own = cells[:, genes].copy()
    own.X = csr_matrix(own.X, dtype=np.float32)
    some = np.asarray(own.X.sum(1)).ravel() > 0
    return own[some].copy(), int((~some).sum())
