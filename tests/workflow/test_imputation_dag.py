"""Denoising and imputation in a study: their jobs and table are there for runs that expect counts, and nowhere else."""

import shlex

STUDY = "config/studies/tiny.yaml"
HOLDOUT = "    synthetic_holdout: { role: benchmark }\n"


def test_runs_that_expect_counts_are_scored_and_shown(fresh):
    done = fresh.run("all", "--dry-run", "--printshellcmds", "--config", "study=systems")
    assert done.returncode == 0, done.stdout
    commands = [line for line in done.stdout.splitlines() if "python -m scfm" in line]

    def calling(words):
        return [shlex.split(line) for line in commands if f"scfm {words} " in line]

    tables = set()
    for task in ("denoise", "imputation"):
        written = {line[line.index("--out") + 1] for line in calling(f"benchmarks {task}")}
        runs = [f"{run}/{seed}" for run in ("cellplm", "random_cellplm") for seed in (0, 1)]
        assert written == {f"results/systems/benchmarks/{task}/{run}.csv" for run in runs}
        assert all("--scvi" not in line for line in calling(f"benchmarks {task}"))
        assert all("synthetic_tissue.h5ad" in " ".join(line) for line in calling(f"benchmarks {task}"))
        tables |= written
    (table,) = calling("paper table imputation")
    assert tables <= set(table)
    (pages,) = calling("paper table pages")
    assert "imputation=results/systems/tables/imputation.csv" in pages


def test_a_study_without_such_runs_has_no_such_file(fresh):
    fresh.edit(STUDY, HOLDOUT, HOLDOUT + "    synthetic_tissue: { role: benchmark }\n")
    done = fresh.run("all", "--dry-run", "--printshellcmds", "--config", "study=tiny")
    assert done.returncode == 0, done.stdout
    assert "tables/imputation.csv" not in done.stdout
    assert "benchmarks/denoise/" not in done.stdout
    assert "benchmarks/imputation/" not in done.stdout
