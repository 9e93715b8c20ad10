"""The genes of the synthetic census: names, what drives each, and the zero fraction planned for it."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.corpus.settings import Synthetic
from scfm.errors import ScfmError

DATA = files("scfm.corpus.synthetic") / "data"
PROGRAMS = ("type", "latent", "noise")
LATENTS = ("cell_cycle", "dissociation")
GRID = (0.05, 0.88)
"""Zero fractions of the planted programs, from first to last gene; at 0.88 a gene has 180 nonzero values among
1,500 cells, above the 100 that make it reliable."""
PLANNED = {
    "housekeeping": (0.01, 0.3),
    "mitochondrial": (0.1, 0.4),
    "marker": (0.5, 0.93),
    "cell_cycle": (0.6, 0.9),
    "dissociation": (0.6, 0.9),
    "plain": (0.3, 0.97),
    "silent": (0.99, 0.997),
}
"""Range of planned zero fractions of background genes by role."""


def gene_table(settings: Synthetic) -> pd.DataFrame:
    """One row a gene: gene, ensembl, previous, planted, role, where, pair, latent, target.

    `pair` numbers the genes of a program: the same number in two programs means the same distribution of effects.
    `target` is the planned zero fraction.

    Raises:
        ScfmError: there is no room for background genes beside the planted ones.
    """
    background = settings.genes - 3 * settings.planted
    if background < 60:
        raise ScfmError(
            f"corpus.source: {settings.genes} genes leave {background} beside 3 x {settings.planted} planted ones; "
            "raise genes or lower planted so that at least 60 are left"
        )
    table = pd.concat([_planted(settings), _background(background, settings.seed)], ignore_index=True)
    number = np.arange(1, len(table) + 1)
    return table.assign(ensembl=[f"ENSG999{i:08d}" for i in number])


def _planted(settings: Synthetic) -> pd.DataFrame:
    pair = np.arange(settings.planted)
    tables = []
    for program in PROGRAMS:
        names = [f"SYN{program[0].upper()}{i + 1:04d}" for i in pair]
        latent = np.where(pair % 2 == 0, LATENTS[0], LATENTS[1]) if program == "latent" else ""
        target = np.linspace(*GRID, settings.planted)
        tables.append(
            pd.DataFrame({"gene": names, "planted": program, "pair": pair, "latent": latent, "target": target})
        )
    return pd.concat(tables, ignore_index=True).assign(role="planted", where="", previous="")


def _background(count: int, seed: int) -> pd.DataFrame:
    """Genes with a known role first, then those of the real cells that come with scanpy, then made-up ones."""
    known = pd.read_csv(DATA / "symbols.tsv", sep="\t", keep_default_na=False)
    real = _real_genes()
    real = real[~real["gene"].isin(known["gene"])]
    filler = pd.DataFrame({"gene": [f"SYNB{i + 1:04d}" for i in range(count)], "role": "plain", "previous": ""})
    table = pd.concat([_ordered(known), real, filler], ignore_index=True).head(count).fillna("")
    renamed = _renamed().groupby("gene")["name"].agg("|".join)
    previous = table["gene"].map(renamed).fillna("")
    low, high = np.array([PLANNED[role] for role in table["role"]]).T
    target = np.random.default_rng([seed, 1]).uniform(low, high)
    latent = table["role"].where(table["role"].isin(LATENTS), "")
    return table.assign(planted="background", pair=-1, previous=previous, latent=latent, target=target)


def _ordered(known: pd.DataFrame) -> pd.DataFrame:
    """Roles in turn, so that a small census has genes of each."""
    return known.assign(turn=known.groupby("role").cumcount()).sort_values("turn", kind="stable").drop(columns="turn")


def _renamed() -> pd.DataFrame:
    """Names of the real cells' genes that are no approved symbols, with the approved symbol ("" if not coding)."""
    return pd.read_csv(DATA / "renamed.tsv", sep="\t", keep_default_na=False)


def _real_genes() -> pd.DataFrame:
    """Approved symbols of the genes of `scanpy.datasets.pbmc68k_reduced`, which comes with the package."""
    from importlib.util import find_spec

    import h5py

    # The folder is looked up without importing scanpy, which takes seconds.
    package = Path(find_spec("scanpy").submodule_search_locations[0])
    with h5py.File(package / "datasets" / "10x_pbmc68k_reduced.h5ad") as handle:
        names = pd.Series(handle["var"]["index"]).str.decode("utf-8")
    renamed = _renamed().set_index("name")["gene"]
    approved = names.map(renamed).fillna(names)
    return pd.DataFrame({"gene": approved[approved != ""].drop_duplicates(), "role": "plain"})
