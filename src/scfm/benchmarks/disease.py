"""A state of one cell type that comes with a disease: is it a cluster of the embedding (supplementary 11)?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.embedders import log_normalised
from scfm.benchmarks.metrics.clustering import leiden
from scfm.benchmarks.metrics.neighbors import connectivities
from scfm.benchmarks.read import Embedding, finite, read_embeddings, read_prepared
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.task_settings import Disease
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

SHARES = ("case_share", "case_share_low", "case_share_high", "rest_case_share", "odds_ratio", "minus_log10_p")


def disease(
    path: Path, datasets: Sequence[Path], settings: Disease, study: str
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Look for the state in every embedding of a file whose dataset is asked for disease.

    Args:
        path: embeddings.
        datasets: prepared datasets, for their expression and conditions; others than those asked for are passed over.

    Returns:
        Tidy rows, and a row for each cluster and gene of the signature: study, run, pooling, dataset, seed, then the
        columns of `cluster_genes`. The tidy rows: clusters; for the cluster with most of the signature's genes
        significantly up or down against all others (Wilcoxon, Benjamini-Hochberg) signature_up, signature_down and
        cluster_cells; found (1 or 0: it has the signature), and if so case_share with its interval (Wilson),
        rest_case_share, odds_ratio and minus_log10_p (Fisher's exact test, two-sided, cells taken as independent). NaN
        where no cluster has the signature.

    Raises:
        ScfmError: what `read_embeddings` and `read_prepared` raise; a dataset that is not among the prepared ones, or
            has other cells there; no cell of the type or of a condition; no gene of the signature up or down.
    """
    import pandas as pd

    prepared = {str(adata.uns["scfm"]["name"]): adata for adata in map(read_prepared, datasets)}
    tables, details = [], []
    for embedding in read_embeddings(path, "disease"):
        adata, rows = _cells(embedding, prepared, settings)
        clusters = leiden(
            connectivities(finite(embedding, rows), settings.neighbors), [settings.resolution], settings.seed
        )[0]
        expression = log_normalised(adata, embedding.facts["values"])
        context = embedding.context(study, "disease")
        tests = signature_tests(expression, clusters, settings)
        tables.append(tidy(measure(expression, clusters, tests, settings), **context))
        whose = {key: context[key] for key in ("study", "run", "pooling", "dataset", "seed")}
        details.append(cluster_genes(expression, clusters, tests, settings).assign(**whose))
    genes = pd.concat(details, ignore_index=True)
    return pd.concat(tables, ignore_index=True), genes[[*whose, *genes.columns.drop(list(whose))]]


def measure(adata: "AnnData", clusters: np.ndarray, tests: "pd.DataFrame", settings: Disease) -> list[Measurement]:
    """All figures of one clustering.

    Args:
        adata: log-normalised expression of the cells of the type, obs condition.
        clusters: int [cells].
        tests: of the signature's genes, as `signature_tests` gives them.
    """
    out = [Measurement("clusters", len(np.unique(clusters)), n=adata.n_obs)]
    best = best_cluster(tests, settings)
    if best is None:
        return [*out, Measurement("found", 0, n=adata.n_obs)]
    cluster, up, down, found = best
    inside = clusters == cluster
    size = int(inside.sum())
    values = {"signature_up": up, "signature_down": down, "cluster_cells": size, "found": int(found)}
    figures = association(inside, _cases(adata, settings), settings.alpha) if found else (np.nan,) * len(SHARES)
    values |= dict(zip(SHARES, figures, strict=True))
    return out + [Measurement(name, value, n=size) for name, value in values.items()]


def signature_tests(adata: "AnnData", clusters: np.ndarray, settings: Disease) -> "pd.DataFrame":
    """Wilcoxon's test of the signature's genes in each cluster that is large enough, against all other cells.

    Returns:
        Columns cluster (int), gene, direction (1: expected up, -1: down), score (test statistic), q
        (Benjamini-Hochberg over all genes of the dataset); no row if there are not two clusters to compare, or all
        are too small.

    Raises:
        ScfmError: the dataset holds none of the signature's genes up, or none of those down.
    """
    import pandas as pd
    import scanpy

    direction = _directions(adata, settings)
    numbers, sizes = np.unique(clusters, return_counts=True)
    large = [str(n) for n in numbers[sizes >= settings.min_cells]] if len(numbers) > 1 else []
    if not large:
        columns = {"cluster": int, "gene": str, "direction": int, "score": float, "q": float}
        return pd.DataFrame(columns=list(columns)).astype(columns)
    adata.obs["cluster"] = pd.Categorical(clusters.astype(str))
    scanpy.tl.rank_genes_groups(
        adata, "cluster", groups=large, method="wilcoxon", corr_method="benjamini-hochberg", tie_correct=True
    )
    found = []
    for name in large:
        tests = scanpy.get.rank_genes_groups_df(adata, name).set_index("names").loc[list(direction)]
        columns = {"direction": direction.values(), "score": tests["scores"].array, "q": tests["pvals_adj"].array}
        found.append(pd.DataFrame({"cluster": int(name), "gene": list(direction), **columns}))
    return pd.concat(found, ignore_index=True)


def _directions(adata: "AnnData", settings: Disease) -> dict[str, int]:
    """Genes of the signature that the dataset holds: 1 if they go up in the state, -1 if down."""
    found = {}
    for side, asked in ((1, settings.up), (-1, settings.down)):
        there = [gene for gene in asked if gene in adata.var_names]
        if not there:
            raise ScfmError(
                f"dataset '{adata.uns['scfm']['name']}': expresses no gene of the signature's {', '.join(asked)}; name "
                "other genes under benchmarks.disease"
            )
        found |= dict.fromkeys(there, side)
    return found


def best_cluster(tests: "pd.DataFrame", settings: Disease) -> tuple[int, int, int, bool] | None:
    """(cluster, genes up, genes down, whether it has the signature) of the cluster that has most of it, if any.

    Ties go to the cluster with the largest sum of test statistics in the signature's direction.
    """
    found = []
    for cluster, own in tests.groupby("cluster"):
        strength = own["direction"] * own["score"]
        hits = ((own["q"] < settings.alpha) & (strength > 0)).groupby(own["direction"]).agg(["sum", "size"])
        whole = bool((hits["sum"] >= settings.agreement * hits["size"]).all())
        up, down = (int(hits["sum"][side]) for side in (1, -1))
        found.append((up + down, strength.sum(), int(cluster), up, down, whole))
    return max(found)[2:] if found else None


def cluster_genes(adata: "AnnData", clusters: np.ndarray, tests: "pd.DataFrame", settings: Disease) -> "pd.DataFrame":
    """What the clusters are made of, and how they express the signature; arguments as those of `measure`.

    Returns:
        A row for each cluster and gene: cluster, cells, case_share with its interval (case_share_low, case_share_high;
        Wilson), signature (1: the cluster that has most of it, and has it), gene, direction, mean (of log-normalised
        expression), expressing (share of the cells), score and q (as `signature_tests`; NaN for a small cluster).
    """
    import pandas as pd
    from scipy.stats import binomtest

    direction, case, best = _directions(adata, settings), _cases(adata, settings), best_cluster(tests, settings)
    values = adata[:, list(direction)].X
    values = np.asarray(values.todense() if hasattr(values, "todense") else values)
    rows = []
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        share = binomtest(int(case[inside].sum()), int(inside.sum()))
        interval = share.proportion_ci(1 - settings.alpha, method="wilson")
        facts = {"cluster": int(cluster), "cells": int(inside.sum()), "case_share": share.statistic}
        facts |= {"case_share_low": interval.low, "case_share_high": interval.high}
        facts["signature"] = int(best is not None and best[3] and best[0] == cluster)
        for (gene, side), own in zip(direction.items(), values[inside].T, strict=True):
            rows.append(facts | {"gene": gene, "direction": side, "mean": own.mean(), "expressing": (own > 0).mean()})
    return pd.DataFrame(rows).merge(tests, on=["cluster", "gene", "direction"], how="left")


def _cases(adata: "AnnData", settings: Disease) -> np.ndarray:
    """Which cells are cases, bool [cells]."""
    return (adata.obs["condition"] == settings.case).to_numpy()


def association(inside: np.ndarray, case: np.ndarray, alpha: float) -> tuple[float, ...]:
    """Values of `SHARES` for the cells inside a cluster and their conditions, both bool [cells]."""
    from scipy.stats import binomtest, fisher_exact

    table = [[int((inside & case).sum()), int((inside & ~case).sum())]]
    table.append([int((~inside & case).sum()), int((~inside & ~case).sum())])
    share = binomtest(table[0][0], sum(table[0]))
    interval = share.proportion_ci(1 - alpha, method="wilson")
    odds, p = fisher_exact(table)
    rest = table[1][0] / sum(table[1])
    return share.statistic, interval.low, interval.high, rest, odds, abs(np.log10(max(p, np.finfo(float).tiny)))


def _cells(embedding: Embedding, prepared: "dict[str, AnnData]", settings: Disease) -> "tuple[AnnData, np.ndarray]":
    """(cells of the type and of the two conditions, their row numbers in the embedding)."""
    name = embedding.dataset
    if name not in prepared:
        raise ScfmError(f"dataset '{name}': not among the prepared datasets given; give its h5ad too")
    adata = prepared[name]
    if list(name + "/" + adata.obs_names.astype(str)) != list(embedding.obs.index):
        raise ScfmError(f"dataset '{name}': its cells are not those that were embedded; embed it again")
    kind, condition = adata.obs["cell_type"].astype(str), adata.obs["condition"].astype(str)
    typed = (kind == settings.cell_type).to_numpy()
    if not typed.any():
        known = ", ".join(sorted(set(kind))[:10])
        raise ScfmError(f"dataset '{name}': no cell of type '{settings.cell_type}'; name one of: {known}")
    for wanted in (settings.case, settings.control):
        if not (typed & (condition == wanted)).any():
            known = ", ".join(sorted(set(condition[typed])))
            raise ScfmError(f"dataset '{name}': no {settings.cell_type} of condition '{wanted}'; name one of: {known}")
    rows = np.flatnonzero(typed & condition.isin([settings.case, settings.control]))
    return adata[rows], rows
