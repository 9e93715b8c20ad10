"""The answer at the top of the report."""

import pandas as pd
import pytest
import yaml

from scfm.paper.claims import COLUMNS, FAILS, HOLDS, UNTESTED
from scfm.paper.verdict import claim_ids, verdict

FIGURES = {"better": (HOLDS, 0.2, 0.1, 0.3), "worse": (FAILS, -0.2, -0.3, -0.1), "undecided": (FAILS, 0.1, -0.1, 0.3)}


def claims(**states):
    """Claims with a state each, the others of the block better."""
    rows = []
    for claim in claim_ids():
        state = states.get(claim.removeprefix("wced_over_"), "better")
        known, ours, low, high = FIGURES.get(state, (UNTESTED, None, None, None))
        rows.append(
            (claim, "s", "t", "", ours, low, high, 6 if ours else None, known, "one dataset; 3 datasets", "table6")
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n": "Int64"})


MLM = ("mlm_cls_macro_f1", "mlm_mean_macro_f1", "mlm_cls_avg_bio", "mlm_mean_avg_bio")


@pytest.mark.parametrize(
    ("states", "answer"),
    [
        ({}, "Yes"),
        ({"pca_avg_bio": "worse", "random_macro_f1": "worse"}, "Yes"),
        ({"mlm_mean_avg_bio": "undecided"}, "In part"),
        (dict.fromkeys(MLM[1:], "worse"), "In part"),
        (dict.fromkeys(MLM[1:], "undecided") | {MLM[0]: "worse"}, "No"),
        (dict.fromkeys(MLM, "undecided"), "Undecided"),
        (dict.fromkeys(MLM, "not tested"), "Not tested here"),
    ],
)
def test_answer(states, answer):
    assert verdict(claims(**states)).answer == answer


def test_summary_counts_and_names_the_controls():
    found = verdict(claims(mlm_cls_avg_bio="worse", pca_avg_bio="undecided", pca_macro_f1="not tested"))
    assert found.summary == (
        "WCED is better in 3 of 4 comparisons with MLM (1 worse). Against the same network with random weights: "
        "better in Macro F1, better in AvgBio. Against principal components: undecided in AvgBio."
    )


def test_where_nothing_was_tested_the_rows_say_why():
    found = verdict(claims(**dict.fromkeys((name.removeprefix("wced_over_") for name in claim_ids()), "not tested")))
    assert found.summary == "No comparison of WCED with MLM could be judged in this study."
    assert {item.reason for item in found.comparisons} == {"one dataset; 3 datasets"}
    assert found.reach == 0


def test_rows_hold_effect_interval_and_number():
    found = verdict(claims(mlm_cls_avg_bio="worse"))
    row = found.groups["AvgBio of batch integration"][0]
    assert (row.text, row.n, row.state, row.reason) == ("−0.200 (−0.300 to −0.100)", 6, "worse", "3 datasets")
    assert found.reach == 0.3
    assert [len(group) for group in found.groups.values()] == [4, 4]


def test_claims_that_are_not_there_are_named():
    found = verdict(claims().iloc[:1])
    assert found.answer == "In part"
    assert found.comparisons[1].reason == "claims.csv has no claim wced_over_mlm_mean_macro_f1."
    assert found.comparisons[1].claim == ""


def test_the_claims_of_the_repository_hold_all_that_the_answer_needs(pytestconfig):
    listed = yaml.safe_load((pytestconfig.rootpath / "config/claims.yaml").read_text())["claims"]
    judges = {claim["id"]: claim.get("judge") for claim in listed}
    assert all(judges[name] == {"rule": "above"} for name in claim_ids())
