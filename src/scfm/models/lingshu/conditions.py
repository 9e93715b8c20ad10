"""What a model is told of a cell: values of columns as codes, and codes as tokens."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.errors import ScfmError
from scfm.models.lingshu.settings import Condition
from scfm.ontology import UNKNOWN

JOIN = "+"
"""What joins the partners of a combination."""


class Conditions(nn.Module):
    """A token for each column: the column's vector plus the vectors of its values.

    The control and what is not known have no value, so that a perturbation's vector is a change of the control's, and
    a combination is the sum of its partners' changes.
    """

    def __init__(self, names: dict[str, list[str]], width: int) -> None:
        super().__init__()
        self.names = names
        self.column = nn.Parameter(torch.empty(len(names), width))
        self.value = nn.Parameter(torch.empty(sum(map(len, names.values())), width))

    def forward(self, codes: Tensor) -> Tensor:
        """int64 [cells, columns, most], -1 for none, to float [cells, columns, width]."""
        return self.column + (F.embedding(codes.clamp(min=0), self.value) * (codes >= 0)[..., None]).sum(2)


def condition_names(cells: pd.DataFrame, rows: np.ndarray, conditions: Sequence[Condition]) -> dict[str, list[str]]:
    """Column to its values in some rows, sorted; of perturbations the single ones.

    Raises:
        ScfmError: there is no such column, it holds no value, or no cell is a control.
    """
    names = {}
    for condition in conditions:
        if condition.column not in cells:
            known = ", ".join(map(str, cells))
            raise ScfmError(f"cells: there is no column '{condition.column}' (conditions); choose among {known}")
        texts = _texts(cells[condition.column].iloc[rows])
        if condition.control is not None and condition.control not in set(texts):
            raise ScfmError(
                f"cells: column '{condition.column}' nowhere says '{condition.control}' in training; set its control"
            )
        parts = {part for text in set(texts) for part in _parts(text, condition)}
        if not parts:
            raise ScfmError(f"cells: column '{condition.column}' (conditions) holds no value in training; leave it out")
        names[condition.column] = sorted(parts)
    return names


def condition_codes(
    cells: pd.DataFrame, names: dict[str, list[str]], conditions: Sequence[Condition], strict: bool = False
) -> dict[str, np.ndarray]:
    """Column to int64 [cells, most]: numbers of each cell's values among those of all columns; -1 for none.

    Args:
        cells: where a column is missing, no cell has a value.
        strict: whether a value without a number is an error, else it is none.

    Raises:
        ScfmError: with `strict`, a value that training did not see.
    """
    codes, before = {}, 0
    for condition in conditions:
        known = {name: before + number for number, name in enumerate(names[condition.column])}
        before += len(known)
        if condition.column not in cells:
            codes[condition.column] = np.full((len(cells), 1), -1)
            continue
        which, texts = pd.factorize(_texts(cells[condition.column]))
        parts = [_parts(text, condition) for text in texts]
        if strict:
            _must_be_known(parts, texts, known, condition)
        table = np.full((len(texts), max(1, max(map(len, parts), default=0))), -1)
        for row, own in enumerate(parts):
            table[row, : len(own)] = [known.get(part, -1) for part in own]
        codes[condition.column] = table[which]
    return codes


def stacked(labels: dict[str, Tensor], conditions: Sequence[Condition], cells: Tensor) -> Tensor:
    """int64 [cells, columns, most], the codes of all columns; of those without a label -1.

    Args:
        cells: any tensor of as many rows, on the device.
    """
    none = torch.full((len(cells), 1), -1, device=cells.device)
    codes = [labels.get(condition.column, none) for condition in conditions]
    most = max((code.shape[1] for code in codes), default=1)
    codes = [F.pad(code, (0, most - code.shape[1]), value=-1) for code in codes]
    return torch.stack(codes, dim=1) if codes else none.new_empty(len(cells), 0, 1)


def as_control(codes: Tensor, conditions: Sequence[Condition]) -> Tensor:
    """The same codes without perturbations."""
    own = [condition.control is not None for condition in conditions]
    perturbs = torch.tensor(own, dtype=torch.bool, device=codes.device)
    return codes.masked_fill(perturbs[None, :, None], -1)


def _texts(column: pd.Series) -> np.ndarray:
    return column.astype(str).where(column.notna(), UNKNOWN).to_numpy(object)


def _parts(text: str, condition: Condition) -> list[str]:
    """Values that a text names. An unknown perturbation is a value of its own: it is not the control."""
    if condition.control is None:
        return [] if text in (UNKNOWN, "") else [text]
    return [part for part in sorted(set(text.split(JOIN))) if part != condition.control]


def _must_be_known(parts: list[list[str]], texts: Sequence[str], known: dict[str, int], condition: Condition) -> None:
    for text, own in zip(texts, parts, strict=True):
        strange = [part for part in own if part not in known]
        if strange or (not own and text != condition.control):
            raise ScfmError(
                f"{condition.column} '{text}': training saw no cell of '{(strange or [text])[0]}'; choose among "
                f"{', '.join([condition.control] * (condition.control is not None) + list(known))}"
            )
