"""The bootstrap behind the intervals of several tasks."""

from typing import Annotated

from pydantic import Field

from scfm.settings import Settings


class Interval(Settings):
    """Bootstrap over cells behind the intervals on held-out batches."""

    resamples: Annotated[int, Field(ge=100)] = 2000
    """Draws of as many cells as there are, with replacement."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Mass of the percentile interval."""
    seed: int = 0
    """Seed of the draws."""
