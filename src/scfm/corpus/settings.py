"""Settings of the corpus stage: where cells come from, quality control, sampling, split, shards.

Each command takes the slice that it uses (`ScanSettings`, `SelectSettings`, ...), so that an edit reruns no more
than what depends on it.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from scfm.corpus.steps import CellField, Count, Sampling
from scfm.corpus.synthetic_settings import Synthetic
from scfm.datasets import Dataset
from scfm.genes import HUMAN
from scfm.settings import Settings

LONG_TERM_RELEASES = ("2023-05-15", "2023-07-25", "2023-12-15", "2024-07-01", "2025-01-30", "2025-11-08")
"""Census releases that the provider keeps for at least five years; others disappear after a month."""


class Files(Settings):
    """Deposits read in place: h5ad files, 10x HDF5 files and 10x folders."""

    kind: Literal["files"]
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of rows of the sheet of datasets."""
    value_filter: str = ""
    """Filter on the cells in their common form, written as a SOMA filter: tissue == 'blood' and assay in ['10x']."""


class Census(Settings):
    """The CELLxGENE Census, read in place."""

    kind: Literal["census"]
    release: str = "2025-01-30"
    """A long-term release; moving aliases such as "latest" cannot be reproduced and are refused."""
    organism: str = "homo_sapiens"
    """Experiment under census_data."""
    value_filter: str = "is_primary_data == True"
    """SOMA filter on obs; "" keeps all cells."""

    @field_validator("release")
    @classmethod
    def _long_term(cls, release: str) -> str:
        known = ", ".join(LONG_TERM_RELEASES)
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", release):
            raise ValueError(f"a moving alias is no release; name a long-term Census release by its date ({known})")
        if release not in LONG_TERM_RELEASES:
            raise ValueError(f"not a long-term Census release; name one of {known}")
        return release


class Soma(Settings):
    """Any other SOMA laid out as the Census."""

    kind: Literal["soma"]
    uri: str
    """Path or URI of the top collection (census_data, census_info)."""
    organism: str = "homo_sapiens"
    """Experiment under census_data."""
    value_filter: str = ""
    """SOMA filter on obs; "" keeps all cells."""


Source = Annotated[Synthetic | Files | Census | Soma, Field(discriminator="kind")]


class Retry(Settings):
    """What to do about a store that does not answer."""

    attempts: Count = 5
    """Attempts of each read, after which the job ends with a sentence."""
    seconds: Annotated[float, Field(ge=0)] = 2.0
    """Seconds before the second attempt; doubled each time, up to a minute."""


class Genes(Settings):
    """From the names of the store to approved symbols of human genes; see gene_names.csv."""

    collisions: Literal["best", "sum", "refuse"] = "best"
    """Several features of one gene that one dataset measured: `best` keeps the feature under the approved symbol, or
    else that with most counts; `sum` adds them up; `refuse` ends with a sentence."""
    disagreements: Literal["name", "refuse"] = "name"
    """Features whose name and Ensembl id belong to different genes: `name` follows the name and counts them; `refuse`
    ends with a sentence."""
    orthologs: dict[str, str] = {"mus_musculus": "mouse_orthologs"}
    """Species of the source, as the Census writes it, to the resource with its orthologs."""


class CellQC(Settings):
    """Quality thresholds of cells; every cell dropped is counted in qc.csv."""

    min_counts: Annotated[int, Field(ge=0)] = 200
    """Least total count of a cell over the store's genes."""
    min_genes: Annotated[int, Field(ge=0)] = 50
    """Least number of expressed genes of a cell."""
    max_mito_fraction: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Largest share of a cell's counts on MT- genes; cells of datasets that measure none of them pass."""
    max_counts: Count | None = None
    """Largest total count of a cell; null sets no limit."""
    max_genes: Count | None = None
    """Largest number of expressed genes of a cell; null sets no limit."""

    @model_validator(mode="after")
    def _limits_leave_room(self) -> "CellQC":
        for what in ("counts", "genes"):
            low, high = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if high is not None and high < low:
                raise ValueError(f"max_{what} ({high}) is below min_{what} ({low}), which no cell passes")
        return self


class QC(CellQC):
    """Quality thresholds of cells and genes; every gene dropped is counted in qc.csv too."""

    min_cells: Annotated[int, Field(ge=0)] = 10
    """Least number of cells that express a gene."""
    min_frequency: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least share of expressing cells among the cells of the datasets that measured the gene."""
    min_dispersion: Annotated[float, Field(ge=0)] = 0.0
    """Least variance / mean of a gene's log-normalised values over the cells that measured it."""


class Split(Settings):
    """Training and validation cells."""

    by: Literal["dataset", "donor", "cell"] = "dataset"
    """What never stands on both sides: whole datasets (by coverage of their cell types), donors, or single cells."""
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of donors or cells for validation; the dataset rule needs none."""
    seed: int = 42
    """Seed of the draw of donors or cells."""


class Layout(Settings):
    """Order of the cells in the shards."""

    kind: Literal["permuted", "grouped"] = "permuted"
    """permuted: one random order over all cells; grouped: random order of groups, random order within each."""
    by: Literal["donor_id", "tissue", "batch", "dataset_id"] = "donor_id"
    """What makes a group (within its dataset); only read by `grouped`."""
    round_robin: CellField | None = None
    """Column whose values take turns in the training order of each epoch; only of `permuted`."""
    seed: int = 42
    """Seed of the order."""

    @model_validator(mode="after")
    def _turns_are_between_single_cells(self) -> "Layout":
        if self.round_robin and self.kind != "permuted":
            raise ValueError(f"round_robin deals single cells and does not go with the layout {self.kind}")
        return self


class Corpus(Settings):
    """The whole stage."""

    source: Source
    """Where cells come from."""
    qc: QC = QC()
    """Quality thresholds."""
    exclude_datasets: tuple[str, ...] = ()
    """dataset_ids left out, for example because a benchmark uses them."""
    sampling: tuple[Sampling, ...] = ()
    """Downsampling steps, applied in this order after quality control."""
    split: Split = Split()
    """Training and validation cells."""
    layout: Layout = Layout()
    """Order of the cells in the shards."""
    parts: Count = 1
    """Contiguous ranges of the store that are read by separate jobs; more parts need less memory each."""
    shard_cells: Count = 16_000
    """Cells of a shard, at most; two shards are in memory while they are written."""
    block: Count = 2048
    """Cells read at once."""
    joinids: str | None = None
    """Parquet or CSV file with a column soma_joinid: only these cells, to make a corpus again from its list."""
    genes: Genes = Genes()
    """Names of genes."""
    retry: Retry = Retry()
    """Attempts at a store that does not answer."""


class Deposited(Dataset):
    """A row of the sheet of datasets as a study puts it into its corpus."""

    human_names: bool = False
    """Genes of another organism carry the names of their human orthologs already."""

    @property
    def gene_species(self) -> str:
        """The species whose genes the deposit names."""
        return HUMAN if self.human_names else self.species


class BuildSettings(Settings):
    """Slice of `corpus build`, and what `corpus scan` and `corpus scatter` know of deposits."""

    datasets: tuple[Deposited, ...]
    """Rows of the sheet of datasets, one for each file, in the same order."""


class SourceSettings(Settings):
    """Slice of `corpus datasets`."""

    source: Source
    """Where cells come from."""
    retry: Retry = Retry()
    """Attempts at a store that does not answer."""


class ScanSettings(Settings):
    """Slice of `corpus scan`."""

    source: Source
    """Where cells come from."""
    qc: CellQC
    """Thresholds of cells: over the cells that pass run the sums of genes."""
    block: Count
    """Cells read at once."""
    retry: Retry = Retry()
    """Attempts at a store that does not answer."""


class SelectSettings(Settings):
    """Slice of `corpus select`."""

    qc: QC
    """Quality thresholds."""
    exclude_datasets: tuple[str, ...]
    """dataset_ids left out."""
    sampling: tuple[Sampling, ...]
    """Downsampling steps."""
    split: Split
    """Training and validation cells."""
    layout: Layout
    """Order of the cells in the shards."""
    shard_cells: Count
    """Cells of a shard, at most."""
    joinids: str | None = None
    """File of the only cells to take."""
    genes: Genes = Genes()
    """Names of genes."""


class ScatterSettings(Settings):
    """Slice of `corpus scatter`."""

    source: Source
    """Where cells come from."""
    block: Count
    """Cells read at once."""
    retry: Retry = Retry()
    """Attempts at a store that does not answer."""
