"""Perturbed genes of each cell, from a text column such as `KLF1+GATA1`."""

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.models.bmfm.settings import Perturbation


def perturbed_genes(cells: pd.DataFrame, genes: list[str], settings: Perturbation) -> np.ndarray:
    """Indices of each cell's perturbed genes, int64 [cells, most], filled up with -1; all -1 where there is no column.

    Args:
        genes: symbols of the vocabulary; other names, such as those of controls, perturb nothing.

    Raises:
        ScfmError: a cell has more perturbed genes than `most`.
    """
    index = np.full((len(cells), settings.most), -1)
    if settings.column not in cells:
        return index
    codes, texts = pd.factorize(cells[settings.column].astype(str))
    names = pd.Series(texts).str.split("+").explode().str.strip()
    known = pd.Series(pd.Index(genes).get_indexer(names), index=names.index)
    known = known[known >= 0].groupby(level=0).unique()
    of_text = np.full((len(texts), settings.most), -1)
    for text, own in known.items():
        if len(own) > settings.most:
            raise ScfmError(
                f"cells: '{settings.column}' holds '{texts[text]}', which are {len(own)} genes; raise "
                f"input.perturbation.most above {settings.most}"
            )
        of_text[text, : len(own)] = own
    return of_text[codes]
