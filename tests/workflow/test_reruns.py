"""An edit reruns exactly what depends on it: dry-runs on copies of the finished study."""

import re

import pytest

pytestmark = pytest.mark.slow

TABLES = ("table5", "table6", "table7", "macro_f1", "ontology", "controls", "ranks")
TABLES_FROM_TIDY = {f"table_from_tidy {name}" for name in TABLES}
FROM_TIDY = {"table4", "pairs", "results", *TABLES_FROM_TIDY, "table_pages", "claims", "report"}
FROM_GENES = {"agreement", "table2", "table3", "learnability_tables", "table_pages", "figure2", "claims", "report"}


def scores(*models):
    """Jobs that embed and score models."""
    return {f"{rule} {model}/0" for rule in ("embed", "integration", "probe") for model in models}


MLM = {"train mlm/0", "learn mlm/0", *scores("mlm"), *FROM_TIDY, *FROM_GENES}
SELECTED = {
    *("select", "scatter_part 0000", "scatter_part 0001", "gather_shards", "annotate_genes", "table14"),
    *("check_split", "corpus_figures", "contamination", "annotation_readings"),
    *("train mlm/0", "train wced_hce/0", "train random/0"),
    *("learn mlm/0", "learn wced_hce/0", "check", "ontology wced_hce/0", "figure3"),
    *(scores("mlm", "wced_hce", "random", "pca") | FROM_TIDY | FROM_GENES),
}
SCAN = {"scan 0000", "scan 0001"}
LEARNT = {"learn mlm/0", "learn wced_hce/0", "check"} | FROM_GENES
AGREED = {"agreement", "figure2", "claims", "report"}
CENSUS = {"synthesize", "build", "corpus_datasets", "prepare synthetic_holdout"}

STUDY = "config/studies/tiny.yaml"
COMMANDS = "src/scfm/learnability/commands.py"
TREND = "src/scfm/learnability/trend.py"
OPTIMIZER = "src/scfm/pretrain/optimizer.py"
EDITS = {
    "learning rate of one run": (
        STUDY,
        "mlm: { seeds: [0] }",
        "mlm: { seeds: [0], override: { training: { learning_rate: 1.0e-3 } } }",
        {*MLM, "run_settings mlm", "table1"},
    ),
    "one more seed of one run": (
        STUDY,
        "mlm: { seeds: [0] }",
        "mlm: { seeds: [0, 1] }",
        {name.replace("mlm/0", "mlm/1") for name in MLM},
    ),
    "resolution of the figures": (
        STUDY,
        "description:",
        "paper: { dpi: 100 }\ndescription:",
        {"figure2", "figure3", "corpus_figures", "report"},
    ),
    "resamples of the claims": (
        STUDY,
        "description:",
        "paper: { bootstrap: 500 }\ndescription:",
        {"claims", "pairs", "table_pages", "report"},
    ),
    "quality threshold of cells": (STUDY, "min_counts: 20", "min_counts: 25", SCAN | SELECTED),
    "quality threshold of genes": (STUDY, "min_cells: 5", "min_cells: 6", SELECTED),
    "seed of the split": (STUDY, "seed: 42", "seed: 43", SELECTED),
    "synthetic census": (STUDY, "holdout_cells: 120", "holdout_cells: 130", CENSUS | SCAN | SELECTED),
    "folds of the probe": (
        STUDY,
        "folds: 3",
        "folds: 4",
        {f"probe {model}/0" for model in ("mlm", "wced_hce", "random", "pca")} | FROM_TIDY,
    ),
    "threshold of winners": (STUDY, "min_window: 10", "min_window: 12", LEARNT),
    "description of the study": (STUDY, "The smallest synthetic study", "A small synthetic study", {"report"}),
    "comment in the study": (STUDY, "# more than one, so that the joins are tested", "# two", set()),
    "family rule": (
        "config/families.yaml",
        "symbol_prefixes: [MRPL, MRPS]",
        "symbol_prefixes: [MRPL]",
        {"annotate_genes", "annotation_readings"} | LEARNT,
    ),
    "reading of the gene rules": (
        "config/readings.yaml",
        "any label: { tfclass_by: any_label }",
        "each label: { tfclass_by: any_label }",
        {"annotation_readings", "report"},
    ),
    "published value of a claim": (
        "config/claims.yaml",
        'published: "0.86"',
        'published: "0.87"',
        {"claims", "report"},
    ),
    "published value of a table": (
        "config/published/table1.csv",
        "Hidden width,encoder.hidden,384,384,paper",
        "Hidden width,encoder.hidden,384,385,paper",
        {"table1", "table_pages", "report"},
    ),
    "claim": (
        "config/claims.yaml",
        "MLM (CLS) in the overall score",
        "MLM (CLS) in the score",
        {"claims", "report"},
    ),
    "caption": (
        "workflow/report/table5.rst",
        "Score of zero-shot",
        "The score of zero-shot",
        {"table_pages", "report"},
    ),
    "notebook": ("notebooks/figure3.ipynb", "# Figure 3: zero-shot", "# Figure 3, zero-shot", {"figure3", "report"}),
    "docstring": (TREND, '"""The trend of the error', '"""Trend of the error', set()),
    "comment in the library": (TREND, "import numpy as np", "import numpy as np  # arrays", set()),
    "time limit of a training": ("config/config.yaml", "max_time: null", "max_time: 60", set()),
    "help of an option": ("src/scfm/pretrain/commands.py", "folder of checkpoints", "where checkpoints are", set()),
    "function of the analysis": (
        TREND,
        "min(min_window, len(zero_fraction))",
        "min(len(zero_fraction), min_window)",
        LEARNT,
    ),
    "function of one command": (COMMANDS, 'text.partition(":")', 'text.partition("/")', AGREED),
    "style of the report": ("src/scfm/paper/report.css", "#verdict p {", "#verdict > p {", {"report"}),
    "template of the report": ("src/scfm/paper/report.html.j2", "</body>", "<!-- end --></body>", {"report"}),
}


@pytest.mark.parametrize("what", EDITS)
def test_edit(edited, tiny, what):
    *edit, expected = EDITS[what]
    edited.edit(*edit)
    assert edited.names(*tiny) == expected


def test_untracked_code_reruns_nothing_and_says_so(edited, tiny):
    # As in the paper study, where an edit of the library must not retrain for days; turning it off is itself no reason.
    edited.edit(STUDY, "scale: demo", "scale: demo\ncode_reruns: false")
    done = edited.run(*tiny, "--cores", "2", "--touch")
    assert done.returncode == 0, done.stdout
    assert "scfm: warning" not in edited.run(*tiny, "--dry-run").stdout
    edited.edit(TREND, "min(min_window, len(zero_fraction))", "min(len(zero_fraction), min_window)")
    assert edited.names(*tiny) == set()
    assert "scfm: warning" not in edited.run(*tiny, "--dry-run").stdout  # no code of training
    edited.edit(OPTIMIZER, "rise * max(fall, 0.0)", "max(fall, 0.0) * rise")
    assert edited.names(*tiny) == set()
    printed = edited.run(*tiny, "--dry-run").stdout
    assert re.search(r"^scfm: warning: .* since mlm/0, wced_hce/0 were trained", printed, re.M), printed
    assert {"train mlm/0", "train wced_hce/0"} <= edited.names(*tiny, "--forcerun", "train")
