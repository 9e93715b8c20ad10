"""What a study must be as a whole, beyond the values of single keys."""

from collections.abc import Collection
from pathlib import Path

from scfm.errors import ScfmError
from scfm.pretrain.settings import Run


def check_cell_encoders(runs: dict[str, Run], named: Collection[str], path: Path) -> None:
    """A run that reads cell vectors names another run of the study, and a pooling of it.

    Args:
        runs: those of the study and its ablations. named: those of the study. path: of the study file.

    Raises:
        ScfmError: it does not.
    """
    for name, run in runs.items():
        encoder = run.model.cell_encoder
        if encoder is None:
            continue
        if encoder.run not in named or encoder.run == name:
            raise ScfmError(
                f"{path}: run '{name}' reads the cell vectors of '{encoder.run}' (model.cells.run), which is no other "
                "run of the study; name one"
            )
        offered = runs[encoder.run].model.poolings
        if encoder.pooling not in offered or runs[encoder.run].model.embeds != "cells":
            raise ScfmError(
                f"{path}: run '{name}' reads the pooling '{encoder.pooling}' of '{encoder.run}', which has none for "
                f"cells; it offers {', '.join(offered)}"
            )
