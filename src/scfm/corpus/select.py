"""Choose the corpus: cells, genes, sample, split and order, from what the scan wrote."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from scfm.corpus.check import check_split, read_sides
from scfm.corpus.csr import MAX_GENES
from scfm.corpus.genes import choose_genes
from scfm.corpus.joinids import joinids_sha256, only, read_joinids
from scfm.corpus.names import count_names, name_features
from scfm.corpus.parts import Scanned, read_parts, write_cells
from scfm.corpus.report import Report
from scfm.corpus.sampling import sample
from scfm.corpus.scan import failures
from scfm.corpus.settings import Layout, SelectSettings
from scfm.corpus.split import TRAIN, VALIDATION, split_cells
from scfm.errors import ScfmError
from scfm.files import whole, write_json
from scfm.genes import read_hgnc, read_other_loci
from scfm.orthologs import read_orthologs
from scfm.settings import as_json


def select(
    settings: SelectSettings,
    parts: Sequence[Path],
    hgnc_path: Path,
    out: Path,
    orthologs: Mapping[str, Path] = MappingProxyType({}),
) -> dict:
    """Write the selection directory: cells.parquet (with split and row, its place in the shards), genes.parquet,
    features.parquet, measured.npz, the tables of `Report`, sampling.csv, split.csv, gene_names.csv and
    gene_name_counts.csv (what each feature of the store was mapped to, and how), manifest.json.

    Args:
        orthologs: species of the store other than human to files that `scfm.orthologs.read_orthologs` reads.

    Returns:
        The manifest.

    Raises:
        ScfmError: no cell or gene is left, an excluded dataset is not there, a side of the split is empty, or what
            was written does not keep the sides apart.
    """
    hgnc, scanned, report = read_hgnc(hgnc_path), read_parts(parts), Report()
    cells = _quality(_without(scanned, settings.exclude_datasets, report), settings, report)
    tables = {species: read_orthologs(path, species) for species, path in orthologs.items()}
    named = name_features(scanned.features, hgnc, read_other_loci(hgnc_path), tables)
    genes, features, measured, names = choose_genes(scanned, cells, named, hgnc, settings, report)
    if len(genes) > MAX_GENES:
        raise ScfmError(f"corpus: {len(genes):,} genes do not fit 16-bit gene ids; raise corpus.qc.min_cells")
    if settings.joinids:
        cells = only(cells, read_joinids(Path(settings.joinids)))
    cells, sampling = sample(cells, settings.sampling)
    report.compose("after sampling", cells)
    cells["split"], split = split_cells(cells, settings.split)
    for side in (TRAIN, VALIDATION):
        report.compose(side, cells[cells["split"] == side])
    cells["row"] = shard_order(cells, settings.layout)
    measured = measured.loc[sorted(set(cells["dataset_id"]))]
    manifest = _manifest(settings, scanned, cells, genes)
    manifest["features_by_name"] = {str(how): int(n) for how, n in names["how"].value_counts().sort_index().items()}
    with whole(out) as folder:
        folder.mkdir()
        write_cells(cells, folder / "cells.parquet")
        genes.to_parquet(folder / "genes.parquet", index=False)
        features.to_parquet(folder / "features.parquet", index=False)
        np.savez(folder / "measured.npz", datasets=measured.index.to_numpy(str), measured=measured.to_numpy())
        names.to_csv(folder / "gene_names.csv", index=False)
        count_names(names).to_csv(folder / "gene_name_counts.csv", index=False)
        report.write(folder)
        sampling.to_csv(folder / "sampling.csv", index=False)
        split.to_csv(folder / "split.csv", index=False)
        write_json(folder / "manifest.json", manifest)
        check_split(read_sides(folder), settings.split.by, str(out))
    return manifest


def _without(scanned: Scanned, exclude: Sequence[str], report: Report) -> pd.DataFrame:
    cells = scanned.cells
    report.all_cells("value_filter", scanned.total, scanned.total - len(cells))
    if cells.empty:
        raise ScfmError("corpus.source.value_filter: no cell of the store passes; correct the filter")
    present = set(cells["dataset_id"])
    strange = [name for name in exclude if name not in present]
    if strange:
        some = ", ".join(sorted(present)[:5])
        raise ScfmError(
            f"corpus.exclude_datasets: '{strange[0]}' is no dataset of the store ({some}, ...); correct the dataset_id"
        )
    excluded = cells["dataset_id"].isin(exclude).to_numpy()
    report.cells("exclude_datasets", cells["dataset_id"], excluded)
    report.describe("before", cells)
    report.compose("store", cells)
    return cells[~excluded]


def _quality(cells: pd.DataFrame, settings: SelectSettings, report: Report) -> pd.DataFrame:
    passed = np.ones(len(cells), dtype=bool)
    for reason, failed in failures(cells, settings.qc).items():
        report.cells(reason, cells["dataset_id"][passed], failed[passed])
        passed &= ~failed
    if not passed.any():
        raise ScfmError(
            f"corpus.qc: no cell passes exclude_datasets, {', '.join(failures(cells, settings.qc))}; "
            "relax the thresholds or check that the source holds raw counts"
        )
    cells = cells[passed]
    report.note("no MT- gene measured", cells["dataset_id"], cells["mito_fraction"].isna().to_numpy())
    report.describe("after", cells)
    report.compose("after QC", cells)
    return cells.reset_index(drop=True)


def shard_order(cells: pd.DataFrame, layout: Layout) -> np.ndarray:
    """Place of each cell in the shards, a permutation int64 [cells]."""
    rng = np.random.default_rng(layout.seed)
    place = rng.permutation(len(cells))
    if layout.kind == "permuted":
        return place
    codes, groups = pd.factorize(
        pd.MultiIndex.from_frame(cells[["dataset_id", layout.by]].set_axis(["d", "by"], axis=1)), sort=True
    )
    order = np.lexsort((place, rng.permutation(len(groups))[codes]))
    row = np.empty(len(cells), dtype=np.int64)
    row[order] = np.arange(len(cells))
    return row


def _manifest(settings: SelectSettings, scanned: Scanned, cells: pd.DataFrame, genes: pd.DataFrame) -> dict:
    text = as_json(settings)
    return {
        "source": scanned.source,
        "settings": settings.model_dump(mode="json"),
        "settings_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "joinids_sha256": joinids_sha256(cells["soma_joinid"].to_numpy()),
        "layout": settings.layout.kind,
        "shard_cells": settings.shard_cells,
        "cells": len(cells),
        "genes": len(genes),
        "features": len(scanned.features),
        "datasets": int(cells["dataset_id"].nunique()),
        "train": int((cells["split"] == "train").sum()),
        "validation": int((cells["split"] == "validation").sum()),
    }
