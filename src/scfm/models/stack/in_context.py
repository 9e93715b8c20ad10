"""Perturbed cells by example: controls of a background rewritten under a prompt of cells of other backgrounds."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.stack.refine import Generated, draw_counts
from scfm.perturbation.cells import CONTROL, controls, partners
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
    is put together from its partners (ours; the paper has none): a cell's share of each gene is the product of its
    shares under a prompt of each partner, over that under a prompt of controls to the power of the partners less one,
    scaled to sum to 1. So effects of partners add up in the logarithm, and what they do to each other is not foretold.

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
        query_cells, shown = start[np.sort(rows)], prompts(cells, sides, background, perturbation)
        if len(shown) > 1:
            shown.append(shown_cells(cells, sides, background, CONTROL))
        written = _written(network, query_cells, shown, generator)
        written.obs = written.obs.assign(background=background, perturbation=perturbation)
        made.append(written)
    out = anndata.concat(made, index_unique="-")
    out.obs_names = [str(i) for i in range(out.n_obs)]
    return out


def rewrite(network: "Network", query: "AnnData", shown: "AnnData", seed: int) -> "AnnData":
    """Cells rewritten under a prompt.

    Args:
        query, shown: X counts, genes in the order of the model's.

    Returns:
        AnnData: X CSR float32 integer counts [cells, genes], a row for each of the query's; obs confidence float32, log
        odds that the cell is one of those shown.

    Raises:
        ScfmError: what `check_prompt` and `Network.generate` raise.
    """
    device = next(network.parameters()).device
    return _written(network, query, [shown], torch.Generator(device).manual_seed(seed))


def _written(network: "Network", query: "AnnData", shown: "list[AnnData]", generator: torch.Generator) -> "AnnData":
    """Under one prompt, or under several of which the last is the control's."""
    import anndata
    import pandas as pd
    from scipy.sparse import csr_matrix

    device = next(network.parameters()).device
    counts, written = _table(query, device), []
    for prompt in shown:
        check_prompt(prompt, query)
        written.append(network.generate(_table(prompt, device), counts, generator))
    made = written[0] if len(written) == 1 else _combined(written[:-1], written[-1], counts.sum(1), generator)
    obs = pd.DataFrame({"confidence": made.confidence.cpu().numpy()}, index=[str(i) for i in range(query.n_obs)])
    return anndata.AnnData(csr_matrix(made.counts.cpu().numpy().astype(np.float32)), obs=obs, var=query.var[[]].copy())


def _combined(partners: list[Generated], control: Generated, depth: Tensor, generator: torch.Generator) -> Generated:
    """Cells of the product of their shares; the least of the confidences, the mean of the dispersions."""
    log_shares = torch.stack([one.share.log() for one in partners])
    share = (log_shares.sum(0) - (len(partners) - 1) * control.share.log()).softmax(1)
    dispersion = torch.stack([one.dispersion for one in partners]).mean(0)
    confidence = torch.stack([one.confidence for one in partners]).min(0).values
    return Generated(draw_counts(share, dispersion, depth, generator).long(), confidence, share, dispersion)


def prompts(cells: "AnnData", sides: np.ndarray, background: str, perturbation: str) -> "list[AnnData]":
    """Cells to show: of the perturbation, or of each of its partners.

    Raises:
        ScfmError: none are shown.
    """
    names = cells.obs["perturbation"].astype(str)[np.isin(sides, (TRAIN, PROMPT))]
    asked = [perturbation] if (names == perturbation).any() else sorted(partners(perturbation))
    if not asked:
        raise ScfmError(f"perturbation '{perturbation}' is none; ask for perturbed cells")
    check_perturbations(_series(asked), names)
    return [shown_cells(cells, sides, background, name) for name in asked]


def shown_cells(cells: "AnnData", sides: np.ndarray, background: str, name: str) -> "AnnData":
    """Cells under a perturbation that may be shown: those of the background where there are some, else all."""
    own = np.isin(sides, (TRAIN, PROMPT)) & (cells.obs["perturbation"] == name).to_numpy()
    here = own & (cells.obs["background"] == background).to_numpy()
    return cells[here if here.any() else own]


def _series(names: list[str]) -> "pd.Series":
    import pandas as pd

    return pd.Series(names, dtype=object)


def _table(cells: "AnnData", device: torch.device) -> Tensor:
    """float32 [cells, genes]."""
    return torch.from_numpy(np.asarray(cells.X.todense(), dtype=np.float32)).to(device)
