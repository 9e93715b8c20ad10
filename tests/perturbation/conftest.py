from collections.abc import Callable

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix


@pytest.fixture
def screened() -> Callable[..., anndata.AnnData]:
    """Poisson counts with chosen conditions: {(background, perturbation): cells}, and planted ratios of genes.

    Every background has its own rates; `ratios` maps a perturbation to {gene number: ratio}.
    """

    def make(
        conditions: dict[tuple[str, str], int],
        ratios: dict[str, dict[int, float]] | None = None,
        genes: int = 20,
        rate: float = 4.0,
        seed: int = 0,
    ) -> anndata.AnnData:
        rng = np.random.default_rng(seed)
        base = {b: rate * np.exp(rng.normal(0, 0.5, genes)) for b in sorted({b for b, _ in conditions})}
        blocks, obs = [], []
        for (background, perturbation), n in conditions.items():
            mean = base[background].copy()
            for part in perturbation.split("+"):
                for gene, ratio in (ratios or {}).get(part, {}).items():
                    mean[gene] *= ratio
            blocks.append(rng.poisson(mean, (n, genes)))
            obs += [(background, perturbation)] * n
        table = pd.DataFrame(obs, columns=["background", "perturbation"], index=[f"c{i}" for i in range(len(obs))])
        var = pd.DataFrame(index=[f"G{i}" for i in range(genes)])
        return anndata.AnnData(csr_matrix(np.vstack(blocks).astype(np.float32)), obs=table, var=var)

    return make
