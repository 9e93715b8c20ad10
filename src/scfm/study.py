"""One study: its settings from config.yaml, its study file, run files and sheet of datasets, checked as a whole."""

from functools import cached_property
from pathlib import Path
from typing import Any

from scfm.annotation.settings import AnnotationSettings, Choices, read_alternatives
from scfm.annotation.settings import read_settings as read_annotation_settings
from scfm.benchmarks.anew import predicting_runs
from scfm.benchmarks.settings import Benchmarks, Evaluation, Preparation
from scfm.datasets import read_datasets
from scfm.embeddings import EmbeddingFile, read_embedding_files
from scfm.errors import ScfmError
from scfm.genes import HUMAN
from scfm.learnability.settings import Learnability
from scfm.paper.settings import Paper, Scale
from scfm.pretrain.settings import Run, parse_run
from scfm.resources.settings import Resource, read_resources
from scfm.settings import Settings, merge, of_kind, parse, read_yaml
from scfm.study_checks import check_generation, check_runs, check_sides, check_task_models, check_tasks_of_corpus
from scfm.study_file import AblationUse, DatasetUse, Shared, StudyFile

ANNOTATION_FILES = ("hgnc", "gene_ontology", "go_annotation", "tfclass", "protein_atlas", "housekeeping")
"""Resources that the annotation stage reads."""
LIBRARY = "sciplex_library"
"""Resource that tells the mechanisms of drugs by catalogue number."""

BASELINES = ("pca", "scvi")
"""Names in the tables that no run may have."""


class Study:
    """The resolved settings of one study; every part is checked when it is made.

    Keys of config.yaml yield to those of the study file, and both to those given on the command line.

    Args:
        config: the merged mapping of config.yaml and the command line; what differs from the file was given.
        folder: the folder `config`.

    Raises:
        ScfmError: any unknown key, wrong value, missing file, unknown run, base or dataset, one original study on both
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
        self.readings = self._override(Choices, "annotation", path)
        self.runs = {name: self._run(name, path, use.override) for name, use in self.file.runs.items()}
        for name, use in self.file.ablations.items():
            self.runs[name] = self._ablation(name, use, path)
        self.seeds = {name: use.seeds for name, use in (self.file.runs | self.file.ablations).items()}
        self.sheet = read_datasets(folder / "datasets.tsv")
        self.resources: dict[str, Resource] = read_resources(folder / "resources.yaml")
        self.embeddings = self._embeddings(path)
        for name in self.file.concatenations:
            self.seeds[name] = self._concatenated_seeds(name, path)
        self._check_datasets(path)
        self._check_tasks(path)
        self._check_sides(path)
        self._check_source(path)
        check_runs(self.runs, self.file.runs, path)
        self.predicting = predicting_runs(self.runs, self.benchmarks.perturbation, path)

    def _override(self, model: type[Settings], key: str, path: Path) -> Any:
        base = getattr(self.shared, key).model_dump(mode="json", exclude_unset=True)
        data = merge(merge(base, getattr(self.file, key)), self.given.get(key, {}))
        return parse(model, data, f"{path}: {key}")

    def _run(self, name: str, path: Path, *overrides: dict, where: str = "") -> Run:
        """A file of config/runs with the keys of the study, then `overrides`, then those given laid over it."""
        source = self.folder / "runs" / f"{name}.yaml"
        if not source.is_file():
            known = ", ".join(sorted(p.stem for p in source.parent.glob("*.yaml")))
            raise ScfmError(f"{path}: run '{name}' does not exist; choose among {known}, or write {source}")
        data = read_yaml(source)
        own = self.file.systems.get(str(data.get("system")), {})
        for override in (of_kind(self.file.pretrain, data), own, *overrides, self.shared.pretrain):
            data = merge(data, override)
        return parse_run(data, where or f"{source} in study '{self.name}'")

    def _ablation(self, name: str, use: AblationUse, path: Path) -> Run:
        where = f"{path}: ablation '{name}'"
        if name in (*self.runs, *BASELINES):
            raise ScfmError(f"{where}: a model of the study has this name; give it another")
        if use.base not in self.trained_runs:
            known = ", ".join(self.trained_runs)
            raise ScfmError(f"{where}: base '{use.base}' is no trained run of the study; choose among {known}")
        base = self.file.runs[use.base]
        if not set(use.seeds) <= set(base.seeds):
            raise ScfmError(f"{where}: seeds {list(use.seeds)} are not all seeds of '{use.base}'; leave the others out")
        run = self._run(use.run or use.base, path, base.override, use.override, where=where)
        if run.model_copy(update={"description": self.runs[use.base].description}) == self.runs[use.base]:
            raise ScfmError(f"{where}: nothing differs from '{use.base}'; name another run or an override")
        return run

    def _embeddings(self, path: Path) -> dict[str, EmbeddingFile]:
        """Models of others that have a file, of this study."""
        sheet = self.folder / "embeddings.tsv"
        chosen = {}
        for name, row in read_embedding_files(sheet).items():
            if name in (*self.runs, *self.file.concatenations, *BASELINES):
                raise ScfmError(
                    f"{sheet}: embedding '{name}': a model of study '{self.name}' has this name; give it another"
                )
            for study in row.studies:
                if not (self.folder / "studies" / f"{study}.yaml").is_file():
                    raise ScfmError(f"{sheet}: embedding '{name}': no study '{study}' exists; correct its studies")
            if row.resource.split(":")[0] not in ("", "file", *self.resources):
                raise ScfmError(
                    f"{sheet}: embedding '{name}': resource '{row.resource}' is not in {self.folder}/resources.yaml; "
                    "add it there, or write file: and a path"
                )
            if row.resource and (not row.studies or self.name in row.studies):
                chosen[name] = row
        return chosen

    def _concatenated_seeds(self, name: str, path: Path) -> tuple[int, ...]:
        """Seeds that all parts of a concatenation have."""
        where = f"{path}: concatenation '{name}'"
        if name in (*self.runs, *BASELINES):
            raise ScfmError(f"{where}: a model of the study has this name; give it another")
        parts = self.file.concatenations[name]
        for part in parts:
            if part.run not in self.file.runs:
                known = ", ".join(self.file.runs)
                raise ScfmError(f"{where}: '{part.run}' is no run of the study; choose among {known}")
            offered = self.runs[part.run].model.poolings
            if part.pooling not in offered:
                raise ScfmError(
                    f"{where}: run '{part.run}' has no pooling '{part.pooling}'; choose among {', '.join(offered)}"
                )
        shared = set.intersection(*(set(self.seeds[part.run]) for part in parts))
        if not shared:
            raise ScfmError(f"{where}: its runs have no seed in common; give them one")
        return tuple(sorted(shared))

    def _check_datasets(self, path: Path) -> None:
        for name in [name for uses in self.file.datasets.values() for name in uses]:
            if name not in self.sheet:
                raise ScfmError(f"{path}: dataset '{name}' is not in {self.folder}/datasets.tsv; add its row there")
            if self.sheet[name].resource.split(":")[0] not in ("file", "synthetic", "planted", *self.resources):
                raise ScfmError(f"{path}: dataset '{name}' has no file in {self.folder}/resources.yaml; add it there")
            if self.sheet[name].resource.startswith("planted:") and not self.synthetic:
                reason = "is drawn beside the synthetic census; remove it or change corpus.source"
                raise ScfmError(f"{path}: dataset '{name}' {reason}")

    def _check_tasks(self, path: Path) -> None:
        known = (*self.file.runs, *self.embeddings, *self.file.concatenations, *BASELINES)
        check_task_models(self.file.task_models, known, self.seeds, path)
        asked = {name: self.use(name).tasks or () for name in self.named("pretrain")}
        check_tasks_of_corpus(asked, self.runs, path)
        benchmarks = {name: self.sheet[name].values for name in self.named("benchmark")}
        check_generation(self.file.generation, self.runs, self.seeds, benchmarks, path)

    def _check_sides(self, path: Path) -> None:
        """Original studies go by the names of the study file and of the sheet, and by their DOIs."""
        sources = {
            name: {original, *(part.strip() for part in self.sheet[name].study.split(";")), *self.sheet[name].doi}
            for original, uses in self.file.datasets.items()
            for name in uses
        }
        said = {name: self.use(name).contaminated is not False for name in self.named("benchmark")}
        check_sides(sources, self.named("pretrain"), said, path)

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
        renamed = {self.sheet[name].species for name in self.named("benchmark") if not self.use(name).human_names}
        for species in sorted((self.species | renamed) - {HUMAN, ""}):
            name = self.corpus.genes.orthologs.get(species, "")
            if name not in self.resources:
                raise ScfmError(
                    f"{path}: cells of {species} need the orthologs of its genes; name their resource under "
                    f"corpus.genes.orthologs.{species} and describe it in {self.folder}/resources.yaml"
                )
        for run in sorted(set(self.benchmarks.finetune.runs or ()) - set(self.runs)):
            raise ScfmError(f"{path}: benchmarks.finetune.runs names '{run}', which is not among the runs; name one")
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

    def tasks(self, name: str) -> tuple[str, ...]:
        """Those of the sheet unless the study names its own, be it none; of the corpus's cells only those it names."""
        own = self.use(name)
        return own.tasks if own.tasks is not None else self.sheet[name].tasks if own.role == "benchmark" else ()

    @property
    def evaluated(self) -> list[str]:
        """Names of the datasets that some task scores: benchmarks, and of the corpus's cells those that name a task."""
        return [*self.named("benchmark"), *filter(self.tasks, self.named("pretrain"))]

    def preparation(self, name: str) -> Preparation:
        """Everything that the preparation of a benchmark dataset depends on."""
        row, use = self.sheet[name], self.use(name)
        said = {key: getattr(use, key) for key in Evaluation.model_fields}
        library = self.benchmarks.moa.mechanism == "library" and bool(row.catalog_column)
        return Preparation(dataset=row, **said, split=self.benchmarks.split, library=library)

    def scores(self, task: str, model: str, seed: int) -> bool:
        """Whether a task scores a model."""
        models = self.file.task_models.get(task)
        return models is None or model in models or f"{model}/{seed}" in models

    def orthologs(self, name: str) -> str | None:
        """Resource with the orthologs that rename the genes of a benchmark dataset, if it needs one."""
        species = self.sheet[name].species
        if species in ("", HUMAN) or self.use(name).human_names:
            return None
        return self.corpus.genes.orthologs.get(species)

    @cached_property
    def annotation(self) -> AnnotationSettings:
        """Gene rules under the study's readings."""
        readings = self.readings.model_dump(mode="json")
        return read_annotation_settings(self.folder / "families.yaml", self.folder / "programs.yaml", **readings)

    @cached_property
    def other_readings(self) -> list[str]:
        """Resources that readings of the gene rules put in the place of the study's; none beside a synthetic census."""
        path = self.folder / "readings.yaml"
        names = read_alternatives(path, self.annotation).resources
        for name in sorted(set(names) - set(self.resources)):
            raise ScfmError(f"{path}: the resource '{name}' is not in {self.folder}/resources.yaml; add it there")
        return [] if self.synthetic else names

    @property
    def external(self) -> list[str]:
        """Names of the external files that the study needs, each once, though datasets may be parts of one file; the
        synthetic census brings its own annotation."""
        annotation = [] if self.synthetic else [*ANNOTATION_FILES, *self.other_readings, "cell_ontology"]
        datasets = [self.sheet[name].resource for role in ("pretrain", "benchmark") for name in self.named(role)]
        orthologs = [self.corpus.genes.orthologs[species] for species in sorted(self.species - {HUMAN})]
        library = [LIBRARY] if any(self.preparation(name).library for name in self.named("benchmark")) else []
        orthologs += filter(None, map(self.orthologs, self.named("benchmark")))
        files = [*datasets, *(row.resource for row in self.embeddings.values())]
        known = (name for name in files if name in self.resources)
        return list(dict.fromkeys([*annotation, *orthologs, *library, *known]))

    @property
    def species(self) -> set[str]:
        """Species whose genes the sources of the corpus name, as the Census writes them."""
        source = self.corpus.source
        if source.kind == "files":
            return {HUMAN if self.use(name).human_names else self.sheet[name].species for name in source.datasets}
        return {getattr(source, "organism", HUMAN)}

    @property
    def synthetic(self) -> bool:
        """Whether cells and annotation come from the synthetic census."""
        return self.corpus.source.kind == "synthetic"

    @property
    def trained_runs(self) -> list[str]:
        """Runs of the study that are trained, ablations aside; what is left are controls with random weights."""
        return [name for name in self.file.runs if self.runs[name].trained]


def _difference(config: dict, file: dict) -> dict:
    """What `config` holds and `file` does not, key by key, nested mappings included."""
    changed = {key: value for key, value in config.items() if key not in file or value != file[key]}
    return {
        key: _difference(value, file[key]) if isinstance(value, dict) and isinstance(file.get(key), dict) else value
        for key, value in changed.items()
    }
