"""A number of each cell as the target: standardised while it is learnt, in its own unit when it is predicted."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.model import Model
from scfm.models.bmfm.objectives import TARGET

if TYPE_CHECKING:
    from anndata import AnnData


def standardised(train: pd.Series, dev: pd.Series) -> tuple[dict, np.ndarray, np.ndarray]:
    """The target as `config.json` keeps it, and (number - mean) / SD of both, float32 [cells].

    Args:
        train, dev: obs column of numbers, none missing. Mean and SD (of the population) are those of `train`.

    Raises:
        ScfmError: all training cells have one value, their SD is no finite number, or there is no dev cell.
    """
    mean, sd = float(train.mean()), float(train.std(ddof=0))
    if train.nunique() < 2 or not 0 < sd < np.inf or not len(dev):
        raise ScfmError(
            f"obs column '{train.name}': {train.nunique()} distinct numbers in {len(train)} training cells, SD {sd:g}, "
            f"and {len(dev)} dev cells; regression needs two, an SD above 0, and one"
        )
    about = {"column": str(train.name), "mean": mean, "sd": sd}
    return about, *(((side.to_numpy(np.float64) - mean) / sd).astype(np.float32) for side in (train, dev))


def target_of(model: Model) -> dict:
    """Column, mean and SD of the number that a model predicts.

    Raises:
        ScfmError: it predicts none.
    """
    if TARGET not in model.about:
        raise ScfmError(
            f"run '{model.about['run']}': it predicts no number; fine-tune it on a numeric obs column first"
        )
    return model.about[TARGET]


def predict_numbers(model: Model, adata: "AnnData", values: str = "counts", batch_cells: int = 256) -> np.ndarray:
    """The predicted number of each cell in the unit of the column that was learnt, float64 [cells].

    Raises:
        ScfmError: the model predicts no number; and as `Model.embed`.
    """
    target = target_of(model)
    outputs = model.run(adata, values, batch_cells, model.network.label_logits)[TARGET]
    return target["mean"] + target["sd"] * outputs[:, 0].astype(np.float64)


def scores(truth: np.ndarray, predicted: np.ndarray) -> dict:
    """R² (1 - squared error / that of the mean; None where all are alike) and mean absolute error, of float [cells]."""
    around = ((truth - truth.mean()) ** 2).sum()
    r2 = float(1 - ((truth - predicted) ** 2).sum() / around) if around > 0 else None
    return {"r2": r2, "mae": float(np.abs(truth - predicted).mean())}
