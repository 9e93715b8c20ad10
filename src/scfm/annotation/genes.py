"""The whole stage: from a vocabulary and the annotation files to the tables of families and programs."""

from pathlib import Path

import numpy as np
import pandas as pd

from scfm.annotation.assign import counts, first_match
from scfm.annotation.settings import AnnotationSettings
from scfm.annotation.sources import Contents, Files, Sources
from scfm.errors import ScfmError
from scfm.reading import reading


def read_vocabulary(path: Path) -> pd.DataFrame:
    """Read the genes of a corpus.

    Returns:
        gene (approved symbol, unique), ensembl; in the file's order.

    Raises:
        ScfmError: the file is missing or not Parquet, lacks a column, is empty, or names a gene twice.
    """
    with reading(path, "genes", "a Parquet table of genes"):
        genes = pd.read_parquet(path)
    missing = [column for column in ("gene", "ensembl") if column not in genes]
    if missing:
        raise ScfmError(f"{path}: column '{missing[0]}' is missing; expected the genes of a corpus")
    if genes.empty:
        raise ScfmError(f"{path}: holds no gene; expected the genes of a corpus, check its quality control")
    twice = genes["gene"][genes["gene"].duplicated()]
    if len(twice):
        raise ScfmError(f"{path}: gene '{twice.iloc[0]}' stands there twice; expected each approved symbol once")
    return genes[["gene", "ensembl"]].reset_index(drop=True)


def annotate(
    genes: pd.DataFrame, files: Files, settings: AnnotationSettings, releases: dict[str, str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Give each gene of a vocabulary its family and program.

    Args:
        genes: gene (approved symbol, unique), ensembl; one row per gene.
        releases: resource name to release, for the tables.

    Returns:
        The genes with family, family_group and program; the table of families and that of programs (see `counts`).

    Raises:
        ScfmError: a file is missing or of another format; a rule names a GO term that the ontology does not hold.
    """
    sources = Sources.join(genes["gene"], Contents.read(files), settings)
    annotated, tables = genes.copy(), []
    for kind, rows in (("family", settings.families), ("program", settings.programs)):
        assigned = first_match(rows, sources)
        annotated[kind] = np.array([row.name for row in rows])[assigned]
        if kind == "family":
            annotated["family_group"] = np.array([row.group or row.name for row in rows])[assigned]
        tables.append(counts(rows, assigned, settings, releases or {}))
    return annotated, *tables
