"""Cells under perturbations that are asked for, from a trained network: the seam of the perturbation task."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from scfm.errors import ScfmError
from scfm.models.lingshu.conditions import condition_codes, stacked
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.prior import falling_genes
from scfm.models.lingshu.sampling import Asked

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

COLUMNS = ("background", "perturbation")


def predict(
    network: Network,
    cells: "AnnData",
    sides: np.ndarray,
    query: "pd.DataFrame",
    number: int,
    seed: int,
    given: "pd.DataFrame | None" = None,
) -> "AnnData":
    """Draw cells of every (background, perturbation) pair, with the steps and the guidance of the settings.

    What the network knows it learned in training; cells that may be shown are read for `sampling.prior` alone.

    Args:
        network: trained with the conditions background and perturbation.
        cells: in the form of `scfm.perturbation.cells.screen`; genes in the model's order.
        sides: strings [cells], `train`, `prompt` or `query`.
        query: columns background and perturbation; unseen combinations `A+B` of perturbations that training saw.
        number: cells of each pair.
        given: columns background, perturbation, gene and count: genes that all cells of a pair hold at that count.
            None for those that `sampling.prior` says.

    Returns:
        AnnData: X counts, CSR float32 [pairs x number, genes]; obs background and perturbation.

    Raises:
        ScfmError: a model with other conditions or other genes, a background or perturbation that training did not
            see, a given gene that is not of the vocabulary, and what `scfm.models.lingshu.sampling.generate` raises.
    """
    import anndata
    from scipy.sparse import csr_matrix, vstack

    conditions = network.settings.conditions
    if not network.settings.predicts:
        raise ScfmError(f"predict: a model with the conditions {' and '.join(COLUMNS)} is needed; train one with both")
    if cells.n_vars != network.genes:
        raise ScfmError(f"cells: {cells.n_vars:,} genes where the model has {network.genes:,}; give its genes in order")
    pairs = query[list(COLUMNS)].astype(str).reset_index(drop=True)
    labels = condition_codes(pairs, network.conditions.names, conditions, strict=True)
    if given is None and network.settings.sampling.prior:
        given = falling_genes(cells, sides, pairs)
    device = network.edges.device
    codes = stacked(
        {name: torch.from_numpy(code) for name, code in labels.items()}, conditions, torch.empty(len(pairs))
    )
    generator, blocks = torch.Generator(device).manual_seed(seed), []
    for row in range(len(pairs)):
        gene, count = _given(given, pairs.iloc[row], cells.var_names)
        asked = Asked(codes[row], gene=gene, count=count)
        chunks = network.generate(number, asked, generator)
        blocks += [csr_matrix(chunk.cpu().numpy().astype(np.float32)) for chunk in chunks]
    obs = pairs.loc[np.repeat(np.arange(len(pairs)), number)]
    obs.index = [str(row) for row in range(len(obs))]
    return anndata.AnnData(vstack(blocks, format="csr"), obs=obs, var=cells.var[[]].copy())


def _given(given: "pd.DataFrame | None", pair: "pd.Series", genes: "pd.Index") -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers and counts of the genes that are given for a pair."""
    if given is None:
        return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    own = given[(given[list(COLUMNS)].astype(str) == pair).all(axis=1)]
    index = genes.get_indexer(own["gene"])
    if (index < 0).any():
        raise ScfmError(f"given genes: '{own['gene'][index < 0].iloc[0]}' is not of the vocabulary; leave it out")
    return torch.from_numpy(index.astype(np.int64)), torch.from_numpy(own["count"].to_numpy())
