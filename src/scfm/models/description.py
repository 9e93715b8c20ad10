"""What a system says of one of its models in words, for the model card: `describe` of `card.py` in its folder.

The words stand apart from the settings, so that an edit of them is no reason to train again.
"""

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

from scfm.models.system import SystemSettings


@dataclass(frozen=True)
class Description:
    """Sentences of a card; what a system leaves out is not said there."""

    what: str = "A model of the expression of single cells"
    """What the network is, without a full stop."""
    tags: tuple[str, ...] = ()
    """Tags on the Hub beside those of every model."""
    objectives: tuple[str, ...] = ()
    """What the training minimises."""
    architecture: tuple[str, ...] = ()
    """Parts of the network and their sizes."""
    losses: dict[str, str] = field(default_factory=dict)
    """Task of the network to what its column `validate_…` of `metrics.csv` holds."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Size to its value and the published one, for the limits."""


def describe(system: str, settings: SystemSettings) -> Description:
    """What a system says of a model with these settings; without `card.py` it says nothing."""
    name = f"scfm.models.{system}.card"
    return import_module(name).describe(settings) if find_spec(name) else Description()


def smaller(sizes: dict[str, tuple[int, int]]) -> list[str]:
    """A sentence if any size is below the published one."""
    if all(own >= published for own, published in sizes.values()):
        return []
    named = ", ".join(f"{name} {own:,} (published: {published:,})" for name, (own, published) in sizes.items())
    return [f"A small model: {named}."]
