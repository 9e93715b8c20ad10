"""Whole trainings of a toy run: what they write, what they learn, and what survives an interruption."""

import json
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from scfm.corpus import Shards, marginals
from scfm.errors import ScfmError
from scfm.model import load
from scfm.pretrain.guard import sole_trainer
from scfm.pretrain.stop import Stopped
from scfm.pretrain.train import train
from scfm.pretrain.trainer import Trainer

FILES = {"model.safetensors", "config.json", "genes.parquet", "labels.json", "metrics.csv", "gene_errors.parquet"}
RUN_TIME = ["cells_per_s", "tokens_per_s", "loader_wait", "mfu", "peak_memory_mb"]


@pytest.fixture
def fit(toy_shards, toy_obo, tmp_path):
    """Function that trains into a folder of its own."""

    def run(settings, name, seed=0, shards=toy_shards, ontology=toy_obo, work=None, code="", max_minutes=None):
        work = work or tmp_path / f"{name}-work"
        train(settings, f"toy/{seed}", seed, shards, ontology, work, tmp_path / name, 0, code, max_minutes)
        return tmp_path / name

    return run


@pytest.fixture
def steps(monkeypatch):
    """Updates done; `at` holds functions to call before the update of that number, `validated` before a validation."""
    done = {"count": 0, "at": {}, "validated": None}
    update, validate = Trainer.update, Trainer.validate

    def counted(trainer, *arguments):
        done["at"].pop(trainer.step, lambda: None)()
        done["count"] += 1
        return update(trainer, *arguments)

    def called(trainer, *arguments, **keys):
        (done["validated"] or (lambda: None))()
        return validate(trainer, *arguments, **keys)

    monkeypatch.setattr(Trainer, "update", counted)
    monkeypatch.setattr(Trainer, "validate", called)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield done
    for number, handler in before.items():
        signal.signal(number, handler)


def terminate():
    signal.raise_signal(signal.SIGTERM)


def interrupt():
    signal.raise_signal(signal.SIGINT)


def die():
    raise MemoryError("like SIGKILL: nothing is written")


def read(folder):
    metrics = pd.read_csv(folder / "metrics.csv")
    tables = {"errors": pd.read_parquet(folder / "gene_errors.parquet"), "metrics": metrics.drop(columns=RUN_TIME)}
    return load_file(folder / "model.safetensors"), tables


def assert_same_run(one, other):
    (weights, tables), (other_weights, other_tables) = read(one), read(other)
    assert weights.keys() == other_weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, other_weights[name], atol=1e-6, rtol=0, msg=name)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, other_tables[name], rtol=1e-6)


INPUTS = {"tokens": 12, "dropout": 0.2, "zeros": {"strategy": "interleave"}}


@pytest.mark.parametrize(("objective", "every", "workers"), [("mlm", 1, 0), ("wced", 2, 0), ("wced", 4, 2)])
def test_a_run_asked_to_stop_anywhere_goes_on_as_if_undisturbed(
    toy_run, fit, steps, objective, every, workers, tmp_path
):
    settings = toy_run(objective, heads=True, inputs=INPUTS, epochs=4, validate_every=every, workers=workers)
    undisturbed = fit(settings, "undisturbed")
    assert steps["count"] == 24
    steps["count"] = 0
    interrupted = signal.getsignal(signal.SIGINT)
    # In the middle of an epoch, at its last update, at its first, and twice in a row.
    steps["at"] = {2: terminate, 5: interrupt, 11: terminate, 12: terminate, 20: interrupt}
    for number, name in ((3, "SIGTERM"), (6, "SIGINT"), (12, "SIGTERM"), (13, "SIGTERM"), (21, "SIGINT")):
        with pytest.raises(Stopped, match=f"toy/0: stopped by {name} at step {number} of 24; run again"):
            fit(settings, "resumed")
        if name == "SIGTERM":
            terminate()  # a batch system sends more than one
    assert not (tmp_path / "resumed").exists()
    assert signal.getsignal(signal.SIGINT) == interrupted
    resumed = fit(settings, "resumed")
    assert steps["count"] == 24  # nothing is done twice
    assert_same_run(undisturbed, resumed)


def test_a_run_stopped_in_its_validation_repeats_that_alone(toy_run, fit, steps):
    settings = toy_run(heads=True, inputs=INPUTS, epochs=4, validate_every=2)
    undisturbed = fit(settings, "undisturbed")
    steps["count"], steps["validated"] = 0, terminate
    with pytest.raises(Stopped, match="at step 12 of 24"):
        fit(settings, "resumed")
    steps["validated"] = None
    assert_same_run(undisturbed, fit(settings, "resumed"))
    assert steps["count"] == 24


def test_a_killed_run_goes_on_from_its_last_epoch(toy_run, fit, steps, capsys):
    settings = toy_run("mlm", heads=True, inputs=INPUTS, epochs=4)
    undisturbed = fit(settings, "undisturbed")
    steps["count"], steps["at"] = 0, {10: die}
    with pytest.raises(MemoryError):
        fit(settings, "resumed")
    capsys.readouterr()
    resumed = fit(settings, "resumed")
    assert "toy/0: going on from step 6 of 24" in capsys.readouterr().err
    assert steps["count"] == 24 + 4
    assert_same_run(undisturbed, resumed)


def test_a_run_whose_time_is_up_stops_and_goes_on(toy_run, fit, steps):
    settings = toy_run(heads=True)
    undisturbed = fit(settings, "undisturbed")
    steps["count"] = 0
    for number in range(1, 4):
        with pytest.raises(Stopped, match=rf"after max_time \(0 minutes\) at step {number} of 12"):
            fit(settings, "resumed", max_minutes=0)
    assert_same_run(undisturbed, fit(settings, "resumed", max_minutes=60))
    assert steps["count"] == 12


def test_a_finished_run_started_again_writes_the_same_directory(toy_run, fit, steps, tmp_path):
    settings = toy_run(heads=True)
    first = fit(settings, "first")
    done = steps["count"]
    again = fit(settings, "again", work=tmp_path / "first-work")
    assert steps["count"] == done
    for name in FILES - {"metrics.csv"}:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    one, other = (pd.read_csv(folder / "metrics.csv") for folder in (first, again))
    pd.testing.assert_frame_equal(one.drop(columns="peak_memory_mb"), other.drop(columns="peak_memory_mb"))


def test_the_same_seed_gives_the_same_files_and_another_does_not(toy_run, fit):
    settings = toy_run(heads=True, inputs={"tokens": 12, "dropout": 0.2})
    one, same, other = fit(settings, "one"), fit(settings, "same"), fit(settings, "other", seed=1)
    assert {path.name for path in one.iterdir()} == FILES
    for name in FILES - {"metrics.csv"}:
        assert (one / name).read_bytes() == (same / name).read_bytes(), name
    pd.testing.assert_frame_equal(read(one)[1]["metrics"], read(same)[1]["metrics"], check_exact=True)
    for name, tensor in read(one)[0].items():
        assert not torch.equal(tensor, read(other)[0][name]), name


def test_a_checkpoint_of_other_settings_labels_or_code_is_not_resumed(toy_run, fit, steps, toy_obo, tmp_path):
    work, settings = tmp_path / "work", toy_run(heads=True, epochs=1)
    later = tmp_path / "later.obo"
    later.write_text(toy_obo.read_text() + "\n[Term]\nid: CL:0000009\nname: new between\n")
    later.write_text(later.read_text().replace("id: CL:0000004", "id: CL:0000004\nis_a: CL:0000009"))
    comment = tmp_path / "comment.obo"
    comment.write_text(toy_obo.read_text() + "\n! a remark\n")
    fit(settings, "a", work=work)
    fit(toy_run(heads=True, epochs=1, learning_rate=1e-3), "b", work=work)
    fit(settings, "c", seed=1, work=work)
    fit(settings, "d", ontology=later, work=work)
    fit(settings, "e", work=work, code="edited")
    assert steps["count"] == 5 * 6
    fit(settings, "f", ontology=comment, work=work)
    assert steps["count"] == 5 * 6


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_the_zero_fraction_is_that_of_the_cells_under_every_objective(toy_run, fit, toy_shards, objective):
    errors = pd.read_parquet(fit(toy_run(objective=objective, epochs=1), "model") / "gene_errors.parquet")
    shards = Shards.open(toy_shards)
    n, zero_fraction, _ = marginals(shards, shards.rows("validation"))
    np.testing.assert_allclose(errors["zero_fraction"], np.where(n > 0, zero_fraction, np.nan))


def test_metrics_and_gene_errors_have_a_row_for_each_validated_epoch(toy_run, fit, toy_shards):
    folder = fit(toy_run(heads=True, epochs=4, validate_every=2, validation_passes=2), "model", seed=7)
    metrics = pd.read_csv(folder / "metrics.csv")
    assert metrics["epoch"].tolist() == [2, 4]
    assert metrics["step"].tolist() == [12, 24]
    names = {f"{split}_{task}" for split in ("train", "validate") for task in ("value", "is_zero", "cell_type_hce")}
    assert set(metrics) == {"epoch", "step", *names, *RUN_TIME}
    assert metrics.notna().all(axis=None)
    errors = pd.read_parquet(folder / "gene_errors.parquet")
    assert (errors.groupby("epoch").size() == 40).all()
    assert errors[["run", "seed"]].drop_duplicates().to_numpy().tolist() == [["toy", 7]]
    shards = Shards.open(toy_shards)
    last = errors[errors["epoch"] == 4].reset_index()
    n, zero_fraction, _ = marginals(shards, shards.rows("validation"))
    np.testing.assert_array_equal(last["n"], 2 * n)  # two passes
    np.testing.assert_allclose(last["zero_fraction"], zero_fraction)
    seen, _, _ = marginals(shards, shards.rows("train"))
    np.testing.assert_array_equal(last["n_train_targets"], 4 * seen)  # every cell in each of four epochs
    about = json.loads((folder / "config.json").read_text())
    assert (about["run"], about["seed"], about["updates"]) == ("toy", 7, 24)
    assert (about["train_cells"], about["validation_cells"]) == (192, 48)
    assert about["parameters"] == sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())


def test_a_masked_run_counts_about_its_share_of_targets(toy_run, fit, toy_shards):
    errors = pd.read_parquet(fit(toy_run("mlm", epochs=2), "model") / "gene_errors.parquet")
    shards = Shards.open(toy_shards)
    rows = shards.rows("train")
    shown = shards.cells["n_genes"].to_numpy()[rows].sum() * 2
    targets = errors[errors["epoch"] == 2]["n_train_targets"].sum()
    assert targets / shown == pytest.approx(0.15, abs=5 * np.sqrt(0.15 * 0.85 / shown))


def test_an_untrained_control_keeps_its_first_weights(toy_run, fit, steps):
    folder = fit(toy_run(trained=False), "random")
    assert steps["count"] == 0
    assert {path.name for path in folder.iterdir()} == FILES
    metrics, errors = pd.read_csv(folder / "metrics.csv"), pd.read_parquet(folder / "gene_errors.parquet")
    assert metrics[["epoch", "step"]].to_numpy().tolist() == [[0, 0]]
    assert errors["epoch"].unique().tolist() == [0]
    assert not errors["n_train_targets"].any()
    again = fit(toy_run(trained=False), "again")
    assert (folder / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_whole_cell_decoding_beats_the_marginals(toy_run, fit, toy_shards):
    folder = fit(toy_run(epochs=20, validate_every=20, accumulate=1, learning_rate=1e-2), "model")
    metrics = pd.read_csv(folder / "metrics.csv").set_index("epoch")
    shards = Shards.open(toy_shards)
    rows = shards.rows("validation")
    gene, count, lengths = shards.read(rows)
    cell = np.repeat(np.arange(len(rows)), lengths)
    y = np.zeros((len(rows), 40))
    y[cell, gene] = np.log1p(1e4 * count / np.bincount(cell, weights=count)[cell])
    _, zero_fraction, mean = marginals(shards, shards.rows("train"))
    chance = np.clip(zero_fraction, 1e-4, 1 - 1e-4)
    entropy = np.where(y == 0, -np.log(chance), -np.log(1 - chance))
    null_zero = entropy[shards.measured[shards.dataset_codes[rows]]].mean()
    null_value = ((y - mean) ** 2)[y > 0].mean()
    assert metrics.loc[20, "validate_value"] < 0.8 * null_value
    assert metrics.loc[20, "validate_is_zero"] < 0.9 * null_zero
    errors = pd.read_parquet(folder / "gene_errors.parquet")
    planted = errors.iloc[:20]
    assert (planted["rescaled_mae_ungated"] < planted["rescaled_mae_null"]).mean() > 0.9
    assert planted["auc"].median() > 0.85


def test_hierarchical_loss_finds_the_right_leaf(toy_model, toy_adata):
    model = load(toy_model)
    probabilities = model.node_probabilities(toy_adata)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    truth = toy_adata.obs["type"].map({"alpha": "CL:0000003", "beta": "CL:0000004"})
    column = [model.tree.leaves.index(term) for term in truth]
    assert (probabilities[range(40), column] > 0.9).mean() > 0.95


def one_sentence(error, *words):
    text = str(error.value)
    assert "\n" not in text
    assert not text.endswith(".")
    assert all(word in text for word in words), text


def test_bad_input_is_a_sentence(toy_run, fit, write_toy_shards, tmp_path, toy_shards):
    unlabelled = write_toy_shards(tmp_path / "unlabelled", 32, 16, cell_type_ontology_term_id="unknown")
    with pytest.raises(ScfmError) as error:
        fit(toy_run(heads=True), "x", shards=unlabelled)
    one_sentence(error, "cell_type_ontology_term_id", "no label")
    with pytest.raises(ScfmError) as error:
        fit(toy_run(heads=True), "x", ontology=None)
    one_sentence(error, "toy/0", "ontology")
    strange = write_toy_shards(tmp_path / "strange", 32, 16, cell_type_ontology_term_id="CL:9999999")
    with pytest.raises(ScfmError) as error:
        fit(toy_run(heads=True), "x", shards=strange)
    one_sentence(error, "CL:9999999", "Cell Ontology")
    one_split = write_toy_shards(tmp_path / "one", 32, 16, split="train")
    with pytest.raises(ScfmError) as error:
        fit(toy_run(), "x", shards=one_split)
    one_sentence(error, "split 'validation'")
    with pytest.raises(ScfmError) as error:
        fit(toy_run(batch_cells=100, accumulate=2), "x")
    one_sentence(error, "192 training cells", "batch_cells")
    with pytest.raises(ScfmError) as error:
        train(toy_run(), "toy/0", 0, toy_shards, None, tmp_path / "w", tmp_path / "x", 2)
    one_sentence(error, "torchrun")
    assert not (tmp_path / "x").exists()


def test_a_loss_that_is_not_finite_is_a_sentence(toy_run, fit, tmp_path):
    with pytest.raises(ScfmError) as error:
        fit(toy_run(learning_rate=1e30, warmup_steps=0), "x")
    one_sentence(error, "toy/0", "not finite", "learning_rate")
    assert not (tmp_path / "x").exists()


def test_two_trainers_of_one_run_are_a_sentence(toy_run, fit, tmp_path):
    with sole_trainer(tmp_path / "work" / "rank0"), pytest.raises(ScfmError) as error:
        fit(toy_run(), "x", work=tmp_path / "work")
    one_sentence(error, "another process trains")
    fit(toy_run(), "x", work=tmp_path / "work")  # the lock goes with its holder
