"""Settings of the sampling steps."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from scfm.settings import Settings

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]
CellField = Literal[
    "dataset_id",
    "organism",
    "donor_id",
    "tissue",
    "tissue_general",
    "batch",
    "assay",
    "condition",
    "disease",
    "sex",
    "cell_type",
    "cell_type_ontology_term_id",
]


def _all_different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names a column twice; name each once")
    return names


CellFields = Annotated[
    tuple[CellField, ...],
    Field(min_length=1),
    BeforeValidator(
        lambda names: (names,) if isinstance(names, str) else names,
        json_schema_input_type=CellField | Annotated[tuple[CellField, ...], Field(min_length=1)],
    ),
    AfterValidator(_all_different),
]
"""One column of the cells, or several: a group is then a combination of values that occurs."""


class Fraction(Settings):
    """Keep a random share of the cells; with the same seed smaller shares are nested in larger ones."""

    kind: Literal["fraction"]
    fraction: Share = 0.1
    """Share of the cells that are left at this step."""
    seed: int = 42
    """Seed of the draw, which runs over cells ordered by soma_joinid."""


class Cap(Settings):
    """Equal downsampling: at most so many cells from each group."""

    kind: Literal["cap"]
    field: CellFields
    """Column of the cells, or a list of columns, that makes the groups."""
    cells: Count
    """Most cells of one group."""
    seed: int = 42
    """Seed of the draw."""


class Total(Settings):
    """Equal downsampling to an exact total: the same quota for each group, limited by what it has."""

    kind: Literal["total"]
    field: CellFields
    """Column of the cells, or a list of columns, that makes the groups."""
    cells: Count
    """Cells to keep over all groups; fewer only if there are fewer."""
    seed: int = 42
    """Seed of the draw."""


class Stratify(Settings):
    """Downsampling to an exact total that loses no group: `least` cells of each (all of it, where it has fewer); what
    the total leaves is shared among the groups in proportion to their other cells, by largest remainders."""

    kind: Literal["stratify"]
    field: CellFields
    """Column of the cells, or a list of columns, that makes the groups, "unknown" being one of them."""
    cells: Count | None = None
    """Cells to keep over all groups; fewer only if there are fewer."""
    fraction: Share | None = None
    """The same as a share of the cells that are left at this step; exactly one of the two is named."""
    least: Count = 1
    """Cells of each group that are kept before anything is shared."""
    seed: int = 42
    """Seed of the draw."""

    @model_validator(mode="after")
    def _one_size(self) -> "Stratify":
        if (self.cells is None) == (self.fraction is None):
            raise ValueError("a step of kind stratify needs either cells or fraction")
        return self


Sampling = Annotated[Fraction | Cap | Total | Stratify, Field(discriminator="kind")]
