import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.paper.settings import Arm
from scfm.paper.tables.by_dataset import FROZEN, by_run, frozen, metric_by_dataset
from scfm.paper.tables.controls import controls
from scfm.paper.tables.difference import differences, paired, parse_contrast

WCED, MLM_CLS, MLM_MEAN = (Arm(run=run, pooling=p) for run, p in [("wced", "cls"), ("mlm", "cls"), ("mlm", "mean")])
PCA = Arm(run="pca", pooling="pca")


def test_cells_hold_mean_and_sd_and_mark_seen_data(tidy):
    table = metric_by_dataset(tidy, "integration", "avg_bio").set_index(["run", "pooling"])
    assert list(table.columns) == ["seeds", "mean", "blood", "gut", "seen"]
    assert table.loc[("wced", "cls"), "blood"] == "0.700 ± 0.141"
    assert table.loc[("wced", "cls"), "seen"] == "0.700 ± 0.141 †"
    assert table.loc[("pca", "pca"), "seen"] == "0.700 ± 0.000"
    assert table.loc[("wced", "cls"), "mean"] == "0.700 ± 0.141"


def test_controls_stand_last(tidy):
    shuffled = pd.concat([tidy[tidy.run == "pca"], tidy[tidy.run != "pca"]])
    assert list(metric_by_dataset(shuffled, "probe", "macro_f1").run) == [
        "wced",
        "mlm",
        "mlm",
        "pca",
        "random",
        "random",
    ]


def test_overall_mean_leaves_out_seen_data(tidy):
    tidy.loc[tidy.dataset == "seen", "value"] = 0.0
    table = metric_by_dataset(tidy, "integration", "avg_bio").set_index("run")
    assert table.loc["wced", "mean"] == "0.700 ± 0.141"
    assert table.loc["pca", "mean"].startswith("0.467")


def test_undefined_is_a_dash_and_absent_is_empty(make):
    rows = [("wced", "cls", "one_batch", "integration", "avg_batch", 0, float("nan"))]
    rows += [("pca", "pca", "gut", "integration", "avg_batch", 0, 0.5)]
    table = metric_by_dataset(make(rows), "integration", "avg_batch").set_index("run")
    assert table.loc["wced", "one_batch"] == "–"
    assert table.loc["wced", "gut"] == ""
    assert table.loc["wced", "mean"] == "–"
    assert table.loc["pca", "gut"] == "0.500"


def test_unknown_metric_names_the_known_ones(tidy):
    with pytest.raises(ScfmError, match="no measurement integration/avg_batch; the files hold integration/avg_bio"):
        metric_by_dataset(tidy, "integration", "avg_batch")


def test_every_metric_of_a_task(make):
    rows = [
        ("wced_hce", "leaf", "gut", "ontology", name, 0, value) for name, value in [("accuracy", 0.25), ("finer", 0.5)]
    ]
    tidy = make(rows)
    tidy.loc[tidy.metric == "accuracy", "n"] = 60  # cells of a known type only
    counts = {"n": 60, "cells": 100}
    assert by_run(tidy, "ontology").to_dict("records") == [
        {"run": "wced_hce", "pooling": "leaf", "dataset": "gut", **counts, "accuracy": "0.250", "finer": "0.500"}
    ]
    with pytest.raises(ScfmError, match="no measurement of task ontology"):
        by_run(make([]), "ontology")


def test_differences_are_paired_by_seed(tidy):
    table = differences(tidy, [(WCED, MLM_CLS), (WCED, MLM_MEAN)])
    row = table[table.dataset == "gut"].iloc[0]
    assert row.contrast == "wced/cls − mlm/cls"
    assert row.avg_bio_difference == pytest.approx(0.2)
    assert row.avg_bio_sd == pytest.approx(0.2 / 2**0.5)
    assert (row.avg_bio_low, row.avg_bio_high) == pytest.approx((0.1, 0.3))
    assert row.seeds == 2
    assert table[table.contrast == "wced/cls − mlm/mean"].macro_f1_difference.tolist() == pytest.approx([-0.2] * 3)
    assert table[table.dataset == "seen"].contaminated.all()


def test_a_seed_that_one_side_lacks_is_left_out(tidy):
    third = tidy[tidy.seed == 0].assign(seed=2)
    lacking = pd.concat([tidy, third])
    lacking = lacking[~((lacking.run == "mlm") & (lacking.seed == 1))]
    pairs = paired(lacking, "integration", "avg_bio", WCED, MLM_CLS)
    assert set(pairs.seed) == {0, 2}
    assert pairs.value.tolist() == pytest.approx([0.1] * 6)


@pytest.mark.parametrize("sign", [1, -1])
def test_only_the_deterministic_baseline_stands_against_every_seed(tidy, sign):
    once = tidy[~(tidy.run.isin(["mlm", "pca"]) & (tidy.seed == 1))]
    for other, expected in ((MLM_CLS, {0: 0.1 * sign}), (PCA, {0: -0.1 * sign, 1: 0.1 * sign})):
        pairs = paired(once, "integration", "avg_bio", *((WCED, other)[::sign]))
        assert pairs.groupby("seed").value.mean().to_dict() == pytest.approx(expected)
    assert differences(once, [(WCED, MLM_CLS)]).seeds.tolist() == [1, 1, 1]


def test_subsamples_are_marked(make):
    table = make([("wced", "cls", "gut", "integration", "avg_bio", 0, 0.5)]).assign(split="a subsample")
    assert metric_by_dataset(table, "integration", "avg_bio").gut.tolist() == ["0.500 ‡"]


def test_models_of_others_are_marked_and_averaged_over_what_no_run_has_seen(tidy, make):
    rows = [
        ("scgpt", "X", name, "integration", "avg_bio", 0, v)
        for name, v in (("blood", 0.2), ("gut", 0.4), ("seen", 0.9))
    ]
    others = make(rows).assign(training_unknown=True)
    table = metric_by_dataset(pd.concat([others, tidy]), "integration", "avg_bio").set_index("run").loc["scgpt"]
    assert table[["blood", "gut", "seen"]].tolist() == ["0.200 §", "0.400 §", "0.900 §"]
    assert table["mean"] == "0.300"
    assert "scgpt" not in set(controls(pd.concat([others, tidy])).run)


def test_contrasts_that_make_no_sense(tidy):
    assert parse_contrast("wced/cls-mlm/mean") == (WCED, MLM_MEAN)
    with pytest.raises(ScfmError, match="wrong form"):
        parse_contrast("wced-mlm")
    with pytest.raises(ScfmError, match="no dataset and seed in common"):
        differences(tidy, [(WCED, Arm(run="bert", pooling="cls"))])
    with pytest.raises(ScfmError, match="none given"):
        differences(tidy, [])


def test_beating_random_weights_needs_more_than_the_seed_spread(tidy):
    table = controls(tidy).set_index(["metric", "run", "pooling"])
    # WCED: mean gain 0.4 over a spread of 0.2; and where the gain shrinks to 0.1, no dataset is beaten.
    assert table.loc[("avg_bio", "wced", "cls"), "beaten"] == 3
    assert table.loc[("avg_bio", "wced", "cls"), "above_control"]
    tidy.loc[tidy.run == "random", "value"] = 0.6
    table = controls(tidy).set_index(["metric", "run", "pooling"])
    row = table.loc[("avg_bio", "wced", "cls")]
    assert (row.beaten, bool(row.above_control)) == (0, False)
    assert row.mean_difference == pytest.approx(0.1)


def test_one_seed_has_no_spread_to_beat(tidy):
    table = controls(tidy[tidy.seed == 0]).set_index(["metric", "run", "pooling"])
    row = table.loc[("avg_bio", "wced", "cls")]
    assert (row.seeds, row.control_seeds, row.mean_difference) == (1, 1, pytest.approx(0.3))
    assert row[["beaten", "above_control"]].isna().all()
    # One seed of the control leaves the run's own range of 0.2, which the gain of 0.4 exceeds.
    table = controls(tidy[(tidy.run != "random") | (tidy.seed == 0)]).set_index(["metric", "run", "pooling"])
    row = table.loc[("avg_bio", "wced", "cls")]
    assert (row.seeds, row.control_seeds, row.beaten, row.above_control) == (2, 1, 3, True)


def test_a_pooling_that_the_control_lacks_is_compared_with_its_first(make):
    rows = [
        ("wced_hce", "cls_0", "gut", "probe", "macro_f1", 0, 0.5),
        ("random", "cls", "gut", "probe", "macro_f1", 0, 0.1),
    ]
    assert controls(make(rows)).control.tolist() == ["random/cls"]
    with pytest.raises(ScfmError, match="no run 'random'"):
        controls(make(rows[:1]))


def test_tables_9_to_13_are_of_the_clustered_datasets(make):
    rows = [("wced", "cls", "gut", task, name, 0, 0.1 * place) for place, (task, name) in enumerate(FROZEN.values())]
    tidy = make([*rows, ("wced", "cls", "only_probed", "probe", "macro_f1", 0, 1)])
    for place, name in enumerate(("9", "10", "11", "12", "13")):
        (row,) = frozen(tidy, name).to_dict("records")
        value = f"{0.1 * place:.3f}"
        assert row == {"run": "wced", "pooling": "cls", "seeds": 1, "mean": value, "gut": value}
    with pytest.raises(ScfmError, match="no measurement of task clustering"):
        frozen(tidy[tidy.task == "probe"], "9")
