"""The study `systems`: runs of several systems in one DAG, and what an edit of one of them reruns."""

import os

import pandas as pd
import pytest

STUDY = "systems"
TARGET = ("all", "--config", f"study={STUDY}")
RESULTS = f"results/{STUDY}"


@pytest.fixture
def jobs(fresh):
    return {job.name: job for job in fresh.jobs(*TARGET)}


def test_each_system_has_the_jobs_that_it_offers(jobs):
    assert {name for name in jobs if name.startswith("train ")} == {"train wced/0", "train random/0"}
    assert {"train_system cellplm/0", "train_system random_cellplm/0", "train_system pulsar/0"} <= set(jobs)
    vectors = f"{RESULTS}/pretrain/wced/0/vectors_mean.npy"
    assert jobs["vectors wced/0/mean"].output == [vectors]
    assert vectors in jobs["train_system pulsar/0"].input
    assert vectors not in jobs["train_system cellplm/0"].input
    assert {"embed cellplm/0", "embed_donors pulsar/0", "donor_vectors pulsar/1"} <= set(jobs)
    assert not {name for name in jobs if name.split()[0] in ("embed", "integration", "probe") and "pulsar" in name}
    assert f"{RESULTS}/benchmarks/embed/wced/0.h5ad" in jobs["embed_donors pulsar/1"].input
    assert not {name for name in jobs if name.startswith("learn ") and "wced/0" not in name}


PULSAR = "  pulsar: { seeds: [0, 1] }\n"
BLOOD = PULSAR + "  pulsar_blood: { seeds: [1, 2], override: { cells: { values: [lung] } } }\n"
FIRST, SECOND = (f"{RESULTS}/pretrain/{run}/{{}}/model.safetensors" for run in ("pulsar", "pulsar_blood"))


def test_a_run_takes_the_weights_of_the_run_that_it_begins_with(fresh):
    fresh.edit(f"config/studies/{STUDY}.yaml", PULSAR, BLOOD)
    jobs = {job.name: job for job in fresh.jobs(*TARGET)}
    assert FIRST.format(1) in jobs["train_system pulsar_blood/1"].input
    assert FIRST.format(0) in jobs["train_system pulsar_blood/2"].input  # which has no such seed
    assert not [path for path in jobs["train_system pulsar/0"].input if "/pretrain/pulsar" in path]
    one = SECOND.format(1), "--config", f"study={STUDY}"
    needed = fresh.jobs(*one)
    assert {"train_system pulsar/1", "train_system pulsar_blood/1"} <= {job.name for job in needed}
    for path in [fresh.folder / path for job in needed for path in job.output]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1e9, 1e9))
    again = fresh.names(*one, "--rerun-triggers", "mtime", "--forcerun", FIRST.format(1))
    assert again == {"train_system pulsar/1", "train_system pulsar_blood/1"}


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        ("start: { run: nobody }", "'nobody' (start.run), which is no other trained run of the study"),
        ("start: { run: pulsar_blood }", "which is no other trained run of the study"),
        ("start: { run: stack }", "whose system is 'stack'; name a run of 'pulsar'"),
        ("model: { cells: { pooling: cls } }", "reads the cell vectors of another run"),
        ("trained: false", "a run with random weights begins with no other"),
    ],
)
def test_a_start_that_cannot_be_is_told_in_a_sentence(run, fault, fresh):
    study = BLOOD.replace("cells: { values: [lung] }", run)
    fresh.edit(f"config/studies/{STUDY}.yaml", PULSAR, study)
    done = fresh.run(*TARGET, "--dry-run")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("scfm: error:")]
    assert fault in line


def test_systems_that_predict_perturbed_cells_are_trained_anew_and_scored(jobs):
    predicted = {name for name in jobs if name.startswith("predict ")}
    assert "predict stack/0" in predicted
    assert not {name for name in predicted if "cellplm" in name or "random" in name}
    prepared = f"{RESULTS}/benchmarks/datasets/synthetic_screen.h5ad"
    assert jobs["predict stack/0"].input == [prepared], "neither the corpus nor a model of the study"
    assert jobs["perturbation baselines/0"].input == [prepared]
    scores = jobs["perturbation stack/0"]
    assert scores.input == [prepared, *jobs["predict stack/0"].output]
    table = jobs["table_with_needs perturbation"]
    assert {f"{RESULTS}/benchmarks/perturbation/{model}/0.csv" for model in ("baselines", "stack")} <= set(table.input)
    assert f"{RESULTS}/tables/perturbation.csv" in jobs["table_pages"].input
    assert prepared not in jobs["embed stack/0"].input, "the task reads no vectors"


def test_an_atlas_is_made_by_a_run_trained_on_its_screen_alone(jobs):
    screen, reference = (f"{RESULTS}/benchmarks/datasets/synthetic_{name}.h5ad" for name in ("screen", "donors"))
    assert jobs["learn_screen"].input == [screen]
    (model,) = jobs["learn_screen"].output
    assert set(jobs["atlas"].input) == {model, screen, reference}
    assert f"{RESULTS}/benchmarks/atlas/atlas.csv" in jobs["perturbed_atlas"].input
    assert f"{RESULTS}/benchmarks/perturbation/deltas.csv" in jobs["perturbation_deltas"].input
    predicted = {f"{RESULTS}/benchmarks/predict/{run}/0.h5ad" for run in ("stack", "lingshu")}
    assert set(jobs["deltas"].input) == {screen, *predicted}
    report = jobs["report"].input
    figures = [f"{RESULTS}/figures/{name}/{name}.png" for name in ("perturbed_atlas", "perturbation_deltas")]
    assert set(figures) <= set(report)


def test_an_atlas_may_be_a_soma(fresh):
    fresh.edit(f"config/studies/{STUDY}.yaml", "cells: 60 }", "cells: 60, format: soma }")
    target = f"{RESULTS}/figures/perturbed_atlas/perturbed_atlas.png", *TARGET[1:]
    jobs = {job.name: job for job in fresh.jobs(*target)}
    assert jobs["atlas"].output == [f"{RESULTS}/benchmarks/atlas/atlas.{ending}" for ending in ("soma", "csv")]
    assert f"{RESULTS}/benchmarks/atlas/atlas.csv" in jobs["perturbed_atlas"].input


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("atlas: { run: stack,", "atlas: { run: lingshu,", "run 'lingshu' predicts by no prompts in this study"),
        ("reference: synthetic_donors", "reference: kang_ifnb", "reference 'kang_ifnb' is no dataset that the study"),
        ("cells: { run: wced, pooling: mean }", "cells: { run: nobody, pooling: mean }", "no other run of the study"),
        ("cells: { run: wced, pooling: mean }", "cells: { run: pulsar, pooling: mean }", "no other run of the study"),
        ("cells: { run: wced, pooling: mean }", "cells: { run: wced, pooling: sum }", "it offers cls, mean"),
        ("kind: mixture, width: 32", "kind: mixture, component_hinge: 2.1, width: 32", "below log"),
    ],
)
def test_a_study_that_cannot_be_is_told_in_a_sentence(old, new, fault, fresh):
    fresh.edit(f"config/studies/{STUDY}.yaml", old, new)
    done = fresh.run(*TARGET, "--dry-run")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("scfm: error:")]
    assert fault in line


@pytest.mark.long
def test_the_study_runs_and_an_edit_of_one_system_reruns_that_alone(fresh):
    file = f"config/studies/{STUDY}.yaml"
    fresh.edit(file, "    cells: 6000\n    genes", "    cells: 1500\n    genes")
    fresh.edit(file, "holdout_cells: 6000\n", "holdout_cells: 1600\n")
    path = fresh.folder / file
    path.write_text(path.read_text().replace("seeds: [0, 1]", "seeds: [0]"))
    fresh.edit(file, "  random_stack: { seeds: [0] }\n", "")
    few = "training: {epochs: 2, validate_every: 2, decay_steps: 0}"
    short = [f"pretrain={{{few}}}", f"benchmarks={{perturbation: {{predicted: 20, systems: {{stack: {{{few}}}}}}}}}"]
    done = fresh.run(*TARGET, *short, "--cores", "2")
    assert done.returncode == 0, done.stdout
    tables = fresh.folder / RESULTS / "tables"
    scored = pd.read_csv(tables / "table5.csv")
    assert {("cellplm", "latent"), ("cellplm", "cell"), ("wced", "cls")} <= set(
        zip(scored.run, scored.pooling, strict=True)
    )
    assert "pulsar" not in set(scored.run)
    donors = pd.read_csv(tables / "donors.csv")
    assert {"pulsar", "cells", "wced"} <= set(donors.run)
    controls = pd.read_csv(tables / "controls.csv")
    of_cellplm = controls[controls.run == "cellplm"]
    assert of_cellplm.control.str.startswith("random_cellplm/").all()
    assert set(controls[controls.run == "wced"].control.str.split("/").str[0]) == {"random"}
    assert (fresh.folder / RESULTS / "report.html").exists()
    perturbed = pd.read_csv(tables / "perturbation.csv")
    assert {"ceiling", "stack", "control_mean", "additive"} <= set(perturbed.prediction)
    assert set(perturbed.held_out) == {"perturbations_prompted", "combinations_2_seen"}
    assert fresh.names(*TARGET, *short) <= {"closing"}
    fresh.edit("src/scfm/models/cellplm/flow.py", "EPSILON = 1e-6", "EPSILON = 2e-6")
    again = fresh.names(*TARGET, *short)
    trained = {name for name in again if name.split()[0] in ("train", "train_system", "vectors", "embed_donors")}
    assert trained == {"train_system cellplm/0", "train_system random_cellplm/0"}
    assert not {name for name in again if name.startswith("predict ")}
    assert not {name for name in again if name.startswith("embed ") and "cellplm" not in name}


def test_drawn_cells_are_scored_beside_controls_and_shown(jobs):
    drawn = {name: job for name, job in jobs.items() if name.startswith("draw ")}
    assert set(drawn) == {"draw lingshu/0", "draw lingshu/1", "draw random_lingshu/0"}
    assert drawn["draw lingshu/1"].input == [f"{RESULTS}/pretrain/lingshu/1/model.safetensors"]
    scores = jobs["evaluate_drawn"]
    assert {path for job in drawn.values() for path in job.output} < set(scores.input)
    assert f"{RESULTS}/benchmarks/datasets/synthetic_donors.h5ad" in scores.input
    assert f"{RESULTS}/generation/results.csv" in jobs["results"].input
    assert f"{RESULTS}/tables/generation.csv" in jobs["table_pages"].input
    assert jobs["generated_cells"].input[:2] == [f"{RESULTS}/generation/{name}.csv" for name in ("map", "results")]


def test_treated_donors_are_predicted_by_the_systems_of_donors_alone(jobs):
    assert {name for name in jobs if name.startswith("cytokine ")} == {"cytokine pulsar/0", "cytokine pulsar/1"}
    scores = jobs["cytokine pulsar/1"]
    assert f"{RESULTS}/benchmarks/embed/wced/0.h5ad" in scores.input
    assert f"{RESULTS}/benchmarks/embed_donors/pulsar/1.h5ad" in scores.input
    assert f"{RESULTS}/benchmarks/datasets/synthetic_cytokine.h5ad" in jobs["embed wced/0"].input
    assert scores.output[0] in jobs["table_of_cytokine"].input
    assert f"{RESULTS}/tables/cytokine.csv" in jobs["table_pages"].input


def test_cellplm_is_fine_tuned_beside_its_random_weights(jobs):
    tuned = {f"finetune {run}/{seed}" for run in ("cellplm", "random_cellplm") for seed in (0, 1)}
    assert {name for name in jobs if name.startswith("finetune ")} == tuned
    tissue = f"{RESULTS}/benchmarks/datasets/synthetic_tissue.h5ad"
    assert tissue in jobs["finetune cellplm/0"].input
    assert tissue not in jobs["embed cellplm/0"].input, "no task of its reads vectors"
    assert f"{RESULTS}/tables/heldout.csv" in jobs["table_pages"].input
