"""STACK as a system of the study: from a corpus to a network, and back from a model directory."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scfm.corpus import Reader, mean_counts
from scfm.errors import ScfmError
from scfm.models.grouping import group_codes
from scfm.models.prepared import Material, Prepared
from scfm.models.stack.in_context import predict as predict
from scfm.models.stack.in_context import rewrite as rewrite
from scfm.models.stack.network import Network
from scfm.models.stack.settings import Prompt, Stack
from scfm.ontology import UNKNOWN, LabelTree

MOST_MEANS = 100_000
"""Training cells of the means at which the decoder starts."""


def prepare(settings: Stack, material: Material, seed: int) -> Prepared:
    """The network at its start, the groups whose cells are read together, and in the second phase their conditions.

    Raises:
        ScfmError: the cells lack a column that `sets.by` or `prompt` names, or no cell is a control.
    """
    corpus = material.corpus
    network = Network(settings, len(corpus.genes), len(corpus.datasets), seed)
    network.start_at_means(torch.from_numpy(mean_counts(corpus, material.rows[:MOST_MEANS])).float())
    prompt = settings.prompt
    prepared = Prepared(
        network=network,
        labels=_conditions(corpus, prompt) if prompt else {},
        groups=group_codes(corpus.cells, settings.sets.by),
        set_cells=settings.sets.cells,
        after_start=network.start_teacher,
    )
    if prompt and prompt.controls:
        prepared.guests = np.flatnonzero(prepared.labels[prompt.condition] == 0)
        prepared.guest_cells = prompt.controls
    return prepared


def restore(
    settings: Stack,
    weights: dict[str, Tensor],
    genes: int,
    about: dict,
    tree: LabelTree | None,
    classes: dict[str, list[str]],
) -> Network:
    """The network of a model directory, before its weights are loaded; of the rest only `genes` is read."""
    return Network(settings, genes, datasets=0, seed=0)


def _conditions(corpus: Reader, prompt: Prompt) -> dict[str, np.ndarray]:
    """int64 [cells] each: the condition, 0 for the control if there is one, and the type; -1 where unknown."""
    condition, kind = (_column(corpus, name) for name in (prompt.condition, prompt.cell_type))
    names = sorted(set(condition.dropna()) - {UNKNOWN, "", prompt.control})
    if prompt.control is not None:
        if not (condition == prompt.control).any():
            raise ScfmError(
                f"corpus cells.parquet: column '{prompt.condition}' nowhere says '{prompt.control}'; set prompt.control"
            )
        names = [prompt.control, *names]
    kinds = sorted(set(kind.dropna()) - {UNKNOWN, ""})
    return {
        prompt.condition: pd.Index(names).get_indexer(condition).astype(np.int64),
        prompt.cell_type: pd.Index(kinds).get_indexer(kind).astype(np.int64),
    }


def _column(corpus: Reader, name: str) -> pd.Series:
    if name not in corpus.cells:
        raise ScfmError(
            f"corpus cells.parquet: no column '{name}', which the prompt needs; name another in model.prompt"
        )
    column = corpus.cells[name]
    return column.astype(str).where(column.notna())
