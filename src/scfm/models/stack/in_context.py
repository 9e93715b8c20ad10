"""Perturbed cells by example: controls of a background rewritten under a prompt of cells of other backgrounds."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.perturbation.cells import controls, partners
from scfm.perturbation.predictions import check_perturbations, check_prompt
from scfm.perturbation.split import PROMPT, TRAIN

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.models.stack.network import Network


def predict(
    network: "Network", cells: "AnnData", sides: np.ndarray, query: "pd.DataFrame", number: int, seed: int
) -> "AnnData":
    """Cells of each held-out pair, rewritten from control cells of its background.

    The prompt is the cells of that very perturbation, which are of other backgrounds. A combination that no cell shows
    is predicted by a chain (ours; the paper has none): the controls are rewritten under a prompt of the first partner's
    cells, and the result under one of the next; partners in alphabetical order, their cells of the same background
    where there are some. So what partners do to each other is not foretold.

    Args and returns: as `scfm.models.system.load_system` says. A background with fewer controls than `number` gives
    each of them several times.

    Raises:
        ScfmError: no control cell in a background; a perturbation of which no cell is shown, under it or under each
            partner; prompts that `check_prompt` refuses; a network without the second phase.
    """
    import anndata
    import pandas as pd
    from scipy.sparse import csr_matrix, vstack

    device = next(network.parameters()).device
    generator, rng = torch.Generator(device).manual_seed(seed), np.random.default_rng(seed)
    made, pairs = [], list(query[["background", "perturbation"]].astype(str).itertuples(index=False, name=None))
    for background, perturbation in pairs:
        start = cells[controls(cells.obs, background)]
        rows = rng.choice(start.n_obs, number, replace=number > start.n_obs)
        counts = _table(start[np.sort(rows)], device)
        for prompt in prompts(cells, sides, background, perturbation):
            check_prompt(prompt, start)
            counts = network.generate(_table(prompt, device), counts, generator).counts
        made.append(csr_matrix(counts.cpu().numpy()))
    obs = pd.DataFrame(np.repeat(pairs, number, axis=0), columns=["background", "perturbation"])
    obs.index = obs.index.astype(str)
    return anndata.AnnData(vstack(made).tocsr(), obs=obs, var=cells.var[[]].copy())


def prompts(cells: "AnnData", sides: np.ndarray, background: str, perturbation: str) -> "list[AnnData]":
    """Cells to show one after the other: of the perturbation, or of each of its partners.

    Raises:
        ScfmError: none are shown.
    """
    shown = np.isin(sides, (TRAIN, PROMPT))
    names = cells.obs["perturbation"].astype(str).to_numpy()
    asked = [perturbation] if (names[shown] == perturbation).any() else sorted(partners(perturbation))
    if not asked:
        raise ScfmError(f"perturbation '{perturbation}' is none; ask for perturbed cells")
    check_perturbations(_series(asked), _series(names[shown]))
    chosen = []
    for name in asked:
        own = shown & (names == name)
        here = own & (cells.obs["background"] == background).to_numpy()
        chosen.append(cells[here if here.any() else own])
    return chosen


def _series(names: "np.ndarray | list[str]") -> "pd.Series":
    import pandas as pd

    return pd.Series(names, dtype=object)


def _table(cells: "AnnData", device: torch.device) -> Tensor:
    """float32 [cells, genes]."""
    return torch.from_numpy(np.asarray(cells.X.todense(), dtype=np.float32)).to(device)
