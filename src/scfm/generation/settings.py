"""Settings of the stage generation: which runs draw cells, and what these are compared with."""

from typing import Annotated

from pydantic import Field

from scfm.settings import Settings

JOIN = "="
"""Between the column and the value of a condition in obs; cells of no condition have an empty text."""


class Drawing(Settings):
    """How a run draws cells."""

    cells: int = Field(1000, ge=20)
    """Cells drawn of no condition."""
    condition_cells: int = Field(200, ge=20)
    """Cells drawn of each value of each condition, where the run has conditions."""
    steps: int | None = Field(None, ge=1)
    """Steps in which a cell is filled; null: as the run says."""
    seed: int = 0
    """Seed of the draws, beside that of the run."""


class Comparison(Settings):
    """How drawn cells are compared with real ones."""

    cells: int = Field(1000, ge=20)
    """Most cells of each side; both sides have as many."""
    genes: int = Field(500, ge=2)
    """Most genes whose pairs are compared."""
    components: int = Field(50, ge=2)
    """Principal components that the classifier, the kernel, neighbourhoods and the map see, at most."""
    markers: tuple[str, ...] = ()
    """Genes whose share of expressing cells is compared; left out, of each cell type the gene that sets it apart."""
    shown: int = Field(500, ge=20)
    """Most cells of each source on the map."""
    seed: int = 0
    """Seed of halves, draws of cells, shuffled genes, the classifier and the map."""


class Generation(Settings):
    """Cells that runs draw, beside real cells that they were not trained on."""

    runs: Annotated[tuple[str, ...], Field(min_length=1)]
    """Runs that draw, `run` for all its seeds or `run/seed`; one with random weights is a control."""
    dataset: str
    """Dataset of counts with the role benchmark that the cells are compared with."""
    drawing: Drawing = Drawing()
    """How cells are drawn."""
    comparison: Comparison = Comparison()
    """How they are compared."""
