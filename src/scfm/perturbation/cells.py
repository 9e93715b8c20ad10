"""The common form of a perturbation dataset: counts, a perturbation and a background for every cell."""

from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.expression import check_values
from scfm.perturbation.settings import Quality

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

CONTROL = "control"
"""Name of no perturbation in the common form."""
JOIN = "+"
"""What joins the partners of a combination in the common form."""


def screen(
    adata: "AnnData", control: tuple[str, ...] = (CONTROL,), separator: str = JOIN, quality: Quality | None = None
) -> "AnnData":
    """Bring cells into the common form and leave out what cannot be compared.

    Args:
        adata: X raw counts [cells, genes]; obs strings perturbation and background.
        control: names that mean no perturbation, alone or as a partner; `CONTROL` always does.
        separator: what joins the partners of a combination; "" if there are none.

    Returns:
        AnnData: X CSR float32 counts; obs perturbation (`CONTROL`, or partners in alphabetical order joined by `JOIN`)
        and background; uns["screen"] counts of what was left out: empty_cells, small_conditions, backgrounds.

    Raises:
        ScfmError: a missing column, values that are no counts, or no perturbed cell with controls beside it.
    """
    import anndata
    from scipy.sparse import csr_matrix

    quality = quality or Quality()
    for column in ("perturbation", "background"):
        if column not in adata.obs:
            raise ScfmError(f"perturbation data: obs column '{column}' not found; name it in the sheet of datasets")
    matrix = csr_matrix(adata.X, dtype=np.float32)
    check_values(matrix.data, "counts")
    obs = adata.obs.copy()
    obs["perturbation"] = canonical(obs["perturbation"], control, separator)
    obs["background"] = obs["background"].astype(str)
    alive = np.asarray(matrix.sum(1)).ravel() > 0
    kept, left_out = _comparable(obs, alive, quality)
    if not (obs["perturbation"][kept] != CONTROL).any():
        raise ScfmError(
            f"perturbation data: no perturbation of {quality.min_cells} cells stands beside {quality.min_controls} "
            f"control cells ({', '.join(control)}) of its background; check the columns, or lower min_cells"
        )
    out = anndata.AnnData(matrix[np.flatnonzero(kept)], obs=obs[kept], var=adata.var.copy())
    out.uns = dict(adata.uns) | {"screen": left_out}
    return out


def canonical(names: "pd.Series", control: tuple[str, ...], separator: str) -> np.ndarray:
    """Names of perturbations in the common form, strings [cells]; B_A and A_B become A+B, A_control becomes A."""
    values = names.astype(str)
    form = {name: _canonical(name, (*control, CONTROL), separator) for name in values.unique()}
    return values.map(form).to_numpy(object)


def _canonical(name: str, control: tuple[str, ...], separator: str) -> str:
    # A control's own name may hold the separator: "non-targeting_1".
    parts = [name] if name in control or not separator else name.split(separator)
    return JOIN.join(sorted({part for part in parts if part not in control})) or CONTROL


def partners(perturbation: str) -> frozenset[str]:
    """The single perturbations of a name in the common form; none for the control."""
    return frozenset() if perturbation == CONTROL else frozenset(perturbation.split(JOIN))


def conditions(obs: "pd.DataFrame") -> "pd.DataFrame":
    """The (background, perturbation) pairs that occur, controls left out, in alphabetical order."""
    pairs = obs.loc[obs["perturbation"] != CONTROL, ["background", "perturbation"]].astype(str)
    return pairs.drop_duplicates().sort_values(["background", "perturbation"], ignore_index=True)


def controls(obs: "pd.DataFrame", background: str) -> np.ndarray:
    """Row numbers of the control cells of a background: int [cells].

    Raises:
        ScfmError: there are none.
    """
    rows = np.flatnonzero((obs["perturbation"] == CONTROL) & (obs["background"] == background))
    if not len(rows):
        known = ", ".join(sorted(set(obs["background"][obs["perturbation"] == CONTROL].astype(str)))) or "none"
        raise ScfmError(f"background '{background}': no control cell; those with controls are: {known}")
    return rows


def log_normalised(matrix: "csr_matrix", total: float) -> "csr_matrix":
    """log1p of counts scaled to one total per cell: float32 CSR [cells, genes].

    Raises:
        ScfmError: a cell holds no count at all.
    """
    from scipy.sparse import csr_matrix, diags

    depth = np.asarray(matrix.sum(1), dtype=np.float64).ravel()
    if (depth == 0).any():
        raise ScfmError(f"{int((depth == 0).sum())} cells hold no count at all; leave them out or look at the model")
    out = csr_matrix(diags(total / depth) @ matrix, dtype=np.float32)
    np.log1p(out.data, out=out.data)
    return out


def _comparable(obs: "pd.DataFrame", alive: np.ndarray, quality: Quality) -> tuple[np.ndarray, dict[str, int]]:
    """(bool [cells]: kept, how much was left out and why)."""
    living = obs[alive]
    is_control = living["perturbation"] == CONTROL
    plenty = living[is_control].groupby("background").size()
    backgrounds = set(plenty.index[plenty >= quality.min_controls])
    sizes = living.groupby(["background", "perturbation"]).size()
    large = sizes[sizes >= quality.min_cells].index
    member = living.set_index(["background", "perturbation"]).index.isin(large) | is_control.to_numpy()
    kept = np.zeros(len(obs), dtype=bool)
    kept[np.flatnonzero(alive)] = member & living["background"].isin(backgrounds).to_numpy()
    left_out = {
        "empty_cells": int((~alive).sum()),
        "small_conditions": int((conditions(living).shape[0]) - conditions(obs[kept]).shape[0]),
        "backgrounds": int(obs["background"].nunique() - len(backgrounds)),
    }
    return kept, left_out
