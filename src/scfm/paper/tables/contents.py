"""The paper's tables and figures by their numbers, and where they are in this study."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError

ITEMS = {
    "table1": "hyperparameters",
    "table2": "gene families",
    "table3": "losers",
    "table4": "differences between runs on each dataset, WCED − MLM first",
    "table5": "score of batch integration",
    "table6": "AvgBio of batch integration",
    "table7": "AvgBatch of batch integration",
    "table8": "mouse cells through orthologs",
    "table9": "macro F1 of label prediction (Tabula Sapiens)",
    "table10": "accuracy of label prediction (Tabula Sapiens)",
    "table11": "ARI of clusters (Tabula Sapiens)",
    "table12": "NMI of clusters (Tabula Sapiens)",
    "table13": "silhouette of cell types (Tabula Sapiens)",
    "table14": "datasets",
    "figure1": "scheme and API",
    "figure2": "which genes each objective learns",
    "figure3": "annotation with the Cell Ontology",
    "figure4": "macro F1 against AvgBio, and model size",
    "figure5": "fine-tuning",
    "figure6": "mechanisms of action",
    "figureS7": "differences on each dataset",
    "figureS8": "astrocytes of Alzheimer's disease",
    "figureS9": "architecture",
}
"""Name of the file to what the paper shows there."""


def contents(here: Mapping[str, Path], missing: Mapping[str, str]) -> pd.DataFrame:
    """One row for each of the paper's tables and figures.

    Args:
        here: name to the file, of those that the study has.
        missing: name to the reason why it has none, of all others.

    Returns:
        Columns item (e.g. Table 5, Figure S7), shows, file, missing; of the last two one is empty.

    Raises:
        ScfmError: an item is neither here nor missing.
    """
    rows = []
    for name, shows in ITEMS.items():
        if name not in here and name not in missing:
            raise ScfmError(f"{name}: neither its file nor a reason is given; give --here or --missing for it")
        kind = "Table" if name.startswith("table") else "Figure"
        item = f"{kind} {name.removeprefix(kind.lower())}"
        rows.append({"item": item, "shows": shows, "file": str(here.get(name, "")), "missing": missing.get(name, "")})
    return pd.DataFrame(rows)
