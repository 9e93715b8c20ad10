# Where each stage's files lie and which of them this study has: functions for the rules' inputs and options.
import json
import shlex

from scfm.benchmarks.settings import Exposure
from scfm.corpus.settings import BuildSettings, SourceSettings
from scfm.corpus.synthetic import corpus_names, dataset_row
from scfm.datasets import COUNT_TASKS, EMBEDDING_TASKS, WITHOUT_VECTORS
from scfm.embeddings import Vectors
from scfm.genes import HUMAN
from scfm.learnability import FILES as LEARNABILITY_FILES
from scfm.paper.tables.mouse import SPECIES as MOUSE
from scfm.pretrain.stage import Stage
from scfm.study import ANNOTATION_FILES, LIBRARY
from scfm.study_checks import stages

CORPUS = RESULTS / "corpus"
SOURCE = STUDY.corpus.source
BENCHMARKS = RESULTS / "benchmarks"
CONTAMINATION = BENCHMARKS / "contamination.csv"
SYNTHETIC_CELLS = corpus_names(STUDY.corpus.source) if STUDY.synthetic else []
# Written by the synthetic census in the providers' formats.
SYNTHETIC_ANNOTATION = {
    "hgnc": "hgnc.tsv",
    "gene_ontology": "gene_ontology.obo",
    "go_annotation": "go_annotation.gaf",
    "tfclass": "tfclass.csv",
    "protein_atlas": "protein_atlas.tsv",
    "housekeeping": "housekeeping.txt",
    "cell_ontology": "cell_ontology.obo",
}
# Tables of the annotation stage that the report shows, by the names of their captions.
ANNOTATION_TABLES = {
    "annotation_families": RESULTS / "annotation" / "families.csv",
    "annotation_programs": RESULTS / "annotation" / "programs.csv",
    "annotation_readings": RESULTS / "annotation" / "readings.csv",
    "annotation_reading_counts": RESULTS / "annotation" / "reading_counts.csv",
}
# Tables of the learnability of all runs, made by one job.
LEARNABILITY_TABLES = ("learnability", "winners", "crosstab", "sensitivity", "detection", "gating")
# Tables made from tidy results alone, with their commands.
FROM_TIDY = {
    "table5": "5",
    "table6": "6",
    "table7": "7",
    "table8": "8",
    "macro_f1": "macro-f1",
    **{f"table{number}": str(number) for number in range(9, 14)},
    "heldout": "heldout",
    "ontology": "ontology",
    "donors": "donors",
    "imputation": "imputation",
    "controls": "controls",
    "ranks": "ranks",
}


# Resources.
def resource(name):
    """Path of an external file, or of its stand-in made by the synthetic census.

    An external file is static, so that fetching it again reruns nothing; another release of it has another path.
    """
    if STUDY.synthetic and name in SYNTHETIC_ANNOTATION:
        return CORPUS / "synthetic" / "annotation" / SYNTHETIC_ANNOTATION[name]
    entry, mirrored = STUDY.resources[name], STUDY.shared.mirror is not None
    return ancient(RESULTS / "resources" / name / entry.version(mirrored) / entry.filename(mirrored))


def deposit(name):
    """Path of a dataset's file: fetched, local, or made by the synthetic census."""
    row = STUDY.sheet[name]
    if row.resource.startswith("file:"):
        return ancient(Path(row.resource.removeprefix("file:")))
    if row.resource.startswith("synthetic:"):
        return CORPUS / "synthetic" / row.resource.removeprefix("synthetic:")
    if row.resource.startswith("planted:"):
        return CORPUS / "planted" / f"{row.resource.removeprefix('planted:')}.h5ad"
    return resource(row.resource)


# A wrong mirror is named at once, unless nothing has to be fetched, as in an unpacked archive.
if STUDY.shared.mirror and any(not Path(resource(name)).exists() for name in STUDY.external):
    try:
        must_exist(STUDY.shared.mirror, "mirror folder")
    except ScfmError as error:
        sys.exit(f"scfm: error: {error}")


# Corpus.
def corpus_settings(model):
    """The slice of the corpus settings that one step takes: its keys, and of nested settings their keys."""
    whole = STUDY.corpus.model_dump(mode="json")
    nested = {name: getattr(field.annotation, "model_fields", None) for name, field in model.model_fields.items()}
    return as_json(
        {name: {key: whole[name][key] for key in keys} if keys else whole[name] for name, keys in nested.items()}
    )


def corpus_deposits():
    """Files of the corpus's cells; a 10x folder is converted first."""
    if STUDY.synthetic:
        return [CORPUS / "synthetic" / f"{name}.h5ad" for name in SYNTHETIC_CELLS]
    converted = CORPUS / "deposits"
    return [
        converted / f"{name}.h5ad" if Path(deposit(name)).is_dir() else deposit(name)
        for name in (SOURCE.datasets if SOURCE.kind == "files" else ())
    ]


def deposit_rows():
    """Their rows of the sheet of datasets."""
    if STUDY.synthetic:
        rows = [dataset_row(name).model_dump() for name in SYNTHETIC_CELLS]
    else:
        named = {name: STUDY.use(name).human_names for name in SOURCE.datasets}
        rows = [STUDY.sheet[name].model_dump() | {"human_names": human} for name, human in named.items()]
    return as_json(BuildSettings(datasets=rows))


def store():
    """Inputs of the rules that read the store: the local SOMA, deposits, or nothing for what is read from afar."""
    if STUDY.synthetic:
        return {"soma": CORPUS / "soma"}
    return {"deposits": corpus_deposits()} if SOURCE.kind == "files" else {}


def store_options(input):
    """The same as arguments of the command line."""
    if STUDY.synthetic:
        return f"--soma {input.soma}"
    return f"{input.deposits} --datasets {shlex.quote(deposit_rows())}" if SOURCE.kind == "files" else ""


def ortholog_resources():
    """Species of the corpus other than human, with the resources of their orthologs."""
    return {species: STUDY.corpus.genes.orthologs[species] for species in sorted(STUDY.species - {HUMAN})}


def corpus_tables():
    names = ["qc", "qc_quantiles", "sampling", "split", "gene_name_counts"]
    return [*(CORPUS / "selection" / f"{name}.csv" for name in names), CORPUS / "crossing.csv"]


def corpus_figures():
    return [CORPUS / "figures" / name for name in ("corpus_sampling", "corpus_qc")]


# Benchmarks.
def prepared(task=None, model=None):
    """Prepared datasets, of one task and for one model's vectors if named; scVI reads counts alone.

    Datasets whose every task reads no vectors need none. Those trained on are among them where a task is asked of them.
    """
    every = STUDY.evaluated if task or model else STUDY.named("benchmark")
    names = [name for name in every if name not in ABSENT]
    if model:
        names = [name for name in names if not STUDY.tasks(name) or set(STUDY.tasks(name)) - set(WITHOUT_VECTORS)]
    if model == "scvi":
        names = [name for name in names if STUDY.sheet[name].values == "counts"]
    if task:
        names = [name for name in names if task in STUDY.tasks(name)]
    return [BENCHMARKS / "datasets" / f"{name}.h5ad" for name in names]


def other_species():
    """Benchmark datasets of another species than human."""
    return [name for name in STUDY.named("benchmark") if STUDY.sheet[name].species not in ("", HUMAN)]


def contamination(model):
    """The table that says what a model has seen; a new ablation is no reason to score other models again."""
    return BENCHMARKS / f"contamination_of_{model}.csv" if model in STUDY.file.ablations else CONTAMINATION


def exposure(runs, untold=(), others=()):
    """Evaluated datasets, what each model trains on, all of the corpus for others, and models of which that is not known."""
    taken = {run: stages(STUDY.runs, run) for run in runs} | {name: (Stage(),) for name in others}
    rows = [STUDY.sheet[name] for name in STUDY.evaluated if name not in ABSENT]
    return as_json(Exposure(datasets=tuple(rows), taken=taken, untold=tuple(untold)))


def embedder(model, seed):
    """What embedding takes as input for a model: nothing for a baseline, else what changes with it."""
    if model in STUDY.embeddings:
        name = STUDY.embeddings[model].resource
        # A new file of vectors is a reason to score them again.
        return Path(name.removeprefix("file:")) if name.startswith("file:") else resource(name)
    return [] if model in BASELINES else model_folder(model, seed) / "model.safetensors"


def embedder_settings(model):
    """Settings of a baseline or of the file of vectors; a model directory has its own."""
    if model in STUDY.embeddings:
        return as_json(STUDY.embeddings[model].model_dump(mode="json", include=set(Vectors.model_fields)))
    return as_json(BASELINES.get(model, {}))


def embedded(model, seed):
    return BENCHMARKS / "embed" / model / f"{seed}.h5ad"


def ontology_models(among=None):
    """(run, seed) of the models that name cell types, if any dataset is labelled with ontology ids."""
    chosen = models() if among is None else among
    return [(run, seed) for run, seed in chosen if STUDY.runs[run].model.names_cell_types and prepared("ontology")]


def task_files(task, among=None):
    """Tidy tables of a task that scores embeddings, of all the models that it scores or those among some."""
    every = [*embedders(), *(models_of("donors") if task == "donor" else [])]
    return [
        BENCHMARKS / task / model / f"{seed}.csv"
        for model, seed in (every if among is None else among)
        if prepared(task, model) and STUDY.scores(task, model, seed)
    ]


def finetune_models(among=None):
    """(run, seed) of the models that are fine-tuned, if any dataset asks for it; an ablation is not."""
    runs = STUDY.benchmarks.finetune.runs or STUDY.file.runs
    chosen = models() if among is None else among
    own = {run: STUDY.runs[run].model for run, _ in chosen}
    able = [(run, seed) for run, seed in chosen if own[run].reads_tokens or own[run].tuned_pooling]
    return [(run, seed) for run, seed in able if run in runs and prepared("finetune")]


def count_files(among=None):
    """Tidy tables of the tasks that score expected counts, of all the models that give them or those among some."""
    chosen = models() if among is None else among
    able = [(run, seed) for run, seed in chosen if run in STUDY.runs and STUDY.runs[run].model.expects_counts]
    return [
        BENCHMARKS / task / run / f"{seed}.csv"
        for task in COUNT_TASKS
        for run, seed in able
        if prepared(task) and STUDY.scores(task, run, seed)
    ]


def fitted_beside(task):
    """Options for the baseline that a task of expected counts fits itself."""
    asked = task == "denoise" and "scvi" in BASELINES
    return f"--scvi {shlex.quote(as_json(BASELINES['scvi']))}" if asked else ""


def predicted_cells(model, seed):
    """The perturbed cells that a run predicts; nothing for the baselines."""
    return [] if model == "baselines" else BENCHMARKS / "predict" / model / f"{seed}.h5ad"


def predicting(among=None):
    """(run, seed) of the models that predict perturbed cells, if any dataset is asked for that."""
    chosen = models() if among is None else among
    able = [(run, seed) for run, seed in chosen if run in STUDY.predicting and prepared("perturbation")]
    return [(run, seed) for run, seed in able if STUDY.scores("perturbation", run, seed)]


def perturbation_files(among=None):
    """Tidy tables of predicted perturbed cells: of the baselines and all models that predict, or of some models."""
    baselines = [("baselines", 0)] if prepared("perturbation") and among is None else []
    return [BENCHMARKS / "perturbation" / model / f"{seed}.csv" for model, seed in [*baselines, *predicting(among)]]


def perturbation_task(*keys):
    """Cells of the task, and the other keys of its settings that a job reads: an edit of the rest reruns nothing.

    What is said of a dataset whose file is not there is left out.
    """
    task = STUDY.benchmarks.perturbation.model_dump(mode="json", include={"quality", "genes", *keys})
    for key in {"holdouts", "by_dataset"} & set(task):
        task[key] = {name: value for name, value in task[key].items() if name not in ABSENT}
    return as_json(task)


def tidy_files(among=None):
    """Every tidy table of the benchmarks, or those of some models."""
    files = [file for task in (*EMBEDDING_TASKS, "disease") for file in task_files(task, among)]
    files += count_files(among) + perturbation_files(among)
    files += generation_files(among) + cytokine_files(among)
    files += [BENCHMARKS / "ontology" / run / f"{seed}.csv" for run, seed in ontology_models(among)]
    return files + [BENCHMARKS / "finetune" / run / f"{seed}.csv" for run, seed in finetune_models(among)]
