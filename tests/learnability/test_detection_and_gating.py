"""Detection against quantification, and gated against ungated, on genes whose answers are known."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from scfm.learnability.detection import detection
from scfm.learnability.gating import gating
from scfm.learnability.outcomes import score
from scfm.learnability.settings import Learnability

AXES = ("family", "program")


def genes(simulated, annotated, **options):
    errors = simulated(n=600, **options)
    return errors.merge(annotated(errors.gene), on="gene")


def test_a_model_that_detects_what_it_quantifies(simulated, annotated):
    errors = genes(simulated, annotated).assign(auc=lambda table: 1 - table.rescaled_mae / 2)
    table = detection(score(errors, Learnability()), Learnability(), AXES).set_index(["axis", "group"])
    assert np.allclose(table.spearman, -1)
    assert np.allclose(table.spearman_ungated, -1)
    assert len(table) == 1 + 4 + 3


def test_medians_and_correlations_are_of_genes_with_enough_zeros(simulated, annotated):
    settings = Learnability(min_zeros=300)
    scored = score(genes(simulated, annotated), settings)
    table = detection(scored, settings, AXES).set_index(["axis", "group"])
    own = scored[scored.reliable & (scored.n - scored.n_nonzero >= 300) & (scored.family == "Synapse")]
    row = table.loc[("family", "Synapse")]
    assert row.genes == len(own) < scored[scored.family == "Synapse"].reliable.sum()
    assert row.median_auc == own.auc.median()
    assert row.median_rescaled_mae == own.rescaled_mae.median()
    assert np.isclose(row.spearman, spearmanr(own.auc, own.rescaled_mae).statistic)


def test_without_a_gene_detection_is_one_empty_row(simulated, annotated):
    settings = Learnability(min_nonzero=10**6)
    table = detection(score(genes(simulated, annotated), settings), settings, AXES)
    assert table.genes.tolist() == [0]
    assert table.filter(like="median").isna().all(axis=None)


def test_gating_counts_both_rules(simulated, annotated):
    errors = genes(simulated, annotated, winners=0.05)
    rng = np.random.default_rng(0)
    errors["rescaled_mae_ungated"] = errors.rescaled_mae * np.where(rng.random(len(errors)) < 0.3, 1.2, 0.8)
    table = gating(errors, Learnability(), AXES).set_index(["axis", "group"])
    by_gate = {gate: score(errors, Learnability(gated=gate)) for gate in (True, False)}
    for (axis, group), row in table.iterrows():
        inside = by_gate[True].reliable & ((errors[axis] == group) if axis != "all" else True)
        own = errors[inside]
        assert row.genes == len(own)
        assert row.share_gated_larger == (own.rescaled_mae > own.rescaled_mae_ungated).mean()
        assert row.median_ungated == own.rescaled_mae_ungated.median()
        for outcome in ("winner", "loser"):
            called = [(by_gate[gate].outcome[inside] == outcome).to_numpy() for gate in (True, False)]
            assert row[f"{outcome}s_gated"] == called[0].sum()
            assert row[f"{outcome}s_ungated"] == called[1].sum()
            assert row[f"{outcome}s_both"] == (called[0] & called[1]).sum()
    assert 0.6 < table.loc[("all", "all"), "share_gated_larger"] < 0.8


def test_gates_that_change_nothing(simulated, annotated):
    errors = genes(simulated, annotated).assign(rescaled_mae_ungated=lambda table: table.rescaled_mae)
    table = gating(errors, Learnability(), ())
    assert isinstance(table, pd.DataFrame)
    row = table.iloc[0]
    assert row.share_gated_larger == 0
    assert row.winners_gated == row.winners_ungated == row.winners_both
