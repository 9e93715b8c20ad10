"""The task of donors in a study: its jobs and its table are there where a dataset asks for it, and nowhere else."""

import shlex

STUDY = "config/studies/tiny.yaml"
HOLDOUT = "    synthetic_holdout: { role: benchmark }\n"


def test_a_study_that_names_donors_scores_them_and_shows_the_table(fresh):
    fresh.edit(STUDY, HOLDOUT, HOLDOUT + "    synthetic_donors: { role: benchmark }\n")
    fresh.edit(STUDY, "    holdout_cells: 120\n", "    holdout_cells: 120\n    donor_truth: { age: 1.0 }\n")
    done = fresh.run("all", "--dry-run", "--printshellcmds", "--config", "study=tiny")
    assert done.returncode == 0, done.stdout
    commands = [line for line in done.stdout.splitlines() if "python -m scfm" in line]

    def calling(words):
        return [shlex.split(line) for line in commands if f"scfm {words} " in line]

    folder = "results/tiny/benchmarks/donor"
    scored = {line[line.index("--out") + 1] for line in calling("benchmarks donor")}
    assert scored == {f"{folder}/{model}/0.csv" for model in ("mlm", "wced_hce", "random", "pca")}
    (table,) = calling("paper table donors")
    assert f"{folder}/pca/0.csv" in table
    (prepared,) = [line for line in calling("benchmarks prepare") if "donors.h5ad" in line[line.index("--out") + 1]]
    assert "results/tiny/corpus/synthetic/synthetic_holdout.h5ad" in prepared
    (pages,) = calling("paper table pages")
    assert "donors=results/tiny/tables/donors.csv" in pages


def test_a_study_without_donors_has_no_such_file(fresh):
    done = fresh.run("all", "--dry-run", "--printshellcmds", "--config", "study=tiny")
    assert done.returncode == 0, done.stdout
    assert "tables/donors.csv" not in done.stdout
    assert "benchmarks/donor/" not in done.stdout
