"""The block of ablations: what its target trains and scores, what `all` makes of it, and what an edit reruns."""

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ablations")]

STUDY = "config/studies/tiny.yaml"
BLOCK = """
ablations:
  mlm_ladder: { base: mlm, override: { model: { input: { value_encoder: { octaves: 47 } } } } }
"""
SECOND = "  flat: { base: wced_hce, run: wced_flat }\n"
TARGET = ("ablations", "--config", "study=tiny")
TABLE = "table_of_ablations"


def scores(name):
    """Jobs that embed and score a model."""
    return {f"{rule} {name}/0" for rule in ("embed", "integration", "probe")}


def made(name):
    """All jobs of an ablation."""
    return {f"contamination _of_{name}", f"train {name}/0", *scores(name)}


@pytest.fixture(scope="module")
def ablated(finished, tmp_path_factory):
    """The finished study with a block, which ran too; its jobs, and the copy before any of them ran."""
    before = finished.copy(tmp_path_factory.mktemp("before") / "clone")
    with (before.folder / STUDY).open("a") as file:
        file.write(BLOCK)
    copy = before.copy(tmp_path_factory.mktemp("ablated") / "clone")
    names = copy.names(*TARGET)
    done = copy.run(*TARGET, "--cores", "2")
    assert done.returncode == 0, done.stdout
    return copy, names, before


def test_the_target_trains_the_block_alone(ablated):
    assert ablated[1] == {*made("mlm_ladder"), TABLE}


def test_without_results_the_target_trains_the_bases_too(fresh):
    with (fresh.folder / STUDY).open("a") as file:
        file.write(BLOCK)
    names = fresh.names(*TARGET)
    assert {*made("mlm_ladder"), *scores("mlm"), "train mlm/0", "contamination", TABLE} <= names
    assert not {name for name in names if "wced" in name or name.startswith(("learn", "figure", "claims", "report"))}


def test_all_leaves_the_block_alone(ablated, tiny):
    assert ablated[2].names(*tiny) == {"report"}  # which shows the settings of the study


def test_once_made_the_table_is_in_the_report(ablated, tiny):
    copy, _, _ = ablated
    jobs = {job.rule: set(job.input) for job in copy.jobs(*tiny)}
    assert jobs.keys() == {"claims", "report"}
    assert "results/tiny/benchmarks/probe/mlm_ladder/0.csv" in jobs["claims"]
    assert {"results/tiny/tables/ablations.csv", "workflow/report/ablations.rst"} <= jobs["report"]
    done = copy.run(*tiny, "--cores", "2")
    assert done.returncode == 0, done.stdout
    page = (copy.folder / "results/tiny/report.html").read_text()
    assert 'id="ablations"' in page
    assert "octaves: 8.0 → 47.0" in page
    assert copy.names(*tiny) == set()


def test_table_holds_every_measure_of_both_sides(ablated):
    table = pd.read_csv(ablated[0].folder / "results/tiny/tables/ablations.csv")
    assert set(table.changes) == {"model.input.value_encoder.octaves: 8.0 → 47.0"}
    assert {"macro_f1", "avg_bio", "rescaled_mae", "rescaled_mae_ungated", "cells_per_s"} <= set(table.metric)
    assert set(table.pooling[table.metric == "macro_f1"]) == {"cls", "mean"}
    assert (table.seeds == 1).all()
    assert (table.difference != 0).any()
    for pooling, row in table[table.metric == "macro_f1"].set_index("pooling").iterrows():
        for run, value in (("mlm", row.base_value), ("mlm_ladder", row.ablation_value)):
            scores = pd.read_csv(ablated[0].folder / f"results/tiny/benchmarks/probe/{run}/0.csv")
            chosen = scores[(scores.metric == "macro_f1") & (scores.pooling == pooling)]
            assert value == pytest.approx(chosen.value.mean())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("octaves: 47", "octaves: 46", {"train mlm_ladder/0", *scores("mlm_ladder"), TABLE}),
        (BLOCK, BLOCK + SECOND, {*made("flat"), "ontology flat/0", TABLE}),
    ],
    ids=["override", "one more"],
)
def test_an_edit_of_the_block_reruns_what_depends_on_it(ablated, tmp_path, old, new, expected):
    copy = ablated[0].copy(tmp_path / "clone")
    copy.edit(STUDY, old, new)
    assert copy.names(*TARGET) == expected


def test_a_study_without_the_block_says_so(fresh):
    done = fresh.run(*TARGET, "--cores", "1")
    assert done.returncode == 1
    assert "scfm: error: study 'tiny' has no ablations; name a study with them" in done.stdout
    assert "Traceback" not in done.stdout
    assert not list((fresh.folder / ".snakemake").glob("locks/*"))
