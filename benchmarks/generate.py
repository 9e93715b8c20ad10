"""Generated cells for the benchmarks: counts as sparse as asked, and a SOMA of them laid out as the Census."""

from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus import write_shards
from scfm.corpus.build import build_soma
from scfm.corpus.csr import as_counts
from scfm.datasets import Dataset

BLOCK = 10_000
"""Cells in memory at once."""
TYPES, TISSUES, DONORS = 40, 20, 12
"""Labels, drawn independently of the counts."""
CENSUS = {0: 100, 0.05: 374, 0.25: 973, 0.5: 1_711, 0.75: 2_864, 0.9: 4_718, 0.95: 6_133, 1: 10_000}
"""Share of the Census's human cells that express at most so many genes; the ends are assumed."""


def census_lengths(cells: int) -> list[int]:
    """Expressed genes of cells in the middle of equal shares of the Census; two are its quartiles."""
    middle = (np.arange(cells) + 0.5) / cells
    return np.exp(np.interp(middle, list(CENSUS), np.log(list(CENSUS.values())))).round().astype(int).tolist()


def cells_of(lengths: list[int], genes: int, seed: int = 0) -> csr_matrix:
    """Counts, float32 CSR [cells, genes], of cells that express exactly so many genes."""
    rng = np.random.default_rng(seed)
    gene = np.concatenate([np.sort(rng.choice(genes, n, replace=False)) for n in lengths])
    count = rng.geometric(0.6, len(gene)).astype(np.float32)
    return csr_matrix((count, gene.astype(np.int32), np.cumsum([0, *lengths])), shape=(len(lengths), genes))


def generate(cells: int, genes: int, expressed: int, seed: int = 0) -> Iterator[csr_matrix]:
    """Counts, float32 CSR [up to BLOCK, genes], block by block.

    Expressed genes of a cell vary log-normally around `expressed`, genes follow a gamma law; counts are geometric.
    """
    rng = np.random.default_rng(seed)
    share = rng.gamma(0.35, size=genes)
    edges = np.cumsum(share / share.sum())
    for start in range(0, cells, BLOCK):
        size = min(BLOCK, cells - start)
        drawn = expressed * (1 + expressed / genes * 3.5) * rng.lognormal(-0.18, 0.6, size)  # some genes come twice
        row = np.repeat(np.arange(size), np.clip(drawn, 100, genes / 2).astype(int))
        gene = np.minimum(np.searchsorted(edges, rng.random(len(row))), genes - 1)
        key = np.unique(row * genes + gene)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(key // genes, minlength=size))])
        count = rng.geometric(0.6, len(key)).astype(np.float32)
        yield csr_matrix((count, (key % genes).astype(np.int32), indptr), shape=(size, genes))


def shards(folder: Path, cells: int, genes: int, expressed: int) -> Path:
    """Training shards of such cells in one dataset; left if they are there."""
    if not folder.exists():
        names = gene_names(genes)["symbol"].rename("gene").to_frame().assign(ensembl="")
        blocks = list(generate(cells, genes, expressed))
        obs = [pd.DataFrame({"dataset_id": "d", "split": "train"}, index=range(block.shape[0])) for block in blocks]
        whole = [as_counts(block.astype(np.int32)) for block in blocks]
        write_shards(folder, zip(whole, obs, strict=True), names, ["d"], np.ones((1, genes), bool))
    return folder


def gene_names(genes: int) -> pd.DataFrame:
    """As an HGNC complete set lists them, in an order of their own; every one is protein-coding."""
    number = np.random.default_rng(0).permutation(genes)
    return pd.DataFrame(
        {
            "hgnc_id": [f"HGNC:{i}" for i in number],
            "symbol": [f"G{i:05d}" for i in number],
            "locus_group": "protein-coding gene",
            "alias_symbol": "",
            "prev_symbol": "",
            "entrez_id": [str(i) for i in number],
            "ensembl_gene_id": [f"ENSG{i:011d}" for i in number],
            "uniprot_ids": "",
        }
    )


def store(folder: Path, cells: int, genes: int, expressed: int, seed: int = 0) -> Path:
    """Write folder/soma, one dataset for each BLOCK of cells, and folder/hgnc.tsv; leave them if they are there.

    Returns:
        The SOMA.
    """
    if (folder / "soma").exists():
        return folder / "soma"
    (folder / "h5ad").mkdir(parents=True, exist_ok=True)
    gene_names(genes).to_csv(folder / "hgnc.tsv", sep="\t", index=False)
    names = gene_names(genes).sort_values("symbol")
    rng = np.random.default_rng(seed)
    var = pd.DataFrame({"ensembl": names["ensembl_gene_id"].to_numpy()}, index=names["symbol"].to_numpy())
    files, rows = [], []
    for number, counts in enumerate(generate(cells, genes, expressed, seed)):
        drawn = {"donor": DONORS, "tissue": TISSUES, "cell_type": TYPES}
        obs = pd.DataFrame({name: rng.integers(0, n, counts.shape[0]).astype(str) for name, n in drawn.items()})
        obs.index = obs.index.astype(str)
        files.append(folder / "h5ad" / f"d{number:04d}.h5ad")
        anndata.AnnData(counts, obs, var).write_h5ad(files[-1], compression=None)
        rows.append(
            Dataset(
                name=files[-1].stem,
                organism="Homo sapiens",
                values="counts",
                donor_column="donor",
                label_column="cell_type",
            )
        )
    build_soma(files, rows, folder / "soma")
    for file in files:
        file.unlink()
    return folder / "soma"
