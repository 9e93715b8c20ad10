"""Cells that a trained model draws, as such and under each value of its conditions."""

from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.generation.settings import JOIN, Drawing

if TYPE_CHECKING:
    from anndata import AnnData

    from scfm.model import Model


def draw(model: "Model", settings: Drawing) -> "AnnData":
    """Draw cells of no condition, then of each value of each condition by itself.

    Args:
        model: of a system that draws cells, see `scfm.models.system.load_system`.

    Returns:
        AnnData: X counts, CSR int32 [cells, vocabulary]; obs condition, "" or `column=value`; uns run and seed, those
        of the model.

    Raises:
        ScfmError: the system draws no cells.
    """
    import anndata
    import pandas as pd
    import torch
    from scipy.sparse import csr_matrix, vstack

    from scfm.models.system import load_system

    about = model.about
    name, own = about["settings"]["system"], model.network.settings
    if not own.draws_cells:
        raise ScfmError(f"run '{about['run']}': a system '{name}' draws no cells; name a run of one that does")
    system = load_system(name)
    asked = {"": ({}, settings.cells)}
    for column, values in system.condition_values(model.network).items():
        asked |= {f"{column}{JOIN}{value}": ({column: value}, settings.condition_cells) for value in values}
    generator = torch.Generator(model.device).manual_seed(_seed(settings.seed, about["seed"]))
    blocks, sizes = [], []
    for condition, number in asked.values():
        chunks = system.generate(model.network, number, condition, settings.steps, generator)
        tables = [csr_matrix(chunk.cpu().numpy().astype(np.int32)) for chunk in chunks]
        sizes.append(sum(table.shape[0] for table in tables))
        blocks += tables
    obs = pd.DataFrame({"condition": np.repeat(list(asked), sizes)})
    return anndata.AnnData(
        vstack(blocks, format="csr"),
        obs=obs.set_index(obs.index.astype(str)),
        var=pd.DataFrame(index=pd.Index(model.genes)),
        uns={"run": str(about["run"]), "seed": int(about["seed"])},
    )


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
