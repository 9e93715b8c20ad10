"""Figures show what the tables say."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scfm import plot
from scfm.errors import ScfmError
from scfm.ontology import LabelTree

NAMES = {"C1": "cell", "C2": "T", "C3": "B", "C4": "rare"}
TREE = LabelTree(NAMES, {"C1": (), "C2": ("C1",), "C3": ("C1",), "C4": ("C3",)})


@pytest.fixture
def annotated():
    """Three cells of group x are T, one is B; both of group y are B."""
    obs = pd.DataFrame({"group": list("xxxxyy"), "scfm_name": ["T", "T", "T", "B", "B", "B"]}).set_index(
        pd.Index([str(i) for i in range(6)])
    )
    adata = anndata.AnnData(obs=obs)
    t = np.array([0.9, 0.9, 0.9, 0.1, 0.1, 0.1])
    adata.obsm["scfm"] = np.column_stack([np.ones(6), t, 1 - t, np.full(6, 0.01)])
    adata.uns["scfm"] = {"nodes": ["C1", "C2", "C3", "C4"]}
    return adata


def test_genes_are_shown_by_their_effect():
    table = pd.DataFrame({"gene": ["A", "B", "C"], "effect": [2.0, 0.1, -1.0], "sd": 1.0})
    table.attrs = {"cells": 100, "target": "log-odds of T"}
    axes = plot.genes(table, top=2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["C", "A"]
    assert [bar.get_width() for bar in axes.patches] == [-1, 2]
    np.testing.assert_allclose(np.ptp(axes.collections[0].get_segments()[1][:, 0]), 2 * 0.196)
    assert "log-odds of T" in axes.get_xlabel()


def test_a_tree_shows_mean_probabilities_from_the_root_down(annotated):
    axes = plot.tree(annotated, TREE, "group").axes[0]
    assert [text.get_text() for text in axes.texts] == ["cell", "   T", "   B"]  # what is rare everywhere is left out
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[1, 1], [0.7, 0.1], [0.3, 0.9]])
    del annotated.obsm["scfm"]
    with pytest.raises(ScfmError, match="nodes=True"):
        plot.tree(annotated, TREE, "group")


def test_flows_are_as_wide_as_they_have_cells(annotated):
    axes = plot.sankey(annotated, "group").axes[0]
    ends = [flow.get_paths()[0].vertices for flow in axes.collections]
    widths = [np.ptp(points[points[:, 0] == 0][:, 1]) for points in ends]
    assert widths == pytest.approx([1, 3, 2])  # x to B, x to T, y to B
    assert {text.get_text() for text in axes.texts} == {"x", "y", "T", "B"}
