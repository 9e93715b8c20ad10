"""Runs that are trained anew on a task's own training cells."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scfm.errors import ScfmError
from scfm.models.system import systems
from scfm.pretrain.settings import Run, parse_run
from scfm.settings import merge


def predicting_runs(runs: Mapping[str, Run], overrides: Mapping[str, dict[str, Any]], path: Path) -> dict[str, Run]:
    """Trained runs that predict perturbed cells, as they are trained anew.

    Args:
        runs: name to a run of the study. overrides: system to keys laid over its runs. path: of the study file.

    Raises:
        ScfmError: a system that there is not, or keys that do not fit it.
    """
    where = f"{path}: benchmarks.perturbation.systems"
    if strange := sorted(set(overrides) - set(systems())):
        raise ScfmError(f"{where}: '{strange[0]}' is no system; choose among {', '.join(systems())}")
    laid = {
        name: parse_run(merge(run.model_dump(mode="json"), overrides.get(run.system, {})), f"{where}, run '{name}'")
        for name, run in runs.items()
        if run.trained
    }
    return {name: run for name, run in laid.items() if run.model.predicts}
