"""Models of sets whose expected counts are a function that a test gives."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from torch import nn

from scfm.models.sets import Sets
from scfm.set_model import SetModel


class Known(nn.Module):
    """Calls `rule(counts [cells, genes], places [cells, 2] or None, sets)` and keeps what it was given."""

    def __init__(self, genes, rule, set_cells=4000, positions=True):
        super().__init__()
        self.anywhere, self.genes, self.rule, self.seen = nn.Parameter(torch.zeros(1)), genes, rule, []
        sets = Sets(by=("donor",), cells=set_cells)
        self.settings = SimpleNamespace(sets=sets, expects_counts=True, reads_positions=positions)

    def view(self, cells, measured, generator, mode):
        table = torch.zeros(len(cells.lengths), self.genes)
        row = torch.repeat_interleave(torch.arange(len(cells.lengths)), cells.lengths)
        table[row, cells.gene] = cells.count
        places = torch.stack([cells.labels["x"], cells.labels["y"]], 1) if "x" in cells.labels else None
        return table, places, cells.labels["set"]

    def expected(self, view, genes):
        self.seen.append(view)
        return torch.as_tensor(self.rule(*view))[:, genes]


def known_model(genes, rule, **keys):
    """A model of the genes G0, G1, ..."""
    table = pd.DataFrame({"gene": [f"G{i}" for i in range(genes)], "ensembl": ""})
    about = {"run": "known", "settings": {"system": "known", "training": {"precision": "32-true"}}}
    return SetModel(Known(genes, rule, **keys), table, None, about, {})


def flat(counts, places, sets):
    """The same expectation everywhere."""
    return np.ones(counts.shape, np.float32)
