"""CellPLM on the labelled real cells that come with scanpy: clusters beside principal components."""

import numpy as np
import pytest
import scanpy
import torch
from sklearn.decomposition import PCA
from tissues import batch

from scfm.benchmarks.metrics.clustering import best_clustering
from scfm.benchmarks.metrics.neighbors import connectivities
from scfm.models.cellplm.network import Network
from scfm.models.cellplm.settings import Cellplm
from scfm.models.tasks import combine

STEPS, SETS = 300, 7
SETTINGS = {
    "encoder": {"layers": 2, "hidden": 64, "heads": 4, "ffn": 128, "dropout": 0.0, "gene_std": 0.2},
    "latent": {"width": 32, "components": 16, "weight": 0.003, "component_weight": 0.003},
    "decoder": {"hidden": 64, "bottleneck": 64, "dropout": 0.0},
}


def _ari(vectors, truth):
    return best_clustering(connectivities(vectors, 15), truth, np.arange(1, 15) / 10, 0)[1]


@pytest.mark.long
def test_real_cells_cluster_as_by_principal_components():
    adata = scanpy.datasets.pbmc68k_reduced().raw.to_adata()
    values, truth = adata.X.toarray(), adata.obs["bulk_labels"].to_numpy().astype(str)
    table = np.expm1(values).astype(np.float32)
    cells, genes = table.shape
    measured, draw = torch.ones(1, genes, dtype=torch.bool), torch.Generator().manual_seed(0)
    model = Network(Cellplm.model_validate(SETTINGS), genes, 1, 0)
    model.start_at_means(torch.from_numpy(table.mean(0)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-8)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS, pct_start=0.1)
    for _ in range(STEPS):
        order = torch.randperm(cells, generator=draw).numpy()
        view = model.view(batch(table[order], np.arange(cells) * SETS // cells), measured, draw, "train")
        loss = combine(model.tasks(view, draw)[0], model.counts(view))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        latent = model.embed(model.view(batch(table, np.zeros(cells)), measured, None, "embed"))["latent"].numpy()
    found, bar = _ari(latent, truth), _ari(PCA(30, random_state=0).fit_transform(values), truth)
    assert found >= bar - 0.05, (found, bar)
