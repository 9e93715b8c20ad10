"""What a run takes from the corpus: cells, labels, marginals."""

import numpy as np
import pandas as pd
import pytest

from scfm.corpus import marginals
from scfm.errors import ScfmError
from scfm.models.bmfm.labels import label_codes, label_tree
from scfm.ontology import LabelTree, Ontology
from scfm.pretrain.data import choose_rows
from scfm.pretrain.stage import Choice


def test_a_smaller_share_of_the_corpus_is_part_of_a_larger_one():
    cells = pd.DataFrame({"split": ["train", "validation"] * 2000})
    chosen = {f: choose_rows(cells, "train", f, seed=1) for f in (0.01, 0.1, 0.5, 1.0)}
    assert set(chosen[0.01]) < set(chosen[0.1]) < set(chosen[0.5]) < set(chosen[1.0])
    np.testing.assert_array_equal(chosen[1.0], np.arange(0, 4000, 2))
    assert len(chosen[0.5]) / 2000 == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / 2000))
    assert all((np.diff(rows) > 0).all() for rows in chosen.values())
    assert not set(choose_rows(cells, "validation", 1.0, seed=1)) & set(chosen[1.0])
    assert set(choose_rows(cells, "train", 0.1, seed=2)) != set(chosen[0.1])


def test_an_empty_split_is_an_error():
    with pytest.raises(ScfmError, match="no cell in split 'validation'"):
        choose_rows(pd.DataFrame({"split": ["train"] * 3}), "validation", 1.0, 0)


def test_a_run_takes_the_cells_of_some_values_of_a_column():
    cells = pd.DataFrame({"split": ["train", "validation"] * 20, "tissue": ["blood", "blood", "lung", "gut"] * 10})
    cells["age"] = np.arange(40) // 20
    blood = choose_rows(cells, "train", 1.0, 0, Choice(column="tissue", values=("blood",)))
    np.testing.assert_array_equal(blood, np.arange(0, 40, 4))
    two = Choice(column="tissue", values=("blood", "gut"))
    np.testing.assert_array_equal(choose_rows(cells, "validation", 1.0, 0, two), np.arange(1, 40, 2))
    half = choose_rows(cells, "train", 0.5, 0)
    assert set(choose_rows(cells, "train", 0.5, 0, two)) == set(half) & set(blood)
    assert set(choose_rows(cells, "train", 1.0, 0, Choice(column="age", values=("1",)))) == set(range(20, 40, 2))
    with pytest.raises(ScfmError, match=r"no column 'organ' \(cells.column\); choose among split, tissue, age"):
        choose_rows(cells, "train", 1.0, 0, Choice(column="organ", values=("blood",)))
    with pytest.raises(ScfmError, match=r"'tissue' gut or skin .* there are blood, lung"):
        choose_rows(cells, "train", 1.0, 0, Choice(column="tissue", values=("gut", "skin")))


def test_labels_become_nodes_of_the_tree(toy_obo):
    ids = ["CL:0000003", "unknown", "CL:0000002", "CL:0000004"]
    cells = pd.DataFrame({"cell_type_ontology_term_id": ids})
    tree = label_tree(cells, Ontology.read(toy_obo))
    nodes = label_codes(cells, tree)["cell_type"]
    assert nodes.dtype == np.int64
    assert [tree.nodes[i] if i >= 0 else "unknown" for i in nodes] == ids
    assert label_codes(cells, None) == {}
    with pytest.raises(ScfmError, match="holds no label"):
        label_tree(cells.assign(cell_type_ontology_term_id="unknown"), Ontology.read(toy_obo))
    with pytest.raises(ScfmError, match="single class 'CL:0000003'"):
        label_tree(cells.assign(cell_type_ontology_term_id="CL:0000003"), Ontology.read(toy_obo))


@pytest.mark.parametrize("block", [1, 50, 4096])
def test_marginals_against_a_dense_table(shards, dense, block):
    rows = shards.rows("train")[::2]
    n, zero_fraction, mean = marginals(shards, rows, block)
    y = pd.DataFrame(np.log1p(1e4 * dense[rows] / dense[rows].sum(1, keepdims=True)))
    y = y.where(shards.measured[shards.dataset_codes[rows]])
    np.testing.assert_array_equal(n, y.notna().sum())
    np.testing.assert_allclose(zero_fraction, (y == 0).sum() / y.notna().sum(), rtol=1e-12)
    np.testing.assert_allclose(mean, y.where(y > 0).mean().fillna(0), rtol=1e-12)
    assert n[37] < n[0]
    assert (zero_fraction[39], mean[39]) == (1, 0)


def test_marginals_of_a_gene_that_no_dataset_measured(shards):
    only = shards.rows("train")[shards.dataset_codes[shards.rows("train")] == 1]
    n, zero_fraction, mean = marginals(shards, only)
    assert (n[37], zero_fraction[37], mean[37]) == (0, 1, 0)


def test_the_tree_of_labels_is_that_of_both_splits(shards, toy_obo):
    tree = label_tree(shards.cells, Ontology.read(toy_obo))
    assert isinstance(tree, LabelTree)
    assert tree.leaves == ["CL:0000003", "CL:0000004"]
