"""Reports of the training steps: their figures, and one row for each step that counts, whatever interrupts."""

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import scfm.pretrain.trainer as trained
from scfm.errors import ScfmError
from scfm.pretrain import progress
from scfm.pretrain.progress import Progress
from scfm.pretrain.steplog import StepLog
from scfm.pretrain.stop import Stopped
from scfm.pretrain.train import train


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def run_step(progress, clock, wait, busy, tokens, flops):
    clock.now += wait
    progress.begin()
    clock.now += busy
    progress.tokens += tokens
    progress.flops = progress.flops + flops
    progress.end([], 1)


def test_figures_are_of_the_last_interval_and_of_the_whole(clock, capsys):
    p = Progress("toy/0", 4, 1, torch.device("cpu"), every_s=5)
    p.peak = 100.0
    p.enter()
    run_step(p, clock, 1, 3, 40, torch.tensor(200.0))
    assert not p.due(1)
    run_step(p, clock, 0, 4, 80, torch.tensor(200.0))
    assert p.due(2)
    first = p.report(2, 0)
    assert (first["tokens_per_s"], first["loader_wait"], first["mfu"]) == (15, 0.125, 0.5)
    line = capsys.readouterr().err
    assert line.startswith("toy/0: epoch 1/1, step 2/4, 0 cells/s, 15 tokens/s, loader wait 12%, MFU 50.0%, peak ")
    assert line.endswith(" MB, 0.1 min left\n")
    later = Progress("toy/0", 4, 1, torch.device("cpu"), every_s=5)
    later.load_state_dict(p.state_dict())
    later.peak = 50.0  # on a slower machine
    later.enter()
    run_step(later, clock, 2, 2, 20, 50.0)
    assert not later.due(3)
    run_step(later, clock, 0, 0, 0, 0.0)
    assert later.due(4)  # the last
    second = later.report(4, 0)
    assert (second["tokens_per_s"], second["loader_wait"], second["mfu"]) == (5, 0.5, 0.25)
    assert (later.speed()["tokens_per_s"], later.speed()["loader_wait"]) == (140 / 12, 3 / 12)
    assert later.speed()["mfu"] == 450 / 1000


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(Progress, "due", lambda progress, step: True)


def events(folder):
    """Tag to {step: value} that TensorBoard shows."""
    found = EventAccumulator(str(folder)).Reload()
    return {tag: {e.step: e.value for e in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


def logs(work):
    (folder,) = work.glob("*.log")
    return pd.read_csv(folder / "steps.csv"), events(folder)


def test_a_row_for_each_report_and_its_losses_average_to_those_of_the_epoch(
    toy_run, toy_shards, toy_obo, tmp_path, every_step
):
    run = toy_run(heads=True, epochs=2, warmup_steps=4, precision="bf16-mixed")
    train(run, "toy/0", 0, toy_shards, toy_obo, tmp_path / "work", tmp_path / "model", 0)
    rows, shown = logs(tmp_path / "work")
    assert rows["step"].tolist() == list(range(1, 13))
    assert rows["epoch"].tolist() == [1] * 6 + [2] * 6
    assert (rows["gradient_norm"] > 0).all()
    assert rows["mfu"].between(0, 1, inclusive="neither").all()
    np.testing.assert_allclose(rows["learning_rate"][4:], 3e-3)
    metrics = pd.read_csv(tmp_path / "model" / "metrics.csv")
    # Under WCED each batch has as many is-zero targets as the next but for unmeasured genes.
    np.testing.assert_allclose(rows.groupby("epoch")["train_is_zero"].mean(), metrics["train_is_zero"], rtol=5e-3)
    for name in rows.columns.drop("step"):
        np.testing.assert_allclose([shown[name][step] for step in rows["step"]], rows[name], rtol=1e-6)


def test_a_run_killed_or_stopped_has_each_step_once(toy_run, toy_shards, tmp_path, every_step, monkeypatch):
    run, update = toy_run("mlm", epochs=3), trained.Trainer.update

    def once(trainer, *arguments):
        if trainer.step == 9:
            raise MemoryError
        return update(trainer, *arguments)

    monkeypatch.setattr(trained.Trainer, "update", once)
    with pytest.raises(MemoryError):
        train(run, "toy/0", 0, toy_shards, None, tmp_path / "work", tmp_path / "model", 0)
    assert logs(tmp_path / "work")[0]["step"].tolist() == list(range(1, 10))
    monkeypatch.setattr(trained.Trainer, "update", update)
    with pytest.raises(Stopped):  # from the end of the first epoch, for one step
        train(run, "toy/0", 0, toy_shards, None, tmp_path / "work", tmp_path / "model", 0, max_minutes=0)
    train(run, "toy/0", 0, toy_shards, None, tmp_path / "work", tmp_path / "model", 0)
    rows, shown = logs(tmp_path / "work")
    # Nobody may read the report of a step at whose end the run was stopped.
    assert rows["step"].tolist() == [step for step in range(1, 19) if step != 7]
    assert set(shown["train_value"]) == set(rows["step"])


def test_rows_behind_the_checkpoint_are_dropped_and_new_columns_join(tmp_path):
    with StepLog(tmp_path, 0) as log:
        for step in (1, 2, 3):
            log.add({"step": step, "a": step / 2})
    with StepLog(tmp_path, 2) as log:
        log.add({"step": 3, "a": 7.0, "b": 1.0})
    rows = pd.read_csv(tmp_path / "steps.csv")
    with StepLog(tmp_path, 0), StepLog(tmp_path, 0):
        assert pd.read_csv(tmp_path / "steps.csv")["step"].tolist() == []
    pd.testing.assert_frame_equal(
        rows, pd.DataFrame({"step": [1, 2, 3], "a": [0.5, 1.0, 7.0], "b": [np.nan, np.nan, 1.0]})
    )


def test_a_loss_that_is_not_finite_ends_the_run_at_the_next_report(toy_run, toy_shards, tmp_path, every_step):
    run = toy_run(epochs=2, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(ScfmError, match=r"toy/0: loss '\w+' is not finite at step [23]; lower training.learning_rate"):
        train(run, "toy/0", 0, toy_shards, None, tmp_path / "work", tmp_path / "model", 0)
