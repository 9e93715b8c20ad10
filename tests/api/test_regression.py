"""Numbers as targets: what a column is told to be, what is learnt, its unit, and that the directory predicts it."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import scfm
from scfm.api.columns import labels_of, numbers_of, task_of
from scfm.errors import ScfmError
from scfm.finetuning.target import scores, standardised
from scfm.models.bmfm.label_losses import squared_sum
from scfm.pretrain.settings import parse_run

QUICK = {"epochs": 6, "batch_cells": 4, "learning_rate": 1e-2, "dropout": 0.0}
CODES = "whole numbers may be codes of labels or amounts; say which by task, labels or regression"


@pytest.fixture(scope="module")
def model(toy_model):
    return scfm.load(toy_model, "cpu")


@pytest.fixture
def cells():
    """Function of a seed and a number of cells that differ by gene G25 alone, and its log-normalised level in obs."""
    from scipy.sparse import csr_matrix

    def draw(seed, n=80):
        rng = np.random.default_rng(seed)
        mean = np.full((n, 40), 1.0)
        mean[:, 25] = rng.uniform(3, 40, n)
        counts = rng.poisson(mean).astype(np.float32)
        level = np.log1p(1e4 * counts[:, 25].astype(float) / counts.sum(1))
        obs = pd.DataFrame({"level": level}, index=[f"c{i}" for i in range(n)])
        return anndata.AnnData(csr_matrix(counts), obs, pd.DataFrame(index=[f"G{i}" for i in range(40)]))

    return draw


def r2(truth, predicted):
    return 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def tune(adata, model, out, **more):
    training = QUICK | more.pop("training", {})
    return scfm.finetune(adata, model, "level", out, training=training, **more)


def test_a_planted_number_is_learnt(model, cells, tmp_path):
    training = {"epochs": 15, "batch_cells": 8, "learning_rate": 5e-3}
    tuned = tune(cells(0, 240), model, tmp_path / "m", training=training, verbose=False)
    assert tuned.about["finetuned"]["held_out"]["r2"] > 0.8
    new = scfm.predict(cells(1, 240), tuned, verbose=False).obs
    assert r2(new["level"], new["scfm_level"]) > 0.8


@pytest.mark.parametrize("trainable", ["all", "last", "lora", "head"])
def test_every_choice_of_parts_says_what_it_found(model, cells, tmp_path, trainable, capsys):
    tuned = tune(cells(0), model, tmp_path / "m", trainable=trainable, training={"epochs": 2})
    line = capsys.readouterr().out
    assert "regression on level (float64) of 64 cells, 16 held out" in line
    metrics = pd.read_csv(tmp_path / "m" / "metrics.csv")
    assert metrics.columns.tolist() == ["epoch", "train_loss", "dev_loss", "kept"]
    assert metrics.loc[metrics["kept"], "dev_loss"].item() == metrics["dev_loss"].min()
    found = tuned.about["finetuned"]["held_out"]
    assert f"held-out R² {found['r2']:.3f}, mean absolute error {found['mae']:.4g}" in line


def test_predictions_are_in_the_unit_of_the_column(model, cells, tmp_path):
    adata, other = cells(0), cells(0)
    other.obs["level"] = 10 * other.obs["level"] + 5
    quick = {"training": {"epochs": 2}, "verbose": False}
    one, ten = (tune(table, model, tmp_path / name, **quick) for table, name in ((adata, "one"), (other, "ten")))
    first, second = (scfm.predict(cells(1), tuned, verbose=False).obs["scfm_level"] for tuned in (one, ten))
    np.testing.assert_allclose(second, 10 * first + 5, rtol=1e-3)


def test_the_directory_predicts_the_same_and_the_seed_decides(model, cells, tmp_path, capsys):
    quick = {"training": {"epochs": 1}, "verbose": False}
    tuned, again = (tune(cells(0), model, tmp_path / name, **quick) for name in ("m", "again"))
    weights = again.network.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in tuned.network.state_dict().items())
    other = tune(cells(0), model, tmp_path / "other", seed=1, **quick)
    assert other.about["target"] != tuned.about["target"]  # other cells are held out
    adata = cells(1)
    adata.X[3] = 0
    scfm.predict(adata, tuned, verbose=False)
    scfm.predict(adata, tmp_path / "m", key_added="again")
    assert "obs['again']" in capsys.readouterr().out
    np.testing.assert_array_equal(adata.obs["scfm_level"], adata.obs["again"])
    assert adata.obs["again"].isna().to_numpy().nonzero()[0].tolist() == [3]
    assert adata.uns["again"]["cells_without_known_gene"] == 1
    adata.write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "x.h5ad").obs["scfm_level"], adata.obs["scfm_level"])
    table = scfm.explain(cells(1)[:4], tuned, "level", verbose=False)
    assert table.attrs["completeness"] < 0.02
    assert table.attrs["target"] == "level in its unit"
    with pytest.raises(ScfmError, match=r"it predicts the number 'level', see scfm\.predict"):
        scfm.annotate(adata, tuned)


def test_a_model_of_numbers_learns_labels_again(model, cells, toy_adata, tmp_path):
    number = tune(cells(0), model, tmp_path / "m", training={"epochs": 1}, verbose=False)
    back = scfm.finetune(toy_adata, number, "type", tmp_path / "back", training={"epochs": 1}, verbose=False)
    assert "target" not in back.about
    assert set(scfm.annotate(toy_adata, back, verbose=False).obs["scfm_name"]) <= {"alpha", "beta"}
    with pytest.raises(ScfmError, match="it predicts no number; fine-tune it on a numeric obs column"):
        scfm.predict(toy_adata, back)


def test_standardising_and_scores_are_the_textbooks():
    train, dev = pd.Series([1.0, 3.0, 5.0], name="age"), pd.Series([3.0, 4.0])
    about, z, dev_z = standardised(train, dev)
    sd = np.sqrt(8 / 3)
    assert about == {"column": "age", "mean": 3.0, "sd": pytest.approx(sd)}
    np.testing.assert_allclose(np.concatenate([z, dev_z]), np.array([-2, 0, 2, 0, 1]) / sd, rtol=1e-6)
    truth, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.0])
    assert scores(truth, predicted) == {"r2": pytest.approx(r2(truth, predicted)), "mae": pytest.approx(2 / 3)}
    assert scores(truth[:1], predicted[:1]) == {"r2": None, "mae": 0.0}
    for train, dev in (([1.0, 1.0], [2.0]), ([1.0], [2.0]), ([1.0, 2.0], []), ([1e308, -1e308], [0.0])):
        with pytest.raises(ScfmError, match=r"training cells, SD .*; regression needs two, an SD above 0, and one"):
            standardised(pd.Series(train, dtype=float), pd.Series(dev, dtype=float))


def test_the_loss_leaves_unknown_numbers_out():
    outputs = torch.tensor([[1.0], [2.0], [5.0]], requires_grad=True)
    total, count = squared_sum(outputs, torch.tensor([3.0, float("nan"), 4.0]))
    total.backward()
    assert (total.item(), count.item()) == (5.0, 2)
    assert outputs.grad.flatten().tolist() == [-4.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.5, 1.5, np.nan], "regression"),
        (range(21), "regression"),
        (pd.array([0.5, None, 2], dtype="Float64"), "regression"),
        (pd.Series([0.5, None, 2.5], dtype=object), "regression"),
        (["a", "b", None], "labels"),
        (["1.5", "2.5"], "labels"),
        (pd.Categorical([1.5, 2.5]), "labels"),
        ([True, False], "labels"),
        (pd.Series([True, None, False], dtype=object), "labels"),
    ],
)
def test_the_task_is_told_from_the_column(values, told):
    column = pd.Series(values, name="x")
    assert task_of(column) == told
    assert [task_of(column, task) for task in ("labels", "regression")] == ["labels", "regression"]


@pytest.mark.parametrize("values", [range(20), [0, 1, 1], [0.0, 2.0, np.nan], pd.array([1, None, 2], dtype="Int64")])
def test_a_few_whole_numbers_need_a_word(values):
    with pytest.raises(ScfmError, match=CODES):
        task_of(pd.Series(values, name="x"))


def test_numbers_and_labels_are_read_from_any_column():
    for values in ([1.0, 2.5, np.nan], ["1", "2.5", None], pd.Categorical(["1", "2.5", None])):
        np.testing.assert_array_equal(numbers_of(pd.Series(values)), [1.0, 2.5, np.nan])
    np.testing.assert_array_equal(numbers_of(pd.Series(pd.array([1, None, 2], dtype="Int64"))), [1, np.nan, 2])
    np.testing.assert_array_equal(numbers_of(pd.Series([True, False])), [1, 0])
    assert labels_of(pd.Series([1, 2])).tolist() == ["1", "2"]


def test_codes_may_be_labels_or_numbers(model, toy_adata, tmp_path, capsys):
    toy_adata.obs["code"] = (toy_adata.obs["type"] == "beta").astype(int)
    with pytest.raises(ScfmError, match=CODES):
        scfm.finetune(toy_adata, model, "code", tmp_path / "m")
    for task, words in (("labels", "; 2 labels of 32 cells"), ("regression", "regression on code (int64) of 32 cells")):
        scfm.finetune(toy_adata, model, "code", tmp_path / task, task=task, training={"epochs": 1})
        assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ([np.inf, 1.5], {}, "20 cells are infinite; make them missing"),
        ([0.5], {}, "40 cells with a number, 1 distinct; regression needs two cells that differ"),
        ([np.nan], {}, "0 cells with a number"),
        (["a", "b"], {"task": "regression"}, "regression expects numbers"),
        ([0.5, 1.5], {"task": "classes"}, "task: 'classes' is not known; choose labels or regression"),
        ([np.nan] * 39 + [0.5], {}, "1 cells with a number"),
        ([np.nan] * 38 + [0.5, 1.5], {}, "1 distinct numbers in 1 training cells"),
    ],
)
def test_bad_columns_are_sentences_and_leave_nothing(model, toy_adata, tmp_path, values, options, words):
    toy_adata.obs["x"] = list(values) * (40 // len(values))
    with pytest.raises(ScfmError, match=words):
        scfm.finetune(toy_adata, model, "x", tmp_path / "m", **options)
    assert not list(tmp_path.iterdir())


def test_pretraining_learns_no_number(toy_run):
    settings = toy_run(heads=True).model_dump()
    settings["model"]["heads"] = [{"loss": "squared"}]
    with pytest.raises(ScfmError, match=r"loss 'squared' is of scfm\.finetune alone"):
        parse_run(settings, "toy")
