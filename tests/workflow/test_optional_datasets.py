"""Datasets that a study may lack, and tasks that score some of its models only."""

import re
import shlex

import pytest

STUDY = "config/studies/tiny.yaml"
ASKED = """  Synthetic census, planted answers:
    synthetic_perturbation: { role: benchmark }
    synthetic_disease: { role: benchmark }
  Srivatsan 2020:
    sciplex3_a549: { role: benchmark, optional: true }
task_models:
  moa: [pca, mlm]
  disease: [pca]
"""


@pytest.fixture
def asking(fresh):
    """The study `tiny` with both tasks."""
    text = "    synthetic_holdout: { role: benchmark }\n"
    fresh.edit(STUDY, text, text + ASKED)
    fresh.edit(STUDY, "figures: [figure2, figure3]", "figures: [figure2, figure3, figure6]")
    return fresh


def test_only_named_models_are_scored_and_the_missing_file_is_named(asking):
    done = asking.run("all", "--dry-run", "--printshellcmds", "--config", "study=tiny")
    assert done.returncode == 0, done.stdout
    commands = [line for line in done.stdout.splitlines() if "python -m scfm" in line]

    def calling(words):
        return [shlex.split(line) for line in commands if f"scfm {words} " in line]

    scores = {
        task: [line[line.index("--out") + 1] for line in calling(f"benchmarks {task}")] for task in ("moa", "disease")
    }
    folder = "results/tiny/benchmarks"
    assert sorted(scores["moa"]) == [f"{folder}/moa/mlm/0.csv", f"{folder}/moa/pca/0.csv"]
    assert scores["disease"] == [f"{folder}/disease/pca/0.csv"]
    assert {line[line.index("plant") + 1] for line in calling("corpus plant")} == {"perturbation", "disease"}
    assert not any("sciplex3_a549" in line for line in commands if "scfm benchmarks" in line)
    (moa,), (disease,) = calling("paper table moa"), calling("paper table disease")
    assert "sciplex3_a549=deposits/GSE139944" in moa
    assert "config/published/figure6.csv" in moa
    assert "--needs" not in disease
    assert calling("paper notebook notebooks/figure6.ipynb")


def test_a_folder_that_is_there_is_prepared_with_mechanisms_of_the_library(asking):
    (asking.folder / "deposits" / "GSE139944").mkdir(parents=True)
    asking.edit(STUDY, "benchmarks:\n", "benchmarks:\n  moa: { mechanism: library }\n")
    jobs = {job.name: job for job in asking.jobs("all", "--config", "study=tiny")}
    assert jobs["prepare sciplex3_a549"].input[0] == "deposits/GSE139944"
    assert any("sciplex_library" in path for path in jobs["prepare sciplex3_a549"].input)
    assert not any("sciplex_library" in path for path in jobs["prepare synthetic_perturbation"].input)
    assert "results/tiny/benchmarks/datasets/sciplex3_a549.h5ad" in jobs["embed pca/0"].input


def test_a_study_that_asks_for_neither_has_none_of_their_files(results):
    assert (results / "tables" / "table5.csv").exists()
    for path in ("tables/moa.csv", "tables/disease.csv", "figures/figure6", "benchmarks/moa", "corpus/planted"):
        assert not (results / path).exists()


SYSTEMS = "config/studies/systems.yaml"
PARSE = "parse_10m_pbmc"
FILE = "deposits/parse/Parse_10M_PBMC_cytokines.h5ad"
EDITS = {
    "datasets:\n": f"datasets:\n  Parse: {{ {PARSE}: {{ role: benchmark, optional: true }} }}\n",
    "  dataset: synthetic_donors\n": f"  dataset: {PARSE}\n",
    "screen: synthetic_screen,": f"screen: {PARSE},",
    "    holdouts:\n": f"    holdouts:\n      {PARSE}: [{{ kind: backgrounds }}]\n",
}
PARTS = {"draw", "evaluate_drawn", "table_of_drawn", "generated_cells", "learn_screen", "atlas", "perturbed_atlas"}


def test_parts_whose_dataset_is_missing_are_left_out_with_a_line(fresh):
    for old, new in EDITS.items():
        fresh.edit(SYSTEMS, old, new)
    asked = "all", "--dry-run", "--printshellcmds", "--config", "study=systems"
    done = fresh.run(*asked)
    assert done.returncode == 0, done.stdout
    for said in ("generation, whose dataset", "benchmarks.perturbation.atlas, whose screen"):
        assert done.stdout.count(f"scfm: left out: {said} '{PARSE}' needs {FILE}\n") == 1
    rules = set(re.findall(r"^(?:local)?rule (\w+):", done.stdout, re.MULTILINE))
    assert not rules & PARTS
    assert {"perturbation", "perturbation_deltas", "report"} <= rules
    scores = next(line for line in done.stdout.splitlines() if "scfm benchmarks perturbation " in line)
    assert "synthetic_screen" in scores
    assert PARSE not in scores, "nothing is held out of what is not there"
    path = fresh.folder / FILE
    path.parent.mkdir(parents=True)
    path.touch()
    there = fresh.run(*asked).stdout
    assert "scfm: left out" not in there
    assert set(re.findall(r"^(?:local)?rule (\w+):", there, re.MULTILINE)) - rules == PARTS
