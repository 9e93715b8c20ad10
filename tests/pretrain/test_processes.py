"""Two training processes do what one does with the same cells in an update."""

import os
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from scfm.pretrain.train import train
from scfm.pretrain.trainer import Trainer
from scfm.settings import as_json

# The command trains several processes on GPUs only; here the same code runs them on the CPU.
PROCESS = """
import os, signal, sys
from pathlib import Path
import numpy as np
from scfm.pretrain import fabric
from scfm.pretrain import train as module
from scfm.pretrain.settings import parse_run
from scfm.pretrain.trainer import Trainer
from scfm.settings import parse

Fabric = fabric.Fabric
fabric.Fabric = lambda accelerator, **keys: Fabric(accelerator="cpu", **keys)
settings, shards, ontology, folder, stop = sys.argv[1:]
original = Trainer.update

def update(self, *arguments):
    if self.step == int(stop) and self.fabric.global_rank == 1:  # one rank alone gets the signal
        signal.raise_signal(signal.SIGTERM)
    asked = original(self, *arguments)
    if self.masking:
        np.save(folder / f"error-{self.fabric.global_rank}-{self.step}.npy", self.masking.error)
    return asked

Trainer.update = update
folder = Path(folder)
module.train(parse_run(settings, "test"), "toy/0", 0, Path(shards), Path(ontology), folder / "work", folder / "two", 2)
"""


def launch(folder, *words):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = os.environ | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TORCHELASTIC_RUN_ID": "test"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, *map(str, words)],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=600)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], errors


@pytest.fixture
def every_input(tmp_path):
    """Inputs with weights of their own, none of which draws anything that depends on the process."""
    vectors = np.random.default_rng(0).normal(size=(20, 5))
    np.savez(tmp_path / "v.npz", gene=[f"G{i}" for i in range(20)], vector=vectors)
    return {
        "gene_vectors": {"file": str(tmp_path / "v.npz"), "trainable": True},
        "value_encoder": {"frequencies": 6, "octaves": 6, "trainable": True},
        "zeros": {"strategy": "all"},
        "metadata": ["dataset_id"],
        "metadata_dropout": 0.0,
    }


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["plain", "every", "curriculum", "average"])
def test_two_processes_interrupted_and_resumed_equal_one(toy_run, toy_shards, toy_obo, tmp_path, every_input, inputs):
    keys = {
        "inputs": every_input if inputs == "every" else None,
        "heads": True,
        "head_dropout": 0.0,
        "epochs": 3,
        "validate_every": 3,
        "warmup_steps": 20,
        "average": 0.9 if inputs == "average" else 0.0,
    }
    one = toy_run(**keys, batch_cells=16, accumulate=2)
    two = toy_run(**keys, batch_cells=8, accumulate=2)
    if inputs == "curriculum":
        head = {"label": "cell_type", "loss": "focal", "dropout": 0.0, "from_epoch": 1, "reversal": 0.1}
        one, two = (
            type(run).model_validate(run.model_dump() | {"model": run.model.model_dump() | {"heads": [head]}})
            for run in (one, two)
        )
    train(one, "toy/0", 0, toy_shards, toy_obo, tmp_path / "work-one", tmp_path / "one", 0)
    words = (as_json(two), toy_shards, toy_obo, tmp_path)
    codes, errors = launch(tmp_path, *words, 9)  # in the middle of the second epoch
    assert all(codes), errors
    assert all("stopped" in error and "step 10 of 18" in error for error in errors), errors
    assert len(list((tmp_path / "work").glob("*.ckpt"))) == 1
    codes, errors = launch(tmp_path, *words, -1)
    assert codes == [0, 0], errors
    assert "going on from step 10 of 18" in errors[0]
    whole, shared = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in whole.items():
        torch.testing.assert_close(shared[name], tensor, atol=1e-3, rtol=1e-2, msg=name)
    single, double = (pd.read_csv(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    losses = [column for column in single if column.startswith(("train_", "validate_"))]
    np.testing.assert_allclose(double[losses], single[losses], rtol=1e-3)
    single, double = (pd.read_parquet(tmp_path / name / "gene_errors.parquet") for name in ("one", "two"))
    exact = ["n", "n_nonzero", "n_train_targets"]
    pd.testing.assert_frame_equal(double[exact], single[exact])
    np.testing.assert_allclose(double["rescaled_mae"], single["rescaled_mae"], rtol=0.02)


@pytest.mark.slow
def test_running_errors_are_those_of_all_processes(toy_run, toy_shards, toy_obo, tmp_path, monkeypatch):
    # At first all errors are alike, so that with these chances every token is a target, whoever draws the numbers.
    objective = {"kind": "mlm", "masking": "error", "mask": 1.0, "keep": 0.0, "memory": 0.9}

    def run(batch_cells):
        settings = toy_run("mlm", inputs={"zeros": {"strategy": "all"}}, batch_cells=batch_cells, epochs=3)
        model = settings.model.model_dump() | {"objective": objective}
        return type(settings).model_validate(settings.model_dump() | {"model": model})

    original, single = Trainer.update, []

    def update(trainer, *arguments):
        asked = original(trainer, *arguments)
        single.append(trainer.masking.error.numpy())
        return asked

    monkeypatch.setattr(Trainer, "update", update)
    train(run(96), "toy/0", 0, toy_shards, None, tmp_path / "work-one", tmp_path / "one", 0)
    codes, errors = launch(tmp_path, as_json(run(48)), toy_shards, toy_obo, tmp_path, -1)
    assert codes == [0, 0], errors
    assert len(single) == 3
    shared = [[np.load(tmp_path / f"error-{rank}-{step}.npy") for step in (1, 2, 3)] for rank in range(2)]
    np.testing.assert_array_equal(*shared)
    np.testing.assert_allclose(shared[0][0], single[0], rtol=1e-5)
    assert np.ptp(single[0]) > 0.01
    assert not np.array_equal(shared[0][0], shared[0][2])
