"""Settings of the tasks that score expected counts."""

from typing import Annotated, Literal

from pydantic import Field

from scfm.benchmarks.interval import Interval
from scfm.settings import Settings

Group = Literal["batch", "donor"]


class Denoise(Settings):
    """Hidden counts of a cell, predicted from the others."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of a cell's expressed genes that is hidden, as in the training of CellPLM; as many zeros are scored too."""
    group: Group = "batch"
    """Cells that agree in it are read together, and are those of the group's mean."""
    seed: int = 0
    """Seed of what is hidden."""
    interval: Interval = Interval()
    """Bootstrap over cells."""


class Imputation(Settings):
    """Genes hidden from cells of a tissue, predicted with and without positions."""

    folds: Annotated[int, Field(ge=2)] = 4
    """Parts into which the genes are dealt; each is hidden once. Four hide a quarter, as the training of CellPLM."""
    genes: Annotated[int, Field(ge=2)] = 2000
    """Genes that are scored, those expressed in most cells; the others are hidden in their turn all the same."""
    min_cells: Annotated[int, Field(ge=2)] = 10
    """Genes expressed in fewer cells are not scored."""
    neighbors: Annotated[int, Field(ge=1)] = 10
    """Reference cells whose counts make the prediction of a baseline; fewer where a tissue has fewer."""
    components: Annotated[int, Field(ge=1)] = 30
    """Principal components of the visible genes by which the baseline `knn` finds them."""
    group: Group = "batch"
    """Cells that agree in it are of one tissue: they are read together and may be neighbours."""
    seed: int = 0
    """Seed of folds and halves."""
    interval: Interval = Interval()
    """Bootstrap over genes."""
