"""`snakemake --profile slurm all`: the paper study as a dry-run, without network."""

import json
import re
import shlex

import pytest

LOCAL = {"run_settings", "manifest"}
TRAINING = {"train", "train_system"}
GPU = TRAINING | {"vectors", "embed", "embed_donors", "ontology", "finetune", "predict"}
NO_NETWORK = """
import socket

def refuse(*arguments, **options):
    with open({record!r}, "a") as file:
        print(arguments, file=file)
    raise OSError("no network here")

for name in ("connect", "connect_ex"):
    setattr(socket.socket, name, refuse)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse)
"""


@pytest.fixture
def offline(tmp_path):
    """Environment in which Python reaches no network, and the file that records attempts."""
    record = tmp_path / "attempts.txt"
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / "sitecustomize.py").write_text(NO_NETWORK.format(record=str(record)))
    return {"PYTHONPATH": str(tmp_path / "offline")}, record


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Jobs of the paper study as Slurm would get them."""
    from clone import clone

    return clone(tmp_path_factory.mktemp("paper") / "clone").jobs("--profile", "slurm", "all")


def test_dry_run_needs_no_network(fresh, offline):
    variables, record = offline
    done = fresh.run("--profile", "slurm", "all", "-n", **variables)
    assert done.returncode == 0, done.stdout
    assert not record.exists(), record.read_text()
    assert re.search(r"^total +[1-9]\d\d", done.stdout, re.M)
    assert list((fresh.folder / "results").iterdir()) == [fresh.folder / "results" / "README.md"]


def test_network_is_really_refused(offline, tmp_path):
    # Else the test above could not fail.
    import os
    import subprocess
    import sys

    variables, record = offline
    code = "import socket; socket.create_connection(('localhost', 9))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True)
    assert "no network here" in done.stderr
    assert record.exists()


def test_it_is_the_paper_study(jobs):
    assert {path.split("/")[1] for job in jobs for path in job.output} == {"paper"}
    assert {"train mlm/0", "train wced/0", "train mlm_hce/0", "train wced_hce/0"} <= {job.name for job in jobs}


@pytest.mark.parametrize("rule", ["scan", "scatter_part"])
def test_the_census_is_read_in_ranges(jobs, rule):
    import yaml
    from clone import ROOT

    parts = yaml.safe_load((ROOT / "config/studies/paper.yaml").read_text())["corpus"]["parts"]
    ranges = [job for job in jobs if job.rule == rule]
    assert parts > 100
    assert [job.wildcards["part"] for job in sorted(ranges, key=lambda job: job.name)] == [
        f"{part:04d}" for part in range(parts)
    ]
    assert not any("corpus/soma" in path or path.endswith(".h5ad") for job in ranges for path in job.input)


def test_every_job_has_log_and_benchmark(jobs):
    for job in jobs:
        assert job.log, job.name
        assert job.benchmark or job.rule == "run_settings", job.name


def test_every_job_asks_for_memory_and_time(jobs):
    for job in jobs:
        assert int(job.resources["mem_mb"]) >= 500, job.name
        assert 1 <= int(job.resources["runtime"]) <= 2880, job.name


def test_jobs_with_a_model_ask_for_gpus(jobs):
    gpus = {job.name: int(job.resources.get("gpu", 0)) for job in jobs}
    for job in jobs:
        wanted = job.rule in GPU and job.wildcards.get("model") != "pca"
        assert (gpus[job.name] > 0) == wanted, job.name
    assert {gpus[name] for name in ("train wced/0", "train_system cellplm/0", "train_system pulsar/0")} == {4}
    assert all(gpus[job.name] <= 1 for job in jobs if job.rule not in TRAINING)


def test_sites_that_refuse_gpus_are_asked_for_gres(fresh, jobs):
    given = {job.name: job.resources for job in fresh.jobs("--profile", "slurm", "all", SLURM_GRES="gpu:a100")}
    for job in jobs:
        assert "gres" not in job.resources, job.name
        count = int(job.resources.get("gpu", 0))
        asked = given[job.name].get("gres", ""), given[job.name].get("gpu", "0")
        assert asked == (f"gpu:a100:{count}" if count else "", "0"), job.name


def test_gpu_jobs_take_only_generated_or_static_inputs(jobs):
    made = {path for job in jobs for path in job.output}
    for job in jobs:
        if job.rule in GPU:
            assert set(job.input) <= made, job.name


def test_training_stays_on_one_node(jobs):
    assert {job.resources.get("nodes") for job in jobs if job.rule in TRAINING} == {"1"}


def test_donor_vectors_stand_on_the_cell_vectors_of_a_trained_run(jobs):
    made = {job.rule: job for job in jobs if job.wildcards.get("run") in ("wced_multitask", "pulsar")}
    (blood,) = [job for job in jobs if job.name == "train_system pulsar_blood/0"]
    assert {path for path in made["train_system"].output if path.endswith("model.safetensors")} < set(blood.input)
    assert not set(blood.output) & set(made["train_system"].input)
    (vectors,) = [path for path in made["vectors"].output if path.endswith("wced_multitask/0/vectors_mean.npy")]
    assert vectors in made["train_system"].input
    assert made["train_system"].wildcards["run"] == "pulsar"
    assert "donor_vectors" in made
    assert {job.wildcards["run"] for job in jobs if job.rule == "train_system"} == {
        "cellplm",
        "random_cellplm",
        "pulsar",
        "pulsar_blood",
        "stack",
        "random_stack",
        "lingshu",
        "random_lingshu",
    }


def test_systems_of_sets_that_offer_a_vector_for_it_are_fine_tuned(jobs):
    tuned = {job.wildcards["run"] for job in jobs if job.rule == "finetune"}
    assert {"wced", "cellplm", "random_cellplm"} <= tuned
    assert not {"pulsar", "pulsar_blood"} & tuned


SCREENS = "deposits/scperturb"


def asked(clone, words, name=""):
    """Words of the one command that calls a part of the library, about `name`."""
    done = clone.run("--profile", "slurm", "all", "-n", "--printshellcmds")
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if f"scfm {words} " in line and name in line]
    (command,) = {tuple(shlex.split(line)) for line in lines}
    return command


def test_perturbed_cells_are_predicted_by_both_systems(jobs):
    (*predicted,) = (job for job in jobs if job.rule == "predict")
    assert {job.name for job in predicted} == {"predict stack/0", "predict lingshu/0"}
    here = {f"results/paper/benchmarks/datasets/{name}.h5ad" for name in ("kang_ifnb", "perturb_norman")}
    assert all(set(job.input) == here for job in predicted), "of the screens those whose files are there"
    scored = {job.name for job in jobs if job.rule == "perturbation"}
    assert scored == {"perturbation baselines/0", "perturbation stack/0", "perturbation lingshu/0"}
    assert any(path.endswith("tables/perturbation.csv") for job in jobs for path in job.output)


def test_screens_without_their_files_are_named_in_the_table_and_asked_of_nobody(fresh):
    table = asked(fresh, "paper table perturbation")
    needs = dict(
        word.split("=") for word in table if word.startswith(("norman=", "replogle", "vcc", "sciplex3=", "adamson"))
    )
    assert needs == {
        "norman": f"{SCREENS}/NormanWeissman2019_filtered.h5ad",
        "adamson": f"{SCREENS}/AdamsonWeissman2016_GSM2406681_10X010.h5ad",
        "replogle_k562": f"{SCREENS}/ReplogleWeissman2022_K562_essential.h5ad",
        "replogle_rpe1": f"{SCREENS}/ReplogleWeissman2022_rpe1.h5ad",
        "vcc_h1": "deposits/virtual_cell_challenge/adata_Training.h5ad",
        "sciplex3": "deposits/GSE139944",
    }
    command = asked(fresh, "benchmarks predict", "--run lingshu")
    task = json.loads(command[command.index("--settings") + 1])
    assert set(task["holdouts"]) == {"kang_ifnb", "perturb_norman"}
    assert set(task["by_dataset"]) == {"kang_ifnb", "perturb_norman"}
    assert task["by_dataset"]["kang_ifnb"]["lingshu"]["model"]["sampling"]["guidance"] == 3.0
    run = json.loads(command[command.index("--run-settings") + 1])
    assert (run["model"]["sampling"]["guidance"], run["model"]["sampling"]["conditional_steps"]) == (2.0, 3)


def test_a_screen_whose_file_is_there_is_prepared_and_predicted(fresh):
    path = fresh.folder / SCREENS / "NormanWeissman2019_filtered.h5ad"
    path.parent.mkdir(parents=True)
    path.touch()
    (fresh.folder / "deposits" / "GSE139944").mkdir()
    jobs = {job.name: job for job in fresh.jobs("--profile", "slurm", "all")}
    assert f"{SCREENS}/NormanWeissman2019_filtered.h5ad" in jobs["prepare norman"].input
    assert "results/paper/benchmarks/datasets/norman.h5ad" in jobs["predict stack/0"].input
    command = asked(fresh, "benchmarks predict", "--run stack")
    task, run = (json.loads(command[command.index(word) + 1]) for word in ("--settings", "--run-settings"))
    assert set(task["holdouts"]) == {"kang_ifnb", "perturb_norman", "norman", "sciplex3"}
    assert run["model"]["prompt"]["rows"] == 512
    assert int(jobs["predict stack/0"].resources["mem_mb"]) >= 64000


@pytest.mark.parametrize("name", ["account", "partition"])
def test_account_and_partition_only_if_the_environment_names_them(fresh, jobs, name):
    assert not any(f"slurm_{name}" in job.resources for job in jobs)
    given = fresh.jobs("--profile", "slurm", "all", **{f"SLURM_{name.upper()}": "lab7"})
    assert {job.resources[f"slurm_{name}"] for job in given} == {"lab7"}


def test_partition_file_is_used_if_there_is_one(fresh):
    (fresh.folder / "slurm" / "partitions.yaml").write_text("partitions:\n  long:\n    max_runtime: 3000\n")
    done = fresh.run("--profile", "slurm", "all", "-n")
    assert done.returncode == 0, done.stdout


def test_command_line_replaces_the_study(fresh):
    names = fresh.names("--profile", "slurm", "all", "--config", "study=tiny")
    assert "synthesize" in names
