"""Deposits of human and of mouse cells with a planted difference, and the stage corpus run on them."""

import anndata
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.gather import gather
from scfm.corpus.scan import scan
from scfm.corpus.scatter import scatter
from scfm.corpus.select import select
from scfm.corpus.settings import Corpus, ScanSettings, ScatterSettings, SelectSettings
from scfm.datasets import Dataset

HUMAN, MOUSE = "homo_sapiens", "mus_musculus"
SHARED = [f"SHARED{i}" for i in range(40)]
"""Human genes with one mouse ortholog each."""
HUMAN_ALONE = [f"HUMAN{i}" for i in range(8)]
NO_ORTHOLOG = [f"Gm{i}" for i in range(6)]
"""Mouse genes without one; Twin1 and Twin2 share theirs, TWIN."""
UNSEEN = 10
"""The second mouse dataset does not measure so many of the last shared genes."""
QC = {"min_counts": 5, "min_genes": 3, "max_mito_fraction": 1.0, "min_cells": 5}


class Law:
    """Log means of two cell types on human genes, a half of them moved in mouse, and counts around them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.types = rng.normal(0.5, 0.7, len(SHARED)) + rng.normal(0, 0.5, (2, len(SHARED)))
        self.moved = np.where(np.arange(len(SHARED)) % 2, rng.choice([-1.2, 1.2], len(SHARED)), 0.0)

    def draw(self, species: str, cells: int, seed: int) -> np.ndarray:
        """Counts [cells, SHARED]."""
        rng = np.random.default_rng(seed)
        log = self.types[rng.integers(2, size=cells)] + (species == MOUSE) * self.moved
        return rng.poisson(np.exp(np.minimum(log + rng.normal(0, 0.2, (cells, 1)), 3)))


def deposits(folder, law, cells=500):
    """[(file, row of the sheet)] of a human and two mouse datasets."""
    mouse = [name.capitalize() for name in SHARED]
    # Name, species, names of the shared genes, those that only this deposit has, shared genes that it measures.
    kinds = [
        ("human", "Homo sapiens", SHARED, [*HUMAN_ALONE, "TWIN"], len(SHARED)),
        ("mouse", "Mus musculus", mouse, [*NO_ORTHOLOG, "Twin1", "Twin2"], len(SHARED)),
        ("mouse_panel", "Mus musculus", mouse, [], len(SHARED) - UNSEEN),
    ]
    out = []
    for seed, (name, organism, names, own, shown) in enumerate(kinds, start=1):
        counts = law.draw(MOUSE if name != "human" else HUMAN, cells, seed)[:, :shown]
        other = np.random.default_rng(seed + 10).poisson(1.0, (cells, len(own)))
        matrix = csr_matrix(np.hstack([counts, other]).astype(np.float32))
        obs = pd.DataFrame({"donor": [f"d{i % 4}" for i in range(cells)]}, index=[f"{name}_{i}" for i in range(cells)])
        adata = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=[*names[:shown], *own]))
        adata.write_h5ad(folder / f"{name}.h5ad")
        row = Dataset(name=name, organism=organism, values="counts", donor_column="donor")
        out.append((folder / f"{name}.h5ad", row))
    return out


def names(folder):
    """HGNC with all human genes, and the orthologs of mouse: both in `folder`."""
    header = "symbol\tensembl_gene_id\tentrez_id\tuniprot_ids\talias_symbol\tprev_symbol\tlocus_group\n"
    genes = [*SHARED, *HUMAN_ALONE, "TWIN"]
    rows = [f"{gene}\t\t\t\t\t\tprotein-coding gene\n" for gene in genes]
    (folder / "hgnc.tsv").write_text(header + "".join(rows))
    pairs = [(name.capitalize(), name) for name in SHARED] + [("Twin1", "TWIN"), ("Twin2", "TWIN")]
    (folder / "mouse.tsv").write_text("gene\thuman\n" + "".join(f"{a}\t{b}\n" for a, b in pairs))
    return folder / "hgnc.tsv", folder / "mouse.tsv"


def corpus(folder, found, hgnc, orthologs, sampling=(), value_filter=""):
    """Scan, select, scatter and gather deposits into `folder`; the folder of the shards."""
    source = {"kind": "files", "datasets": [row.name for _, row in found], "value_filter": value_filter}
    keys = {"source": source, "qc": QC, "split": {"by": "cell", "fraction": 0.1}, "block": 64, "sampling": sampling}
    whole = Corpus.model_validate(keys)
    part = {kind: kind(**{name: getattr(whole, name) for name in kind.model_fields}) for kind in SLICES}
    scan(part[ScanSettings], 0, 1, folder / "scan", deposits=found)
    select(part[SelectSettings], [folder / "scan"], hgnc, folder / "selection", orthologs)
    scatter(part[ScatterSettings], folder / "selection", 0, 1, folder / "scatter", deposits=found)
    gather(folder / "selection", [folder / "scatter"], folder / "shards")
    return folder / "shards"


SLICES = (ScanSettings, SelectSettings, ScatterSettings)
