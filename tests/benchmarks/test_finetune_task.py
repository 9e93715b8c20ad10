from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import scfm
from scfm.benchmarks import finetune as task
from scfm.benchmarks.commands import app
from scfm.benchmarks.task_settings import FinetuneTask
from scfm.errors import ScfmError
from scfm.finetuning import Finetuning

SETTINGS = FinetuneTask(training=Finetuning(epochs=3, learning_rate=1e-2))
WHOSE = {"study": "s", "run": "r", "seed": 0}
SIDES = np.repeat(["train", "dev", "test"], [24, 8, 8])


@pytest.fixture
def dataset(prepared, toy_adata):
    """A prepared dataset of the toy cells whose batches are the sides of its split; keywords as of `prepared`."""

    def write(name: str = "d", **changes: object) -> Path:
        columns = {"cell_type": toy_adata.obs["type"].to_numpy(), "batch": SIDES, "donor": SIDES, "split": SIDES}
        return prepared(name, matrix=toy_adata.X.toarray(), **{**columns, "uns_tasks": "finetune", **changes})

    return write


@pytest.fixture(scope="module")
def model(toy_model):
    return scfm.load(toy_model, "cpu")


def test_scores_are_of_the_test_cells(model, dataset):
    table = task.finetune(model, [dataset()], SETTINGS, **WHOSE).set_index("metric")
    assert table.loc["macro_f1", ["value", "n", "split", "pooling", "task"]].tolist() == [
        *(1, 8, "test"),
        *("finetuned", "finetune"),
    ]
    assert table.loc["macro_f1_low", "value"] == table.loc["macro_f1_high", "value"] == 1
    assert 1 <= table.loc["epoch", "value"] <= 3
    assert table.loc["epoch", "n"] == 24


def test_training_gets_no_test_cell(model, dataset, monkeypatch):
    from scfm.finetuning import train

    given, real = [], train.finetune

    def spy(model, training, dev, *more):
        given.extend([*training.obs_names, *dev.obs_names])
        return real(model, training, dev, *more)

    monkeypatch.setattr(train, "finetune", spy)
    task.finetune(model, [dataset()], SETTINGS, **WHOSE)
    assert given == [f"c{i}" for i in range(32)]


def test_each_dataset_starts_from_the_same_weights(model, dataset):
    alone = task.finetune(model, [dataset("b")], SETTINGS, **WHOSE)
    after = task.finetune(model, [dataset("a", donor=SIDES), dataset("b")], SETTINGS, **WHOSE)
    pd.testing.assert_frame_equal(alone, after[after["dataset"] == "b"].reset_index(drop=True))


def test_a_class_unseen_in_training_counts_as_wrong(model, dataset, toy_adata):
    types = toy_adata.obs["type"].to_numpy().astype(object)
    types[36:] = "gamma"
    table = task.finetune(model, [dataset(cell_type=types)], SETTINGS, **WHOSE).set_index("metric")
    assert table.loc[["accuracy", "unseen"], "value"].tolist() == [0.5, 0.5]


def test_contamination_and_species_are_those_of_the_dataset(model, dataset):
    table = task.finetune(
        model, [dataset(contaminated=SIDES == "train", uns_organism="Mus musculus")], SETTINGS, **WHOSE
    )
    assert set(table["contaminated"]) == {"false"}
    assert set(table["task"]) == {"finetune_mus_musculus"}


def test_bad_splits_are_one_sentence(model, dataset):
    for changes, words in (
        ({"donor": "one"}, "donor 'one' stands on both sides of the split"),
        ({"split": np.where(SIDES == "dev", "train", SIDES)}, "no dev cell to choose the epoch by"),
        ({"split": ""}, "no cell of a known type is in the part 'train'"),
        ({"cell_type": "T"}, "the training cells are all 'T'"),
        ({"uns_tasks": "probe"}, "none of the datasets is asked for finetune"),
    ):
        with pytest.raises(ScfmError, match=words):
            task.finetune(model, [dataset(**changes)], SETTINGS, **WHOSE)


def test_command_writes_the_same_bytes_twice(toy_model, dataset, tmp_path):
    words = ["finetune", str(dataset()), "--model", str(toy_model), "--run", "r", "--seed", "3", "--study", "s"]
    words += ["--settings", '{"training": {"epochs": 1, "learning_rate": 0.01}}', "--device", "cpu", "--out"]
    for name in ("one.csv", "two.csv"):
        result = CliRunner().invoke(app, [*words, str(tmp_path / name)])
        assert result.exit_code == 0, result.output
    assert "benchmarks finetune r: 1 datasets, mean macro_f1 finetuned" in result.output
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
