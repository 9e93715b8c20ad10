"""What a training gives a system, and what it gets back."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from scfm.corpus import Reader
from scfm.ontology import LabelTree, Ontology


@dataclass
class Material:
    """What a training is made from."""

    corpus: Reader
    """All cells."""
    rows: np.ndarray
    """int64, those that are trained on."""
    ontology: Ontology | None = None
    """The Cell Ontology, where a head names cell types."""
    vectors: np.ndarray | None = None
    """float32 [cells of the corpus, width], where the system reads cell vectors."""


@dataclass
class Prepared:
    """A network at its start, and what its batches carry beside counts."""

    network: nn.Module
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    """Name to one value or row of values for each cell of the corpus."""
    groups: np.ndarray | None = None
    """int64, the group of each cell of the corpus, for a system that reads sets of cells of one group; in batches the
    label `set` numbers them."""
    set_cells: int = 0
    """Most cells of a set."""
    guests: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """int64, rows of the corpus that form no sets but join those of others, such as controls."""
    guest_cells: int = 0
    """Most guests of a set, beside `set_cells`; they are dealt anew in each pass."""
    one_set: bool = False
    """A group gives one set a pass, of so many of its cells at random; else it is dealt out whole."""
    tree: LabelTree | None = None
    """Of the cell types, where a head predicts them."""
    classes: dict[str, list[str]] = field(default_factory=dict)
    """Labels of each group that a flat head predicts."""
    about: dict = field(default_factory=dict)
    """What `config.json` must remember for the network to be loaded."""
    remarks: tuple[str, ...] = ()
    """What is worth a line to who watches."""
    after_start: Callable[[], None] | None = None
    """What the network does once it holds the weights of the run that a run begins with, where that takes more."""
    digest: bytes = b""
    """Stands for what the training reads beside settings and corpus, so that no checkpoint of another is resumed."""
