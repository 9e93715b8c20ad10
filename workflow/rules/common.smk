# Settings of the study, paths, and the parameters that decide what an edit reruns. No logic of any stage.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from scfm.code import digest
from scfm.errors import ScfmError
from scfm.settings import as_json
from scfm.study import Study

# Rules run the library of this clone with the Python that runs Snakemake, unless conda brings its own.
BIN = "" if workflow.deployment_settings.deployment_method else f"export PATH={Path(sys.executable).parent}:$PATH; "
shell.prefix(f"set -euo pipefail; {BIN}export PYTHONPATH={Path(workflow.basedir) / 'src'}; ")

try:
    STUDY = Study(config, Path(workflow.basedir) / "config")
except ScfmError as error:
    raise WorkflowError(str(error)) from None

RESULTS = Path(STUDY.shared.results) / STUDY.name
WORK = Path(STUDY.shared.work) / STUDY.name
LOGS = Path("logs") / STUDY.name
SCFM = "python -m scfm"
PAPER_SCALE = STUDY.scale == "paper"


wildcard_constraints:
    run="|".join(STUDY.runs),
    model="|".join([*STUDY.runs, "pca"]),
    seed=r"\d+",
    part=r"\d+",
    dataset="|".join(STUDY.named("benchmark")) or "none",


def code(*modules):
    """Digest of the code that a rule runs; constant where a code edit must not retrain."""
    return digest(*modules) if STUDY.file.code_reruns else "not tracked in this study"


def models():
    """(run, seed) of every model directory."""
    return [(run, seed) for run in STUDY.runs for seed in STUDY.seeds[run]]


def trained(runs=None):
    """(run, seed) of the trained models."""
    return [(run, seed) for run, seed in models() if run in STUDY.trained_runs and (runs is None or run in runs)]


def embedders():
    """(model, seed) of everything that is benchmarked: models and the PCA baseline."""
    return [*models(), ("pca", STUDY.benchmarks.pca.seed)]
