"""Samples (a donor, or a donor under one condition) and the vectors that stand for them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.read import Embedding
from scfm.benchmarks.task_settings import DonorTask
from scfm.datasets import TARGET, UNKNOWN
from scfm.deposit import read_h5ad
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

KEYS = ["donor", "sample"]
HALVES = ("1", "2")
"""What the column `half` says of vectors made from one of two disjoint halves of a sample's cells."""
COMPOSITION = "composition"


@dataclass(frozen=True)
class Samples:
    """The samples of one dataset with enough cells."""

    table: "pd.DataFrame"
    """One row a sample, strings: donor, sample ("" where a donor is one), and a column for each target, "unknown"
    where it is not known."""
    of_cell: np.ndarray
    """int [cells]: the row of each cell's sample, -1 for cells of none."""
    left_out: int
    """Samples with too few cells."""


@dataclass(frozen=True)
class Representation:
    """One vector for each sample, and how it does on halves of the cells."""

    pooling: str
    vectors: np.ndarray
    """float64 [samples, width]."""
    halves: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    """Pairs of float64 [samples, width] from two disjoint halves of each sample's cells; none where not known."""


def samples_of(embedding: Embedding, targets: dict[str, str], settings: DonorTask) -> Samples:
    """Samples with at least `settings.min_cells` cells of a known donor.

    Raises:
        ScfmError: no donor or target column, no sample with enough cells, or a sample with two values of a target.
    """
    import pandas as pd

    obs, name = embedding.obs, embedding.dataset
    absent = [column for column in ("donor", *(f"{TARGET}{target}" for target in targets)) if column not in obs]
    if absent:
        raise ScfmError(f"dataset '{name}': no column '{absent[0]}', which the task donor needs; prepare it again")
    keys = pd.DataFrame({"donor": obs["donor"].astype(str).to_numpy(object), "sample": ""})
    if "sample" in obs:
        keys["sample"] = obs["sample"].astype(str).where(obs["sample"] != UNKNOWN, "").to_numpy(object)
    known = keys[keys["donor"] != UNKNOWN]
    sizes = known.groupby(KEYS).size()
    enough = sizes[sizes >= settings.min_cells]
    if enough.empty:
        raise ScfmError(
            f"dataset '{name}': none of {len(sizes)} samples has {settings.min_cells} cells; name its donor_column, or "
            "lower benchmarks.donor.min_cells"
        )
    of_cell = enough.index.get_indexer(pd.MultiIndex.from_frame(keys))
    table = enough.index.to_frame(index=False)
    for target in targets:
        table[target] = _values(obs[f"{TARGET}{target}"], of_cell, table, target, name)
    return Samples(table, of_cell, len(sizes) - len(enough))


def _values(column: "pd.Series", of_cell: np.ndarray, table: "pd.DataFrame", target: str, name: str) -> np.ndarray:
    """The one value of each sample."""
    import pandas as pd

    pairs = pd.DataFrame({"row": of_cell, "value": column.astype(str).to_numpy(object)})
    pairs = pairs[(pairs["row"] >= 0) & (pairs["value"] != UNKNOWN)].drop_duplicates()
    twice = pairs[pairs["row"].duplicated(keep=False)].sort_values(["row", "value"])
    if len(twice):
        row = table.iloc[twice["row"].iloc[0]]
        raise ScfmError(
            f"dataset '{name}': donor '{row['donor']}' has the values {' and '.join(twice['value'].iloc[:2])} of "
            f"'{target}'; expected one, correct the column or name what divides the donor's cells as sample_column"
        )
    return pairs.set_index("row")["value"].reindex(range(len(table))).fillna(UNKNOWN).to_numpy(object)


def moments(vectors: np.ndarray, groups: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (of the population) of each group, float64 [count, width].

    Args:
        vectors: float [cells, width].
        groups: int [cells], -1 for cells of none; every one of `count` groups has a cell.
    """
    from scipy.sparse import csr_matrix

    rows = np.flatnonzero(groups >= 0)
    member = csr_matrix((np.ones(len(rows)), (groups[rows], np.arange(len(rows)))), shape=(count, len(rows)))
    sizes = np.asarray(member.sum(1))
    own = vectors[rows].astype(np.float64)
    mean = member @ own / sizes
    spread = member @ (own - mean[groups[rows]]) ** 2 / sizes
    return mean, np.sqrt(spread)


def halved(of_cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int [cells]: twice the row of the sample, plus 0 or 1 for its half, dealt at random; -1 for cells of none."""
    order = rng.permutation(len(of_cell))
    order = order[np.argsort(of_cell[order], kind="stable")]
    group = of_cell[order]
    starts = np.searchsorted(group, group)
    halves = np.full(len(of_cell), -1)
    halves[order] = np.where(group >= 0, 2 * group + (np.arange(len(group)) - starts) % 2, -1)
    return halves


def cell_representations(
    vectors: np.ndarray, samples: Samples, pooling: str, settings: DonorTask
) -> Iterator[Representation]:
    """`<pooling>:mean` and `<pooling>:mean_sd`, mean and standard deviation side by side.

    Args:
        vectors: float32 [cells, width], finite.
    """
    whole = moments(vectors, samples.of_cell, len(samples.table))
    parts = [moments(vectors, groups, 2 * len(samples.table)) for groups in _halvings(samples, settings)]
    means = tuple((mean[::2], mean[1::2]) for mean, _ in parts)
    both = [np.hstack(part) for part in parts]
    yield Representation(f"{pooling}:mean", whole[0], means)
    yield Representation(f"{pooling}:mean_sd", np.hstack(whole), tuple((part[::2], part[1::2]) for part in both))


def composition(labels: np.ndarray, samples: Samples, settings: DonorTask) -> Representation | None:
    """Share of each cell type among a sample's cells, "unknown" among them; None where all cells are of one type."""
    types, codes = np.unique(labels, return_inverse=True)
    if len(types) < 2:
        return None
    shares, _ = cell_representations(np.eye(len(types))[codes], samples, COMPOSITION, settings)
    return replace(shares, pooling=COMPOSITION)


def _halvings(samples: Samples, settings: DonorTask) -> list[np.ndarray]:
    rng = np.random.default_rng([settings.seed, 1])
    return [halved(samples.of_cell, rng) for _ in range(settings.repeats)]


def read_donors(path: Path) -> "AnnData":
    """Read vectors that a model made of whole samples.

    Returns:
        AnnData: obs strings dataset, donor, sample ("" where a donor is one) and half ("" for all cells of the sample,
        "1" and "2" for two disjoint halves of them); obsm one float table for each pooling.

    Raises:
        ScfmError: the file is missing, unreadable or not of that kind, or a sample stands in it twice.
    """
    adata = read_h5ad(path, "donor vectors")
    absent = [column for column in ("dataset", "donor") if column not in adata.obs]
    if absent or not len(adata.obsm):
        what = f"no obs column '{absent[0]}'" if absent else "no table in obsm"
        raise ScfmError(f"{path}: {what}; expected one row a donor with dataset and donor in obs, and vectors in obsm")
    for column in ("dataset", "donor", "sample", "half"):
        values = adata.obs[column].astype(object) if column in adata.obs else ""
        adata.obs[column] = values if isinstance(values, str) else values.fillna("").astype(str)
    twice = adata.obs[adata.obs.duplicated(["dataset", *KEYS, "half"])]
    if len(twice):
        raise ScfmError(f"{path}: donor '{twice['donor'].iloc[0]}' stands there twice; expected one row a sample")
    return adata


def given_representations(donors: "AnnData", samples: Samples, dataset: str) -> list[Representation]:
    """The poolings of a file of donor vectors, in the order of the samples.

    Raises:
        ScfmError: a sample is not in the file, or its vector holds NaN or infinite values.
    """
    import pandas as pd

    own = donors[(donors.obs["dataset"] == dataset).to_numpy()]
    wanted = pd.MultiIndex.from_frame(samples.table[KEYS].astype(object))
    has_halves = own.obs["half"].isin(HALVES).any()
    rows = {}
    for half in ("", *(HALVES if has_halves else ())):
        there = own.obs["half"].to_numpy() == half
        found = pd.MultiIndex.from_frame(own.obs.loc[there, KEYS].astype(object)).get_indexer(wanted)
        if (found < 0).any():
            donor, sample = wanted[int(np.flatnonzero(found < 0)[0])]
            which = f"donor '{donor}'" + (f", sample '{sample}'" if sample else "") + (f", half {half}" if half else "")
            raise ScfmError(f"donor vectors: no row of dataset '{dataset}' for {which}; embed every donor again")
        rows[half] = np.flatnonzero(there)[found]
    out = []
    for pooling in own.obsm:
        table = np.asarray(own.obsm[pooling], dtype=np.float64)
        if not np.isfinite(table).all():
            raise ScfmError(f"donor vectors, pooling '{pooling}', dataset '{dataset}': NaN or infinite values")
        pairs = ((table[rows["1"]], table[rows["2"]]),) if has_halves else ()
        out.append(Representation(str(pooling), table[rows[""]], pairs))
    return out
