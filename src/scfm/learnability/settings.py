"""Settings of the learnability stage."""

from typing import Literal

from pydantic import Field

from scfm.settings import Settings


class Resampling(Settings):
    """How often something is drawn at random, and from which seed."""

    n: int = Field(default=200, ge=1)
    """Number of draws."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random generator."""


class Planted(Settings):
    """Winners planted into simulated genes, to see how many of them the rule finds."""

    share: float = Field(default=0.05, gt=0, lt=1)
    """Share of the genes that become better predictable than their zero fraction lets expect."""
    shift: float = Field(default=3.0, gt=0)
    """By how many local standard deviations their log rescaled MAE is lowered."""


class Sensitivity(Settings):
    """Values under which winners are counted again, every combination of them."""

    t: tuple[float, ...] = (1.5, 2.0, 2.5, 3.0)
    """Thresholds on |Z|."""
    half_width: tuple[float, ...] = (0.025, 0.05, 0.1)
    """Half widths of the window of zero fraction."""
    sparse_cut: tuple[float, ...] = (0.5, 0.65)
    """Zero fractions above which a gene counts as sparse."""


class Learnability(Settings):
    """Trend of the error on the zero fraction, and the rule for winners and losers (paper, supplementary 10)."""

    epoch: Literal["last"] | int = "last"
    """Validation epoch whose gene errors are analysed."""
    gated: bool = True
    """Errors of the gated prediction (0 where the model says zero); false: of the ungated one."""
    min_nonzero: int = Field(default=100, ge=1)
    """A gene is reliable, and evaluated, from this many nonzero validation observations on."""
    min_zeros: int = Field(default=20, ge=1)
    """A reliable gene's detection AUC counts in medians from this many zero targets on (n - n_nonzero)."""
    t: float = Field(default=2.0, gt=0)
    """A winner has Z below -t, a loser above t (the value is not legible in the paper: see `sensitivity`)."""
    ratio: float = Field(default=0.9, gt=0, lt=1)
    """A winner's rescaled MAE is also below ratio x trend, a loser's above trend / ratio."""
    half_width: float = Field(default=0.05, gt=0, le=1)
    """The local standard deviation is taken over genes whose zero fraction differs by at most this much."""
    min_window: int = Field(default=50, ge=2)
    """Fewest genes in a window; where there are fewer, the nearest ones by zero fraction are taken."""
    sparse_cut: float = Field(default=0.65, ge=0, le=1)
    """A gene is in the sparse regime above this zero fraction."""
    sensitivity: Sensitivity = Sensitivity()
    """Values of the open parameters under which winners are counted again."""
    permutations: Resampling = Resampling(n=200, seed=0)
    """Draws of the null models and of the simulation with planted winners."""
    planted: Planted = Planted()
    """The simulation with planted winners."""
    bootstrap: Resampling = Resampling(n=2000, seed=0)
    """Bootstrap over genes for the intervals of the check against the planted truth."""
    reference_family: str = "Unclassified"
    """Family against which the second odds ratio of each family is taken."""
    reference_program: str = "unassigned"
    """Program against which the second odds ratio of each program is taken."""
