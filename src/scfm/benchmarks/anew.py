"""Runs that are trained anew on a task's own training cells."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from scfm.benchmarks.task_settings import AtlasTask
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


def check_atlas(atlas: AtlasTask | None, predicting: Mapping[str, Run], datasets: Collection[str]) -> None:
    """The atlas of a study, if it has one, names a run that predicts by prompts, and datasets of the study.

    Args:
        predicting: of `predicting_runs`. datasets: those that are evaluated.

    Raises:
        ScfmError: it does not.
    """
    if atlas is None:
        return
    able = [name for name, run in predicting.items() if run.model.predicts == "prompts"]
    if atlas.run not in able:
        raise ScfmError(
            f"benchmarks.perturbation.atlas: run '{atlas.run}' predicts by no prompts in this study; choose among "
            f"{', '.join(able) or 'none'}, or give a run model.prompt under benchmarks.perturbation.systems"
        )
    for role, name in (("screen", atlas.screen), ("reference", atlas.reference)):
        if name not in datasets:
            raise ScfmError(
                f"benchmarks.perturbation.atlas: {role} '{name}' is no dataset that the study evaluates; choose among "
                f"{', '.join(sorted(datasets))}"
            )
