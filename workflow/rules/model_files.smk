# Models and what they learn: functions for the rules' inputs and options.
from scfm.benchmarks.anew import check_atlas

try:
    check_atlas(STUDY.benchmarks.perturbation.atlas, STUDY.predicting, STUDY.evaluated)
except ScfmError as error:
    sys.exit(f"scfm: error: {error}")


def training_cells(run):
    """Inputs of a training: the shards, or with loader `soma` the selection of cells, and the store if it is local."""
    if STUDY.runs[run].training.loader == "shards":
        return {"shards": CORPUS / "shards" / "manifest.json"}
    names = ["cells.parquet", "genes.parquet", "features.parquet", "measured.npz", "manifest.json"]
    local = {"soma": CORPUS / "soma"} if SOURCE.kind in ("synthetic", "files") else {}
    return {"selection": [CORPUS / "selection" / name for name in names], **local}


def training_cells_options(run):
    """The same as options of the command line."""
    cells = training_cells(run)
    if "shards" in cells:
        return f"--shards {cells['shards'].parent}"
    source = shlex.quote(corpus_settings(SourceSettings))
    local = f" --soma {cells['soma']}" if "soma" in cells else ""
    return f"--selection {CORPUS / 'selection'} --source {source}{local}"


def model_folder(run, seed):
    return RESULTS / "pretrain" / run / str(seed)


def training_files(run):
    """Files that a training reads beside the corpus, such as pretrained gene vectors."""
    return list(STUDY.runs[run].model.files)


def corpus_vectors(run, seed):
    """The file of vectors of the corpus's cells, for a run that reads them; else None."""
    if STUDY.runs[run].model.cell_encoder is None:
        return None
    encoder, own = cell_encoder(run, seed)
    return RESULTS / "pretrain" / encoder / str(own) / f"vectors_{STUDY.runs[run].model.cell_encoder.pooling}.npy"


def start_weights(run, seed):
    """Weights of the model that a training begins with; nothing where it begins with random ones."""
    start = STUDY.runs[run].start
    return model_folder(*with_seed(start.run, seed)) / "model.safetensors" if start else []


def cell_encoder(run, seed):
    """(run, seed) whose cell vectors a run reads."""
    return with_seed(STUDY.runs[run].model.cell_encoder.run, seed)


def with_seed(run, seed):
    """(run, seed) of a run that another one of this seed needs: the same seed, or else the run's first."""
    return run, int(seed) if int(seed) in STUDY.seeds[run] else STUDY.seeds[run][0]


def models_of_edited_code():
    """Names of the trained models whose code of training is not that of this clone."""
    files = {
        f"{run}/{seed}": (model_folder(run, seed) / "config.json", digest(*training_code(run)))
        for run, seed in trained()
    }
    return [
        name for name, (file, now) in files.items() if file.exists() and json.loads(file.read_text())["code"] != now
    ]


def training_code(run):
    """What the training of a run runs."""
    return "scfm.pretrain.commands:train", f"scfm.models.{STUDY.runs[run].system}.system"


def model_code(model):
    """What embedding by a model runs, beside what it runs for all."""
    return ("scfm.model", f"scfm.models.{STUDY.runs[model].system}.system") if model in STUDY.runs else ()


def learnability_folder(run, seed):
    return RESULTS / "learnability" / run / str(seed)


def scored(runs=None):
    """Tables of scored genes of the trained models."""
    return [learnability_folder(run, seed) / "genes.parquet" for run, seed in tracked(runs)]


def scored_options(runs=None):
    """The same as options of the command line."""
    return [f"--genes {run}:{seed}={learnability_folder(run, seed) / 'genes.parquet'}" for run, seed in tracked(runs)]


def first_predictions():
    """Predicted cells of the first seed of each run that predicts."""
    first = {}
    for run, seed in predicting():
        first.setdefault(run, predicted_cells(run, seed))
    return list(first.values())


def dataset_of_atlas(which):
    """The prepared screen or reference; nothing in a study without an atlas."""
    return BENCHMARKS / "datasets" / f"{getattr(ATLAS, which)}.h5ad" if ATLAS else []


def atlas_cells():
    """Its cells: a file, or the folder of a SOMA."""
    path = BENCHMARKS / "atlas" / f"atlas.{ATLAS.format if ATLAS else 'h5ad'}"
    return directory(path) if path.suffix == ".soma" else path
