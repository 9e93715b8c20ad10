"""Ragged batches of cells: what every system reads."""

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor


@dataclass
class Cells:
    """A ragged batch of cells, one after another."""

    gene: Tensor
    """int64 [nonzeros], gene index; before `to` any integer."""
    count: Tensor
    """float32 [nonzeros], counts above 0 on any linear scale; before `to` any number."""
    lengths: Tensor
    """int64 [cells], nonzeros of each cell."""
    dataset: Tensor
    """int64 [cells], row of the measured-genes table."""
    labels: dict[str, Tensor] = field(default_factory=dict)
    """Label group or metadata column to int64 [cells], -1 where unknown; the column of perturbations to int64 [cells,
    most], gene indices and -1."""

    def to(self, device: torch.device | str) -> "Cells":
        """The same batch on `device`; narrow integers travel as they are and widen there."""
        labels = {name: codes.to(device, non_blocking=True) for name, codes in self.labels.items()}
        tensors = (x.to(device, non_blocking=True) for x in (self.gene, self.count, self.lengths, self.dataset))
        gene, count, lengths, dataset = tensors
        return Cells(gene.long(), count.float(), lengths, dataset, labels)


def cell_of(lengths: Tensor) -> Tensor:
    """int64 [sum of lengths]: which cell each element belongs to."""
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def ragged(counts: csr_matrix, labels: dict[str, np.ndarray]) -> Cells:
    """The rows of linear values as cells of the first dataset."""
    lengths = torch.from_numpy(np.diff(counts.indptr).astype(np.int64))
    return Cells(
        torch.from_numpy(counts.indices.astype(np.int64)),
        torch.from_numpy(counts.data.astype(np.float32)),
        lengths,
        torch.zeros(len(lengths), dtype=torch.int64),
        {name: torch.from_numpy(codes) for name, codes in labels.items()},
    )
