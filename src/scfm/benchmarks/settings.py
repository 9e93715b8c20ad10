"""Settings of the stage benchmarks."""

from typing import Annotated, Literal

from pydantic import Field

from scfm.benchmarks.count_settings import Denoise, Imputation
from scfm.benchmarks.task_settings import (
    Clustering,
    Cytokine,
    Disease,
    DonorTask,
    FinetuneTask,
    Heldout,
    Integration,
    Moa,
    OntologyTask,
    PerturbationTask,
    Probe,
)
from scfm.datasets import Dataset, Task
from scfm.pretrain.stage import Stage
from scfm.settings import Settings


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
    """Tasks of the dataset in this study; if left out, all that config/datasets.tsv names, none of a dataset that is
    trained on."""
    contaminated: bool | Contamination = False
    """Whether the cells were in the study's pretraining data: all, none, or those of some values of a column."""
    human_names: bool = False
    """Genes of another organism carry the names of their human orthologs already; else orthologs rename them."""


class Split(Settings):
    """Cells held out of datasets without a published split: whole batches, those of one donor together."""

    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Batches go into test until it holds this share of the cells."""
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """The same for dev; if no batch can be spared, this share of the training cells, stratified by class."""
    seed: int = 0
    """Seed of the order of the batches and of the stratified part."""


class Preparation(Evaluation):
    """Everything that the preparation of one dataset depends on."""

    dataset: Dataset
    """Its row of config/datasets.tsv."""
    split: Split = Split()
    """How cells are held out, for the tasks that ask for it."""
    library: bool = False
    """Mechanisms come from the compound library, not from the deposit."""


class Exposure(Settings):
    """What tells which benchmark datasets the runs have seen."""

    datasets: tuple[Dataset, ...]
    """Rows of config/datasets.tsv of the benchmark datasets."""
    taken: dict[str, Annotated[tuple[Stage, ...], Field(min_length=1)]]
    """Run to what it takes from the corpus, and before it the runs that it begins with; the PCA baseline, which trains
    on none, counts as if on all of the corpus, so that its means run over the same datasets."""
    untold: tuple[str, ...] = ()
    """Models of others, whose training data is not known here."""


class Pca(Settings):
    """The baseline: principal components of log-normalised highly variable genes, fit on each dataset."""

    genes: Annotated[int, Field(ge=2)] = 2000
    """Highly variable genes kept; all genes where there are no more than these."""
    components: Annotated[int, Field(ge=1)] = 50
    """Principal components; fewer where cells or genes do not allow them."""
    seed: int = 0
    """Seed of the solver's start vector."""


class Scvi(Settings):
    """The baseline scVI, fit on each dataset of counts; it needs the extra `scvi` of the package."""

    genes: Annotated[int, Field(ge=2)] = 2000
    """Highly variable genes kept; all genes where there are no more than these."""
    latent: Annotated[int, Field(ge=1)] = 10
    """Latent variables."""
    layers: Annotated[int, Field(ge=1)] = 1
    """Hidden layers of encoder and decoder."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Passes over the cells; null: the rule of scvi-tools, 400 up to 20,000 cells and fewer beyond."""
    seed: int = 0
    """Seed of weights and batches."""


class Benchmarks(Settings):
    """The stage's settings, one slice for each task."""

    pca: Pca = Pca()
    """The PCA baseline."""
    scvi: Scvi | None = None
    """The baseline scVI, on the datasets of counts; null: left out."""
    split: Split = Split()
    """Held-out batches, for the tasks that need them."""
    integration: Integration = Integration()
    """Zero-shot batch integration."""
    clustering: Clustering = Clustering()
    """Clusters of the embedding against cell types."""
    probe: Probe = Probe()
    """Label prediction on frozen embeddings."""
    ontology: OntologyTask = OntologyTask()
    """Zero-shot annotation with the ontology."""
    heldout: Heldout = Heldout()
    """Label prediction on held-out batches."""
    finetune: FinetuneTask = FinetuneTask()
    """Fine-tuning on held-out batches."""
    moa: Moa = Moa()
    """Mechanism of action of held-out drugs."""
    perturbation: PerturbationTask = PerturbationTask()
    """Prediction of perturbed cells that were held out."""
    disease: Disease = Disease()
    """A state of one cell type that comes with a disease."""
    donor: DonorTask = DonorTask()
    """Donors by vectors made from their cells."""
    cytokine: Cytokine = Cytokine()
    """The change of a donor's vector by a treatment."""
    denoise: Denoise = Denoise()
    """Hidden counts of a cell, predicted from the others."""
    imputation: Imputation = Imputation()
    """Genes hidden from cells of a tissue, with and without positions."""
