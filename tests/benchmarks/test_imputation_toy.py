"""A small CellPLM learns layered tissues: their programs are imputed with positions and not without."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from scfm.benchmarks.count_settings import Imputation
from scfm.benchmarks.imputation import imputation
from scfm.benchmarks.interval import Interval
from scfm.models.cellplm.network import Network
from scfm.models.cellplm.settings import Cellplm
from scfm.models.cells import ragged
from scfm.models.tasks import combine
from scfm.set_model import SetModel

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("imputation_toy")]

GENES, LAYERS, CELLS, TISSUES, STEPS, RATE = 24, 3, 40, 16, 500, 5e-3
SETTINGS = {
    "encoder": {"layers": 1, "hidden": 32, "heads": 2, "ffn": 64, "dropout": 0.0, "gene_std": 0.3},
    "positions": {"grid": 10.0},
    "masking": {"drop": 0.0, "cells": 0.9, "genes": 0.5, "shares": "constant"},
    "latent": {"kind": "plain", "width": 16},
    "decoder": {"hidden": 32, "bottleneck": 16, "dropout": 0.0},
    "sets": {"by": ["donor"], "cells": CELLS},
}


def draw(rng, tissues):
    """Counts [cells, genes], places [cells, 2] and tissue of each cell; one gene of each layer follows it, so that no
    visible gene tells of another, and the others are noise."""
    tissue, places = np.repeat(np.arange(tissues), CELLS), rng.random((tissues * CELLS, 2)).astype(np.float32)
    places[::CELLS], places[1::CELLS] = 0, 1  # the corners of the section
    layer = np.minimum((places[:, 1] * LAYERS).astype(int), LAYERS - 1)
    rate = np.ones((len(tissue), GENES))
    rate[np.arange(len(tissue)), layer] = 5.0
    return rng.poisson(rate).astype(np.float32), places, tissue


@pytest.fixture(scope="module")
def model():
    network, rng, generator = (
        Network(Cellplm.model_validate(SETTINGS), GENES, 1, 0),
        np.random.default_rng(0),
        _seeded(),
    )
    network.start_at_means(torch.ones(GENES))
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        counts, places, tissue = draw(rng, TISSUES)
        labels = {"set": tissue}
        if step % 4:  # some tissues come without places, so that their absence is known too
            labels |= {"x": places[:, 0], "y": places[:, 1]}
        view = network.view(
            ragged(csr_matrix(counts), labels), torch.ones(1, GENES, dtype=torch.bool), generator, "train"
        )
        loss = combine(network.tasks(view, generator)[0], network.counts(view))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    table = pd.DataFrame({"gene": [f"G{i}" for i in range(GENES)], "ensembl": ""})
    about = {"run": "toy", "settings": {"system": "cellplm", "training": {"precision": "32-true"}}}
    return SetModel(network.eval(), table, None, about, {})


def _seeded():
    return torch.Generator().manual_seed(0)


def test_programs_of_the_place_are_imputed_with_positions_and_not_without(model, prepared):
    counts, places, tissue = draw(np.random.default_rng(1), 12)
    path = prepared("d", matrix=counts, batch=tissue.astype(str), uns_tasks="imputation")
    adata = anndata.read_h5ad(path)
    adata.obs["x"], adata.obs["y"] = places.T
    adata.write_h5ad(path)
    task = Imputation(folds=LAYERS, interval=Interval(resamples=500), genes=GENES)
    table = imputation(model, [path], task, study="s", run="toy", seed=0)
    means = table.set_index(["pooling", "metric"])["value"]
    # three of the genes carry all there is to know
    found, blind = (means[way, "pearson_mean"] * GENES / LAYERS for way in ("with_positions", "without_positions"))
    assert found > 0.5, (found, blind)
    assert found > blind + 0.3, (found, blind)
    assert means["with_positions", "pearson_gain"] * GENES / LAYERS == pytest.approx(found - blind)
