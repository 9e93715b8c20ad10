"""Lingshu-Cell on cells of two species: one vocabulary through orthologs, and cells drawn of either."""

from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from two_species import HUMAN, HUMAN_ALONE, MOUSE, SHARED, UNSEEN, Law, corpus, deposits, names

import scfm
from scfm.corpus import Shards
from scfm.corpus.settings import Deposited
from scfm.errors import ScfmError
from scfm.generation.draw import draw
from scfm.generation.settings import Drawing
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.system import generate
from scfm.pretrain.settings import parse_run
from scfm.pretrain.train import train
from scfm.settings import merge, read_yaml

SMALL = {
    "model": {
        "tokens": 32,
        "transformer": {"group": 4, "hidden": 32, "layers": 2, "heads": 2, "ffn": 64, "init_std": 0.1},
    },
    "training": {
        "epochs": 30,
        "batch_cells": 64,
        "learning_rate": 5e-3,
        "warmup_steps": 20,
        "decay_steps": 100,
        "precision": "32-true",
        "workers": 0,
        "validate_every": 30,
        "validation_cells": 64,
    },
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Folder of the shards of a human and two mouse datasets."""
    folder = tmp_path_factory.mktemp("species")
    hgnc, mouse = names(folder)
    return corpus(folder, deposits(folder, Law()), hgnc, {MOUSE: mouse})


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory, pytestconfig):
    """The run of several species, small, trained on them, and all (cells, measured, view) of its training."""
    folder, views, view = tmp_path_factory.mktemp("run"), [], Network.view

    def watched(network, cells, measured, generator, mode):
        views.append((cells, measured, view(network, cells, measured, generator, mode)))
        return views[-1][2]

    path = pytestconfig.rootpath / "config/runs/lingshu_species.yaml"
    run = parse_run(merge(read_yaml(path), SMALL), str(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "view", watched)
        train(run, "lingshu_species/0", 0, shards, None, folder / "work", folder / "model", 0)
    return SimpleNamespace(path=folder / "model", model=scfm.load(folder / "model", "cpu"), views=views)


def test_genes_without_one_ortholog_are_no_part_of_the_vocabulary(shards):
    found = Shards.open(shards)
    assert set(found.genes["gene"]) == {*SHARED, *HUMAN_ALONE, "TWIN"}
    table = pd.read_csv(shards.parent / "selection/gene_names.csv", keep_default_na=False)
    left = table[(table["organism"] == MOUSE) & (table["outcome"] == "none")]["feature_name"]
    assert set(left) == {*(f"Gm{i}" for i in range(6)), "Twin1", "Twin2"}
    measured = pd.DataFrame(found.measured, index=found.datasets, columns=found.genes["gene"])
    assert measured.loc["human"].all()
    assert not measured.loc["mouse", [*HUMAN_ALONE, "TWIN"]].any()
    assert measured.loc["mouse", SHARED].all()
    assert measured.loc["mouse_panel", SHARED].sum() == len(SHARED) - UNSEEN


def test_every_cell_says_its_species(shards):
    cells = Shards.open(shards).cells
    kinds = cells.groupby("dataset_id")["organism"].unique().map(list).to_dict()
    assert kinds == {"human": [HUMAN], "mouse": [MOUSE], "mouse_panel": [MOUSE]}


def test_species_can_be_balanced_and_named_in_a_filter(tmp_path):
    found, (hgnc, mouse) = deposits(tmp_path, Law(), cells=60), names(tmp_path)
    balanced = [{"kind": "cap", "field": "organism", "cells": 40}]
    cells = Shards.open(corpus(tmp_path / "capped", found, hgnc, {MOUSE: mouse}, sampling=balanced)).cells
    assert cells["organism"].value_counts().to_dict() == {HUMAN: 40, MOUSE: 40}
    alone = corpus(tmp_path / "alone", found, hgnc, {MOUSE: mouse}, value_filter=f"organism == '{HUMAN}'")
    assert set(Shards.open(alone).cells["organism"]) == {HUMAN}


def test_mouse_cells_under_human_names_keep_their_species(tmp_path):
    law, (hgnc, _) = Law(), names(tmp_path)
    found = deposits(tmp_path, law, cells=60)[:1]
    path, row = found[0]
    mouse = Deposited.model_validate(row.model_dump() | {"organism": "Mus musculus", "human_names": True})
    read = Shards.open(corpus(tmp_path / "out", [(path, mouse)], hgnc, {}))
    assert set(read.cells["organism"]) == {MOUSE}
    assert set(SHARED) <= set(read.genes["gene"])


def test_a_species_without_orthologs_is_refused(tmp_path):
    hgnc, _ = names(tmp_path)
    with pytest.raises(ScfmError, match="--orthologs: none of mus_musculus, whose genes are in the store"):
        corpus(tmp_path, deposits(tmp_path, Law(), cells=40), hgnc, {})


@pytest.mark.long
def test_what_a_species_did_not_measure_is_hidden_and_never_a_target(trained):
    seen = set()
    for cells, measured, view in trained.views:
        there = measured[cells.dataset]
        assert bool(there[view.cell, view.gene].all()), "a target that was not measured"
        assert bool((view.shown[~there] == trained.model.network.settings.tokens).all())
        seen |= {tuple(row) for row in there.sum(1).unique()[:, None].tolist()}
    whole = len(SHARED) + len(HUMAN_ALONE) + 1
    assert seen == {(whole,), (len(SHARED),), (len(SHARED) - UNSEEN,)}


def distance(one, other):
    """Energy distance of two samples of points [cells, genes], without the constant part of pairs with themselves."""

    def mean(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=2).mean()

    return 2 * mean(one, other) - mean(one, one) - mean(other, other)


@pytest.mark.long
def test_cells_drawn_of_a_species_are_like_real_ones_of_it(trained):
    cells = draw(trained.model, Drawing(cells=20, condition_cells=200, steps=8))
    assert set(cells.obs["condition"]) == {"", f"organism={HUMAN}", f"organism={MOUSE}"}
    drawn = {kind: cells[cells.obs["condition"] == f"organism={kind}", SHARED].X.toarray() for kind in (HUMAN, MOUSE)}
    real = {kind: Law().draw(kind, 400, 100 + number) for number, kind in enumerate((HUMAN, MOUSE))}
    drawn, real = ({kind: np.log1p(table) for kind, table in both.items()} for both in (drawn, real))
    for kind, other in ((HUMAN, MOUSE), (MOUSE, HUMAN)):
        right, wrong = distance(drawn[kind], real[kind]), distance(drawn[other], real[kind])
        between = distance(real[other], real[kind])
        assert right < 0.1 * between, (kind, right, wrong, between)
        assert right < 0.1 * wrong, (kind, right, wrong, between)
    moved = real[MOUSE].mean(0) - real[HUMAN].mean(0)
    assert np.corrcoef(drawn[MOUSE].mean(0) - drawn[HUMAN].mean(0), moved)[0, 1] > 0.95


@pytest.mark.long
def test_a_species_that_training_did_not_see_is_refused(trained):
    with pytest.raises(ScfmError, match=f"organism 'danio_rerio': training saw no .* among {HUMAN}, {MOUSE}"):
        generate(trained.model.network, 5, {"organism": "danio_rerio"}, 1, torch.Generator())


@pytest.mark.long
def test_cells_of_any_species_are_embedded(trained):
    table = Law().draw(MOUSE, 10, 7).astype(np.float32)
    vectors = trained.model.embed(anndata.AnnData(table, var=pd.DataFrame(index=SHARED)))["mean"]
    assert vectors.shape == (10, 32)
    assert np.isfinite(vectors).all()
