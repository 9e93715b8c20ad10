"""Which cells of a corpus are read together, by systems that read sets of cells."""

from pydantic import Field, field_validator

from scfm.settings import Settings


class Sets(Settings):
    """How cells are grouped into sets; cells of different sets never see each other."""

    by: tuple[str, ...] = ("dataset", "donor", "tissue")
    """Columns of the cells table; cells that agree in all of them may share a set."""
    cells: int = Field(4000, ge=1)
    """Most cells of a set; a larger group is cut into several."""

    @field_validator("by")
    @classmethod
    def _columns_are_named_once(cls, by: tuple[str, ...]) -> tuple[str, ...]:
        if not by or len(set(by)) < len(by):
            raise ValueError("by needs at least one column, each named once")
        return by
