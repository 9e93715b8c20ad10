"""Count what every step drops, and describe the cells before and after."""

from pathlib import Path

import numpy as np
import pandas as pd

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
METRICS = ("n_counts", "n_genes", "mito_fraction")


class Report:
    """Rows of qc.csv (step, reason, dataset, before, dropped, after, noted) and qc_quantiles.csv.

    `noted` counts what a step saw without dropping it.
    """

    def __init__(self) -> None:
        self._rows: list[dict] = []
        self._quantiles: list[pd.DataFrame] = []

    def all_cells(self, reason: str, before: int, dropped: int) -> None:
        """Cells dropped before their dataset is known."""
        self._add("cells", reason, "", before, dropped, 0)

    def cells(self, reason: str, dataset_id: pd.Series, dropped: np.ndarray) -> None:
        """Cells dropped, one row a dataset. Args: the datasets of all cells that are left, bool [cells] dropped."""
        counts = pd.DataFrame({"dataset": dataset_id.to_numpy(), "dropped": dropped}).groupby("dataset")["dropped"]
        for dataset, row in counts.agg(["size", "sum"]).iterrows():
            self._add("cells", reason, dataset, int(row["size"]), int(row["sum"]), 0)

    def genes(self, reason: str, before: int, dropped: int, noted: int = 0) -> None:
        """Genes dropped, over all datasets."""
        self._add("genes", reason, "", before, dropped, noted)

    def note(self, reason: str, dataset_id: pd.Series, noted: np.ndarray) -> None:
        """Cells that a threshold could not judge, one row a dataset that has some."""
        for dataset, count in dataset_id[noted].value_counts().sort_index().items():
            self._add("cells", reason, dataset, int((dataset_id == dataset).sum()), 0, int(count))

    def describe(self, stage: str, cells: pd.DataFrame) -> None:
        """Quantiles of the metrics of each dataset, at a stage ("before" or "after")."""
        table = cells.groupby("dataset_id")[list(METRICS)].quantile(QUANTILES).stack(future_stack=True).unstack(level=1)
        table.columns = [f"q{round(100 * q):02d}" for q in QUANTILES]
        table = table.rename_axis(["dataset", "metric"]).reset_index()
        self._quantiles.append(
            table.assign(stage=stage, cells=table["dataset"].map(cells["dataset_id"].value_counts()))
        )

    def write(self, folder: Path) -> None:
        """Write both tables under `folder`."""
        pd.DataFrame(self._rows).to_csv(folder / "qc.csv", index=False)
        columns = ["dataset", "stage", "metric", "cells", *(f"q{round(100 * q):02d}" for q in QUANTILES)]
        pd.concat(self._quantiles)[columns].to_csv(folder / "qc_quantiles.csv", index=False)

    def _add(self, step: str, reason: str, dataset: str, before: int, dropped: int, noted: int) -> None:
        row = {"step": step, "reason": reason, "dataset": dataset, "before": before, "dropped": dropped}
        self._rows.append({**row, "after": before - dropped, "noted": noted})
