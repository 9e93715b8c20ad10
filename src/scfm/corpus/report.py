"""Count what every step drops, and describe the cells before and after."""

from pathlib import Path

import numpy as np
import pandas as pd

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DECADES = np.concatenate([[0.0], 10.0 ** (np.arange(71) / 10)])
EDGES = {"n_counts": _DECADES, "n_genes": _DECADES, "mito_fraction": np.arange(51) / 50}
"""Bins of the histograms: ten a decade, and zero; 0.02 wide. The last holds what lies beyond it."""
METRICS = tuple(EDGES)
FIELDS = ("dataset_id", "tissue", "cell_type")
"""Columns by which the cells of each stage are counted."""


class Report:
    """What becomes of the cells and genes, in four tables.

    qc.csv: step, reason, dataset, before, dropped, after, noted (what the step saw without dropping it).
    qc_quantiles.csv, qc_histograms.csv: the metrics of each dataset before and after quality control.
    composition.csv: stage, field, value, cells; cells of each dataset, tissue and cell type from stage to stage.
    """

    def __init__(self) -> None:
        self._rows: list[dict] = []
        self._quantiles: list[pd.DataFrame] = []
        self._histograms: list[pd.DataFrame] = []
        self._composition: list[pd.DataFrame] = []

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
        for dataset, count in dataset_id[noted].value_counts().loc[lambda found: found > 0].sort_index().items():
            self._add("cells", reason, dataset, int((dataset_id == dataset).sum()), 0, int(count))

    def describe(self, stage: str, cells: pd.DataFrame) -> None:
        """Quantiles and histograms of the metrics of each dataset, at a stage ("before" or "after")."""
        table = (
            cells.groupby("dataset_id", observed=True)[list(METRICS)]
            .quantile(QUANTILES)
            .stack(future_stack=True)
            .unstack(level=1)
        )
        table.columns = [f"q{round(100 * q):02d}" for q in QUANTILES]
        table = table.rename_axis(["dataset", "metric"]).reset_index()
        self._quantiles.append(
            table.assign(stage=stage, cells=table["dataset"].map(cells["dataset_id"].value_counts()))
        )
        codes, datasets = pd.factorize(cells["dataset_id"], sort=True)
        for metric, edges in EDGES.items():
            counts = _histogram(codes, cells[metric].to_numpy(float), edges, len(datasets))
            row, bin_ = np.nonzero(counts)
            own = {"dataset": datasets[row], "low": edges[bin_], "high": edges[bin_ + 1], "cells": counts[row, bin_]}
            self._histograms.append(pd.DataFrame(own).assign(stage=stage, metric=metric))

    def compose(self, stage: str, cells: pd.DataFrame) -> None:
        """Cells of each value of `FIELDS` at a stage."""
        for field in FIELDS:
            counts = cells[field].value_counts().loc[lambda found: found > 0].sort_index()
            table = {"stage": stage, "field": field, "value": counts.index.astype(str), "cells": counts.to_numpy()}
            self._composition.append(pd.DataFrame(table))

    def write(self, folder: Path) -> None:
        """Write the tables under `folder`."""
        pd.DataFrame(self._rows).to_csv(folder / "qc.csv", index=False)
        columns = ["dataset", "stage", "metric", "cells", *(f"q{round(100 * q):02d}" for q in QUANTILES)]
        pd.concat(self._quantiles)[columns].to_csv(folder / "qc_quantiles.csv", index=False)
        columns = ["dataset", "stage", "metric", "low", "high", "cells"]
        histograms = pd.concat(self._histograms)[columns]
        histograms.to_csv(folder / "qc_histograms.csv", index=False, float_format="%.6g")
        pd.concat(self._composition).to_csv(folder / "composition.csv", index=False)

    def _add(self, step: str, reason: str, dataset: str, before: int, dropped: int, noted: int) -> None:
        row = {"step": step, "reason": reason, "dataset": dataset, "before": before, "dropped": dropped}
        self._rows.append({**row, "after": before - dropped, "noted": noted})


def _histogram(codes: np.ndarray, values: np.ndarray, edges: np.ndarray, datasets: int) -> np.ndarray:
    """Cells in each bin [low, high) of each dataset, int64 [datasets, bins]; NaN is nowhere."""
    bins, known = len(edges) - 1, np.isfinite(values)
    bin_ = np.clip(np.searchsorted(edges, values[known], side="right") - 1, 0, bins - 1)
    return np.bincount(codes[known] * bins + bin_, minlength=datasets * bins).reshape(datasets, bins)
