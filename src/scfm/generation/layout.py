"""Real and drawn cells on one map: UMAP of all of them together, so that cells of no real kind keep apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scfm.generation.settings import Comparison
from scfm.generation.sources import Source
from scfm.perturbation.cells import log_normalised

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

REAL = "real"
NEIGHBORS = 15


def layout(reference: "AnnData", found: Sequence[Source], settings: Comparison) -> "pd.DataFrame":
    """Place equally many cells of each source on a plane, those of no condition and of the first seed of a run.

    Values are log-normalised to the median depth of the reference; the graph is that of the 15 nearest neighbours in
    principal components of all cells together.

    Returns:
        Columns source (`real`, a run or a control), seed, cell_type (of real cells their own, of all others the
        commonest of their nearest real ones), x and y.

    Source: McInnes, Healy, Melville 2018 (arXiv 1802.03426), as scanpy has it.
    """
    import pandas as pd
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier

    from scfm.benchmarks.metrics.neighbors import connectivities

    once: dict[str, Source] = {}
    for source in found:
        once.setdefault(source.name, source)
    shown = {REAL: (0, reference)} | {name: (one.seed, one.under("")) for name, one in once.items()}
    cells = min(settings.shown, *(one.n_obs for _, one in shown.values()))
    rng = np.random.default_rng(settings.seed)
    chosen = {name: one[rng.choice(one.n_obs, cells, replace=False)] for name, (_, one) in shown.items()}
    total = float(np.median(np.asarray(reference.X.sum(1)).ravel()))
    table = np.concatenate([log_normalised(one.X, total).toarray() for one in chosen.values()])
    vectors = PCA(min(settings.components, *table.shape), random_state=settings.seed).fit_transform(table)
    places = _umap(vectors, connectivities(vectors, NEIGHBORS), settings.seed)
    labels = chosen[REAL].obs["cell_type"].astype(str).to_numpy()
    named = KNeighborsClassifier(NEIGHBORS).fit(vectors[:cells], labels).predict(vectors[cells:])
    out = pd.DataFrame(places, columns=["x", "y"])
    out.insert(0, "cell_type", np.concatenate([labels, named]))
    out.insert(0, "seed", np.repeat([seed for seed, _ in shown.values()], cells))
    out.insert(0, "source", np.repeat(list(shown), cells))
    return out


def _umap(vectors: np.ndarray, graph: "csr_matrix", seed: int) -> np.ndarray:
    """float32 [cells, 2]."""
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(obsm={"X_pca": vectors}, obsp={"connectivities": graph})
    how = {"n_neighbors": NEIGHBORS, "method": "umap", "use_rep": "X_pca"}
    cells.uns["neighbors"] = {"connectivities_key": "connectivities", "params": how}
    sc.tl.umap(cells, random_state=seed)
    return cells.obsm["X_umap"]
