# Files of drawn cells and of treated donors, in studies that ask for them: functions alone.
GENERATION = RESULTS / "generation"


def drawing_models():
    """(run, seed) of the models that draw cells."""
    asked = DRAWN.runs if DRAWN else ()
    named = [model.partition("/")[::2] for model in asked]
    return list(dict.fromkeys((run, int(own)) for run, seed in named for own in ([seed] if seed else STUDY.seeds[run])))


def drawn_cells():
    return [GENERATION / run / f"{seed}.h5ad" for run, seed in drawing_models()]


def generation_files(among=None):
    """The tidy table of drawn cells, which is one for all models; none for some of them alone."""
    return [GENERATION / "results.csv"] if drawing_models() and among is None else []


def cytokine_files(among=None):
    """Tidy tables of treated donors, of all the models that learn changes or those among some."""
    chosen = models_of("donors") if among is None else among
    return [
        BENCHMARKS / "cytokine" / run / f"{seed}.csv"
        for run, seed in chosen
        if prepared("cytokine")
        and run in STUDY.runs
        and STUDY.runs[run].model.learns_changes
        and STUDY.scores("cytokine", run, seed)
    ]
