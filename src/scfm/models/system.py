"""What the study asks of a system, and where a system is found: a folder here with `settings.py` and `system.py`."""

import importlib
import pkgutil
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from scfm import models
from scfm.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from scfm.corpus import Reader
    from scfm.ontology import LabelTree, Ontology


class SystemSettings(Settings):
    """Base of the key `model` of a run: what the study asks of any system's settings."""

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings that the system offers; none if it embeds no cells."""
        return ()

    @property
    def names_cell_types(self) -> bool:
        """Whether a head predicts cell types, which needs the Cell Ontology."""
        return False

    @property
    def embeds(self) -> Literal["cells", "donors"]:
        """Whose vectors the poolings are."""
        return "cells"

    @property
    def reads_tokens(self) -> bool:
        """Whether a cell is read by itself, as tokens of its genes: what fine-tuning and explanations build on."""
        return False

    @property
    def expects_counts(self) -> bool:
        """Whether the network gives expected counts of genes, which denoising and imputation score."""
        return False

    @property
    def reads_positions(self) -> bool:
        """Whether coordinates of the cells change what the network says of them."""
        return False

    @property
    def cell_encoder(self) -> "CellEncoder | None":
        """The run whose cell vectors the system reads in the place of counts."""
        return None

    @property
    def tracks_genes(self) -> bool:
        """Whether the validation measures the error of each gene, from which learnability is read."""
        return False

    @property
    def error_memory(self) -> float | None:
        """Share of the running errors of genes that stays at each update, where targets are chosen by them."""
        return None

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the training reads beside the corpus."""
        return ()

    def must_fit(self, epochs: int) -> None:
        """Raise ValueError if the settings make no sense in a training of so many epochs."""


class CellEncoder(Settings):
    """A trained run, kept as it is, that turns cells into vectors for another system."""

    run: str
    """Name of the run; its seed is that of the run that reads it, or its first."""
    pooling: str
    """Which of its embeddings."""


@dataclass
class Material:
    """What a training is made from."""

    corpus: "Reader"
    """All cells."""
    rows: "np.ndarray"
    """int64, those that are trained on."""
    ontology: "Ontology | None" = None
    """The Cell Ontology, where a head names cell types."""
    vectors: "np.ndarray | None" = None
    """float32 [cells of the corpus, width], where the system reads cell vectors."""


@dataclass
class Prepared:
    """A network at its start, and what its batches carry beside counts."""

    network: "nn.Module"
    labels: "dict[str, np.ndarray]" = field(default_factory=dict)
    """Name to one value or row of values for each cell of the corpus."""
    groups: "np.ndarray | None" = None
    """int64, the group of each cell of the corpus, for a system that reads sets of cells of one group; in batches the
    label `set` numbers them."""
    set_cells: int = 0
    """Most cells of a set."""
    one_set: bool = False
    """A group gives one set a pass, of so many of its cells at random; else it is dealt out whole."""
    tree: "LabelTree | None" = None
    """Of the cell types, where a head predicts them."""
    classes: dict[str, list[str]] = field(default_factory=dict)
    """Labels of each group that a flat head predicts."""
    about: dict = field(default_factory=dict)
    """What `config.json` must remember for the network to be loaded."""
    remarks: tuple[str, ...] = ()
    """What is worth a line to who watches."""
    digest: bytes = b""
    """Stands for what the training reads beside settings and corpus, so that no checkpoint of another is resumed."""


def systems() -> list[str]:
    """Names of all systems."""
    return sorted(module.name for module in pkgutil.iter_modules(models.__path__) if module.ispkg)


def settings_of(system: str) -> type[SystemSettings]:
    """The settings of a system, the class of its name in `settings.py`; imports nothing heavy."""
    return getattr(importlib.import_module(f"scfm.models.{system}.settings"), system.capitalize())


def load_system(system: str) -> ModuleType:
    """The module `system.py` of a system: `prepare` for a training, `restore` for a model directory."""
    return importlib.import_module(f"scfm.models.{system}.system")
