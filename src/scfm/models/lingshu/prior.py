"""Genes that a perturbation is known to lower elsewhere: what the published model injects into its draws."""

from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

SHOWN = ("train", "prompt", "query")
"""Sides of cells that may be read."""


def falling_genes(
    cells: "AnnData", sides: np.ndarray, query: "pd.DataFrame", alpha: float = 0.05, total: float = 1e4, count: int = 1
) -> "pd.DataFrame":
    """Genes that fall significantly under the same perturbation in any other background that may be shown.

    A gene falls by a Mann-Whitney test of log-normalised values against the controls of that background, at a false
    discovery rate below `alpha`. The paper sets such genes to the token of one count.

    Args:
        cells: in the form of `scfm.perturbation.cells.screen`.
        sides: strings [cells]; only cells that are `train`, `prompt` or `query` are read.
        query: columns background and perturbation.
        total: counts to which a cell is scaled.

    Returns:
        Columns background, perturbation, gene and count, as `predict` takes them; no row for what is known nowhere.

    Raises:
        ScfmError: as many sides as cells are not given.
    """
    import pandas as pd

    from scfm.perturbation.cells import CONTROL, log_normalised
    from scfm.perturbation.differential import profile

    if len(sides) != cells.n_obs:
        raise ScfmError(f"sides: {len(sides):,} for {cells.n_obs:,} cells; give one for each")
    asked = query[["background", "perturbation"]].astype(str).drop_duplicates()
    background, perturbation = (cells.obs[name].astype(str).to_numpy() for name in ("background", "perturbation"))
    read = np.isin(sides, SHOWN) & np.isin(perturbation, [*asked["perturbation"], CONTROL])
    parts = [pd.DataFrame(columns=["elsewhere", "perturbation", "gene"], dtype=object)]
    for one in np.unique(background[read]):
        rows = np.flatnonzero(read & (background == one))
        names = perturbation[rows]
        if CONTROL not in names or len(np.unique(names)) < 2:
            continue
        found = profile(log_normalised(cells.X[rows], total), names)
        which, gene = np.nonzero((found.fdr < alpha) & (found.log_fold < 0))
        own = {"elsewhere": one, "perturbation": found.perturbations[which], "gene": cells.var_names[gene]}
        parts.append(pd.DataFrame(own))
    known = asked.merge(pd.concat(parts), on="perturbation")
    known = known[known["background"] != known["elsewhere"]]
    return known[["background", "perturbation", "gene"]].drop_duplicates(ignore_index=True).assign(count=count)
