"""The synthetic census: cells with planted truth, and the annotation files that go with them.

The generative model, in the order in which it is drawn:

1. Types: a subtree of the Cell Ontology below blood and immune cells (`data/cell_types.tsv`), each with a share of
   the cells, tissues, and two ancestors at which annotators may stop.
2. Datasets: each with its assay, tissue, depth, donors and batches. The first two hold nearly all types; the second
   lacks the last type, so that the coverage rule of the split puts it into validation. The third does not measure
   some background genes and reports others under previous symbols.
3. Labels: within each dataset and type fixed shares are labelled at the near ancestor, at the far ancestor, or not.
4. Latents: two standard normal values for each cell, independent of everything else.
5. Genes: three planted programs share, gene by gene, one distribution of effects over the cells. In program
   "type" the effect belongs to the cell's type; in "latent" the same values are dealt out by the rank of a latent;
   in "noise" they are dealt out at random, for each gene anew. Background genes are housekeeping (no effect),
   markers of types, genes that follow a latent, weakly type-dependent, or silent.
6. Rates: each gene's base rate is solved for so that its expected zero fraction is the one planned; the three
   programs run over the same grid.
7. Counts: negative binomial around depth x technical effect x biological effect x base rate.

Ids and names in `data/` are those of the Cell Ontology (2026-03-26) and the Gene Ontology (2024-07-17), both
CC BY 4.0, and of HGNC (CC0). Genes SYN* do not exist; which gene is annotated with what is made up as well.

A held-out dataset with its own technical effect, two batches and leaf labels is drawn from the same truth.

With `donor_truth` the donors have an age and a disease (`scfm.corpus.synthetic.donors`), with `tissue` the cells have
places in layered sections (`scfm.corpus.synthetic.tissue`); without them the cells are the same to the bit as before
there were such layers.
"""

from pathlib import Path

from scfm.corpus.settings import Synthetic
from scfm.datasets import Dataset

HOLDOUT = "synthetic_holdout"


def corpus_names(settings: Synthetic) -> list[str]:
    """File stems of the corpus's datasets, which are also their dataset_ids."""
    return [f"corpus_{i:02d}" for i in range(settings.datasets)]


def dataset_row(name: str) -> Dataset:
    """Row of the sheet of datasets for one file of the synthetic census."""
    return Dataset(
        name=name,
        resource=f"synthetic:{name}.h5ad",
        title="Held-out part of the synthetic census" if name == HOLDOUT else "Part of the synthetic census",
        organism="Homo sapiens",
        values="counts",
        batch_column="batch",
        label_column="cell_type",
        ontology_column="cell_type_ontology_term_id",
        donor_column="donor_id",
        tasks=("integration", "probe", "ontology") if name == HOLDOUT else (),
        note="simulated cells",
    )


def synthesize(settings: Synthetic, out: Path) -> dict:
    """Write h5ad files, annotation files and the truth under `out`; see `scfm.corpus.synthetic.census`."""
    from scfm.corpus.synthetic.census import write_census

    return write_census(settings, out)
