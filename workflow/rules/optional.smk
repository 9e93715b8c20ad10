# Datasets that a study may lack, and the tables that say so.

# Tables of tasks whose datasets may be missing, with the published figures that they show.
WITH_NEEDS = {"moa": ["config/published/figure6.csv"], "disease": [], "perturbation": []}


def absent():
    """Optional datasets whose file is not there, with its path; one prepared before, as in an archive, counts as there."""
    optional = [name for name in STUDY.named("benchmark") if STUDY.use(name).optional]
    files = {name: deposit(name) for name in optional if STUDY.sheet[name].resource.startswith("file:")}
    there = [name for name in files if (BENCHMARKS / "datasets" / f"{name}.h5ad").exists()]
    return {name: path for name, path in files.items() if name not in there and not Path(path).exists()}


ABSENT = absent()


def unless_absent(key, settings, *datasets):
    """Settings of a part of the study, or None with a line that says which of its datasets is not there."""
    for role in datasets if settings else ():
        if (name := getattr(settings, role)) in ABSENT:
            if workflow.is_main_process:
                print(f"scfm: left out: {key}, whose {role} '{name}' needs {ABSENT[name]}", file=sys.stderr)
            return None
    return settings


ATLAS = unless_absent("benchmarks.perturbation.atlas", STUDY.benchmarks.perturbation.atlas, "screen", "reference")
DRAWN = unless_absent("generation", STUDY.file.generation, "dataset")


def asks_for(task):
    """Whether the study names a dataset for a task, be its file there or not."""
    return any(task in STUDY.tasks(name) for name in STUDY.evaluated)


def needed(task):
    """Options that name the datasets of a task whose files are not there."""
    return [f"--needs {name}={path}" for name, path in ABSENT.items() if task in STUDY.tasks(name)]


def files_with_needs(table):
    """Tidy tables behind such a table."""
    return perturbation_files() if table == "perturbation" else task_files(table)
