"""What a study must be as a whole, beyond the values of single keys."""

from collections.abc import Collection, Mapping
from pathlib import Path

from scfm.datasets import OF_DONORS, TRAINED_ANEW
from scfm.errors import ScfmError
from scfm.generation.settings import Generation
from scfm.pretrain.settings import Run
from scfm.pretrain.stage import Stage


def check_runs(runs: dict[str, Run], named: Collection[str], path: Path) -> None:
    """Runs fit the runs that they need; arguments and errors are those of the two checks."""
    check_cell_encoders(runs, named, path)
    check_starts(runs, named, path)


def check_cell_encoders(runs: dict[str, Run], named: Collection[str], path: Path) -> None:
    """A run that reads cell vectors names another run of the study, and a pooling of it.

    Args:
        runs: those of the study and its ablations. named: those of the study. path: of the study file.

    Raises:
        ScfmError: it does not.
    """
    for name, run in runs.items():
        encoder = run.model.cell_encoder
        if encoder is None:
            continue
        if encoder.run not in named or encoder.run == name:
            raise ScfmError(
                f"{path}: run '{name}' reads the cell vectors of '{encoder.run}' (model.cells.run), which is no other "
                "run of the study; name one"
            )
        offered = runs[encoder.run].model.poolings
        if encoder.pooling not in offered or runs[encoder.run].model.embeds != "cells":
            raise ScfmError(
                f"{path}: run '{name}' reads the pooling '{encoder.pooling}' of '{encoder.run}', which has none for "
                f"cells; it offers {', '.join(offered)}"
            )


def check_starts(runs: dict[str, Run], named: Collection[str], path: Path) -> None:
    """A run that begins with the weights of another names a trained run of the study, of its system, in no circle.

    Args:
        runs, named, path: as in `check_cell_encoders`.

    Raises:
        ScfmError: it does not.
    """
    for name, run in runs.items():
        if run.start is None:
            continue
        where, first = f"{path}: run '{name}' begins with the weights of '{run.start.run}' (start.run)", run.start.run
        if first not in named or first == name or not runs[first].trained:
            raise ScfmError(f"{where}, which is no other trained run of the study; name one")
        if runs[first].system != run.system:
            raise ScfmError(f"{where}, whose system is '{runs[first].system}'; name a run of '{run.system}'")
        if runs[first].model.cell_encoder != run.model.cell_encoder:
            raise ScfmError(f"{where}, which reads the cell vectors of another run; give both the same model.cells")
        chain = [name]
        while (before := runs[chain[-1]].start) and len(chain) <= len(runs):
            chain.append(before.run)
        if before:
            raise ScfmError(f"{where}, and in the end with its own; let one of them begin with random weights")


def stages(runs: dict[str, Run], name: str) -> tuple[Stage, ...]:
    """What a run and those that it begins with take from the corpus, its own last."""
    start = runs[name].start
    return (*(stages(runs, start.run) if start else ()), runs[name].stage)


def check_task_models(
    task_models: Mapping[str, Collection[str]], known: Collection[str], seeds: Mapping[str, Collection[int]], path: Path
) -> None:
    """The models that a task is to score are of the study.

    Args:
        task_models: task to `run` or `run/seed`. known: models of the study. seeds: of each of them that has some.

    Raises:
        ScfmError: one is not.
    """
    for task, model in [(task, model) for task, models in task_models.items() for model in models]:
        run, _, seed = model.partition("/")
        if run not in known or (seed and seed not in map(str, seeds.get(run, ()))):
            raise ScfmError(f"{path}: task_models.{task}: model '{model}' is not in the study; name a run or run/seed")


def check_generation(
    generation: Generation | None,
    runs: Mapping[str, Run],
    seeds: Mapping[str, Collection[int]],
    benchmarks: Mapping[str, str | None],
    path: Path,
) -> None:
    """Runs that draw cells are of the study and of a system that does, and are compared with a benchmark of counts.

    Args:
        runs, seeds: of the study. benchmarks: dataset with that role to what its matrix holds. path: of the study file.

    Raises:
        ScfmError: they are not.
    """
    if generation is None:
        return
    for model in generation.runs:
        run, _, seed = model.partition("/")
        if run not in runs or (seed and seed not in map(str, seeds[run])):
            raise ScfmError(f"{path}: generation.runs: '{model}' is not in the study; name a run or run/seed")
        if not runs[run].model.draws_cells:
            able = [name for name, own in runs.items() if own.model.draws_cells]
            raise ScfmError(
                f"{path}: generation.runs: a system '{runs[run].system}' as of '{run}' draws no cells; "
                + (f"choose among {', '.join(able)}" if able else "leave out the key generation")
            )
    if benchmarks.get(generation.dataset) != "counts":
        known = [name for name, values in benchmarks.items() if values == "counts"]
        raise ScfmError(
            f"{path}: generation.dataset: '{generation.dataset}' is no benchmark of counts in the study; choose among "
            f"{', '.join(known) or 'none'}"
        )


def check_tasks_of_corpus(tasks: Mapping[str, Collection[str]], runs: Mapping[str, Run], path: Path) -> None:
    """Datasets that are trained on are asked only for tasks whose models are trained anew, or of donors' labels.

    Args:
        tasks: dataset of the corpus to the tasks that the study names for it.

    Raises:
        ScfmError: one is asked for another task, or for donors' labels while a run learns from such.
    """
    reads = {name: run.model.donor_labels for name, run in runs.items() if run.trained and run.model.donor_labels}
    for name, asked in tasks.items():
        for run in reads if set(asked) & set(OF_DONORS) else ():
            raise ScfmError(
                f"{path}: dataset '{name}' is trained on and asked for labels of donors, and run '{run}' learns from "
                f"'{reads[run][0]}' of donors; take {' and '.join(OF_DONORS)} off its tasks, or the run off the study"
            )
        if others := sorted(set(asked) - {*TRAINED_ANEW, *OF_DONORS}):
            raise ScfmError(
                f"{path}: dataset '{name}' is trained on and asked for {others[0]}; of such a dataset only "
                f"{', '.join(TRAINED_ANEW)} can be asked, whose models are trained anew, or {' and '.join(OF_DONORS)}"
                ", whose labels no training reads; change its role or its tasks"
            )


def check_sides(
    sources: Mapping[str, set[str]], trained: Collection[str], benchmarks: Mapping[str, bool], path: Path
) -> None:
    """No original study is both trained on and evaluated without a word on contamination.

    Args:
        sources: dataset to the names and DOIs of its original studies, "" for one that is not known.
        trained: datasets of the corpus.
        benchmarks: dataset that is evaluated to whether the study file says what of it is contaminated.

    Raises:
        ScfmError: one is.
    """
    seen = set().union(*(sources[name] for name in trained)) - {""}
    for name, said in benchmarks.items():
        both = sorted(sources[name] & seen, reverse=True)  # a name before a DOI
        if both and not said:
            raise ScfmError(
                f"{path}: study '{both[0]}' stands on both sides: '{name}' is a benchmark while a dataset of "
                "the same study is trained on; change a role or say what is contaminated"
            )
