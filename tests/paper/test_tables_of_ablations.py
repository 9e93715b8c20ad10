"""The table of ablations against results made by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.paper.tables.ablations import COLUMNS, ablations, changes
from scfm.pretrain.settings import parse_run

WCED = {"system": "bmfm", "model": {"objective": {"kind": "wced"}}}
NORM = {"system": "bmfm", "model": {"objective": {"kind": "wced"}, "encoder": {"embedding_norm": True}}}


@pytest.fixture
def model(tmp_path):
    """Function that writes the files of a model that the table reads.

    Genes a, b, c have the errors given; c has 9 nonzero targets, the others 10, and an earlier epoch is worse.
    """

    def write(run, seed, errors, settings=WCED, speed=100.0, auc=0.5):
        folder = tmp_path / run / str(seed)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"run": run, "settings": settings}))
        pd.DataFrame({"epoch": [1, 2], "cells_per_s": speed}).to_csv(folder / "metrics.csv", index=False)
        genes = {"gene": list("abc"), "n_nonzero": [10, 10, 9], "auc": auc}
        worse, last = (pd.DataFrame(genes).assign(epoch=epoch) for epoch in (1, 2))
        for table, own in ((worse, [9.0] * 3), (last, errors)):
            table["rescaled_mae"], table["rescaled_mae_ungated"] = own, np.array(own) / 2
        pd.concat([worse, last]).to_parquet(folder / "gene_errors.parquet")
        return {(run, str(seed)): folder}

    return write


@pytest.fixture
def models(model):
    """Base with seeds 0 and 1, ablation with seed 0."""
    base = model("wced", 0, [0.2, 0.4, 5.0]) | model("wced", 1, [0.4, 0.8, 5.0])
    return base | model("norm", 0, [0.1, 0.2, 7.0], NORM, speed=50.0, auc=np.nan)


@pytest.fixture
def scores(make):
    """Macro F1 by dataset: base 0.5 and 0.7 in seed 0, 0.1 more in seed 1; ablation 0.6 and 0.9."""
    rows = [("wced", "cls", "gut", 0, 0.5), ("wced", "cls", "blood", 0, 0.7)]
    rows += [("wced", "cls", "gut", 1, 0.6), ("wced", "cls", "blood", 1, 0.8)]
    rows += [("norm", "cls", "gut", 0, 0.6), ("norm", "cls", "blood", 0, 0.9), ("norm", "cls_0", "gut", 0, 0.1)]
    return make([(run, pooling, dataset, "probe", "macro_f1", *rest) for run, pooling, dataset, *rest in rows])


def table_of(tidy, models, pairs=None):
    return ablations(pairs or {"norm": "wced"}, tidy, models, 10).set_index(["metric", "pooling"])


def test_sides_are_paired_by_seed_and_dataset(scores, models):
    table = table_of(scores, models)
    row = table.loc[("macro_f1", "cls")]
    assert (row.ablation, row.base, row.n, row.seeds) == ("norm", "wced", 2, 1)
    assert (row.base_value, row.ablation_value, row.difference) == pytest.approx((0.6, 0.75, 0.15))
    assert np.isnan(row.sd)
    assert row.base_range == pytest.approx(0.1)  # of both seeds of the base
    assert ("macro_f1", "cls_0") not in table.index  # the base has no such pooling


def test_a_dataset_that_one_side_lacks_or_that_was_seen_is_left_out(scores, models, make):
    more = make([("norm", "cls", "lung", "probe", "macro_f1", 0, 0.0)])
    seen = make([(run, "cls", "seen", "probe", "macro_f1", 0, 0.0) for run in ("norm", "wced")])
    row = table_of(pd.concat([scores, more, seen.assign(contaminated=True)]), models).loc[("macro_f1", "cls")]
    assert (row.n, row.difference) == (2, pytest.approx(0.15))


def test_genes_count_by_their_nonzero_targets_at_the_last_validation(models):
    table = table_of(None, models)
    row = table.loc[("rescaled_mae", "")]
    assert row.n == 2
    assert (row.base_value, row.ablation_value, row.difference) == pytest.approx((0.3, 0.15, -0.15))
    assert row.base_range == pytest.approx(0.3)
    assert table.loc[("rescaled_mae_ungated", ""), "ablation_value"] == pytest.approx(0.075)
    assert table.loc[("cells_per_s", ""), "difference"] == -50
    assert ("auc", "") not in table.index  # the ablation has none


def test_two_seeds_give_the_spread_of_the_difference(models, model):
    table = table_of(None, models | model("norm", 1, [0.5, 0.7, 7.0], NORM))
    row = table.loc[("rescaled_mae", "")]
    assert row.seeds == 2
    assert row.difference == pytest.approx((-0.15 + 0.0) / 2)
    assert row.sd == pytest.approx(0.15 / 2**0.5)


def test_each_pair_has_rows_of_its_own(models, model):
    more = model("other", 0, [0.2, 0.4, 5.0], NORM)
    table = ablations({"norm": "wced", "other": "norm"}, None, models | more, 10)
    assert list(table.columns) == COLUMNS
    other = table[(table.ablation == "other") & (table.metric == "rescaled_mae")].iloc[0]
    assert (other.base, other.changes) == ("norm", "")
    assert other.difference == pytest.approx(0.15)
    assert np.isnan(other.base_range)


def test_changes_name_what_differs_and_nothing_else():
    base = WCED | {"description": "one"}
    model = {"objective": {"kind": "wced"}, "input": {"zeros": {"strategy": "interleave"}}}
    model["heads"] = [{"label": "sex", "loss": "focal"}]
    other = {"system": "bmfm", "description": "two", "model": model}
    one, two = (parse_run(data, "test") for data in (base, other))
    zeros = "model.input.zeros.strategy: exclude → interleave"
    assert changes(one, one) == ""
    assert set(changes(one, two).split("; ")) == {
        zeros,
        "model.heads.0.label: – → sex",
        "model.heads.0.loss: – → focal",
    }
    hce = parse_run(WCED | {"model": WCED["model"] | {"heads": [{"label": "cell_type"}]}}, "test")  # all by default
    assert changes(one, hce) == "model.heads.0.label: – → cell_type; model.heads.0.loss: – → hce"


def test_a_run_without_model_is_named(models):
    with pytest.raises(ScfmError, match="run 'random' has no model directory"):
        table_of(None, models, {"norm": "random"})


def test_a_missing_file_is_named(models):
    (models["norm", "0"] / "gene_errors.parquet").unlink()
    with pytest.raises(ScfmError, match=r"norm/0/gene_errors\.parquet"):
        table_of(None, models)
