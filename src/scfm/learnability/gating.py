"""Gated against ungated: what is lost where the model's own zeros overrule its values."""

import pandas as pd

from scfm.learnability.groups import by_axis
from scfm.learnability.outcomes import score
from scfm.learnability.settings import Learnability


def gating(genes: pd.DataFrame, settings: Learnability, axes: tuple[str, ...]) -> pd.DataFrame:
    """Errors of the gated prediction (0 where the model says zero) beside those of the ungated one.

    Args:
        genes: one row a gene with rescaled_mae, rescaled_mae_ungated, n_nonzero, zero_fraction and the columns `axes`.

    Returns:
        One row for all genes and for each group of each axis, over genes that are reliable under both: axis, group,
        genes, median_gated, median_ungated, share_gated_larger (of the genes; larger by any amount), then the
        numbers of winners and losers under each and under both: winners_gated, winners_ungated, winners_both,
        losers_gated, losers_ungated, losers_both.
    """
    gated, ungated = (score(genes, settings.model_copy(update={"gated": gate})) for gate in (True, False))
    both = gated.assign(outcome_ungated=ungated.outcome)[gated.reliable & ungated.reliable]
    rows = []
    for axis, group, part in by_axis(both, axes):
        row = {
            "axis": axis,
            "group": group,
            "genes": len(part),
            "median_gated": part.rescaled_mae.median(),
            "median_ungated": part.rescaled_mae_ungated.median(),
            "share_gated_larger": (part.rescaled_mae > part.rescaled_mae_ungated).mean(),
        }
        for outcome in ("winner", "loser"):
            called = part.outcome == outcome, part.outcome_ungated == outcome
            counts = {"gated": called[0], "ungated": called[1], "both": called[0] & called[1]}
            row |= {f"{outcome}s_{name}": int(genes_called.sum()) for name, genes_called in counts.items()}
        rows.append(row)
    return pd.DataFrame(rows)
