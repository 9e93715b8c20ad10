"""Options that several commands of `scfm paper` take, and how they write their table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scfm.files import whole

if TYPE_CHECKING:
    import pandas as pd

Out = Annotated[Path, typer.Option("--out", help="CSV to write.")]
TidyFiles = Annotated[list[Path], typer.Option("--tidy", help="Tidy results; repeat for each file.")]
TidyIfAny = Annotated[list[Path] | None, typer.Option("--tidy", help="Tidy results; repeat for each file.")]
PublishedFile = Annotated[Path, typer.Option("--published", help="CSV of published values.")]
SettingsText = Annotated[str, typer.Option("--settings", help="JSON of the study's `paper` settings.")]
Needs = Annotated[list[str] | None, typer.Option(help="DATASET=FILE that is not there; repeat.")]


def write(table: "pd.DataFrame", out: Path, what: str) -> None:
    """Write a table as CSV and say how large it is."""
    with whole(out) as temporary:
        table.to_csv(temporary, index=False)
    print(f"{what}: {len(table):,} rows, {table.shape[1]} columns")
