# Settings of the study, folders, and the digests that decide what an edit of the library reruns.
import atexit
import os
import sys
from pathlib import Path
from tempfile import gettempdir

sys.path[:0] = [str(Path(workflow.basedir) / folder) for folder in ("src", "workflow")]

import guard
import lock
from scfm.code import digest, remember
from scfm.errors import ScfmError
from scfm.files import must_be_writable, must_exist
from scfm.settings import as_json
from scfm.study import Study

# Rules run the library of this clone with the Python that runs Snakemake, unless conda brings its own.
BIN = "" if workflow.deployment_settings.deployment_method else f"export PATH={Path(sys.executable).parent}:$PATH; "
shell.prefix(f"set -euo pipefail; {BIN}export PYTHONPATH={Path(workflow.basedir) / 'src'}; {guard.prefix()}")

try:
    STUDY = Study(config, Path(workflow.basedir) / "config")
    for folder in ("results", "work"):
        must_be_writable(getattr(STUDY.shared, folder), folder)
    must_be_writable(os.environ.get("TMPDIR") or gettempdir(), "temporary folder (TMPDIR)")
    if workflow.is_main_process and (message := lock.claim(Path(".snakemake"))):
        print(f"scfm: {message}", file=sys.stderr)
except ScfmError as error:
    sys.exit(f"scfm: error: {error}")

RESULTS = Path(STUDY.shared.results) / STUDY.name
WORK = Path(STUDY.shared.work) / STUDY.name
LOGS = Path("logs") / STUDY.name
PAPER_SCALE = STUDY.scale == "paper"
GPUS = STUDY.shared.gpus if STUDY.shared.device == "gpu" or (PAPER_SCALE and STUDY.shared.device == "auto") else 0

# What is fit on each dataset, with its settings.
BASELINES = {"pca": STUDY.benchmarks.pca} | ({"scvi": STUDY.benchmarks.scvi} if STUDY.benchmarks.scvi else {})


CELL_RUNS, DONOR_RUNS = (
    [run for run, own in STUDY.runs.items() if own.model.embeds == what] for what in ("cells", "donors")
)


wildcard_constraints:
    run="|".join(STUDY.runs),
    model="|".join([*CELL_RUNS, *STUDY.file.concatenations, *STUDY.embeddings, *BASELINES]),
    seed=r"\d+",
    part=r"\d+",
    dataset="|".join(STUDY.evaluated) or "none",


def code(*names):
    """Digest of the code that a job runs; constant where a code edit must not retrain."""
    return digest(*names) if STUDY.file.code_reruns else "not tracked in this study"


def gpus(count):
    """Resources of a job with `count(wildcards)` GPUs, by `--gres` at sites that name it in SLURM_GRES."""
    gres = os.environ.get("SLURM_GRES")
    slots = {"gpu_slots": lambda w: min(count(w), 1)}
    return slots | ({"gres": lambda w: f"{gres}:{count(w)}" if count(w) else ""} if gres else {"gpu": count})


def models():
    """(run, seed) of every model directory that `all` asks for."""
    return [(run, seed) for run in STUDY.file.runs for seed in STUDY.seeds[run]]


def trained(runs=None):
    """(run, seed) of the trained models."""
    return [(run, seed) for run, seed in models() if run in STUDY.trained_runs and (runs is None or run in runs)]


def tracked(runs=None):
    """(run, seed) of the trained models that measure the error of each gene."""
    return [(run, seed) for run, seed in trained(runs) if STUDY.runs[run].model.tracks_genes]


def models_of(what):
    """(run, seed) of the models whose vectors are those of `cells`, or of `donors`."""
    return [(run, seed) for run, seed in models() if STUDY.runs[run].model.embeds == what]


def embedders():
    """(model, seed) of everything that is benchmarked: models, concatenations, models of others, baselines."""
    concatenated = [(name, seed) for name in STUDY.file.concatenations for seed in STUDY.seeds[name]]
    given = [(name, 0) for name in STUDY.embeddings]
    return [*models_of("cells"), *concatenated, *given, *((name, own.seed) for name, own in BASELINES.items())]


def options(option, files):
    return " ".join(f"{option} {file}" for file in files)
