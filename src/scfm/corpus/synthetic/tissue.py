"""The cells of the synthetic census in tissues: a layer over its cells, off unless it is asked for.

The cells of a donor are one section, wherever their type: a square in which each has a place, uniform and independent.
The square has horizontal layers of the same height and order in every section, as the cortex or the gut has. In each
layer a program of background genes is up and the others are not, whatever the type of the cell, so that neighbours
share a program and the place tells more of it than a few counts of a cell do. Zero fractions are those planned, for
base rates are solved with the layers.

Places and genes of the programs have generators of their own: without the layer all is the same to the bit.
"""

import numpy as np
import pandas as pd

from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic.donors import STATE_TARGETS

PLACES = ("x", "y")


def with_places(cells: pd.DataFrame, settings: Synthetic) -> pd.DataFrame:
    """The cells with x and y (micrometres) and layer (int, from 0 at y = 0)."""
    tissue = settings.tissue
    places = np.random.default_rng([settings.seed, 13]).random((len(cells), 2))
    layer = (places[:, 1] * tissue.layers).astype(np.int64)
    return cells.assign(x=places[:, 0] * tissue.side, y=places[:, 1] * tissue.side, layer=layer)


def layer_effects(genes: pd.DataFrame, settings: Synthetic) -> np.ndarray:
    """Log effect of each layer on each gene, float [layers, genes]: of plain background genes, each of one program."""
    tissue, rng = settings.tissue, np.random.default_rng([settings.seed, 14])
    able = (genes["planted"] == "background") & (genes["role"] == "plain") & genes["target"].between(*STATE_TARGETS)
    where = np.flatnonzero(able)
    chosen = rng.choice(where, min(tissue.genes, len(where)), replace=False)
    effects = np.zeros((tissue.layers, len(genes)))
    effects[np.arange(len(chosen)) % tissue.layers, chosen] = tissue.effect
    return effects
