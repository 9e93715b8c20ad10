"""Integrated gradients of a batch of cells, and their sums over cells."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.models.bmfm.view import VALUE, View

if TYPE_CHECKING:
    import torch

    from scfm.api.targets import Score
    from scfm.model import Model

BASELINES = {
    "empty": "no gene at all: zero vectors in the place of the gene tokens",
    "zero": "the same genes, each at value 0",
}
"""Where the path of the integral begins."""
COMPLETE, MOST_STEPS = 0.02, 800
"""Relative error of completeness that is good enough, and steps from which on it is left as it is."""


def attributions(
    model: "Model", view: View, score: "Score", baseline: str, steps: int
) -> "tuple[torch.Tensor, torch.Tensor, int]":
    """Effect of each token, float [tokens]; difference of the score from the baseline, float [cells]; steps taken.

    Captum integrates over the output of the embedding layer. The whole ragged batch is one example to it: cells do not
    see each other, so that the gradient of the sum over cells is each cell's own.
    """
    import torch
    from captum.attr import IntegratedGradients

    network = model.network

    def total(x: "torch.Tensor") -> "torch.Tensor":
        return torch.stack([scores(vectors).sum() for vectors in x])

    def scores(vectors: "torch.Tensor") -> "torch.Tensor":
        with model.autocast():
            return score(network.encoder(vectors, view.starts, view.longest, None, view.gene), view).float()

    with torch.no_grad():
        cell = network.embedding(view)
        start = _baseline(network, view, cell, baseline)
        difference = scores(cell) - scores(start)
    while True:
        integral = IntegratedGradients(total).attribute(cell[None], start[None], n_steps=steps, internal_batch_size=1)
        effects = integral[0].sum(1).detach()
        if completeness(effects, difference, view) <= COMPLETE or steps >= MOST_STEPS:
            return effects, difference, steps
        steps *= 2


def completeness(effects: "torch.Tensor", difference: "torch.Tensor", view: View) -> float:
    """Σ |sum of a cell's effects − difference| over Σ |difference|, sums over cells."""
    return float((_by_cell(effects, view) - difference).abs().sum() / difference.abs().sum().clamp_min(1e-12))


def _by_cell(effects: "torch.Tensor", view: View) -> "torch.Tensor":
    return effects.new_zeros(len(view.cls)).index_add_(0, view.cell, effects)


def _baseline(network, view: View, cell: "torch.Tensor", baseline: str) -> "torch.Tensor":
    """Vectors of the tokens where the path begins; those of CLS and metadata stay."""
    import torch

    if baseline == "zero":
        bins = None if view.bin is None else torch.zeros_like(view.bin)
        return network.embedding(replace(view, value=torch.zeros_like(view.value), bin=bins))
    return torch.where((view.kind == VALUE)[:, None], 0.0, cell)


class Effects:
    """Running sums over cells: memory grows with genes alone."""

    def __init__(self, genes: int) -> None:
        self.cells, self.steps, self.off, self.whole = 0, 0, 0.0, 0.0
        self.expressed, self.sum, self.squares = np.zeros(genes, np.int64), np.zeros(genes), np.zeros(genes)

    def add(self, view: View, effects: "torch.Tensor", difference: "torch.Tensor", steps: int) -> None:
        """The cells of a batch."""
        gene, effect = view.gene.cpu().numpy(), effects.double().cpu().numpy()
        own, size = (view.kind == VALUE).cpu().numpy(), len(self.sum)
        gene, effect = gene[own], effect[own]
        self.expressed += np.bincount(gene, minlength=size)
        self.sum += np.bincount(gene, effect, size)
        self.squares += np.bincount(gene, effect**2, size)
        self.cells, self.steps = self.cells + len(view.cls), max(self.steps, steps)
        self.off += float((_by_cell(effects, view) - difference).abs().sum())
        self.whole += float(difference.abs().sum())

    def about(self) -> dict:
        """Cells, steps of the integral where it took most, and the relative error of completeness."""
        return {"cells": self.cells, "steps": self.steps, "completeness": self.off / max(self.whole, 1e-12)}

    def table(self, genes: pd.DataFrame) -> pd.DataFrame:
        """Mean effect of each expressed gene with its test, as `scfm.explain` returns it.

        Raises:
            ScfmError: of fewer than two cells.
        """
        from scipy.stats import false_discovery_control, t

        n = self.cells
        if n < 2:
            raise ScfmError("explain: there is one cell with a known gene; a test over cells needs two")
        mean = self.sum / n
        sd = np.sqrt(np.maximum(self.squares - n * mean**2, 0) / (n - 1))
        table = genes[["gene", "ensembl"]].assign(cells=self.expressed, effect=mean, sd=sd)
        table = table[(self.expressed > 0) & (sd > 0)].copy()
        table["t"] = table["effect"] / (table["sd"] / np.sqrt(n))
        table["p"] = 2 * t.sf(table["t"].abs(), n - 1)
        table["p_adjusted"] = false_discovery_control(table["p"]) if len(table) else table["p"]
        return table.sort_values("effect", ascending=False, ignore_index=True)
