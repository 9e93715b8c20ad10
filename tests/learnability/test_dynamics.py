"""Medians by epoch."""

import pandas as pd

from scfm.learnability.dynamics import dynamics
from scfm.learnability.settings import Learnability


def test_medians_of_each_epoch_and_group(simulated, annotated):
    epochs = [simulated(n=200, seed=epoch).assign(epoch=epoch) for epoch in (0, 1)]
    errors = pd.concat(epochs, ignore_index=True)
    annotation = annotated(epochs[0].gene)
    table = dynamics(errors, annotation, Learnability()).set_index(["epoch", "axis", "group"])
    assert len(table) == 2 * (1 + 4 + 3)
    kinase = epochs[1].merge(annotation).query("family == 'Kinase' and n_nonzero >= 100")
    assert table.loc[(1, "family", "Kinase"), "median_rescaled_mae"] == kinase.rescaled_mae.median()
    assert table.loc[(1, "family", "Kinase"), "n"] == len(kinase)
    enough = kinase[kinase.n - kinase.n_nonzero >= 300]
    table = dynamics(errors, annotation, Learnability(min_zeros=300)).set_index(["epoch", "axis", "group"])
    assert 0 < len(enough) < len(kinase)
    assert table.loc[(1, "family", "Kinase"), "median_auc"] == enough.auc.median()
    assert table.loc[(1, "family", "Kinase"), "n"] == len(kinase)
    assert table.loc[(0, "all", "all"), "n"] == (epochs[0].n_nonzero >= 100).sum()


def test_no_reliable_gene_gives_no_row(simulated, annotated):
    errors = simulated(n=20)
    assert dynamics(errors, annotated(errors.gene), Learnability(min_nonzero=10**6)).empty
