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

    device = next(network.parameters()).device
    generator, rng = torch.Generator(device).manual_seed(seed), np.random.default_rng(seed)
    made, pairs = [], list(query[["background", "perturbation"]].astype(str).itertuples(index=False, name=None))
    for background, perturbation in pairs:
        start = cells[controls(cells.obs, background)]
        rows = rng.choice(start.n_obs, number, replace=number > start.n_obs)
        written = _written(network, start[np.sort(rows)], prompts(cells, sides, background, perturbation), generator)
        written.obs = written.obs.assign(background=background, perturbation=perturbation)
        made.append(written)
    out = anndata.concat(made, index_unique="-")
    out.obs_names = [str(i) for i in range(out.n_obs)]
    return out


def rewrite(network: "Network", query: "AnnData", shown: "list[AnnData]", seed: int) -> "AnnData":
    """Cells rewritten under one prompt after the other.

    Args:
        query, shown: X counts, genes in the order of the model's.

    Returns:
        AnnData: X CSR float32 integer counts [cells, genes], a row for each of the query's; obs confidence float32, log
        odds under the last prompt that the cell is one of those shown.

    Raises:
        ScfmError: what `check_prompt` and `Network.generate` raise.
    """
    device = next(network.parameters()).device
    return _written(network, query, shown, torch.Generator(device).manual_seed(seed))


def _written(network: "Network", query: "AnnData", shown: "list[AnnData]", generator: torch.Generator) -> "AnnData":
    import anndata
    import pandas as pd
    from scipy.sparse import csr_matrix

    device = next(network.parameters()).device
    counts, confidence = _table(query, device), None
    for prompt in shown:
        check_prompt(prompt, query)
        written = network.generate(_table(prompt, device), counts, generator)
        counts, confidence = written.counts, written.confidence.cpu().numpy()
    obs = pd.DataFrame({"confidence": confidence}, index=[str(i) for i in range(query.n_obs)])
    return anndata.AnnData(csr_matrix(counts.cpu().numpy().astype(np.float32)), obs=obs, var=query.var[[]].copy())


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
