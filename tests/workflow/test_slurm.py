"""`snakemake --profile slurm` on a real Slurm of one node: the whole study, and each fact of a site."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from clone import ROOT, clone
from compare import differences
from kill import job_processes
from slurm import PROGRAMS, ask, jobs, slurm

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("slurm")]

GPU = {"train", "embed", "ontology"}
SITE = {"SLURM_STATUS_COMMAND": "squeue", "SLURM_ACCOUNT": "lab7"}
LOCAL = {"run_settings", "inconsistencies"}
TRAINING = re.compile(r"python -m scfm pretrain train ")
# No long waits between jobs; logs of jobs that ended well are kept.
QUICK = ("--slurm-init-seconds-before-status-checks", "5", "--slurm-keep-successful-logs", "--latency-wait", "5")
# Rules that take little time share jobs, in which they run one after the other.
GROUPS = {
    "corpus": "synthesize build scan select scatter_part gather_shards prepare",
    "learning": "learn agreement check table2 table3 learnability_tables figure2",
    "integrations": "integration",
    "probes": "probe",
    "paper": "table1 table4 table14 table_from_tidy pairs contents table_pages results figure3 claims report",
}
GROUPED = ("--groups", *(f"{rule}={group}" for group, rules in GROUPS.items() for rule in rules.split()))
GROUPED += ("--group-components", "integrations=4", "probes=4", "learning=2")
# Sections of the page whose commands take little time.
SECTIONS = ("2. Say what is special about your site", "3. Look before you run", "While it runs")
PARTITIONS = "partitions:\n  cpu: {max_threads: 16}\n  gpu: {max_threads: 16, max_gpu: 4}\n"


@pytest.fixture(scope="module")
def cluster(need):
    """Environment variables of a Slurm that lives as long as these tests."""
    need(all(map(shutil.which, PROGRAMS)), "needs slurmctld, slurmd and munged (Debian: slurm-wlm, munge)")
    need(os.geteuid() == 0, "needs to be root, who may start a slurmd")
    with slurm() as client:
        yield client


@pytest.fixture(scope="module")
def ran(cluster, tmp_path_factory):
    """A copy in which `tiny` ran through Slurm as the page says, its jobs, and what Snakemake printed.

    Training and embedding ask for a GPU, whether there is one or not. The first job of `annotate_genes` fails.
    """
    copy = clone(tmp_path_factory.mktemp("slurm") / "clone")
    copy.edit("workflow/rules/common.smk", 'device == "gpu"', 'device == "auto"')
    command = "python -m scfm annotation genes"
    copy.edit("workflow/rules/annotation.smk", f'"{command}', f'"mkdir once 2> /dev/null && exit 1; {command}')
    (copy.folder / "slurm" / "partitions.yaml").write_text(PARTITIONS)
    done = copy.run(*first_run(), *GROUPED, *QUICK, **cluster, **SITE)
    assert done.returncode == 0, done.stdout
    return copy, jobs(cluster), done.stdout


def blocks(heading: str) -> list[str]:
    """The commands that a section of the page asks to be run."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```bash\n(.*?)^```", section, re.M | re.S)


def first_run() -> list[str]:
    """Arguments of the first run that the page asks for."""
    (block,) = blocks("4. The smallest study first")
    program, *arguments = shlex.split(block)
    assert program == "snakemake"
    return arguments


def test_every_rule_ran_in_a_job_of_slurm(ran, finished):
    copy, done, printed = ran
    inside = "".join(path.read_text() for path in (copy.folder / "logs" / "slurm").rglob("*.log"))
    rules = {job.rule for job in finished.jobs(*first_run()[2:], "--forceall")}
    assert set(re.findall(r"^ *rule (\w+):", inside, re.M)) == rules - LOCAL
    assert set(re.findall(r"^localrule (\w+):", printed, re.M)) == LOCAL | {"all"}
    assert all(job["JobName"].startswith("scfm_") and job["Account"] == "lab7" for job in done)


def test_results_are_those_of_a_local_run(ran, results):
    assert differences(ran[0].folder / "results" / "tiny", results) == []


def test_job_that_failed_once_is_retried(ran):
    states = Counter((job["JobState"], job["Rule"] == "annotate_genes") for job in ran[1])
    assert states["FAILED", True] == states["COMPLETED", True] == 1
    assert states.keys() == {("FAILED", True), ("COMPLETED", True), ("COMPLETED", False)}


def test_partitions_file_sends_jobs_with_gpus_elsewhere(ran):
    for job in ran[1]:
        gpu = job["Rule"] in GPU and not job["Comment"].endswith("wildcards_pca_0")
        asked = job["Partition"], job.get("TresPerJob"), job["JOB_GRES"]
        assert asked == (("gpu", "gres:gpu:1", "gpu:a100:1") if gpu else ("cpu", None, "(null)")), job["Comment"]
    assert {job["Rule"] for job in ran[1]} > GPU


def test_partition_and_kind_of_gpu_by_environment(ran, cluster, tmp_path):
    copy = ran[0].copy(tmp_path / "clone")
    wanted, before = "results/tiny/benchmarks/ontology/wced_hce/0.csv", len(jobs(cluster))
    site = SITE | {"SLURM_GRES": "gpu:a100", "SLURM_PARTITION": "gpu"}
    done = copy.run("--profile", "slurm", wanted, "--force", *first_run()[3:], *QUICK, **cluster, **site)
    assert done.returncode == 0, done.stdout
    (job,) = jobs(cluster)[before:]
    assert (job["Rule"], job["JobState"], job["Partition"]) == ("ontology", "COMPLETED", "gpu")
    assert (job["TresPerNode"], job["JOB_GRES"]) == ("gres:gpu:a100:1", "gpu:a100:1")
    assert "TresPerJob" not in job


def test_training_that_meets_its_time_limit_goes_on_from_there(ran, cluster, tmp_path):
    """The limit is moved to now, since the shortest that Slurm knows is a minute; Slurm looks every 30 seconds.

    Meanwhile the training is held, so that it has not ended on any machine; Slurm lets it go on before it ends it.
    """
    copy, before = ran[0].copy(tmp_path / "clone"), len(jobs(cluster))
    wanted, log = "results/tiny/pretrain/mlm/0/model.safetensors", copy.folder / "logs/tiny/pretrain/mlm/0.log"
    longer = "pretrain={training: {epochs: 100, validate_every: 100}}"
    shutil.rmtree(copy.folder / "work")
    with (tmp_path / "printed.txt").open("w") as printed:
        given = ("--profile", "slurm", wanted, *first_run()[3:], longer, *QUICK)
        snakemake = copy.start(*given, **cluster, **SITE, stdout=printed)
        try:
            while snakemake.poll() is None and not list((copy.folder / "work").rglob("*.ckpt")):
                time.sleep(0.1)
            (training,) = [pid for pid, line in job_processes(copy.folder).items() if TRAINING.match(line)]
            os.kill(training, signal.SIGSTOP)
            ask(cluster, "scontrol", "update", f"JobId={jobs(cluster)[before]['JobId']}", "EndTime=now")
            while jobs(cluster)[before]["JobState"] in ("RUNNING", "COMPLETING"):
                time.sleep(0.5)
            said = log.read_text()
            assert snakemake.wait() == 0, (tmp_path / "printed.txt").read_text()
        finally:
            snakemake.kill()
    assert [job["JobState"] for job in jobs(cluster)[before:]] == ["TIMEOUT", "COMPLETED"]
    stopped = re.search(r"stopped by SIGTERM at step ([\d,]+) of ([\d,]+)", said)
    assert stopped, said
    assert f"going on from step {stopped[1]} of {stopped[2]}" in log.read_text()
    assert f"pretrain mlm/0: {stopped[2]} updates" in log.read_text()


def test_other_commands_of_the_page(cluster, fresh):
    """Partitions are listed, the dry run passes, and of two waiting jobs only the one of ours is cancelled."""
    waiting = ("sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap=true")
    ours, other = (ask(cluster, *waiting, f"--job-name={name}") for name in ("scfm_0", "other_scfm_0"))
    commands = "".join(block for section in SECTIONS for block in blocks(section))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")} | cluster
    environment["PATH"] = f"{Path(sys.executable).parent}:{cluster['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=fresh.folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    partitions = yaml.safe_load((fresh.folder / "slurm" / "partitions.yaml").read_text())["partitions"]
    assert partitions["gpu"] == {"max_runtime": "2-00:00:00", "max_threads": 16}
    states = {job["JobId"]: job["JobState"] for job in jobs(cluster)}
    assert (states[ours], states[other]) == ("CANCELLED", "PENDING")
    ask(cluster, "scancel", other)
