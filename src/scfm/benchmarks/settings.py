"""Settings of the stage benchmarks."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from scfm.datasets import Dataset, Task
from scfm.settings import Settings

Classifier = Literal["lr", "knn", "rf"]


class Contamination(Settings):
    """Which cells of a dataset were, in themselves or by donor or study, in the study's pretraining data."""

    column: Literal["donor", "batch", "condition", "cell_type", "split"]
    """obs column of the prepared dataset that tells the cells apart."""
    values: Annotated[tuple[str, ...], Field(min_length=1)]
    """Values of that column that mark contaminated cells."""
    reason: str
    """Why these cells count as seen."""


class Evaluation(Settings):
    """How a study uses one dataset."""

    tasks: tuple[Task, ...] | None = None
    """Tasks of the dataset in this study; all that config/datasets.tsv names, if left out."""
    contaminated: bool | Contamination = False
    """Whether the cells were in the study's pretraining data: all, none, or those of some values of a column."""


class Preparation(Evaluation):
    """Everything that the preparation of one dataset depends on."""

    dataset: Dataset
    """Its row of config/datasets.tsv."""


class Exposure(Settings):
    """What tells which benchmark datasets the runs have seen."""

    datasets: tuple[Dataset, ...]
    """Rows of config/datasets.tsv of the benchmark datasets."""
    shares: dict[str, Annotated[float, Field(gt=0, le=1)]]
    """Run to its `corpus_fraction`; the PCA baseline, which trains on none, counts as if on all of the corpus, so that
    its means run over the same datasets."""


class Pca(Settings):
    """The baseline: principal components of log-normalised highly variable genes, fit on each dataset."""

    genes: Annotated[int, Field(ge=2)] = 2000
    """Highly variable genes kept; all genes where there are no more than these."""
    components: Annotated[int, Field(ge=1)] = 50
    """Principal components; fewer where cells or genes do not allow them."""
    seed: int = 0
    """Seed of the solver's start vector."""


class Integration(Settings):
    """Zero-shot batch integration (paper 2.1, 2.5)."""

    neighbors: Annotated[int, Field(ge=2)] = 15
    """Nearest neighbours of the graph, the cell itself counted as scanpy counts it."""
    resolutions: Annotated[tuple[float, ...], Field(min_length=1)] = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
    """Leiden resolutions tried; the one with the highest NMI is kept."""
    seed: int = 0
    """Seed of Leiden and of the subsample for silhouettes."""
    max_silhouette_cells: Annotated[int, Field(ge=100)] = 30_000
    """Above this many cells the silhouettes, quadratic in cells, are of a stratified subsample of this size."""

    @field_validator("resolutions")
    @classmethod
    def _resolutions_are_positive(cls, resolutions: tuple[float, ...]) -> tuple[float, ...]:
        if min(resolutions) <= 0:
            raise ValueError("resolutions must be above 0")
        return resolutions


class Probe(Settings):
    """Label prediction on frozen embeddings, the cz-benchmarks protocol."""

    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of the stratified cross-validation."""
    seed: int = 42
    """Seed of the folds and of the random forest."""
    min_cells: Annotated[int, Field(ge=2)] = 10
    """Classes with fewer cells are dropped."""
    classifiers: Annotated[tuple[Classifier, ...], Field(min_length=1)] = ("lr", "knn", "rf")
    """Logistic regression, 5 nearest neighbours, random forest; the reported mean is over those named."""

    @model_validator(mode="after")
    def _each_fold_sees_each_class(self) -> "Probe":
        if self.min_cells < self.folds:
            raise ValueError("min_cells must be at least the number of folds, so that each fold holds every class")
        return self


class OntologyTask(Settings):
    """Zero-shot annotation with the Cell Ontology."""

    levels: Annotated[tuple[int, ...], Field(min_length=1)] = (2, 4, 6, 8)
    """Depths below the root of the label tree, longest path counted, at which accuracy is reported."""

    @field_validator("levels")
    @classmethod
    def _levels_are_below_the_root(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if min(levels) < 1:
            raise ValueError("levels start at 1, the children of the root")
        return levels


class Benchmarks(Settings):
    """The stage's settings, one slice for each task."""

    pca: Pca = Pca()
    """The PCA baseline."""
    integration: Integration = Integration()
    """Zero-shot batch integration."""
    probe: Probe = Probe()
    """Label prediction on frozen embeddings."""
    ontology: OntologyTask = OntologyTask()
    """Zero-shot annotation with the ontology."""
