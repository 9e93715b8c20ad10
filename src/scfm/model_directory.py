"""The model directory, as pretraining writes it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scfm.files import whole
from scfm.ontology import LabelTree

if TYPE_CHECKING:
    from torch import nn


def write_model(
    path: Path,
    network: "nn.Module",
    about: dict,
    genes: pd.DataFrame,
    tree: LabelTree | None,
    metrics: pd.DataFrame,
    gene_errors: pd.DataFrame | None,
    classes: dict[str, list[str]] | None = None,
) -> None:
    """Write a whole model directory, or nothing.

    Args:
        about: settings, run, seed and sizes for `config.json`.
        genes: one row per gene index with columns gene and ensembl.
        gene_errors: of each gene and validation, where the system measures them.
        tree: of the cell types, where a head predicts them. classes: labels of each group that a flat head predicts.
    """
    from safetensors.torch import save_file

    with whole(path) as folder:
        folder.mkdir()
        weights = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
        labels = {"cell_type": tree.to_json()} if tree else {}
        for group, names in (classes or {}).items():
            labels[group] = labels.get(group, {}) | {"classes": names}
        (folder / "labels.json").write_text(json.dumps(labels, indent=1, sort_keys=True) + "\n")
        genes.to_parquet(folder / "genes.parquet", index=False)
        metrics.to_csv(folder / "metrics.csv", index=False)
        if gene_errors is not None:
            gene_errors.to_parquet(folder / "gene_errors.parquet", index=False)
