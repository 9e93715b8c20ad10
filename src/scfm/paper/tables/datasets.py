"""Table 14: the datasets of the study, what is in them and what they are used for."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from scfm.benchmarks.seen import SEEN, read_contamination
from scfm.datasets import Dataset
from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.paper.tidy import read_table

FACTS = ("title", "study", "accession", "url", "licence", "organism", "values", "panel", "table14", "stand_in", "note")
COUNTS = ("cells", "genes", "batches", "labels", "labels_with_id")
PUBLISHED = ("dataset", "published_cells", "published_labels", "source")
NEEDED, OTHERS = "needs its file", "of other systems, needs its file"
"""Roles of datasets that the sheet lists and nobody put at hand: of the paper, and of the papers of other systems."""
UNKNOWN = "unknown"


def datasets_table(
    sheet: dict[str, Dataset],
    prepared: Iterable[Path],
    cells: Path | None,
    published: Path,
    contamination: Path | None = None,
) -> pd.DataFrame:
    """One row for each dataset: pretraining first, then benchmarks, then those whose file is not at hand.

    Args:
        sheet: rows of config/datasets.tsv.
        prepared: the benchmark datasets as prepared (h5ad with `uns["scfm"]`).
        cells: cells.parquet of the corpus, one row a cell, or None.
        published: CSV with the columns of `PUBLISHED`, a row for each dataset with published counts.
        contamination: CSV of `scfm benchmarks contamination`; a dataset that any run has seen counts as such here.

    Returns:
        Columns dataset, role, split, cells, genes, batches, labels, labels_with_id (counts; NaN where this study
        does not hold the dataset), contaminated, title, study, accession, url, licence, organism, values,
        panel, table14, stand_in, note, published_cells, published_labels, source.

    Raises:
        ScfmError: a file is missing, is not a prepared dataset, or lacks a column.
    """
    seen = set() if contamination is None else _seen(contamination)
    rows = [*([] if cells is None else _pretraining(cells)), *(_prepared(path, seen) for path in prepared)]
    here = {row["dataset"] for row in rows}
    printed = read_table(published, PUBLISHED, "a table of published datasets")
    local = ("", "file:")  # of no file, or one that the reader may have
    absent = [name for name, row in sheet.items() if row.resource[:5] in local and name not in here]
    rows += [{"dataset": name, "role": NEEDED if sheet[name].table14 is not False else OTHERS} for name in absent]
    rows += [{"dataset": name, "role": NEEDED} for name in printed.dataset if name not in here | set(absent)]
    table = pd.DataFrame(rows).reindex(columns=["dataset", "role", "split", *COUNTS, "contaminated"])
    table[list(COUNTS)] = table[list(COUNTS)].astype("Int64")
    facts = {name: [getattr(row, fact) for fact in FACTS] for name, row in sheet.items()}
    known = pd.DataFrame.from_dict(facts, orient="index", columns=list(FACTS)).rename_axis("dataset")
    return table.merge(known, on="dataset", how="left").merge(printed[list(PUBLISHED)], on="dataset", how="left")


def _pretraining(path: Path) -> list[dict]:
    """One row for each dataset of the corpus."""
    columns = ("dataset_id", "batch", "cell_type", "cell_type_ontology_term_id", "split")
    cells = read_table(path, columns, "the table of the corpus's cells")
    rows = []
    for name, own in cells.groupby("dataset_id", sort=True, observed=True):
        sizes = own.split.astype(str).value_counts().sort_index()
        split = ", ".join(f"{part} {size}" for part, size in sizes.items())
        rows.append({"dataset": str(name), "role": "pretraining", "split": split, **_counts(own)})
    return rows


def _seen(path: Path) -> set[str]:
    """Names of the datasets that a run has seen."""
    table = read_contamination(path)
    return set(table.loc[table["seen"] == SEEN, "dataset"])


def _prepared(path: Path, seen: set[str]) -> dict:
    """The row of one benchmark dataset."""
    import anndata

    try:
        adata = anndata.read_h5ad(must_exist(path, "a prepared dataset"), backed="r")
    except OSError as error:
        raise ScfmError(f"{path}: not a readable h5ad file; prepare the dataset again") from error
    try:
        if "scfm" not in adata.uns:
            raise ScfmError(f"{path}: uns['scfm'] is missing; give datasets as prepared by 'scfm benchmarks'")
        about = adata.uns["scfm"]
        name, said = str(about["name"]), str(about["contaminated"])
        genes = {"genes": adata.n_vars, "contaminated": "true" if said == "false" and name in seen else said}
        return {"dataset": name, "role": "zero-shot", **_counts(adata.obs), **genes}
    finally:
        adata.file.close()


def _counts(cells: pd.DataFrame) -> dict[str, int]:
    """Cells, batches and labels; `unknown` is neither a batch nor a label."""
    text = {name: cells[name].astype(str) for name in ("batch", "cell_type", "cell_type_ontology_term_id")}
    distinct = {name: values[values != UNKNOWN].nunique() for name, values in text.items()}
    return {
        "cells": len(cells),
        "batches": distinct["batch"],
        "labels": distinct["cell_type"],
        "labels_with_id": distinct["cell_type_ontology_term_id"],
    }
