"""Embeddings of several runs side by side, as one more model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.read import read_embedded
from scfm.errors import ScfmError

if TYPE_CHECKING:
    from anndata import AnnData

BY_CAUTION = ("true", "partly", "unknown", "false")
"""What may be said of contamination, what calls for most caution first."""


def concatenate(paths: Sequence[Path], poolings: Sequence[str], run: str) -> "AnnData":
    """One pooling of each file, put side by side as they are.

    Returns:
        What `scfm.benchmarks.embed.embed` returns, with one pooling, `<pooling>+<pooling>`. A dataset that one of the
        runs has seen counts as seen.

    Raises:
        ScfmError: a file is not of 'scfm benchmarks embed' or lacks its pooling, the seeds or cells of the files
            differ, or there are not as many poolings as files.
    """
    import anndata

    if len(paths) != len(poolings):
        raise ScfmError(f"--pooling: {len(poolings)} given for {len(paths)} files; give one for each")
    parts = [read_embedded(path) for path in paths]
    first = parts[0]
    for path, part, pooling in zip(paths, parts, poolings, strict=True):
        if pooling not in part.obsm:
            raise ScfmError(f"{path}: no pooling '{pooling}'; choose among {', '.join(part.obsm)}")
        if part.uns["seed"] != first.uns["seed"]:
            seeds = f"{first.uns['seed']} and {part.uns['seed']}"
            raise ScfmError(f"{path}: seeds {seeds} are put side by side; give runs of one seed")
        if not part.obs_names.equals(first.obs_names):
            raise ScfmError(f"{path}: not the cells of {paths[0]}; give runs that embed the same datasets")
    table = np.hstack([part.obsm[pooling] for part, pooling in zip(parts, poolings, strict=True)])
    obs = first.obs.assign(contaminated=np.any([part.obs["contaminated"] for part in parts], axis=0))
    facts = {name: _most_cautious([part.uns["datasets"][name] for part in parts]) for name in first.uns["datasets"]}
    uns = {"run": run, "seed": first.uns["seed"], "datasets": facts}
    return anndata.AnnData(obs=obs, obsm={"+".join(poolings): table}, uns=uns)


def _most_cautious(facts: list[dict]) -> dict:
    return min(facts, key=lambda fact: BY_CAUTION.index(str(fact["contaminated"])))
