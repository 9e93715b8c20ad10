"""One study: its settings from config.yaml, its study file, run files and sheet of datasets, checked as a whole."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from scfm.annotation.settings import AnnotationSettings
from scfm.annotation.settings import read_settings as read_annotation_settings
from scfm.benchmarks.settings import Benchmarks, Evaluation, Preparation
from scfm.corpus.settings import Corpus
from scfm.datasets import read_datasets
from scfm.errors import ScfmError
from scfm.genes import HUMAN
from scfm.learnability.settings import Learnability
from scfm.paper.settings import Paper, Scale
from scfm.pretrain.settings import Run
from scfm.resources.settings import Resource, read_resources
from scfm.settings import Settings, merge, parse, read_yaml

ANNOTATION_FILES = ("hgnc", "gene_ontology", "go_annotation", "tfclass", "protein_atlas", "housekeeping")
"""Resources that the annotation stage reads."""


class DatasetUse(Evaluation):
    """What a study does with one dataset."""

    role: Literal["pretrain", "benchmark"]
    """`pretrain`: cells of the corpus; `benchmark`: evaluated, never trained on."""


class RunUse(Settings):
    """What a study does with one file of config/runs."""

    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Seeds of weights and batches; one training each."""
    override: dict[str, Any] = {}
    """Keys of the run file that differ in this study, over those of `pretrain`."""


class Readings(Settings):
    """Readings of the gene rules that the paper leaves open (see annotation settings)."""

    relations: tuple[str, ...] = ("is_a",)
    """GO relations followed from a term to its descendants."""
    evidence: tuple[str, ...] | None = None
    """GO evidence codes that count; all if null."""
    tfclass_by: Literal["first_label", "any_label", "cross_reference"] = "first_label"
    """What makes a gene a transcription factor of TFClass."""
    housekeeping_by: Literal["symbol", "alias"] = "symbol"
    """How names of the housekeeping list are matched."""


class Shared(Settings):
    """config/config.yaml: which study, where things are, and defaults that studies may override."""

    study: str
    """Name of a file of config/studies."""
    mirror: str | None = None
    """Folder that holds the external files; null fetches them from their URLs."""
    results: str = "results"
    """Folder of results."""
    work: str = "work"
    """Folder of what must survive failures: checkpoints and partial downloads."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train and embed; `cpu` also forces a paper-scale study onto the CPU."""
    gpus: int = Field(1, ge=1)
    """GPUs of one training job."""
    threads: int = Field(1, ge=1)
    """CPU threads of one training job."""
    max_time: float | None = Field(None, gt=0)
    """Minutes after which a training writes a checkpoint and stops."""
    pretrain: dict[str, Any] = {}
    """Keys of every run laid over the study's own, e.g. fewer epochs for a first look."""
    annotation: Readings = Readings()
    """Readings of the gene rules."""
    learnability: Learnability = Learnability()
    """Which genes count as learnt."""
    benchmarks: Benchmarks = Benchmarks()
    """How embeddings are evaluated."""
    paper: Paper = Paper()
    """Tables, figures and claims."""


class StudyFile(Settings):
    """One file of config/studies."""

    description: str
    """What the study is for."""
    scale: Scale
    """Scale that its claims are judged at."""
    code_reruns: bool = True
    """An edit of the library reruns the jobs that use it; false where retraining costs days: a line then names the
    models of other code."""
    corpus: Corpus
    """Pretraining cells."""
    datasets: dict[str, dict[str, DatasetUse]] = {}
    """Original study to its datasets and their roles."""
    pretrain: dict[str, Any] = {}
    """Keys of every run file that differ in this study."""
    runs: dict[str, RunUse] = Field(min_length=1)
    """Runs of config/runs."""
    check_run: str | None = None
    """Run in which the planted truth of the synthetic census is looked for."""
    annotation: dict[str, Any] = {}
    """Overrides of the shared key."""
    learnability: dict[str, Any] = {}
    """Overrides of the shared key."""
    benchmarks: dict[str, Any] = {}
    """Overrides of the shared key."""
    paper: dict[str, Any] = {}
    """Overrides of the shared key."""


class Study:
    """The resolved settings of one study; every part is checked when it is made.

    Keys of config.yaml yield to those of the study file, and both to those given on the command line.

    Args:
        config: the merged mapping of config.yaml and the command line; what differs from the file was given.
        folder: the folder `config`.

    Raises:
        ScfmError: any unknown key, wrong value, missing file, unknown run or dataset, one original study on both
            sides without a word on contamination, or a dataset or check that its kind of source has no place for.
    """

    def __init__(self, config: dict, folder: Path) -> None:
        self.folder = folder
        self.shared = parse(Shared, config, f"{folder}/config.yaml or --config")
        self.given = _difference(config, read_yaml(folder / "config.yaml"))
        self.name = self.shared.study
        path = folder / "studies" / f"{self.name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in (folder / "studies").glob("*.yaml")))
            raise ScfmError(f"study: '{self.name}' does not exist; choose one of {known}")
        self.file = parse(StudyFile, read_yaml(path), str(path))
        self.scale: Scale = self.file.scale
        self.corpus = self.file.corpus
        self.learnability = self._override(Learnability, "learnability", path)
        self.benchmarks = self._override(Benchmarks, "benchmarks", path)
        self.paper = self._override(Paper, "paper", path)
        self.readings = self._override(Readings, "annotation", path)
        self.runs = {name: self._run(name, use, path) for name, use in self.file.runs.items()}
        self.seeds = {name: use.seeds for name, use in self.file.runs.items()}
        self.sheet = read_datasets(folder / "datasets.tsv")
        self.resources: dict[str, Resource] = read_resources(folder / "resources.yaml")
        self._check_datasets(path)
        self._check_sides(path)
        self._check_source(path)

    def _override(self, model: type[Settings], key: str, path: Path) -> Any:
        base = getattr(self.shared, key).model_dump(mode="json", exclude_unset=True)
        data = merge(merge(base, getattr(self.file, key)), self.given.get(key, {}))
        return parse(model, data, f"{path}: {key}")

    def _run(self, name: str, use: RunUse, path: Path) -> Run:
        source = self.folder / "runs" / f"{name}.yaml"
        if not source.is_file():
            known = ", ".join(sorted(p.stem for p in source.parent.glob("*.yaml")))
            raise ScfmError(f"{path}: run '{name}' does not exist; choose among {known}, or write {source}")
        data = read_yaml(source)
        for override in (self.file.pretrain, use.override, self.shared.pretrain):
            data = merge(data, override)
        return parse(Run, data, f"{source} in study '{self.name}'")

    def _check_datasets(self, path: Path) -> None:
        for name in [name for uses in self.file.datasets.values() for name in uses]:
            if name not in self.sheet:
                raise ScfmError(f"{path}: dataset '{name}' is not in {self.folder}/datasets.tsv; add its row there")
            if self.sheet[name].resource.split(":")[0] not in ("file", "synthetic", *self.resources):
                raise ScfmError(f"{path}: dataset '{name}' has no file in {self.folder}/resources.yaml; add it there")

    def _check_sides(self, path: Path) -> None:
        """Original studies go by the names of the study file and of the sheet, and by their DOIs."""
        sources = {
            name: {original, *(part.strip() for part in self.sheet[name].study.split(";")), *self.sheet[name].doi}
            - {""}
            for original, uses in self.file.datasets.items()
            for name in uses
        }
        trained = set().union(*(sources[name] for name in self.named("pretrain")))
        for name in self.named("benchmark"):
            both = sorted(sources[name] & trained, reverse=True)  # a name before a DOI
            if both and self.use(name).contaminated is False:
                raise ScfmError(
                    f"{path}: study '{both[0]}' stands on both sides: '{name}' is a benchmark while a dataset of "
                    "the same study is trained on; change a role or say what is contaminated"
                )

    def _check_source(self, path: Path) -> None:
        source, trained = self.corpus.source, self.named("pretrain")
        if source.kind != "files" and trained:
            raise ScfmError(
                f"{path}: dataset '{trained[0]}' has the role 'pretrain', which a source of kind '{source.kind}' does "
                "not read; change its role or corpus.source"
            )
        missing = set(source.datasets) ^ set(trained) if source.kind == "files" else set()
        if missing:
            raise ScfmError(
                f"{path}: dataset '{sorted(missing)[0]}' must both have the role 'pretrain' and stand in "
                "corpus.source.datasets"
            )
        for species in self.species - {HUMAN}:
            name = self.corpus.genes.orthologs.get(species, "")
            if name not in self.resources:
                raise ScfmError(
                    f"{path}: cells of {species} need the orthologs of its genes; name their resource under "
                    f"corpus.genes.orthologs.{species} and describe it in {self.folder}/resources.yaml"
                )
        if self.file.check_run not in (None, *self.runs):
            raise ScfmError(f"{path}: check_run '{self.file.check_run}' is not among the runs; name one of them")
        if self.file.check_run and not self.synthetic:
            raise ScfmError(
                f"{path}: check_run '{self.file.check_run}' needs the planted truth of the synthetic census, not a "
                f"source of kind '{source.kind}'; remove check_run or change corpus.source"
            )

    def named(self, role: str) -> list[str]:
        """Names of the datasets with a role, in the order of the study file."""
        return [name for uses in self.file.datasets.values() for name, use in uses.items() if use.role == role]

    def use(self, name: str) -> DatasetUse:
        """What the study does with a dataset."""
        return next(uses[name] for uses in self.file.datasets.values() if name in uses)

    def preparation(self, name: str) -> Preparation:
        """Everything that the preparation of a benchmark dataset depends on."""
        use = self.use(name)
        return Preparation(dataset=self.sheet[name], tasks=use.tasks, contaminated=use.contaminated)

    @cached_property
    def annotation(self) -> AnnotationSettings:
        """Gene rules under the study's readings."""
        readings = self.readings.model_dump(mode="json")
        return read_annotation_settings(self.folder / "families.yaml", self.folder / "programs.yaml", **readings)

    @property
    def external(self) -> list[str]:
        """Names of the external files that the study needs; the synthetic census brings its own annotation."""
        annotation = [] if self.synthetic else [*ANNOTATION_FILES, "cell_ontology"]
        datasets = [self.sheet[name].resource for role in ("pretrain", "benchmark") for name in self.named(role)]
        orthologs = [self.corpus.genes.orthologs[species] for species in sorted(self.species - {HUMAN})]
        return [*annotation, *orthologs, *(name for name in datasets if name in self.resources)]

    @property
    def species(self) -> set[str]:
        """Species of the cells of the corpus, as the Census writes them."""
        source = self.corpus.source
        if source.kind == "files":
            return {self.sheet[name].species for name in source.datasets}
        return {getattr(source, "organism", HUMAN)}

    @property
    def synthetic(self) -> bool:
        """Whether cells and annotation come from the synthetic census."""
        return self.corpus.source.kind == "synthetic"

    @property
    def trained_runs(self) -> list[str]:
        """Runs that are trained; what is left are controls with random weights."""
        return [name for name, run in self.runs.items() if run.trained]


def _difference(config: dict, file: dict) -> dict:
    """What `config` holds and `file` does not, key by key, nested mappings included."""
    changed = {key: value for key, value in config.items() if key not in file or value != file[key]}
    return {
        key: _difference(value, file[key]) if isinstance(value, dict) and isinstance(file.get(key), dict) else value
        for key, value in changed.items()
    }
