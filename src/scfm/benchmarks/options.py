"""Options that commands of the stage share."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out")]
Embeddings = Annotated[Path, typer.Option(help="h5ad of 'scfm benchmarks embed'")]
Datasets = Annotated[list[Path], typer.Argument(help="h5ad files of 'scfm benchmarks prepare'")]
Study = Annotated[str, typer.Option(help="name of the study, for the tables")]
Run = Annotated[str, typer.Option(help="name of the run, for the tables")]
Seed = Annotated[int, typer.Option(help="seed of the run, for the tables")]
Device = Annotated[str, typer.Option(help="where the model runs: auto, cpu or gpu")]
Slice = Annotated[str, typer.Option("--settings", help="settings of this task as JSON")]
RunSettings = Annotated[str, typer.Option(help="JSON of the run, as it is trained here")]
Work = Annotated[Path, typer.Option(help="folder of checkpoints")]
Code = Annotated[str, typer.Option(help="digest of the code: a checkpoint of other code is not resumed")]
Seen = Annotated[Path | None, typer.Option(help="CSV of 'scfm benchmarks contamination'")]
