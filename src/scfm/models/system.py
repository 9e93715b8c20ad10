"""What the study asks of a system, and where a system is found: a folder here with `settings.py` and `system.py`."""

import importlib
import pkgutil
from types import ModuleType
from typing import Literal

from scfm import models
from scfm.settings import Settings


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
    def tuned_pooling(self) -> str | None:
        """The embedding that a label head is put on in fine-tuning, for a system that reads sets of cells.

        Its network then takes a generator as second argument of `embed`, from which dropout comes.
        """
        return None

    @property
    def expects_counts(self) -> bool:
        """Whether the network gives expected counts of genes, which denoising and imputation score."""
        return False

    @property
    def predicts(self) -> Literal["", "names", "prompts"]:
        """How it predicts perturbed cells, if it does; `system.py` then has `predict`, see `load_system`.

        By `names` of backgrounds and perturbations that it learnt, so that it also learns from the controls of
        backgrounds that are held out; or by `prompts`, cells of a perturbation that training need not have seen.
        """
        return ""

    @property
    def draws_cells(self) -> bool:
        """Whether it draws new cells; `system.py` then has `generate` and `condition_values`, see `load_system`."""
        return False

    @property
    def learns_changes(self) -> bool:
        """Whether it learns how a treatment changes a donor's vector; `system.py` then has `fit_change`."""
        return False

    @property
    def donor_labels(self) -> tuple[str, ...]:
        """Columns of the corpus that say something of a donor and that the training reads, as input or as targets."""
        return ()

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


def systems() -> list[str]:
    """Names of all systems."""
    return sorted(module.name for module in pkgutil.iter_modules(models.__path__) if module.ispkg)


def settings_of(system: str) -> type[SystemSettings]:
    """The settings of a system, the class of its name in `settings.py`; imports nothing heavy."""
    return getattr(importlib.import_module(f"scfm.models.{system}.settings"), system.capitalize())


def load_system(system: str) -> ModuleType:
    """The module `system.py` of a system: `prepare` for a training, `restore` for a model directory.

    And where it predicts perturbed cells, `predict(network, cells, sides, query, number, seed)`, which returns an
    AnnData of integer counts with obs background and perturbation, `number` cells for each pair of `query`. `cells` are
    in the form of `scfm.perturbation.screen`, genes in the order of the model's, and hold no more than may be shown, no
    test cell; `sides` says of each whether it is for training, a prompt or a control to start from (`train`, `prompt`,
    `query`); `query` is a DataFrame of the held-out pairs, columns background and perturbation. One that predicts by
    prompts also has `rewrite(network, query, shown, seed)`, which returns the cells of `query` under the prompt
    `shown`, with obs confidence: log odds that a cell is one of those shown.

    And where it draws cells, `generate(network, number, condition, steps, generator)`, which yields counts int64
    [chunk, genes] of so many cells: `condition` maps columns to values, none for cells as such, `steps` is None for
    those of the settings; and `condition_values(network)`, columns to the values that may be asked for.

    And where it learns changes, `fit_change(before, after, condition, donor, seed)` of vectors [pairs, width],
    conditions [pairs, conditions] and donors [pairs], which returns a function of vectors and conditions to changed
    vectors.
    """
    return importlib.import_module(f"scfm.models.{system}.system")
