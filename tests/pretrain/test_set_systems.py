"""Systems that read sets of cells or donors: training, resuming, model directories, embeddings of both."""

import signal

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

import scfm
from scfm.corpus import Shards
from scfm.errors import ScfmError
from scfm.models.lingshu.sampling import Asked
from scfm.pretrain.settings import parse_run
from scfm.pretrain.stop import Stopped
from scfm.pretrain.train import train
from scfm.pretrain.trainer import Trainer
from scfm.pretrain.vectors import read_vectors, write_vectors

DONORS = np.array([f"donor{i % 12:02d}" for i in range(240)])
SMALL = {"epochs": 3, "accumulate": 2, "learning_rate": 3e-3, "warmup_steps": 2, "precision": "32-true", "workers": 0}
CELLPLM = {
    "encoder": {"layers": 1, "hidden": 16, "heads": 2, "ffn": 16, "gene_std": 0.3},
    "latent": {"kind": "mixture", "width": 8, "components": 4},
    "decoder": {"hidden": 16, "bottleneck": 8},
    "sets": {"by": ["dataset", "donor"], "cells": 6},
}
PULSAR = {
    "cells": {"run": "wced", "pooling": "cls"},
    "width": 16,
    "sampling": {"cells": 12, "replacement": False},
    "transformer": {"hidden": 16, "heads": 2, "ffn": 16, "encoder_layers": 1, "decoder_layers": 1},
    "masking": {"hidden": 8, "programs": 3},
}
STACK = {
    "transformer": {"modules": 4, "width": 4, "layers": 1, "heads": 2, "set_heads": 2, "ffn": 8},
    "sets": {"by": ["dataset", "donor"], "cells": 6},
}
LINGSHU = {
    "tokens": 20,
    "transformer": {"group": 4, "hidden": 16, "layers": 1, "heads": 2, "ffn": 16, "init_std": 0.1},
    "conditions": [{"column": "donor_id"}, {"column": "condition", "control": "control"}],
}


def settings(system, model, **training):
    sizes = {"batch_cells": 24, "validation_cells": 24}
    return parse_run({"system": system, "model": model, "training": SMALL | sizes | training}, system)


@pytest.fixture
def shards(write_toy_shards, tmp_path):
    places = {"x": np.arange(240.0) % 7, "y": np.where(np.arange(240) % 3, np.arange(240.0) % 5, np.nan)}
    places["x"] = np.where(np.isnan(places["y"]), np.nan, places["x"])
    condition = np.array(["control", "drug", "unknown", "other drug"])[np.arange(240) // 12 % 4]
    return write_toy_shards(tmp_path / "shards", donor_id=DONORS, tissue="blood", condition=condition, **places)


@pytest.fixture
def vectors(shards, tmp_path):
    rng = np.random.default_rng(0)
    own = rng.normal(size=(12, 16))[np.arange(240) % 12]
    np.save(tmp_path / "vectors.npy", (own + 0.1 * rng.normal(size=(240, 16))).astype(np.float32))
    return tmp_path / "vectors.npy"


@pytest.fixture
def fit(shards, vectors, tmp_path):
    def run(run, name, work=None, seed=0):
        path = vectors if run.system == "pulsar" else None
        out = tmp_path / name
        train(run, f"{name}/0", seed, shards, None, work or tmp_path / f"{name}-work", out, 0, vectors_path=path)
        return out

    return run


def weights(folder):
    return scfm.load(folder, "cpu").network.state_dict()


RUNS = [("cellplm", CELLPLM), ("pulsar", PULSAR), ("stack", STACK), ("lingshu", LINGSHU)]
MAIN = {"cellplm": "cell", "pulsar": "reconstruction", "stack": "masked", "lingshu": "diffusion"}
"""The loss of validation that is watched."""


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize(("system", "model"), RUNS)
def test_a_resumed_training_is_the_undisturbed_one(system, model, average, fit, tmp_path, monkeypatch):
    run = settings(system, model, average=average)
    whole = fit(run, "whole")
    update = Trainer.update

    def stopping(trainer, cells, stop):
        if trainer.step == 2:
            signal.raise_signal(signal.SIGTERM)
        return update(trainer, cells, stop)

    monkeypatch.setattr(Trainer, "update", stopping)
    with pytest.raises(Stopped):
        fit(run, "parts", work=tmp_path / "work")
    monkeypatch.setattr(Trainer, "update", update)
    parts = fit(run, "parts", work=tmp_path / "work")
    one, two = weights(whole), weights(parts)
    assert all(torch.equal(one[name], two[name]) for name in one)
    losses = [pd.read_csv(folder / "metrics.csv").filter(regex="train_|validate_") for folder in (whole, parts)]
    pd.testing.assert_frame_equal(*losses)
    assert losses[0].notna().all(axis=None)
    assert not (whole / "gene_errors.parquet").exists()


@pytest.mark.parametrize(("system", "model"), RUNS)
def test_training_lowers_the_loss_of_validation(system, model, fit):
    metrics = pd.read_csv(fit(settings(system, model, epochs=12, validate_every=4), "longer") / "metrics.csv")
    loss = metrics[f"validate_{MAIN[system]}"]
    assert loss.iloc[-1] < loss.iloc[0]


def test_conditions_are_learned_from_prompts(fit):
    prompted = STACK | {"sets": {"by": ["dataset"], "cells": 24}, "prompt": {"rows": 12, "teacher_every": 2}}
    folder = fit(settings("stack", prompted), "prompted")
    losses = pd.read_csv(folder / "metrics.csv").filter(regex="validate_")
    assert set(losses) == {f"validate_{name}" for name in ("masked", "sliced", "expression", "embedding", "query")}
    assert losses.notna().all(axis=None)
    counts = torch.ones(30, 40)
    generated = scfm.load(folder, "cpu").network.generate(counts, counts, torch.Generator().manual_seed(0))
    assert generated.counts.shape == (30, 40)
    with pytest.raises(ScfmError, match="column 'condition' nowhere says 'vehicle'"):
        fit(settings("stack", STACK | {"prompt": {"control": "vehicle"}}), "vehicle")
    with pytest.raises(ScfmError, match="no column 'drug', which the prompt needs"):
        fit(settings("stack", STACK | {"prompt": {"condition": "drug"}}), "drug")


def test_a_generator_remembers_its_conditions(fit, cells):
    model = scfm.load(fit(settings("lingshu", LINGSHU), "generator"), "cpu")
    assert model.network.conditions.names["condition"] == ["drug", "other drug", "unknown"]
    assert model.network.conditions.names["donor_id"] == sorted(set(DONORS))
    (drawn,) = model.network.generate(5, Asked(steps=2), torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 40)
    together, alone = (part.embed(cells[:n]) for part, n in ((model, 9), (model, 1)))
    np.testing.assert_allclose(together["mean"][:1], alone["mean"], atol=1e-5)
    plain = scfm.load(fit(settings("lingshu", LINGSHU | {"conditions": []}), "plain"), "cpu")
    assert next(plain.network.generate(5, Asked(steps=2), torch.Generator().manual_seed(0))).shape == (5, 40)
    with pytest.raises(ScfmError, match="no column 'drug' \\(conditions\\)"):
        fit(settings("lingshu", LINGSHU | {"conditions": [{"column": "drug"}]}), "drug")


@pytest.fixture
def cells(shards):
    """The validation cells of the toy corpus."""
    corpus = Shards.open(shards)
    rows = corpus.rows("validation")
    gene, count, lengths = next(iter(corpus.stream([rows])))
    matrix = csr_matrix((count.astype(float), gene, np.concatenate([[0], lengths.cumsum()])), (len(rows), 40))
    obs = corpus.cells.iloc[rows].set_index(pd.Index([f"c{row}" for row in rows]))
    return AnnData(matrix, obs, pd.DataFrame(index=corpus.genes["gene"]))


def test_cells_are_embedded_with_those_of_their_group(fit, cells):
    model = scfm.load(fit(settings("cellplm", CELLPLM), "plm"), "cpu")
    both = model.embed(cells)
    assert {name: table.shape for name, table in both.items()} == {"latent": (48, 8), "cell": (48, 16)}
    again = model.embed(cells, ["cell"], batch_cells=7)["cell"]
    np.testing.assert_allclose(again, both["cell"], atol=1e-6)
    one = cells[cells.obs["donor_id"] == "donor00"].copy()
    alone = model.embed(one, "cell", group_key="donor_id")["cell"]
    together = model.embed(cells, "cell", group_key="donor_id")["cell"][(cells.obs["donor_id"] == "donor00").to_numpy()]
    np.testing.assert_allclose(alone, together, atol=1e-6)  # of others nothing is seen
    whole = model.embed(cells, "cell", group_key=["dataset_id"])["cell"]
    assert np.abs(whole - both["cell"]).max() > 1e-3


def test_the_verb_embeds_sets_and_other_verbs_refuse_them(fit, cells, capsys):
    model = scfm.load(fit(settings("cellplm", CELLPLM), "plm"), "cpu")
    adata = scfm.embed(cells, model, group_key="donor_id")
    np.testing.assert_array_equal(adata.obsm["X_scfm"], model.embed(cells, "latent", group_key="donor_id")["latent"])
    assert "latent, 8 wide" in capsys.readouterr().out
    with pytest.raises(ScfmError, match="no column 'patient' \\(group_key\\)"):
        scfm.embed(cells, model, group_key="patient")
    with pytest.raises(ScfmError, match="explain needs a system of gene tokens, 'cellplm' is none"):
        scfm.explain(cells, model, "alpha")
    with pytest.raises(ScfmError, match="no label head for cell types"):
        scfm.annotate(cells, model)


def test_a_system_of_single_cells_has_no_groups(toy_model, cells):
    with pytest.raises(ScfmError, match="reads each cell by itself; leave it out"):
        scfm.embed(cells, toy_model, group_key="donor_id")


def test_donors_are_embedded_from_the_vectors_of_their_cells(fit, vectors):
    model = scfm.load(fit(settings("pulsar", PULSAR), "donors"), "cpu")
    cells = AnnData(obs=pd.DataFrame({"donor": DONORS}, index=np.arange(240).astype(str)), obsm={"v": np.load(vectors)})
    names, table = model.embed_donors(cells, "donor", "v")
    assert names["donor"].tolist() == sorted(set(DONORS))
    assert names["cells"].tolist() == [20] * 12
    assert table.shape == (12, 16)
    shuffled = cells[np.random.default_rng(0).permutation(240)].copy()
    np.testing.assert_allclose(model.embed_donors(shuffled, "donor", "v", batch_donors=5)[1], table, atol=1e-5)
    shares = model.importance(cells, "donor", "v")
    assert np.isfinite(shares).sum() == 12 * 12  # so many are drawn of each
    with pytest.raises(ScfmError, match="embeds donors, not cells"):
        model.embed(cells)
    with pytest.raises(ScfmError, match="no column 'patient' of donors"):
        model.embed_donors(cells, "patient", "v")
    with pytest.raises(ScfmError, match="there is no 'X_uce'"):
        model.embed_donors(cells, "donor", "X_uce")
    with pytest.raises(ScfmError, match=r"\(240, 3\), expected \[cells, 16\]"):
        model.embed_donors(AnnData(obs=cells.obs, obsm={"v": np.ones((240, 3))}), "donor", "v")
    cells.obs["donor"] = np.where(np.arange(240) == 3, None, DONORS)
    with pytest.raises(ScfmError, match="'donor' is missing for some cells"):
        model.embed_donors(cells, "donor", "v")


def test_vectors_of_the_corpus_are_those_of_the_model(toy_model, toy_shards, tmp_path):
    corpus, model = Shards.open(toy_shards), scfm.load(toy_model, "cpu")
    assert write_vectors(model, "cls", corpus, tmp_path / "v.npy") == (len(corpus), 16)
    table = read_vectors(tmp_path / "v.npy", corpus)
    rows = np.array([5, 3, 200])
    gene, count, lengths = next(iter(corpus.stream([rows])))
    matrix = csr_matrix((count.astype(float), gene, np.concatenate([[0], lengths.cumsum()])), (3, 40))
    alone = model.embed(AnnData(matrix, var=pd.DataFrame(index=corpus.genes["gene"])), "cls")["cls"]
    np.testing.assert_allclose(table[rows], alone, atol=1e-5)
    with pytest.raises(ScfmError, match="pooling: 'sum' is not offered"):
        write_vectors(model, "sum", corpus, tmp_path / "w.npy")
    assert not (tmp_path / "w.npy").exists()


@pytest.mark.parametrize(
    ("table", "fault"),
    [(np.ones((5, 16)), "write them again for this corpus"), (np.full((240, 16), np.nan), "holds no number")],
)
def test_vectors_of_other_cells_or_without_number_are_refused(table, fault, toy_shards, tmp_path):
    np.save(tmp_path / "v.npy", table.astype(np.float32))
    with pytest.raises(ScfmError, match=fault):
        read_vectors(tmp_path / "v.npy", Shards.open(toy_shards))


def test_bad_runs_end_with_a_sentence(shards, vectors, fit, tmp_path):
    with pytest.raises(ScfmError, match="'nobody' is no system; choose among bmfm, cellplm, lingshu, pulsar, stack"):
        parse_run({"system": "nobody", "model": {}}, "test")
    with pytest.raises(ScfmError, match="reads cell vectors; name their file with --vectors"):
        train(settings("pulsar", PULSAR), "p/0", 0, shards, None, tmp_path / "w", tmp_path / "o", 0)
    with pytest.raises(ScfmError, match=r"16 wide, model\.width is 20"):
        fit(settings("pulsar", PULSAR | {"width": 20}), "wide")
    with pytest.raises(ScfmError, match=r"no column 'clinic' \(sets.by\)"):
        fit(settings("cellplm", CELLPLM | {"sets": {"by": ["clinic"]}}), "clinic")
    with pytest.raises(ScfmError, match="fewer than one update"):
        fit(settings("cellplm", CELLPLM, batch_cells=100_000), "few")
