"""A cell of a table leads to the measurements that it was made from, whatever the layout of the table."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from scfm.benchmarks.results import COLUMNS
from scfm.paper.settings import Arm
from scfm.paper.sources import sources, tidy_rows
from scfm.paper.tables.by_dataset import by_run, frozen, held_out, metric_by_dataset
from scfm.paper.tables.difference import differences
from scfm.paper.tidy import read_tidy

RUNS = ("mlm", "wced")
METRICS = {"integration": ["avg_bio", "score", "ari"], "clustering": ["ari", "nmi"], "probe": ["macro_f1", "accuracy"]}
METRICS |= {"heldout": ["macro_f1", "accuracy"], "finetune": ["macro_f1", "accuracy"]}
MEASURES = [(task, metric) for task, metrics in METRICS.items() for metric in metrics]


@pytest.fixture
def rows(tmp_path):
    """Two runs, two seeds and two datasets in five tasks, every value another one."""
    rng, data = np.random.default_rng(0), []
    for task, metric in MEASURES:
        pooling = "finetuned" if task == "finetune" else "cls"
        runs = RUNS if task == "finetune" else (*RUNS, "pca")
        for run, dataset, seed in product(runs, ("gut", "dc"), (0, 1)):
            data.append(
                (
                    "x",
                    run,
                    run if run == "pca" else pooling,
                    dataset,
                    task,
                    metric,
                    "",
                    "",
                    seed,
                    rng.uniform(),
                    9,
                    False,
                )
            )
    pd.DataFrame(data, columns=list(COLUMNS)).to_csv(tmp_path / "results.csv", index=False, float_format="%.6f")
    return tidy_rows(tmp_path / "results.csv")


@pytest.fixture
def tidy(rows, tmp_path):
    return read_tidy([tmp_path / "results.csv"])


def behind(text, rows):
    """Run, dataset, task, metric of the rows, and how many there are."""
    found = [i for span in text.split() for i in range(int(span.split("-")[0]), int(span.split("-")[1]) + 1)]
    own = rows.table.iloc[found]
    return {tuple(row) for row in own[["run", "dataset", "task", "metric"]].to_numpy()}, len(own)


@pytest.mark.parametrize(("task", "metric"), MEASURES[:3] + MEASURES[5:7])
def test_table_that_does_not_name_its_metric(tidy, rows, task, metric):
    table = metric_by_dataset(tidy, task, metric)
    found = sources(table, rows)
    for cells, row in zip(found, table.to_dict("records"), strict=True):
        cells = dict(zip(table.columns, cells, strict=True))
        assert cells["run"] == cells["pooling"] == cells["seeds"] == ""
        for dataset in ("gut", "dc"):
            assert behind(cells[dataset], rows) == ({(row["run"], dataset, task, metric)}, 2)
        assert behind(cells["mean"], rows) == ({(row["run"], name, task, metric) for name in ("gut", "dc")}, 4)


def test_rows_of_another_task_in_one_table(tidy, rows):
    table = held_out(tidy)
    tasks = {"cls": "heldout", "pca": "heldout", "finetuned": "finetune"}
    for cells, row in zip(sources(table, rows), table.to_dict("records"), strict=True):
        cell = cells[list(table.columns).index("gut")]
        assert behind(cell, rows) == ({(row["run"], "gut", tasks[row["pooling"]], "macro_f1")}, 2)


@pytest.mark.parametrize(("name", "measure"), [("9", ("probe", "macro_f1")), ("11", ("clustering", "ari"))])
def test_the_same_metric_of_two_tasks_is_told_apart_by_the_value(tidy, rows, name, measure):
    table = frozen(tidy, name)
    for cells, row in zip(sources(table, rows), table.to_dict("records"), strict=True):
        cells = dict(zip(table.columns, cells, strict=True))
        assert behind(cells["gut"], rows) == ({(row["run"], "gut", *measure)}, 2)


@pytest.mark.parametrize(("task", "metric"), [("clustering", "ari"), ("integration", "ari"), ("probe", "accuracy")])
def test_columns_that_name_their_metric(tidy, rows, task, metric):
    table = by_run(tidy, task)
    for cells, row in zip(sources(table, rows), table.to_dict("records"), strict=True):
        cells = dict(zip(table.columns, cells, strict=True))
        assert behind(cells[metric], rows) == ({(row["run"], row["dataset"], task, metric)}, 2)


def test_a_difference_has_the_rows_of_both_sides(tidy, rows):
    table = differences(tidy, [(Arm(run="wced", pooling="cls"), Arm(run="mlm", pooling="cls"))])
    for cells, row in zip(sources(table, rows), table.to_dict("records"), strict=True):
        cells = dict(zip(table.columns, cells, strict=True))
        for column in ("macro_f1_difference", "macro_f1_low"):
            both = {(run, row["dataset"], "probe", "macro_f1") for run in RUNS}
            assert behind(cells[column], rows) == (both, 4)


def test_what_is_no_measurement_has_no_rows(rows):
    table = pd.DataFrame({"run": ["wced"], "pooling": "cls", "gut": ["0.123"], "published_gut": [0.6], "note": "1"})
    assert sources(table, rows) == [[""] * 5]  # no measure has this value
    genes = pd.DataFrame({"run": ["wced"], "family": ["Ribosome"], "z": [0.61], "genes": [88]})
    assert sources(genes, rows) == [[""] * 4]


def test_lines_are_those_of_the_file(rows, tmp_path):
    lines = (tmp_path / "results.csv").read_text().splitlines()
    for row in rows.table.itertuples():
        fields = dict(zip(COLUMNS, lines[row.line - 1].split(","), strict=True))
        assert (fields["run"], fields["dataset"], fields["metric"]) == (row.run, row.dataset, row.metric)
        assert float(fields["value"]) == row.value
