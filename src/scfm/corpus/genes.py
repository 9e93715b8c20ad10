"""From the store's features to the genes of the corpus."""

import numpy as np
import pandas as pd

from scfm.corpus.common import FIXED_POINT
from scfm.corpus.names import refuse_disagreements
from scfm.corpus.parts import Scanned
from scfm.corpus.report import Report
from scfm.corpus.scan import SUMS
from scfm.corpus.settings import QC, Genes, SelectSettings
from scfm.errors import ScfmError


def choose_genes(
    scanned: Scanned,
    cells: pd.DataFrame,
    names: pd.DataFrame,
    hgnc: pd.DataFrame,
    settings: SelectSettings,
    report: Report,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Protein-coding genes of HGNC that the store has and that pass the thresholds.

    Args:
        cells: cells that passed quality control; their datasets are the corpus's.
        names: what `scfm.corpus.names.name_features` returns for the scanned features.
        hgnc: what `scfm.genes.read_hgnc` returns.

    Returns:
        genes (gene, ensembl, n_measured, n_cells, n_counts, frequency, mean, dispersion; ordered by symbol),
        features (soma_joinid, feature_id, feature_name, gene = row of genes),
        measured (bool [datasets, genes], index dataset_id),
        gene_names (feature_name, feature_id, organism, gene, how, disagrees, outcome: used, collision, threshold, or
        none for a feature that is no protein-coding gene; one row a feature of the store).

    Raises:
        ScfmError: no gene passes, a dataset measures none of them, or features collide or disagree and the settings
            refuse that.
    """
    per_dataset = cells["dataset_id"].value_counts().sort_index()
    measured = scanned.measured.loc[per_dataset.index].to_numpy()
    sums = scanned.genes[scanned.genes["dataset_id"].isin(per_dataset.index)]
    counts = sums.groupby("feature")["counts"].sum().reindex(range(len(scanned.features)), fill_value=0)
    every = scanned.features[["soma_joinid", "feature_id", "feature_name", "organism"]].join(names)
    features = _named(every.assign(counts=counts.to_numpy()), settings.genes, report)
    kept = _resolve_collisions(features, measured, settings.genes.collisions, report)
    features, collided = features[kept], features[~kept]
    genes, gene_measured = _statistics(features, measured, sums, per_dataset)
    genes["ensembl"] = genes["gene"].map(hgnc.set_index("gene")["ensembl"])
    kept = _threshold(genes, settings.qc, report)
    genes = genes[kept].reset_index(drop=True)
    features = features[features["gene"].isin(genes["gene"])]
    features = features.assign(gene=pd.Index(genes["gene"]).get_indexer(features["gene"]))
    table = pd.DataFrame(gene_measured[:, kept], index=per_dataset.index)
    _check_measured(table)
    outcome = pd.Series("none", index=every.index).mask(every["gene"].notna(), "threshold")
    outcome[collided.index], outcome[features.index] = "collision", "used"
    gene_names = every.assign(outcome=outcome).drop(columns=["soma_joinid", "exact"])
    first = ["gene", "ensembl"]
    columns = ["soma_joinid", "feature_id", "feature_name", "gene"]
    return genes[first + [c for c in genes if c not in first]], features[columns], table, gene_names


def _check_measured(measured: pd.DataFrame) -> None:
    blind = measured.index[~measured.any(axis=1)]
    if len(blind):
        raise ScfmError(
            f"corpus: dataset '{blind[0]}' measures none of the {measured.shape[1]:,} genes of the vocabulary; name it "
            "in corpus.exclude_datasets, or correct the names of its genes"
        )


def _named(features: pd.DataFrame, settings: Genes, report: Report) -> pd.DataFrame:
    """The features that are protein-coding genes."""
    known = features["gene"].notna().to_numpy()
    report.genes("not a protein-coding gene of HGNC", len(features), int((~known).sum()))
    renamed = known & ~features["exact"].to_numpy()
    report.genes("renamed to the approved symbol", int(known.sum()), 0, noted=int(renamed.sum()))
    if settings.disagreements == "refuse":
        refuse_disagreements(features[known])
    return features[known]


def _resolve_collisions(features: pd.DataFrame, measured: np.ndarray, collisions: str, report: Report) -> np.ndarray:
    """Bool [features]: several features of one gene stay together, and are added up, if no dataset measured two.

    Otherwise, by the setting: all stay (sum), or the approved symbol itself wins, then the feature with most counts
    (best), or the first such gene is an error (refuse).
    """
    if collisions == "sum":
        return np.ones(len(features), dtype=bool)
    order = features.sort_values(["gene", "exact", "counts", "soma_joinid"], ascending=[True, False, False, True])
    kept = pd.Series(True, index=features.index)
    twins = order[order["gene"].duplicated(keep=False)]
    for _, group in twins.groupby("gene", sort=False):
        taken = np.zeros(len(measured), dtype=bool)
        for feature, joinid in group["soma_joinid"].items():
            own = measured[:, joinid]
            if (taken & own).any():
                if collisions == "refuse":
                    raise ScfmError(
                        f"corpus features: one dataset measured several features of {group['gene'].iloc[0]} "
                        f"({', '.join(group['feature_name'])}); set corpus.genes.collisions to sum or best"
                    )
                kept[feature] = False
            else:
                taken |= own
    report.genes("another feature has the same approved symbol", len(kept), int((~kept).sum()))
    return kept.to_numpy()


def _statistics(
    features: pd.DataFrame, measured: np.ndarray, sums: pd.DataFrame, per_dataset: pd.Series
) -> tuple[pd.DataFrame, np.ndarray]:
    """Statistics of each gene over the cells whose datasets measured it, and who measured it.

    Where one dataset measured several features that are added up, cells that express two of them count twice in
    n_cells (at most all cells) and in the mean and dispersion of log-normalised values.
    """
    names, codes = np.unique(features["gene"].to_numpy(str), return_inverse=True)
    gene_measured = np.zeros((len(measured), len(names)), dtype=bool)
    np.logical_or.at(gene_measured, (slice(None), codes), measured[:, features["soma_joinid"]])
    code = pd.Series(codes, index=features["soma_joinid"])
    own = sums[sums["feature"].isin(code.index)]
    total = own.groupby(code[own["feature"]].to_numpy())[list(SUMS)].sum().reindex(range(len(names)), fill_value=0)
    n = per_dataset.to_numpy() @ gene_measured
    total["cells"] = np.minimum(total["cells"], n)
    mean = total["log_sum"] / FIXED_POINT / np.maximum(n, 1)
    variance = np.maximum(total["log_squares"] / FIXED_POINT / np.maximum(n, 1) - mean**2, 0)
    return pd.DataFrame(
        {
            "gene": names,
            "n_measured": n,
            "n_cells": total["cells"],
            "n_counts": total["counts"],
            "frequency": total["cells"] / np.maximum(n, 1),
            "mean": mean,
            "dispersion": (variance / mean.where(mean > 0)).fillna(0.0),
        }
    ), gene_measured


def _threshold(genes: pd.DataFrame, qc: QC, report: Report) -> np.ndarray:
    """Bool [genes]: every threshold met, each reason counted once in this order."""
    reasons = {
        "min_cells": genes["n_cells"] < qc.min_cells,
        "min_frequency": genes["frequency"] < qc.min_frequency,
        "min_dispersion": genes["dispersion"] < qc.min_dispersion,
    }
    kept = np.ones(len(genes), dtype=bool)
    for reason, failed in reasons.items():
        before = int(kept.sum())
        kept &= ~failed.to_numpy()
        report.genes(reason, before, before - int(kept.sum()))
    if not kept.any():
        raise ScfmError("corpus.qc: no gene passes min_cells, min_frequency and min_dispersion; lower the thresholds")
    return kept
