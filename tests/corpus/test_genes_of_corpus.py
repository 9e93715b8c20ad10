"""Features that share an approved symbol."""

import numpy as np
import pandas as pd
import pytest

from scfm.corpus.genes import choose_genes
from scfm.corpus.names import name_features
from scfm.corpus.parts import Scanned
from scfm.corpus.report import Report
from scfm.corpus.settings import SelectSettings
from scfm.genes import HUMAN


def scanned(names, counts, measured):
    datasets = [f"d{i}" for i in range(len(measured))]
    joinid = np.arange(len(names))
    features = pd.DataFrame({"soma_joinid": joinid, "feature_id": names, "feature_name": names, "organism": HUMAN})
    genes = pd.DataFrame(
        {"dataset_id": "d0", "feature": joinid, "cells": 5, "counts": counts, "log_sum": 9, "log_squares": 9}
    )
    table = pd.DataFrame(np.array(measured, dtype=bool), index=pd.Index(datasets, name="dataset_id"))
    return Scanned(pd.DataFrame(), genes, features, table, 1, {})


@pytest.fixture
def hgnc():
    rows = {
        "gene": ["SEPTIN9", "CD4", "MS4A1"],
        "ensembl": ["ENSG1", "ENSG2", "ENSG3"],
        "aliases": [["XX"], [], ["CD20"]],
    }
    return pd.DataFrame({**rows, "previous": [["SEPT9", "MSF"], [], []]})


def choose(store, hgnc, cells=("d0",), **genes):
    table = pd.DataFrame({"dataset_id": list(cells)})
    slices = {"sampling": [], "split": {}, "layout": {}, "shard_cells": 1000, "exclude_datasets": []}
    settings = SelectSettings.model_validate({"qc": {"min_cells": 0}, "genes": genes, **slices})
    names = name_features(store.features, hgnc, frozenset(), {})
    return choose_genes(store, table, names, hgnc, settings, Report())


def test_the_approved_symbol_wins_over_more_counts(hgnc):
    store = scanned(["SEPT9", "SEPTIN9", "CD4"], [100, 1, 7], [[1, 1, 1]])
    genes, features, *_ = choose(store, hgnc)
    assert genes["gene"].tolist() == ["CD4", "SEPTIN9"]
    assert genes["ensembl"].tolist() == ["ENSG2", "ENSG1"]
    assert features["soma_joinid"].tolist() == [1, 2]
    assert genes.set_index("gene")["n_counts"].to_dict() == {"CD4": 7, "SEPTIN9": 1}


def test_without_the_approved_symbol_most_counts_win(hgnc):
    genes, features, *_ = choose(scanned(["MSF", "SEPT9", "XX"], [3, 100, 5], [[1, 1, 1]]), hgnc)
    assert genes["gene"].tolist() == ["SEPTIN9"]
    assert features["soma_joinid"].tolist() == [1]


def test_names_used_by_different_datasets_are_one_gene(hgnc):
    store = scanned(["SEPT9", "SEPTIN9", "CD20"], [100, 1, 7], [[1, 0, 1], [0, 1, 0]])
    genes, features, measured, _ = choose(store, hgnc, cells=("d0", "d1", "d1"))
    assert genes["gene"].tolist() == ["MS4A1", "SEPTIN9"]
    assert features["gene"].tolist() == [1, 1, 0]
    assert measured.to_numpy().tolist() == [[True, True], [False, True]]
    assert genes["n_measured"].tolist() == [1, 3]


def test_ensembl_ids_serve_where_names_do_not(hgnc):
    store = scanned(["ENSG2", "nonsense"], [1, 1], [[1, 1]])
    genes, *_ = choose(store, hgnc)
    assert genes["gene"].tolist() == ["CD4"]
