"""Settings of the synthetic census and of its layers."""

from typing import Annotated, Literal

from pydantic import Field

from scfm.corpus.steps import Count
from scfm.settings import Settings


class DonorTruth(Settings):
    """Age and disease of the donors, carried by the composition of their cells and by a state of minor types."""

    age: Annotated[float, Field(ge=0)] = 0.8
    """Change of the log odds that a cell of an ageing type is of a donor, for one standard deviation of age; types
    that become more and less frequent with age take turns."""
    disease: Annotated[float, Field(ge=0)] = 0.4
    """The same for cells of the minor types and donors with the disease."""
    state: Annotated[float, Field(ge=0)] = 1.0
    """Log effect, up or down, of the disease on each gene of a program in cells of the minor types."""


class Tissue(Settings):
    """Places of the cells in sections with layers, each with a program of genes of its own."""

    layers: Annotated[int, Field(ge=2)] = 4
    """Layers of a section, one above the other and of the same height, in the same order in all sections."""
    genes: Count = 60
    """Genes of all the programs together."""
    effect: Annotated[float, Field(ge=0)] = 1.0
    """Log effect of a layer on the genes of its program, in cells of every type."""
    side: Annotated[float, Field(gt=0)] = 1000.0
    """Width and height of a section, in micrometres."""


class Screen(Settings):
    """A screen of perturbations beside the synthetic census, with planted effects; by default of the size of a toy."""

    types: Count = 5
    """Backgrounds: the first cell types of the census."""
    perturbations: Annotated[int, Field(ge=2)] = 60
    """Single perturbations; each lowers a target gene and moves two programmes."""
    programmes: Count = 10
    """Programmes that perturbations move."""
    programme_genes: Count = 40
    """Genes of a programme, at most those that can change."""
    genes: Annotated[int, Field(ge=20)] | None = 128
    """Genes kept, of those that can change; null: all genes of the census."""
    cells: Annotated[int, Field(ge=2)] = 30
    """Cells of each perturbation in each type."""
    controls: Annotated[int, Field(ge=2)] = 60
    """Control cells of each type."""
    additive: Annotated[int, Field(ge=0)] = 6
    """Pairs of perturbations whose log effects add up."""
    interacting: Annotated[int, Field(ge=0)] = 6
    """Pairs whose effect is half that sum and a programme of their own."""
    strength: Annotated[float, Field(gt=0)] = 1.0
    """Log effect of a programme on each of its genes, up or down, at a loading of 1."""
    type_sd: Annotated[float, Field(ge=0)] = 0.3
    """Standard deviation of the natural log of a type's scale of each programme; 0: effects are the same in all."""


class Synthetic(Settings):
    """The synthetic census: a documented generative model with planted truth."""

    kind: Literal["synthetic"]
    cells: Annotated[int, Field(ge=100)] = 6000
    """Cells of the corpus, over all its datasets."""
    genes: Annotated[int, Field(ge=200, le=5000)] = 1300
    """Protein-coding genes."""
    planted: Annotated[int, Field(ge=10)] = 120
    """Genes of each of the three planted programs."""
    types: Annotated[int, Field(ge=2, le=30)] = 30
    """Cell types."""
    datasets: Annotated[int, Field(ge=2, le=12)] = 5
    """Datasets of the corpus; each has its own depth, assay, tissue and gene-wise effect."""
    batches: Count = 2
    """Batches of each dataset."""
    donors: Count = 4
    """Donors of each dataset."""
    holdout_cells: Annotated[int, Field(ge=50)] = 800
    """Cells of the dataset kept for benchmarks."""
    depth_sd: Annotated[float, Field(ge=0)] = 0.35
    """Standard deviation of the natural log of a cell's depth within a dataset."""
    dataset_sd: Annotated[float, Field(ge=0)] = 0.3
    """Standard deviation of the natural log of a gene's effect of a dataset; a batch has half, a donor a quarter."""
    overdispersion: Annotated[float, Field(ge=0)] = 0.2
    """Overdispersion of the negative binomial counts: variance = mean + overdispersion * mean^2."""
    coarse: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the cells of a type that are labelled at an ancestor."""
    unlabelled: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Share of the cells of a type that are labelled "unknown"."""
    donor_truth: DonorTruth | None = None
    """Gives the donors an age and a disease; null: they have neither."""
    tissue: Tissue | None = None
    """Gives the cells places in a section of their donor, and the sections layers; null: they have none."""
    screen: Screen | None = None
    """A screen of perturbations beside the census (`planted:screen`); null: none. The census is the same with it."""
    seed: int = 0
    """Seed of everything drawn."""
