"""A small planted study for the report: claims, tables with and without tidy rows, a figure, records."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import matplotlib
import pandas as pd

from scfm.benchmarks.results import COLUMNS as TIDY
from scfm.paper.claims import COLUMNS
from scfm.paper.report import Inputs

VALUES = [
    ("integration", "score", "mlm", "gut", 0, 0.4),
    ("integration", "score", "wced", "gut", 0, 0.6),
    ("integration", "score", "wced", "gut", 1, 0.8),
    ("probe", "macro_f1", "wced", "gut", 0, 0.91),
    ("probe", "macro_f1", "wced", "gut", 1, 0.93),
    ("probe", "macro_f1", "wced", "dc", 0, 0.5),
]
"""Task, metric, run, dataset, seed and value."""
RECORDS = {
    "shards": ("gather", "corpus", []),
    "metrics.csv": ("train", "pretrain", ["shards"]),
    "table5.csv": ("table5", "paper", ["metrics.csv", "shards", "sheet.tsv"]),
}
"""Name of a file to its rule, the rule's stage and what it was made from."""


def png(path: Path) -> Path:
    """A small picture."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    path.parent.mkdir(exist_ok=True)
    figure = plt.figure(figsize=(1, 1))
    figure.savefig(path, dpi=20)
    plt.close(figure)
    return path


def write_tidy(path: Path) -> Path:
    """The measurements of `VALUES`."""
    rows = [
        ("demo", run, "cls", dataset, task, metric, "", "", seed, value, 100, False)
        for task, metric, run, dataset, seed, value in VALUES
    ]
    pd.DataFrame(rows, columns=list(TIDY)).to_csv(path, index=False)
    return path


def write_records(folder: Path, files: Path) -> Path:
    """`RECORDS` as Snakemake writes them, of files in `files`."""
    folder.mkdir()
    for name, (rule, stage, inputs) in RECORDS.items():
        record = {"rule": rule, "log": [f"logs/demo/{stage}/{name}.log"], "job_hash": 1}
        record["input"] = [str(files / other) for other in inputs]
        (folder / urlsafe_b64encode(str(files / name).encode()).decode()).write_text(json.dumps(record))
    return folder


def write_inputs(folder: Path, captions: Path) -> Inputs:
    """A small page with claims, three tables, a figure of two images and every kind of provenance."""
    claims = [
        (
            "a_claim",
            "Table 5",
            "WCED beats MLM <b>",
            "13.67-fold",
            0.2,
            0.1,
            0.3,
            4,
            "holds",
            "above 0; 2 datasets",
            "table5",
        ),
        ("b_claim", "Figure 5", "Fine-tuning", None, None, None, None, None, "not tested here", "not part", None),
        (
            "wced_over_mlm_cls_macro_f1",
            "Abstract",
            "F1",
            None,
            0.2,
            0.1,
            0.3,
            4,
            "holds",
            "above 0; 2 datasets",
            "macro_f1",
        ),
        (
            "wced_over_pca_macro_f1",
            "validation",
            "PCA",
            None,
            -0.2,
            -0.4,
            -0.1,
            4,
            "does not hold",
            "no; 2 datasets",
            "macro_f1",
        ),
    ]
    pd.DataFrame(claims, columns=list(COLUMNS)).to_csv(folder / "claims.csv", index=False)
    table5 = {"run": ["mlm", "wced"], "pooling": "cls", "seeds": [1, 2], "mean": ["0.400", "0.700 ± 0.141"]}
    pd.DataFrame(table5 | {"gut": ["0.400", "0.700 ± 0.141 †"]}).to_csv(folder / "table5.csv", index=False)
    pd.DataFrame({"family": ["Ribosome"], "genes": [88], "mlm_z": [0.7]}).to_csv(folder / "table2.csv", index=False)
    rows = {"dataset": ["gut", "dc"], "role": "zero-shot", "contaminated": ["partly", "false"], "panel": [False, True]}
    facts = {"genes": [9000, 859], "values": ["counts", "lognorm"], "batches": [4, 2]}
    pd.DataFrame(rows | facts).to_csv(folder / "table14.csv", index=False)
    pd.DataFrame({"reason": ["few counts"], "cells": [12]}).to_csv(folder / "qc.csv", index=False)
    (folder / "manifest.json").write_text(json.dumps({"release": {"census": "synthetic"}}))
    pd.DataFrame({"epoch": [0, 1], "loss": [2.0, 1.5]}).to_csv(folder / "metrics.csv", index=False)
    (folder / "config.json").write_text(json.dumps({"settings": {"hidden": 64}}))
    (folder / "manifest.tsv").write_text("name\tsha256\nhgnc\tabc\n")
    (folder / "bench/pretrain").mkdir(parents=True)
    (folder / "bench/pretrain/train-wced-0.tsv").write_text("s\th:m:s\tmax_rss\n61.5\t0:01:01\t812.5\n")
    return Inputs(
        study="demo",
        scale="demo",
        claims=folder / "claims.csv",
        captions=captions,
        tables={name: folder / f"{name}.csv" for name in ("table5", "table2", "table14")},
        figures={"figure3": [png(folder / "figure3a.png"), png(folder / "figure3b.png")]},
        corpus=[folder / "qc.csv", folder / "manifest.json"],
        training={("wced", "0"): folder / "metrics.csv"},
        resources=folder / "manifest.tsv",
        timings=[folder / "bench"],
        settings={"paper": {"seed": 7}, "benchmarks": {"pca": {"components": 5}}},
        tidy=write_tidy(folder / "results.csv"),
        configs={("wced", "0"): folder / "config.json"},
        records=write_records(folder / "records", folder),
    )
