"""Labels of training and dev cells as codes."""

import numpy as np
import pandas as pd

from scfm.errors import ScfmError


def coded(train: pd.Series, dev: pd.Series) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The labels of the training cells, sorted, and which of them each cell has, int64 [cells], -1 for none."""
    classes = pd.Index(sorted(set(train.astype(str))))
    codes, dev_codes = (classes.get_indexer(labels.astype(str)).astype(np.int64) for labels in (train, dev))
    if len(classes) < 2 or not (dev_codes >= 0).any():
        raise ScfmError(
            f"obs column '{train.name}': {len(classes)} labels in the training cells, of which dev cells have "
            f"{len(set(dev_codes) - {-1})}; fine-tuning needs two and one"
        )
    return list(classes), codes, dev_codes
