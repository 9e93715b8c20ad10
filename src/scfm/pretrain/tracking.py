"""Per-gene error of the reconstruction: running sums that grow with genes, never with cells × genes."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scfm.models.tasks import GeneTargets

BINS = 256
REACH = 16.0
"""The is-zero logits are counted in `BINS` equal bins over ±REACH; the AUC's error bound is reported."""

SUMS = ("n", "n_nonzero", "sum_y", "abs_error_gated", "abs_error_ungated", "abs_error_null")


class GeneErrors:
    """Sums over the validation targets of each gene.

    Args:
        mean_nonzero: float [genes], mean of each gene's validation values above 0: the null prediction.
    """

    def __init__(self, mean_nonzero: Tensor) -> None:
        genes, device = len(mean_nonzero), mean_nonzero.device
        self.mean_nonzero = mean_nonzero.float()
        # Float64 keeps counts exact and sums independent of the order to far below what tables show.
        self.sums = torch.zeros(len(SUMS), genes, dtype=torch.float64, device=device)
        self.logits = torch.zeros(2 * genes * BINS, dtype=torch.int32, device=device)  # above 0, then zero

    def update(self, targets: GeneTargets) -> None:
        """Add one batch of targets."""
        gene, truth, value, logit = targets.gene, targets.truth, targets.value, targets.zero_logit
        above = truth > 0
        nonzero_gene, y = gene[above], truth[above]
        guess, gate = value[above], logit[above] > 0
        self._add(0, gene, torch.ones_like(truth))
        self._add(1, nonzero_gene, torch.ones_like(y))
        self._add(2, nonzero_gene, y)
        self._add(3, nonzero_gene, (y - guess.masked_fill(gate, 0)).abs())
        self._add(4, nonzero_gene, (y - guess).abs())
        self._add(5, nonzero_gene, (y - self.mean_nonzero[nonzero_gene]).abs())
        bin_of = ((logit + REACH) * (BINS / (2 * REACH))).long().clamp(0, BINS - 1)
        slot = ((~above).long() * len(self.mean_nonzero) + gene) * BINS + bin_of
        self.logits.scatter_add_(0, slot, torch.ones_like(slot, dtype=torch.int32))

    def _add(self, row: int, gene: Tensor, x: Tensor) -> None:
        self.sums[row].index_add_(0, gene, x.double())

    def reduce(self) -> None:
        """Add up over the ranks."""
        for table in (self.sums, self.logits):
            torch.distributed.all_reduce(table)

    def frame(self, genes: list[str], zero_fraction: np.ndarray, n_train_targets: Tensor) -> pd.DataFrame:
        """One row per gene, with the columns of `gene_errors.parquet` from `gene` on.

        Args:
            zero_fraction: float [genes], share of zeros among the validation cells that measured the gene; not among
                the targets, which under MLM hold few of the zeros.

        `rescaled_mae` is Σ|y − ŷ| / Σy over nonzeros, so that predicting 0 gives 1 (paper, per-gene error);
        NaN for a gene without nonzero target.
        """
        sums = dict(zip(SUMS, self.sums.cpu().numpy(), strict=True))
        auc, bound = detection_auc(self.logits.view(2, -1, BINS))
        table = pd.DataFrame({"gene": genes, **sums})
        table = table.astype({"n": "int64", "n_nonzero": "int64"})
        table.insert(3, "zero_fraction", zero_fraction)
        for kind, name in (
            ("gated", "rescaled_mae"),
            ("ungated", "rescaled_mae_ungated"),
            ("null", "rescaled_mae_null"),
        ):
            table[name] = table[f"abs_error_{kind}"] / table["sum_y"].where(table["sum_y"] > 0)
        table["auc"], table["auc_error"] = auc.cpu().numpy(), bound.cpu().numpy()
        table["n_train_targets"] = n_train_targets.cpu().numpy()
        return table


def detection_auc(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Mid-rank Mann–Whitney AUC of the is-zero logit from binned logits, and its error bound.

    Args:
        counts: int [2, genes, bins]; counts[0] of targets above 0, counts[1] of zeros.

    Returns:
        AUC and the largest difference that ties within bins can make (half the share of tied pairs),
        float64 [genes]; NaN where one class is missing.
    """
    above, zero = counts.double()
    below = above.cumsum(1) - above
    pairs = above.sum(1) * zero.sum(1)
    pairs = torch.where(pairs > 0, pairs, torch.nan)
    tied = (above * zero).sum(1)
    return ((zero * below).sum(1) + tied / 2) / pairs, tied / 2 / pairs
