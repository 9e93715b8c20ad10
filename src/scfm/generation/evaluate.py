"""All metrics of generated cells against real ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.expression import check_values
from scfm.generation.laws import correlation, depth_spread, mean_of_genes, pair_correlations, wasserstein
from scfm.generation.samples import auroc, ilisi, mmd, proportions
from scfm.perturbation.cells import log_normalised

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

LEAST_CELLS = 20
"""Of each side, below which nothing can be said."""
METRICS = {
    "mean_pearson": "correlation of the means of genes; 1 is best, and independent genes reach it",
    "mean_spearman": "the same of ranks",
    "pair_correlation": "correlation of the correlations of pairs of genes; 1 is best",
    "pair_slope": "how much of them is kept; 1 is best",
    "depth_spread": "spread of log counts per cell over the real one; 1 is best",
    "wasserstein": "mean over genes of the distance of their laws; 0 is best",
    "auroc": "of a classifier that tells both sides apart; 0.5 is best",
    "mmd": "squared kernel distance; 0 is best",
    "ilisi": "mixing of neighbourhoods; 1 is best",
    "type_distance": "total variation between shares of cell types; 0 is best",
    "marker_error": "largest difference in the share of cells that express a marker; 0 is best",
}
"""Name of each metric to what it says."""


def compare(
    real: "AnnData",
    made: "AnnData",
    seed: int,
    cell_type: str | None = None,
    markers: Sequence[str] = (),
    most: int = 2000,
    genes: int = 500,
    components: int = 50,
) -> dict[str, float]:
    """Metrics of generated cells; compare two halves of the real cells the same way to see what can be reached.

    Values are log-normalised to the median depth of the real cells; the classifier, the kernel, neighbourhoods and
    types see principal components of both sides together.

    Args:
        real, made: X raw counts, of the same genes in the same order.
        seed: of the cells that are drawn, of components and of the classifier.
        cell_type: column of real.obs; without it there is no `type_distance`.
        markers: genes; without any there is no `marker_error`.
        most: cells that are drawn of each side. genes: most genes whose pairs are compared. components: at most.

    Returns:
        Name, one of `METRICS`, to value.

    Raises:
        ScfmError: other genes, values that are no counts, a cell without any, fewer than 20 cells on a side, no such
            column, a marker that is no gene.
    """
    from sklearn.decomposition import PCA

    _must_match(real, made, cell_type, markers)
    rng, sides = np.random.default_rng(seed), {}
    for name, cells in (("real", real), ("made", made)):
        rows = np.sort(rng.choice(cells.n_obs, min(most, cells.n_obs), replace=False))
        sides[name] = rows, _counts(cells, rows, name)
    (real_rows, a), (_, b) = sides["real"], sides["made"]
    depths = [np.asarray(counts.sum(1), dtype=np.float64).ravel() for counts in (a, b)]
    x, y = (log_normalised(counts, float(np.median(depths[0]))) for counts in (a, b))
    # Of both sides: components of one alone vary less there than in any other sample, which a classifier would see.
    both = np.concatenate([x.toarray(), y.toarray()])
    p, q = np.split(PCA(min(components, *both.shape), random_state=seed).fit_transform(both), [x.shape[0]])
    pair, slope = pair_correlations(x, y, genes)
    found = {
        "mean_pearson": correlation(mean_of_genes(x), mean_of_genes(y)),
        "mean_spearman": correlation(mean_of_genes(x), mean_of_genes(y), ranks=True),
        "pair_correlation": pair,
        "pair_slope": slope,
        "depth_spread": depth_spread(*depths),
        "wasserstein": wasserstein(x, y),
        "auroc": auroc(p, q, seed),
        "mmd": mmd(p, q),
        "ilisi": ilisi(p, q),
    }
    if cell_type is not None:
        found["type_distance"] = proportions(p, real.obs[cell_type].astype(str).to_numpy()[real_rows], q)
    if len(markers):
        index = real.var_names.get_indexer(list(markers))
        shares = [mean_of_genes((counts[:, index] > 0).tocsr()) for counts in (a, b)]
        found["marker_error"] = float(np.abs(shares[0] - shares[1]).max())
    return found


def _counts(cells: "AnnData", rows: np.ndarray, name: str) -> "csr_matrix":
    from scipy.sparse import csr_matrix

    counts = csr_matrix(cells.X[rows], dtype=np.float32)
    try:
        check_values(counts.data, "counts")
    except ScfmError as error:
        raise ScfmError(f"{name} cells: {error}") from error
    return counts


def _must_match(real: "AnnData", made: "AnnData", cell_type: str | None, markers: Sequence[str]) -> None:
    if not real.var_names.equals(made.var_names):
        raise ScfmError("generated cells: their genes are not those of the real cells in the same order; align them")
    for name, cells in (("real", real), ("made", made)):
        if cells.n_obs < LEAST_CELLS:
            raise ScfmError(f"{name} cells: {cells.n_obs} where {LEAST_CELLS} are needed; give more")
    if cell_type is not None and cell_type not in real.obs:
        raise ScfmError(f"real cells: there is no column '{cell_type}'; choose among {', '.join(map(str, real.obs))}")
    strange = [marker for marker in markers if marker not in real.var_names]
    if strange:
        raise ScfmError(f"markers: '{strange[0]}' is no gene of the cells; leave it out")
