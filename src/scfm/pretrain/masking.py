"""Running errors of genes, by which error-adaptive masking chooses its targets."""

import torch
from torch import Tensor

from scfm.models.tasks import GeneTargets


class RunningErrors:
    """Error of each gene at its recent training targets, the same on all ranks; memory grows with genes alone.

    Args:
        memory: share of the sums that stays at each update.
    """

    def __init__(self, genes: int, memory: float, device: torch.device) -> None:
        self.memory = memory
        self.sums = torch.zeros(2, genes, dtype=torch.float64, device=device)  # of |error|, of targets
        self._new = torch.zeros_like(self.sums)

    @torch.no_grad()
    def add(self, targets: GeneTargets) -> None:
        """Add the targets of one micro-batch; the prediction is 0 where the gene is held to be zero."""
        guess = targets.value.double().masked_fill(targets.zero_logit > 0, 0)
        error = (targets.truth.double() - guess).abs()
        self._new.index_add_(1, targets.gene, torch.stack([error, torch.ones_like(error)]))

    def end_update(self, ranks: int) -> None:
        """Take in what was added on all ranks since the last update."""
        if ranks > 1:
            torch.distributed.all_reduce(self._new)
        self.sums.mul_(self.memory).add_(self._new)
        self._new.zero_()

    @property
    def error(self) -> Tensor:
        """float32 [genes]: mean absolute error, drawn towards the mean of all genes as by one target of that error."""
        total, n = self.sums
        mean = torch.where(total.sum() > 0, total.sum() / n.sum(), 1.0)
        return ((total + mean) / (n + 1)).float()
