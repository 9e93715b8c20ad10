"""Ragged batches from dense tables, and settings of tiny networks."""

import numpy as np
import pytest
import torch

from scfm.models.bmfm.settings import Bmfm
from scfm.models.cells import Cells


@pytest.fixture(scope="session")
def ragged():
    """Function from a dense table [cells, genes] to a ragged batch."""

    def run(dense, dataset=None, labels=None):
        dense = np.asarray(dense)
        cell, gene = np.nonzero(dense)
        return Cells(
            torch.from_numpy(gene.astype(np.int64)),
            torch.from_numpy(dense[cell, gene].astype(np.float32)),
            torch.from_numpy(np.bincount(cell, minlength=len(dense)).astype(np.int64)),
            torch.as_tensor([0] * len(dense) if dataset is None else dataset, dtype=torch.int64),
            {} if labels is None else {"cell_type": torch.as_tensor(labels)},
        )

    return run


@pytest.fixture(scope="session")
def bmfm():
    """Function that gives the settings of a tiny model; keywords are keys of `input`."""

    def run(objective="wced", heads=0, encoder=None, objective_keys=None, **inputs):
        return Bmfm.model_validate(
            {
                "encoder": {"layers": 2, "hidden": 16, "heads": 2, "ffn": 24, "init_std": 0.3} | (encoder or {}),
                "input": {"tokens": 64, "inference_tokens": 64, "value_encoder": {"frequencies": 6, "octaves": 6}}
                | inputs,
                "objective": {"kind": objective} | (objective_keys or {}),
                "heads": [{"label": "cell_type"}] * heads,
            }
        )

    return run


@pytest.fixture
def draw():
    """Function from a seed to a generator."""
    return lambda seed=0: torch.Generator().manual_seed(seed)


@pytest.fixture
def dense():
    """Counts int64 [12, 30], each cell with at least one gene."""
    table = np.random.default_rng(0).poisson(0.8, (12, 30))
    table[:, 0] += 1
    return table
