"""Runs that are trained anew on a task's own training cells."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from scfm.benchmarks.task_settings import AtlasTask, PerturbationTask
from scfm.errors import ScfmError
from scfm.models.system import systems
from scfm.pretrain.settings import Run, parse_run
from scfm.settings import merge


def predicting_runs(runs: Mapping[str, Run], task: PerturbationTask, path: Path) -> dict[str, Run]:
    """Trained runs that predict perturbed cells, as they are trained anew.

    Args:
        runs: name to a run of the study. task: what is laid over them. path: of the study file.

    Raises:
        ScfmError: a system that there is not, or keys that do not fit it.
    """
    where = f"{path}: benchmarks.perturbation"
    laid = {name: run for name, run in runs.items() if run.trained}
    laid = _laid(laid, task.systems, f"{where}.systems")
    predicting = {name: run for name, run in laid.items() if run.model.predicts}
    for dataset, overrides in task.by_dataset.items():
        _laid(predicting, overrides, f"{where}.by_dataset.{dataset}")
    return predicting


def run_on(run: Run, dataset: str, task: PerturbationTask) -> Run:
    """A predicting run as it is trained on the folds of one dataset.

    Raises:
        ScfmError: keys of `by_dataset` do not fit it, or it predicts nothing with them.
    """
    where = f"benchmarks.perturbation.by_dataset.{dataset}"
    (laid,) = _laid({run.system: run}, task.by_dataset.get(dataset, {}), where).values()
    if not laid.model.predicts:
        raise ScfmError(f"{where}.{run.system}: it predicts no perturbed cells with these keys; correct them")
    return laid


def _laid(runs: Mapping[str, Run], overrides: Mapping[str, dict[str, Any]], where: str) -> dict[str, Run]:
    """Runs with keys of their systems laid over them."""
    if strange := sorted(set(overrides) - set(systems())):
        raise ScfmError(f"{where}: '{strange[0]}' is no system; choose among {', '.join(systems())}")
    return {
        name: parse_run(merge(run.model_dump(mode="json"), overrides[run.system]), f"{where}, run '{name}'")
        if run.system in overrides
        else run
        for name, run in runs.items()
    }


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
