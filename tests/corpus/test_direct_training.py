"""Training on cells read direct from the store: the same promises as on shards."""

import json
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

import scfm.corpus.direct as module
from scfm.corpus import Shards, marginals
from scfm.corpus.direct import Direct
from scfm.corpus.settings import SourceSettings
from scfm.errors import ScfmError
from scfm.pretrain.loader import Batches, EqualCells, EqualTokens, Updates, window_shuffle
from scfm.pretrain.stop import spare_new_processes
from scfm.pretrain.train import train
from scfm.pretrain.trainer import Stopped, Trainer

GENES = 8
"""Genes kept in the sparse corpus, so few that some cells express none."""


@pytest.fixture(scope="session")
def source(small):
    return SourceSettings(source=small)


@pytest.fixture
def direct(built, local_soma, source):
    return Direct.open(built / "selection", source, local_soma)


@pytest.fixture
def sparse(built, tmp_path):
    """A selection of the same cells with a few rare genes; some cells have none of them."""
    shutil.copytree(built / "selection", tmp_path / "sparse")
    features, genes = (pd.read_parquet(tmp_path / "sparse" / f"{name}.parquet") for name in ("features", "genes"))
    rare = np.sort(genes["n_cells"].to_numpy().argsort()[:GENES])
    new = pd.Series(np.arange(GENES), index=rare)
    kept = features[features["gene"].isin(rare)]
    kept.assign(gene=new[kept["gene"]].to_numpy()).to_parquet(tmp_path / "sparse" / "features.parquet")
    genes.iloc[rare].to_parquet(tmp_path / "sparse" / "genes.parquet", index=False)
    with np.load(built / "selection" / "measured.npz") as stored:
        datasets, measured = stored["datasets"], stored["measured"][:, rare]
    np.savez(tmp_path / "sparse" / "measured.npz", datasets=datasets, measured=measured)
    return tmp_path / "sparse"


@pytest.fixture
def fit(built, census, local_soma, source, tmp_path):
    """Function that trains into a folder of its own."""

    def run(settings, name, selection=built / "selection", path=local_soma):
        ontology = census / "annotation" / "cell_ontology.obo"
        work, out = tmp_path / f"{name}-work", tmp_path / name
        train(settings, "toy/0", 0, selection, ontology, work, out, 0, source=source, soma_path=path)
        return tmp_path / name

    return run


def epoch(direct, first=0, rank=0, world=1, labels=None):
    """Updates of eight micro-batch cells, two micro-batches each; a label names the cell by its soma_joinid."""
    labels = {"cell_type": direct.joinids} if labels is None else labels
    order = window_shuffle(direct.reading_order(direct.rows("train")), (4, 1), block=4, window=8)
    edges = EqualCells(len(order), 8, 2 * world)(order)
    return Updates(direct, order, edges, labels, 2, first, rank, world)


def joinids(updates):
    return [[cells.labels["cell_type"].tolist() for cells in update] for update in updates]


def loader(updates, workers):
    start = updates.corpus.start_method if workers else None
    return DataLoader(updates, batch_size=None, num_workers=workers, multiprocessing_context=start)


def test_an_epoch_gives_every_training_cell_once(direct):
    order = window_shuffle(direct.reading_order(direct.rows("train")), (0, 0))
    tokens = direct.cells["n_genes"].to_numpy()
    edges = EqualTokens(tokens, order, 3 * tokens.max(), 2)(order)
    updates = joinids(Updates(direct, order, edges, {"cell_type": direct.joinids}, 2))
    held = [cell for update in updates for batch in update for cell in batch]
    cells = direct.cells
    assert sorted(held) == sorted(cells.loc[cells["split"] == "train", "soma_joinid"])


def test_blocks_of_an_epoch_are_neighbours_in_the_store(direct):
    held = np.concatenate([np.concatenate(update) for update in joinids(epoch(direct))])
    place = np.searchsorted(np.sort(direct.joinids[direct.rows("train")]), held)
    assert all(len(set(place[start : start + 32] // 4)) == 8 for start in range(0, len(place) - 32, 32))


def test_batches_are_those_that_the_shards_give_for_the_same_rows(direct, built):
    shards = Shards.open(built / "shards")
    ours = epoch(direct)
    theirs = Updates(shards, ours.order, ours.edges, ours.labels, 2)
    for one, other in zip(ours, theirs, strict=True):
        for cells, expected in zip(one, other, strict=True):
            for name in ("gene", "count", "lengths", "dataset"):
                assert torch.equal(getattr(cells, name), getattr(expected, name)), name


def test_workers_and_resuming_change_nothing(direct, monkeypatch):
    monkeypatch.setattr(module, "IO_CELLS", 48)  # in this process alone
    whole = joinids(epoch(direct))
    assert len(whole) > 6
    for first, workers in ((0, 2), (5, 0), (len(whole), 0)):
        assert joinids(loader(epoch(direct, first), workers)) == whole[first:]


def test_ranks_share_out_the_epoch(direct):
    ranks = [joinids(epoch(direct, 0, rank, 2)) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]) > 2
    held = np.ravel(ranks)
    assert len(set(held)) == held.size == len(ranks[0]) * 2 * 2 * 8


def test_validation_and_statistics_are_those_of_the_shards(direct, built):
    shards = Shards.open(built / "shards")
    rows = direct.rows("validation")
    edges = np.append(np.arange(0, len(rows), 32), len(rows))
    batches = Batches(direct, direct.reading_order(rows), edges, {"cell_type": direct.joinids})
    held = np.concatenate([cells.labels["cell_type"].numpy() for cells in batches])
    np.testing.assert_array_equal(held, np.sort(direct.joinids[rows]))
    for one, other in zip(marginals(direct, rows), marginals(shards, rows), strict=True):
        np.testing.assert_allclose(one, other)


def stop_at(monkeypatch, step):
    original = Trainer.update

    def update(trainer, cells, stop):
        if trainer.step == step:
            stop.max_minutes = stop.deadline = 0
        return original(trainer, cells, stop)

    monkeypatch.setattr(Trainer, "update", update)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "epochs"), [(0, 2), (1, 1)])
def test_a_training_resumes_as_if_undisturbed(toy_run, fit, monkeypatch, tmp_path, workers, epochs):
    settings = toy_run("mlm", heads=True, loader="soma", workers=workers, epochs=epochs)
    undisturbed = fit(settings, "undisturbed")
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(Stopped, match="at step 3 of"):
            fit(settings, "resumed")
    resumed = fit(settings, "resumed")
    for name, tensor in load_file(undisturbed / "model.safetensors").items():
        torch.testing.assert_close(load_file(resumed / "model.safetensors")[name], tensor, atol=1e-6, rtol=0, msg=name)
    about = json.loads((resumed / "config.json").read_text())
    assert about["settings"]["training"]["loader"] == "soma"
    assert len(list((tmp_path / "resumed-work").glob("*.ckpt"))) == 1


def test_a_signal_at_the_start_of_a_process_asks_the_main_one_alone():
    asked = []
    before = signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    try:
        with spare_new_processes():
            code = "import time; print('here', flush=True); time.sleep(1); print('done')"
            process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "here\n"
            process.terminate()
            signal.pthread_kill(
                threading.main_thread().ident, signal.SIGTERM
            )  # any thread could take one to the process
            assert not asked
        assert asked == [1]
        assert process.communicate()[0] == "done\n"
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["mlm", "wced"])
@pytest.mark.parametrize("zeros", ["exclude", "interleave"])
def test_cells_without_any_kept_gene_train(toy_run, fit, source, local_soma, sparse, objective, zeros):
    direct = Direct.open(sparse, source, local_soma)
    (found,) = direct.stream([direct.rows("train")])
    assert (found[2] == 0).sum() > 5
    settings = toy_run(objective, heads=True, inputs={"zeros": {"strategy": zeros}}, loader="soma", batch_cells=2)
    metrics = pd.read_csv(fit(settings, "model", sparse) / "metrics.csv")
    losses = metrics[[name for name in metrics if name.startswith(("train_", "validate_"))]]
    assert losses.shape[1] >= 4
    assert np.isfinite(losses.to_numpy()).all()


def test_a_training_without_its_store_is_a_sentence(toy_run, fit, tmp_path):
    with pytest.raises(ScfmError, match="--soma: missing"):
        fit(toy_run(loader="soma"), "x", path=None)
    with pytest.raises(ScfmError, match="cannot open"):
        fit(toy_run(loader="soma"), "x", path=tmp_path / "none")
    assert not (tmp_path / "x").exists()
