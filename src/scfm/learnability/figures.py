"""The genes of one run against their zero fraction, as a still image; `interactive` has them with names."""

from pathlib import Path

import pandas as pd

from scfm.files import whole
from scfm.learnability.outcomes import error_column
from scfm.learnability.settings import Learnability

# Of Okabe and Ito's colours, which stay apart for the colour-blind.
COLOURS = {"expected": "#B5B5B5", "winner": "#009E73", "loser": "#D55E00"}
DPI = 120


def title(summary: dict) -> str:
    """Run, seed and epoch, and the winner rate beside that of the null model, in one line."""
    epoch = f", epoch {summary['epoch']}" if "epoch" in summary else ""
    return f"{summary['run']}, seed {summary['seed']}{epoch}: {counts(summary)}"


def counts(summary: dict) -> str:
    """Reliable genes, winners with the null models' rates, losers."""
    if not summary["reliable"]:
        return f"none of {summary['genes']:,} genes reliable"
    return (
        f"{summary['reliable']:,} of {summary['genes']:,} genes reliable, {summary['winners']:,} winners "
        f"({summary['winner_rate']:.1%}; {summary['null']['sign']['rate']:.1%} with residuals of random sign, "
        f"{summary['null']['normal']['rate']:.1%} with normal ones), {summary['losers']:,} losers"
    )


def scatter(genes: pd.DataFrame, summary: dict, settings: Learnability, path: Path) -> None:
    """Draw rescaled MAE with its trend, and Z, of the reliable genes against their zero fraction (PNG).

    Args:
        genes: scored genes, see `outcomes.score`.
        summary: of the same run, see `analysis.summarise`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    own = genes[genes.reliable].sort_values("zero_fraction")
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    error, z = figure.subplots(1, 2)
    for outcome, colour in COLOURS.items():
        part = own[own.outcome == outcome]
        style = {"s": 4 if outcome == "expected" else 9, "linewidths": 0, "color": colour}
        error.scatter(part.zero_fraction, part[error_column(settings)], **style)
        label = outcome if outcome == "expected" else f"{outcome}s"
        z.scatter(part.zero_fraction, part.z, label=f"{label} ({len(part):,})", **style)
    error.plot(own.zero_fraction, own.trend, color="black", lw=1.2, label="trend")
    for threshold in (-settings.t, settings.t):
        z.axhline(threshold, color="black", lw=0.8, ls="--")
    gated = "gated" if settings.gated else "ungated"
    error.set_ylabel(f"rescaled MAE ({gated})")
    if (own[error_column(settings)] > 0).any():
        error.set_yscale("log")
        error.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        error.yaxis.set_major_formatter("{x:g}")
        error.yaxis.set_minor_formatter("")
    z.set_ylabel("Z")
    for ax in (error, z):
        ax.set(xlabel="zero fraction", xlim=(-0.02, 1.02))
        ax.axvline(settings.sparse_cut, color="black", lw=0.6, ls=":")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=7, frameon=False, handletextpad=0.3)
    figure.suptitle(title(summary), fontsize=8)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
