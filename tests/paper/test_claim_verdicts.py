import json

import numpy as np
import pandas as pd
import pytest
import yaml

from scfm.errors import ScfmError
from scfm.paper.bootstrap import dataset_seed_interval
from scfm.paper.claims import FAILS, HOLDS, UNTESTED, judge_claims, read_claims, verdict_on
from scfm.paper.evidence import Evidence, Results
from scfm.paper.settings import Claim, Judge, Paper
from scfm.paper.table_commands import inconsistencies

ABOVE = {"rule": "above"}


def claim(quantity, judge=None, scale="demo"):
    return Claim(id="c", section="s", text="t", published="p", scale=scale, quantity=quantity, judge=judge)


def difference(ours, baseline, metric="avg_bio"):
    sides = {
        name: dict(zip(("run", "pooling"), arm.split("/"), strict=True))
        for name, arm in [("ours", ours), ("baseline", baseline)]
    }
    return {"kind": "difference", "task": "integration", "metric": metric, **sides}


def verdict(one, results, scale="demo", **settings):
    return judge_claims([one], results, scale, Paper(bootstrap=500, **settings)).iloc[0]


def test_bootstrap_is_exact_where_nothing_varies_and_covers_the_range():
    same = pd.DataFrame({"dataset": ["a", "b"], "seed": [0, 0], "value": [0.2, 0.2]})
    assert dataset_seed_interval(same, 200, 0.95, seed=0) == pytest.approx((0.2, 0.2, 0.2))
    uneven = pd.DataFrame({"dataset": ["a", "a", "a", "b"], "value": [0.0, 0.0, 0.0, 1.0]})
    mean, low, high = dataset_seed_interval(uneven, 4000, 0.95, seed=0)
    assert mean == 0.5  # the mean over datasets, not over rows
    assert (low, high) == (0.0, 1.0)  # both datasets drawn alike happens in a quarter of the resamples each


def test_bootstrap_spread_agrees_with_the_closed_form():
    values = np.random.default_rng(1).normal(size=40)
    table = pd.DataFrame({"dataset": np.arange(40), "value": values})
    _, low, high = dataset_seed_interval(table, 20_000, 0.95, seed=0)
    se = values.std() / np.sqrt(40)
    assert (low, high) == pytest.approx((values.mean() - 1.96 * se, values.mean() + 1.96 * se), abs=0.15 * se)


def test_bootstrap_is_the_same_for_the_same_seed():
    table = pd.DataFrame({"dataset": list("aabb"), "value": [0.1, 0.3, 0.2, 0.5]})
    assert dataset_seed_interval(table, 300, 0.9, seed=3) == dataset_seed_interval(table, 300, 0.9, seed=3)


@pytest.mark.parametrize(
    ("rule", "low", "high", "expected", "reason"),
    [
        ({"rule": "above"}, 0.1, 0.2, HOLDS, "whole interval is above 0"),
        ({"rule": "above"}, 0.0, 0.2, FAILS, "undecided"),
        ({"rule": "above"}, -0.2, -0.1, FAILS, "whole interval is not above 0"),
        ({"rule": "at_least", "value": 0.82}, 0.82, 0.9, HOLDS, "at least 0.82"),
        ({"rule": "at_least", "value": 0.82}, 0.81, 0.9, FAILS, "undecided"),
        ({"rule": "below", "value": 1}, 0.2, 0.9, HOLDS, "below 1"),
        ({"rule": "below", "value": 1}, 1.0, 1.2, FAILS, "is not below 1"),
        ({"rule": "near", "value": 0.86, "margin": 0.03}, 0.84, 0.88, HOLDS, "within 0.83 to 0.89"),
        ({"rule": "near", "value": 0.86, "margin": 0.03}, 0.82, 0.88, FAILS, "undecided"),
        ({"rule": "near", "value": 0.86, "margin": 0.03}, 0.7, 0.8, FAILS, "is not within"),
    ],
)
def test_the_whole_interval_must_pass(rule, low, high, expected, reason):
    found, why = verdict_on(Evidence((low + high) / 2, low, high, 4, ""), Judge(**rule))
    assert found == expected
    assert reason in why


def test_a_p_value_that_is_too_large_fails_the_claim():
    assert verdict_on(Evidence(2, 2, 2, 1, "", p=0.2), Judge(rule="above", value=1))[0] == FAILS
    assert verdict_on(Evidence(2, 2, 2, 1, "", p=0.01), Judge(rule="above", value=1))[0] == HOLDS


def test_wced_against_mlm_both_ways(tidy):
    row = verdict(claim(difference("wced/cls", "mlm/cls"), ABOVE), Results(tidy))
    assert (row.verdict, row.n) == (HOLDS, 4)
    assert row.ours == pytest.approx(0.2)
    assert (row.low, row.high) == pytest.approx((0.1, 0.3))
    assert "2 datasets, 2 common seeds; without seen (contaminated)" in row.reason
    row = verdict(claim(difference("wced/cls", "mlm/mean"), ABOVE), Results(tidy))
    assert row.verdict == FAILS
    assert row.ours == pytest.approx(-0.2)


def test_seen_datasets_count_only_if_asked_for(tidy):
    tidy.loc[(tidy.dataset == "seen") & (tidy.run == "wced"), "value"] = 0.0
    one = claim(difference("wced/cls", "mlm/cls"), ABOVE)
    assert verdict(one, Results(tidy)).ours == pytest.approx(0.2)
    assert verdict(one, Results(tidy), include_contaminated=True).ours == pytest.approx((0.2 + 0.2 - 0.5) / 3)


@pytest.mark.parametrize(
    ("quantity", "change", "reason"),
    [
        (difference("wced/cls", "bert/cls"), None, "no avg_bio of wced/cls and bert/cls"),
        (difference("wced/cls", "mlm/cls"), "gut", "1 dataset with avg_bio; an interval over datasets needs 2"),
        ({"kind": "learnability", "table": "summary", "run": "wced", "column": "r2"}, None, "no learnability tables"),
        ({"kind": "agreement", "first": "mlm", "second": "wced", "column": "fold"}, None, "no agreement of two runs"),
        ({"kind": "check", "name": "type_minus_noise"}, None, "only a study on the synthetic census"),
    ],
)
def test_what_is_missing_is_not_tested_here(tidy, quantity, change, reason):
    results = Results(tidy[tidy.dataset == change] if change else tidy)
    row = verdict(claim(quantity, ABOVE), results)
    assert row.verdict == UNTESTED
    assert reason in row.reason
    assert pd.isna(row.ours)


def test_a_claim_beyond_the_scale_is_not_judged_but_measured(tidy):
    row = verdict(claim(difference("wced/cls", "mlm/cls"), ABOVE, scale="paper"), Results(tidy), scale="mini")
    assert row.verdict == UNTESTED
    assert "needs a study of scale paper, this one has scale mini" in row.reason
    assert row.ours == pytest.approx(0.2)
    assert verdict(claim({"kind": "untested", "missing": "needs mice"}), Results(tidy)).reason == "needs mice"


@pytest.fixture
def learnt(tmp_path):
    """Two seeds of WCED and MLM; medians 0.5, 0.7 and 0.4, 0.5; weakest family 0.80 and 0.84."""
    folders = {}
    for run, medians in {"wced": (0.5, 0.7), "mlm": (0.4, 0.5)}.items():
        for seed, (median, weakest) in enumerate(zip(medians, (0.80, 0.84), strict=True)):
            folder = tmp_path / run / str(seed)
            folder.mkdir(parents=True)
            (folder / "summary.json").write_text(json.dumps({"median": median, "sparsity": {"r2": None}}))
            rows = {"family": ["A", "B", "C"], "median_auc": [weakest, 0.9, float("nan")]}
            pd.DataFrame(rows).to_csv(folder / "families.csv", index=False)
            folders[run, str(seed)] = folder
    return folders


def test_learnability_is_summarised_over_seeds(tidy, learnt):
    quantity = {"kind": "learnability", "table": "families", "run": "wced", "column": "median_auc", "over_rows": "min"}
    row = verdict(claim(quantity, {"rule": "at_least", "value": 0.82}), Results(tidy, learnt))
    assert (row.ours, row.low, row.high, row.n) == (pytest.approx(0.82), 0.80, 0.84, 2)
    assert row.verdict == FAILS
    one = claim(quantity | {"where": {"family": "B"}}, {"rule": "at_least", "value": 0.82})
    assert verdict(one, Results(tidy, learnt)).ours == 0.9
    none = claim(quantity | {"where": {"family": "D"}}, {"rule": "at_least", "value": 0.82})
    assert "not defined in any seed" in verdict(none, Results(tidy, learnt)).reason


@pytest.mark.parametrize(
    ("ratios", "q", "expected", "reason"),
    [
        ([0.0, 0.0], [0.78, 0.01], FAILS, "p = 0.78 is not below 0.05"),
        ([0.2, 0.0], [0.02, 0.01], HOLDS, "p ≤ 0.02"),
        ([0.2, 1.5], [0.02, 0.01], FAILS, "not wholly below 1"),
        ([0.2, None], [0.02, None], HOLDS, "p ≤ 0.02"),  # a seed without winners says nothing
        ([0.2, 0.0], [0.02, None], FAILS, "p = nan"),
    ],
)
def test_an_odds_ratio_needs_its_p_value_in_every_seed(tidy, learnt, ratios, q, expected, reason):
    for seed, folder in enumerate(path for (run, _), path in learnt.items() if run == "wced"):
        rows = {"program": ["state", "identity"], "odds": [ratios[seed], 9], "q": [q[seed], 0.9]}
        pd.DataFrame(rows).to_csv(folder / "programs.csv", index=False)
    quantity = {"kind": "learnability", "table": "programs", "run": "wced", "column": "odds", "p_column": "q"}
    quantity |= {"where": {"program": "state"}, "over_rows": "median"}
    row = verdict(claim(quantity, {"rule": "below", "value": 1}), Results(tidy, learnt))
    assert row.verdict == expected
    assert reason in row.reason


def test_undefined_and_unknown_keys_of_a_summary(tidy, learnt):
    quantity = {"kind": "learnability", "table": "summary", "run": "wced", "column": "sparsity.r2"}
    assert "not defined in any seed" in verdict(claim(quantity, ABOVE), Results(tidy, learnt)).reason
    with pytest.raises(ScfmError, match=r"key 'sparsity\.rho' is missing"):
        verdict(claim(quantity | {"column": "sparsity.rho"}, ABOVE), Results(tidy, learnt))


def test_agreement_needs_the_fold_and_the_p_value(tidy, tmp_path):
    path = tmp_path / "agreement.csv"
    rows = pd.DataFrame({"first": "mlm", "second": "wced", "seed": [0, 1, 0], "universe": ["both", "both", "first"]})
    rows.assign(fold=[3.0, 5.0, 0.1], p=[1e-4, 1e-3, 0.9]).to_csv(path, index=False)
    quantity = {"kind": "agreement", "first": "mlm", "second": "wced", "column": "fold", "p_column": "p"}
    quantity |= {"where": {"universe": "both"}}
    row = verdict(claim(quantity, {"rule": "above", "value": 1}), Results(tidy, agreement=path))
    assert (row.ours, row.low, row.high, row.verdict) == (4, 3, 5, HOLDS)
    assert "p ≤ 0.001" in row.reason
    other = claim(quantity | {"second": "bert"}, {"rule": "above", "value": 1})
    assert verdict(other, Results(tidy, agreement=path)).verdict == UNTESTED


def test_planted_truth(tidy, tmp_path):
    path = tmp_path / "check.csv"
    names = {"run": "wced_hce", "seed": ["0", "", ""], "quantity": ["type", "type_minus_noise", "latent_minus_noise"]}
    rows = pd.DataFrame(names | {"value": [0.4, 0.2, None], "low": [None, 0.1, None], "high": [None, 0.3, None]})
    rows.to_csv(path, index=False)
    results = Results(tidy, check=path)
    row = verdict(claim({"kind": "check", "name": "type_minus_noise"}, ABOVE), results)
    assert (row.ours, row.low, row.high, row.verdict) == (0.2, 0.1, 0.3, HOLDS)
    assert "run wced_hce" in row.reason
    assert "is not defined" in verdict(claim({"kind": "check", "name": "latent_minus_noise"}, ABOVE), results).reason
    assert "has no row type over" in verdict(claim({"kind": "check", "name": "type"}, ABOVE), results).reason
    pd.concat([rows, rows.assign(run="mlm")]).to_csv(path, index=False)
    with pytest.raises(ScfmError, match="checks the runs wced_hce, mlm"):
        verdict(claim({"kind": "check", "name": "type_minus_noise"}, ABOVE), results)


def test_a_claim_names_the_table_that_shows_its_figure(tidy, learnt):
    row = verdict(claim(difference("wced/cls", "mlm/mean"), ABOVE), Results(tidy))
    assert row.table == "table6"
    quantity = {"kind": "learnability", "table": "summary", "run": "wced", "column": "sparsity.r2"}
    assert verdict(claim(quantity, ABOVE), Results(tidy, learnt)).table == "learnability"
    assert verdict(claim({"kind": "untested", "missing": "x"}), Results(tidy)).table == ""


def test_counts_of_the_split(tidy, tmp_path):
    path = tmp_path / "split.csv"
    rows = {"unit": ["a", "b", "c"], "split": ["train", "train", "validation"], "cells": [10, 5, 7]}
    pd.DataFrame(rows).to_csv(path, index=False)
    results = Results(tidy, split=path)
    near = {"rule": "near", "value": 2, "margin": 1}
    units = verdict(claim({"kind": "corpus", "column": "unit", "split": "train"}, near), results)
    assert (units.ours, units.low, units.high, units.verdict) == (2, 2, 2, HOLDS)
    cells = verdict(claim({"kind": "corpus", "column": "cells", "split": "train"}, near), results)
    assert (cells.ours, cells.verdict) == (15, FAILS)
    assert verdict(claim({"kind": "corpus", "column": "cells", "split": "validation"}, near), results).ours == 7
    none = verdict(claim({"kind": "corpus", "column": "unit", "split": "train"}, near), Results(tidy))
    assert (none.verdict, none.reason) == (UNTESTED, "no table of the corpus's split")


def test_inconsistencies_of_the_paper_are_listed_in_full(tmp_path):
    point = {"topic": "width", "one": "1,536", "other": "1,024", "reading": "1,024", "setting": "encoder.ffn"}
    path, out = tmp_path / "points.yaml", tmp_path / "points.csv"
    path.write_text(yaml.safe_dump({"inconsistencies": [point]}))
    inconsistencies(path, out)
    assert pd.read_csv(out).to_dict("records") == [point]
    path.write_text(yaml.safe_dump({"inconsistencies": [{**point, "readin": "?"}]}))
    with pytest.raises(ScfmError, match="readin"):
        inconsistencies(path, out)
    path.write_text(yaml.safe_dump({"inconsistencies": []}))
    with pytest.raises(ScfmError, match="inconsistencies"):
        inconsistencies(path, out)


def test_the_claims_of_the_repository_are_valid_and_judged_on_both_poolings(pytestconfig):
    claims = read_claims(pytestconfig.rootpath / "config/claims.yaml")
    quantities = [one.quantity for one in claims if one.quantity.kind == "difference"]
    against = {(q.ours.run, q.metric, q.baseline.pooling) for q in quantities if q.baseline.run == "mlm"}
    assert {(run, metric, "mean") for run, metric, pooling in against} <= against
    assert {(run, metric, "cls") for run, metric, pooling in against} <= against
    assert all(one.judge for one in claims if one.quantity.kind != "untested")
    grouped = [one for one in claims if getattr(one.quantity, "table", None) in ("families", "programs")]
    assert grouped
    assert all(one.scale != "demo" for one in grouped)  # demo's annotation is made up
    assert all(one.quantity.p_column for one in grouped if one.quantity.column.startswith("odds_ratio"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"publishd": "1"}, "unknown key 'claims.0.publishd'; did you mean 'published'"),
        ({"judge": None}, "judge must be given"),
        ({"judge": {"rule": "near", "value": 1}}, "a margin above 0 belongs to the rule near"),
        ({"quantity": {"kind": "guess"}}, "claims.0.quantity"),
        ({"scale": "huge"}, "claims.0.scale"),
    ],
)
def test_bad_claims_are_named(tmp_path, change, message):
    good = {"id": "a", "section": "s", "text": "t", "quantity": difference("a/cls", "b/cls"), "judge": ABOVE}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [good | change]}))
    with pytest.raises(ScfmError, match=message):
        read_claims(path)
    path.write_text(yaml.safe_dump({"claims": [good, good]}))
    with pytest.raises(ScfmError, match="claim id a occurs twice"):
        read_claims(path)
