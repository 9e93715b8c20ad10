"""Figures of the training steps: a table, and the same for TensorBoard."""

from pathlib import Path

import pandas as pd

from scfm.files import whole


class StepLog:
    """`steps.csv` and event files in a folder; a resumed training goes on behind the step of its checkpoint.

    Args:
        folder: made where it is missing. step: rows of later steps, which will be done again, are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "steps.csv"
        self.rows = []
        if self.path.exists():
            rows = pd.read_csv(self.path)
            self.rows = rows[rows["step"] <= step].to_dict("records")
            self._write()
        self.writer = SummaryWriter(folder, purge_step=step + 1)

    def __enter__(self) -> "StepLog":
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()

    def add(self, row: dict[str, float]) -> None:
        """Write one row, with its `step`."""
        self.rows.append(row)
        self._write()
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(name, value, row["step"])

    def _write(self) -> None:
        with whole(self.path) as path:
            pd.DataFrame(self.rows, columns=None if self.rows else ["step"]).to_csv(path, index=False)
