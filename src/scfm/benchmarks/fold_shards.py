"""The training cells of one fold of perturbed cells as a corpus of their own, so that any system can train on them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.corpus import as_counts, write_shards
from scfm.datasets import OBS, UNKNOWN
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

RENAMED = {"dataset_id": "dataset", "donor_id": "donor"}
"""Columns of a corpus to those of a prepared dataset that have another name there."""


def write_fold(cells: "AnnData", learnt: np.ndarray, validation: float, seed: int, path: Path) -> int:
    """Write shards of the training cells, with a share of them for validation, and return their number.

    Beside the columns of a corpus its cells have `perturbation` and `background`, and `condition` is the perturbation
    too.

    Args:
        cells: of `scfm.perturbation.screen`. learnt: bool [cells], the training cells.
        validation: share of them that is validated on. seed: of who that is.

    Raises:
        ScfmError: fewer than two training cells; what `write_shards` raises.
    """
    import pandas as pd
    from scipy.sparse import csr_matrix

    rows = np.flatnonzero(learnt)
    if len(rows) < 2:
        raise ScfmError(f"perturbation: {len(rows)} training cells in a fold, where two are needed; hold out less")
    rng = np.random.default_rng(seed)
    table = _table(cells.obs.iloc[rows])
    table["split"] = "train"
    table.loc[rng.permutation(len(rows))[: max(1, round(validation * len(rows)))], "split"] = "validation"
    counts = csr_matrix(cells.X[rows])
    counts.eliminate_zeros()
    genes = pd.DataFrame({"gene": cells.var_names.astype(str), "ensembl": ""})
    datasets = sorted(set(table["dataset_id"]))
    write_shards(path, [(as_counts(counts), table)], genes, datasets, np.ones((len(datasets), len(genes)), bool))
    return len(rows)


def _table(obs: "pd.DataFrame") -> "pd.DataFrame":
    """The columns of a corpus, "unknown" where the dataset says nothing, and those of perturbed cells."""
    import pandas as pd

    names = {name: RENAMED.get(name, name) for name in OBS if name != "split"}
    own = {name: obs[column].astype(str).to_numpy() if column in obs else UNKNOWN for name, column in names.items()}
    perturbation, background = (obs[name].astype(str).to_numpy() for name in ("perturbation", "background"))
    own |= {"condition": perturbation, "perturbation": perturbation, "background": background}
    return pd.DataFrame(own, index=range(len(obs)))
