# Which tables and figures this study has, and what each is made from: functions alone, as in files.smk.
import re
from typing import get_args

from flows import flows
from scfm.cli import STAGES
from scfm.paper.schemes import public_api
from scfm.paper.tables.contents import ITEMS
from scfm.study_file import Figure


def table_file(name):
    return RESULTS / "tables" / f"{name}.csv"


def table_files():
    names = ["contents", "table1", "table2", "table3", *LEARNABILITY_TABLES, "table4", *FROM_TIDY, "pairs", *WITH_NEEDS]
    names += ["systems", "generation", "cytokine"]
    there = {
        "ontology": ontology_models(),
        "table8": mouse_datasets(),
        "heldout": prepared("heldout") or finetune_models(),
    }
    there["table4"] = contrasts()
    there["donors"] = task_files("donor")
    there["systems"] = published_systems()
    there["imputation"] = count_files()
    there |= {"generation": generation_files(), "cytokine": cytokine_files()}
    there |= {task: asks_for(task) for task in WITH_NEEDS}
    there |= dict.fromkeys((f"table{number}" for number in range(9, 14)), prepared("clustering"))
    return [table_file(name) for name in [*names, "table14", "inconsistencies"] if there.get(name, True)]


def published_systems():
    """Files of what the papers of the study's systems print; that of BMFM has tables of its own."""
    systems = dict.fromkeys(STUDY.runs[run].system for run in STUDY.trained_runs)
    return [path for path in (Path(f"config/published/{system}.csv") for system in systems) if path.exists()]


def mouse_datasets():
    return [
        name for name in other_species() if STUDY.sheet[name].species == MOUSE and "integration" in STUDY.tasks(name)
    ]


def table_pages():
    """The tables as pages, and those that the paper numbers as LaTeX."""
    numbered = [path for path in table_files() if re.fullmatch(r"table\d+", path.stem)]
    return [path.with_suffix(".html") for path in table_files()] + [path.with_suffix(".tex") for path in numbered]


def items_here():
    """The paper's tables and figures that this study has, by name."""
    return {path.stem: path for path in [*table_files(), *figure_files()] if path.stem in ITEMS}


def items_missing():
    """Why it has none of the others."""
    reasons = {
        "table4": "no pair of runs that differ in the objective",
        "table8": "no mouse dataset is asked for integration",
        **dict.fromkeys((f"table{number}" for number in range(9, 14)), "no dataset is asked for clustering"),
        "figure2": "no MLM and WCED run with a common seed",
        "figure3": "no run with an ontology head, or no dataset with ontology ids",
        "figure4": "no dataset is asked for both integration and label prediction",
        "figure5": "no dataset is asked for fine-tuning and held-out batches",
        "figureS7": "no dataset or no pair of runs to compare",
    }
    for name, task in {"figure6": "moa", "figureS8": "disease"}.items():
        files = [str(path) for dataset, path in ABSENT.items() if task in STUDY.tasks(dataset)]
        reasons[name] = f"needs its file {', '.join(files)}" if files else f"no dataset is asked for {task}"
    left_out = [name for name in get_args(Figure) if STUDY.file.figures is not None and name not in STUDY.file.figures]
    reasons |= dict.fromkeys(left_out, "left out by the key figures of the study file")
    return {name: reasons[name] for name in ITEMS if name not in items_here()}


def report_tables():
    """Tables that the report shows: also that of the ablations, once it was made; then it is kept up to date."""
    ablations = table_file("ablations")
    return [*table_files(), *([ablations] if STUDY.file.ablations and ablations.exists() else [])]


def claim_files():
    """Tidy tables that claims are judged on: those of the ablations too, once they were made."""
    made = STUDY.file.ablations and table_file("ablations").exists()
    return list(dict.fromkeys([*tidy_files(), *(tidy_files(ablation_models()) if made else [])]))


def ontology_tables(kind):
    """What the ontology task says of each type (`types`) or node (`nodes`)."""
    return [BENCHMARKS / "ontology" / run / f"{seed}.{kind}.csv" for run, seed in ontology_models()]


def figure_names():
    """Figures that the study asks for and has the results of, in the paper's order."""
    scored_twice = task_files("integration") and task_files("probe")
    there = {"figure1": True, "figure2": agreement_pairs(), "figure3": ontology_models(), "figure4": scored_twice}
    there["figure5"] = prepared("heldout") and finetune_models()
    there["figure6"] = task_files("moa")
    there["figureS7"] = scored_twice and contrasts()
    there["figureS8"] = task_files("disease")
    there["figureS9"] = fullest_runs()
    there["perturbation_deltas"] = predicting()
    there["perturbed_atlas"] = ATLAS is not None
    there["generated_cells"] = generation_files()
    asked = STUDY.file.figures
    return [name for name, found in there.items() if found and (asked is None or name in asked)]


def figure_files():
    return [RESULTS / "figures" / name / f"{name}.png" for name in figure_names()]


def figure_tables(name):
    """What a figure is made from, by the parameters of its notebook; figure 1 is made of the workflow itself."""
    if name == "figure1":
        return {}
    if name == "figure2":
        return {"genes": scored(), "agreement": [RESULTS / "learnability" / "agreement.csv"]}
    if name == "figure3":
        return {kind: ontology_tables(kind) for kind in ("types", "nodes")}
    if name == "figure4":
        configs = [model_folder(run, seed) / "config.json" for run, seed in models()]
        return {"tidy": [*task_files("integration"), *task_files("probe")], "models": configs}
    if name == "figure6":
        return {"tidy": task_files("moa"), "published": WITH_NEEDS["moa"]}
    if name == "figureS7":
        return {"table4": [table_file("table4")], "pairs": [table_file("pairs")]}
    if name == "figureS8":
        return {"clusters": [path.with_suffix(".clusters.csv") for path in task_files("disease")]}
    if name == "generated_cells":
        return {"places": [GENERATION / "map.csv"], "tidy": generation_files()}
    if name == "figureS9":
        folders = [model_folder(run, STUDY.seeds[run][0]) for run in fullest_runs()]
        return {"configs": [f / "config.json" for f in folders], "weights": [f / "model.safetensors" for f in folders]}
    if name == "perturbation_deltas":
        return {"deltas": [BENCHMARKS / "perturbation" / "deltas.csv"]}
    if name == "perturbed_atlas":
        return {"atlas": [BENCHMARKS / "atlas" / "atlas.csv"]}
    tables = {"finetune": finetune_models(), "heldout": [pair for pair in embedders() if prepared("heldout", pair[0])]}
    return {task: [BENCHMARKS / task / run / f"{seed}.csv" for run, seed in found] for task, found in tables.items()}


def fullest_runs():
    """Of each objective the run with most label heads, the first of several."""
    found = {}
    runs = [run for run in STUDY.trained_runs if STUDY.runs[run].model.tracks_genes]
    for run in sorted(runs, key=lambda run: -len(STUDY.runs[run].model.heads)):
        found.setdefault(STUDY.runs[run].model.objective.kind, run)
    return [found[kind] for kind in sorted(found)]


def stage_flows():
    """Stages of this study with their rules and jobs, and the files between them; a rule's log says its stage."""
    targets = [RESULTS / "report.html", RESULTS / "claims.csv", *table_pages()]
    return flows(workflow.rules, targets, lambda rule: Path(rule.log[0]).relative_to(LOGS).parts[0])


def figure_parameters(name):
    """Parameters of a figure's notebook, which takes its tables as texts with blanks between.

    Those of figure 2: the first of its pairs and their first common seed.
    """
    where = {"out": str(RESULTS / "figures" / name), "dpi": STUDY.paper.dpi}
    if name == "figure3":
        where["skip"] = " ".join(other_species())
    if name == "figure1":
        where |= {"workflow": as_json(stage_flows()), "stages": json.dumps(STAGES), "api": as_json(public_api())}
    if name == "figure4":
        joined = STUDY.file.concatenations.items()
        where["concatenations"] = " ".join(f"{name}={'+'.join(part.run for part in parts)}" for name, parts in joined)
    if name != "figure2":
        return {table: " ".join(map(str, files)) for table, files in figure_tables(name).items()} | where
    first, second = (agreement_pairs() or [("none", "none")])[0]
    seed = shared_seeds(first, second)[0] if agreement_pairs() else 0
    return {"learnability": str(RESULTS / "learnability"), "first": first, "second": second, "seed": seed, **where}


def parameters_of_figure(name):
    """A function, for it is called when all rules are known."""
    return lambda wildcards: as_json(figure_parameters(name))


def caption_names():
    return [
        "claims",
        "scatter",
        *ANNOTATION_TABLES,
        *(path.stem for path in [*report_tables(), *figure_files(), *corpus_figures()]),
    ]


def print_closing_line(input, log):
    """Say how many claims have which verdict, and where the report is."""
    import pandas as pd

    verdicts = pd.read_csv(input.claims[0])["verdict"].value_counts().sort_index()
    counts = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items())
    line = f"study {STUDY.name}: claims: {counts}; open {Path(input.report[0]).resolve()}"
    Path(log[0]).write_text(f"{line}\n")
    print(line)
