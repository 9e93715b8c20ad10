"""What a training takes from the corpus."""

from pydantic import Field

from scfm.settings import Settings


class Choice(Settings):
    """The cells of the corpus that a run alone takes, in training and in validation."""

    column: str
    """Column of the cells."""
    values: tuple[str, ...] = Field(min_length=1)
    """Values of that column; cells of any other are left out."""


class Stage(Settings):
    """What one training takes from the corpus."""

    corpus_fraction: float = Field(1.0, gt=0, le=1)
    """Share of the corpus's cells that the run uses, nested: a smaller share is part of a larger one."""
    cells: Choice | None = None
    """Which of these cells; none: all of them."""
