"""Settings of the tasks, one slice for each."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from scfm.benchmarks.interval import Interval
from scfm.finetuning import Finetuning, SetFinetuning
from scfm.perturbation.settings import Atlas, Holdout, Quality, Scoring
from scfm.settings import Settings

Classifier = Literal["lr", "knn", "rf"]


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


class Clustering(Settings):
    """Clusters against cell types, the cz-benchmarks protocol (paper's tables 9 to 13)."""

    neighbors: Annotated[int, Field(ge=2)] = 15
    """Nearest neighbours of the graph, the cell itself counted as scanpy counts it."""
    resolution: Annotated[float, Field(gt=0)] = 1.0
    """Leiden resolution."""
    seed: int = 42
    """Seed of Leiden and of the subsample for silhouettes."""
    max_silhouette_cells: Annotated[int, Field(ge=100)] = 30_000
    """Above this many cells the silhouette, quadratic in cells, is of a stratified subsample of this size."""


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


class Heldout(Settings):
    """Label prediction on held-out batches from frozen embeddings."""

    seed: int = 0
    """Seed of the stochastic gradient descent."""
    interval: Interval = Interval()
    """Intervals of the scores."""


class FinetuneTask(Settings):
    """Fine-tuning on held-out batches."""

    runs: tuple[str, ...] | None = None
    """Runs that are fine-tuned, with all their seeds; all if left out."""
    training: Finetuning = Finetuning()
    """The fine-tuning of systems that read each cell by itself."""
    sets: SetFinetuning = SetFinetuning()
    """That of systems that read sets of cells."""
    interval: Interval = Interval()
    """Intervals of the scores."""


class Moa(Settings):
    """Mechanism of action of drugs that were never seen (figure 6)."""

    mechanism: Literal["deposit", "library"] = "deposit"
    """Where mechanisms come from: the dataset's `mechanism_column`, or the pathway of the compound library for datasets
    with a `catalog_column`."""
    vehicle: tuple[str, ...] = ("Vehicle",)
    """Names in the column of mechanisms that mean no drug."""
    folds: Annotated[int, Field(ge=2)] = 2
    """Parts into which the drugs of each class are dealt; each is held out once. Classes with fewer drugs are left
    out."""
    repeats: Annotated[int, Field(ge=1)] = 5
    """Times that the drugs are dealt anew."""
    seed: int = 0
    """Seed of the parts."""
    iterations: Annotated[int, Field(ge=1)] = 1000
    """Most iterations of the logistic regression."""
    avg_bio: Integration = Integration()
    """How AvgBio with mechanisms as labels is measured."""


class Disease(Settings):
    """A state of one cell type that comes with a disease (supplementary 11, on GSE138852 with the values below)."""

    cell_type: str = "astro"
    """Cell type, as the dataset names it."""
    case: str = "AD"
    """Condition of the cases."""
    control: str = "ct"
    """Condition of the controls."""
    up: Annotated[tuple[str, ...], Field(min_length=1)] = ("GFAP", "CD44", "HSPB1", "TNC")
    """Approved symbols of the signature's genes with higher expression in the state."""
    down: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "SLC1A2",
        "SLC1A3",
        "GLUL",
        "NRXN1",
        "CADM2",
        "PTN",
        "GPC5",
    )
    """The same with lower expression."""
    neighbors: Annotated[int, Field(ge=2)] = 15
    """Nearest neighbours of the graph, the cell itself counted as scanpy counts it."""
    resolution: Annotated[float, Field(gt=0)] = 1.0
    """Leiden resolution; the paper names none."""
    seed: int = 0
    """Seed of Leiden."""
    min_cells: Annotated[int, Field(ge=3)] = 10
    """Clusters with fewer cells are not looked at."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Level of the adjusted p values, and 1 - the mass of the interval."""
    agreement: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A cluster has the signature if this share of its genes is significantly up, and of those that go down, down."""


class DonorTask(Settings):
    """Donors, or their samples, by vectors made from their cells."""

    min_cells: Annotated[int, Field(ge=2)] = 20
    """Samples with fewer cells are left out and counted."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Parts into which the donors are dealt; each is held out once. Fewer where a class has fewer donors, or a part
    would have fewer than three of a number."""
    repeats: Annotated[int, Field(ge=1)] = 10
    """Times that the donors are dealt anew, and that their cells are halved."""
    seed: int = 0
    """Seed of folds, permuted labels and halves."""
    penalties: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        0.1,
        1.0,
        10.0,
        100.0,
        1000.0,
    )
    """Ridge penalties on standardised vectors; the one with the least leave-one-out error on the training donors is
    taken. PULSAR has 0.1 alone."""
    iterations: Annotated[int, Field(ge=1)] = 1000
    """Most iterations of the logistic regression."""
    neighbors: Annotated[int, Field(ge=1)] = 5
    """Nearest reference samples, by cosine, that give a held-out sample its class or number."""
    interval: Interval = Interval()
    """Confidence of the intervals, and the bootstrap over samples behind that of the retrieval."""


class AtlasTask(Atlas):
    """The perturbed atlas of a study; its seed is also that of the training."""

    run: str
    """Run that predicts by prompts; it is trained anew on all cells of the screen."""
    screen: str
    """Dataset whose perturbations the atlas holds."""
    reference: str
    """Dataset whose cell types it holds."""
    format: Literal["h5ad", "soma"] = "h5ad"
    """Of the cells: one file, or a TileDB-SOMA experiment, a folder of which parts can be read by themselves."""


class Cytokine(Settings):
    """The change of a donor's vector by a treatment, of donors that were held out."""

    folds: Annotated[int, Field(ge=2)] = 8
    """Parts into which the donors are dealt; each is held out once. Fewer where there are fewer donors."""
    seed: int = 0
    """Seed of the folds."""
    interval: Interval = Interval()
    """The bootstrap over donors."""


class PerturbationTask(Settings):
    """Prediction of perturbed cells that were held out."""

    quality: Quality = Quality()
    """Cells and conditions that are looked at."""
    genes: Annotated[int, Field(ge=2)] | None = None
    """Most variable genes in which everything is predicted and scored; null: all genes of the dataset."""
    holdouts: dict[str, Annotated[tuple[Holdout, ...], Field(min_length=1)]] = {}
    """Dataset to what is held out of it, one after the other; perturbations where a dataset is not named."""
    scoring: Scoring = Scoring()
    """How predicted cells are compared with real ones."""
    systems: dict[str, dict[str, Any]] = {}
    """System to keys laid over its runs: with them a run that predicts is trained anew on the training cells of each
    fold, and on no cell of the corpus."""
    by_dataset: dict[str, dict[str, dict[str, Any]]] = {}
    """Dataset to system to keys laid over those of `systems` on the dataset's folds: another guidance, fewer epochs."""
    predicted: Annotated[int, Field(ge=2)] = 100
    """Cells that a run predicts of each held-out pair of background and perturbation."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of a fold's training cells that such a training is validated on."""
    shown: Annotated[int, Field(ge=1)] = 4
    """Held-out pairs of each dataset and split whose effects on single genes are drawn."""
    atlas: AtlasTask | None = None
    """The perturbed atlas; null: none."""

    @model_validator(mode="after")
    def _splits_have_names_of_their_own(self) -> "PerturbationTask":
        for dataset, holdouts in self.holdouts.items():
            names = [holdout.name for holdout in holdouts]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"holdouts of '{dataset}': '{twice[0]}' stands there twice; keep one, with folds")
        return self
