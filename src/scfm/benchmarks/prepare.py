"""From a deposited dataset to the form that every benchmark reads."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from scfm.benchmarks.library import mechanisms
from scfm.benchmarks.seen import how_much
from scfm.benchmarks.settings import Contamination, Preparation
from scfm.benchmarks.split import describe, hold_out
from scfm.datasets import HELD_OUT, TARGET, UNKNOWN
from scfm.deposit import read_deposit
from scfm.errors import ScfmError
from scfm.genes import HUMAN
from scfm.orthologs import one_to_one, rename

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.ontology import Ontology

PERTURBED = ("drug", "mechanism", "perturbation", "background")
"""Columns that only datasets of perturbed cells have."""


def prepare(
    path: Path,
    settings: Preparation,
    hgnc: "pd.DataFrame",
    ontology: "Ontology | None" = None,
    orthologs: "pd.DataFrame | None" = None,
    library: "pd.Series | None" = None,
) -> "AnnData":
    """Read one deposit, rename its genes to approved symbols and mark what a reader of results must know.

    Args:
        path: the deposited h5ad.
        hgnc: what `scfm.genes.read_hgnc` returns.
        ontology: if given, every ontology id of the cells must be a live term of it.
        orthologs: what `scfm.orthologs.read_pairs` returns, for a species other than human unless its genes carry human
            names already; a gene in several pairs, on either side, is left out.
        library: catalogue number to mechanism, instead of the deposit's own (see `scfm.benchmarks.library`).

    Returns:
        AnnData: X CSR float32 [cells, genes], values as deposited; var_names approved symbols, unique; obs strings
        dataset, organism, cell_type, cell_type_ontology_term_id, batch, donor, split, condition, those of `PERTURBED`,
        sample and `target_<column>` that the dataset names, bool contaminated, and float x and y if the deposit has
        coordinates (first two columns of `obsm["spatial"]`); uns["scfm"] a flat mapping of facts and counts of what
        was left out. Cells without any known gene are left out.

    Raises:
        ScfmError: what `read_deposit` raises; coordinates that are none; no orthologs of another species; no known
            gene; no cell with a known gene; an ontology id that is not a live term; a single batch where the dataset
            names a batch column and is asked for integration; a value of `contaminated` that does not occur; what
            `hold_out` raises.
    """
    import anndata

    dataset = settings.dataset
    deposit = read_deposit(path, dataset)
    renamed = _human_names(deposit, settings, orthologs)
    matrix, symbols, counts = _approved_genes(deposit, hgnc, path)
    alive = np.flatnonzero(np.asarray(matrix.sum(1)).ravel() > 0)
    if not len(alive):
        raise ScfmError(f"{path}: no cell has a value above 0 for a known gene; check the matrix of '{dataset.name}'")
    obs = _obs(deposit.obs.iloc[alive], settings, path)
    if library is not None:
        obs["mechanism"] = mechanisms(deposit.obs["catalog"].iloc[alive], library, path)
    tasks = dataset.tasks if settings.tasks is None else settings.tasks
    if "spatial" in deposit.obsm:
        obs["x"], obs["y"] = _coordinates(deposit, path)[alive].T
    _check_batches(obs, tasks, settings, path)
    held_out = ""
    if set(tasks) & set(HELD_OUT):
        obs["split"] = hold_out(obs, settings.split, dataset.name)
        held_out = describe(obs, obs["split"].to_numpy())
    _check_terms(obs, ontology, path)
    prepared = anndata.AnnData(X=matrix[alive], obs=obs)
    prepared.var_names = symbols
    prepared.uns["scfm"] = {
        "name": dataset.name,
        "study": dataset.study,
        "organism": dataset.organism,
        "values": dataset.values,
        "panel": dataset.panel,
        "tasks": ",".join(tasks),
        "donor_targets": ",".join(dataset.donor_targets),
        "single_batch": bool(obs["batch"].nunique() == 1),
        "contaminated": how_much(obs["contaminated"]),
        "contaminated_reason": getattr(settings.contaminated, "reason", ""),
        "held_out": held_out,
        "control": ",".join(dataset.control),
        "separator": dataset.separator,
        "note": dataset.note,
        "cells_without_known_gene": deposit.n_obs - len(alive),
        **counts,
        **renamed,
    }
    return prepared


def _human_names(deposit: "AnnData", settings: Preparation, orthologs: "pd.DataFrame | None") -> dict:
    """Give the genes of another species the names of their one-to-one orthologs; how many have one, and several."""
    import pandas as pd

    dataset = settings.dataset
    if dataset.species in ("", HUMAN) or settings.human_names:
        return {}
    if orthologs is None:
        raise ScfmError(
            f"dataset '{dataset.name}': genes of {dataset.organism} need orthologs; name a file with --orthologs, or "
            "say human_names where they carry human names already"
        )
    names = pd.Series(deposit.var_names.astype(str), dtype=object)
    ids = pd.Series(deposit.var.get("ensembl", pd.Series("", index=deposit.var_names)).to_numpy(object))
    human = rename(names, ids, one_to_one(orthologs))
    several = (human == "") & (names.isin(orthologs["gene"]) | ids.isin(orthologs["gene"]))
    # Names stay unique: those of other genes get a form that no gene has.
    deposit.var_names = human.where(human != "", "no ortholog: " + names).to_numpy()
    deposit.var = deposit.var.drop(columns="ensembl", errors="ignore")
    return {"genes_with_ortholog": int((human != "").sum()), "genes_with_several": int(several.sum())}


def _approved_genes(deposit: "AnnData", hgnc: "pd.DataFrame", path: Path) -> "tuple[csr_matrix, list[str], dict]":
    """(matrix, its approved symbols, counts of what happened), in the order of the deposit.

    The deposited name counts first, the Ensembl id where the name is not known. Several columns of one symbol are
    added up if no batch has values in two of them: that is one gene, under names of different age in different parts
    of a joined deposit. Otherwise the column deposited under that very symbol wins, else the first.
    """
    import pandas as pd

    from scfm.genes import approve

    names = pd.Series(deposit.var_names)
    symbols = approve(names, hgnc)
    if "ensembl" in deposit.var:
        symbols = symbols.where(symbols.notna(), approve(deposit.var["ensembl"], hgnc))
    table = pd.DataFrame({"symbol": symbols, "exact": names == symbols.fillna("")})
    known = table[table["symbol"].notna()].sort_values("exact", ascending=False, kind="stable")
    if known.empty:
        raise ScfmError(
            f"{path}: none of {len(names)} genes is known to HGNC (first: '{names.iloc[0]}'); expected human "
            "protein-coding symbols or Ensembl ids, name the right column or the right organism"
        )
    winners = known.drop_duplicates("symbol").sort_index()
    others = known.drop(winners.index)
    others = others.assign(target=others["symbol"].map(pd.Series(range(len(winners)), index=winners["symbol"])))
    merged = others[_one_name_a_batch(deposit, winners.index, others)]
    columns = np.concatenate([winners.index, merged.index])
    targets = np.concatenate([np.arange(len(winners)), merged["target"]])
    chosen = csr_matrix((np.ones(len(columns), np.float32), (columns, targets)), shape=(len(names), len(winners)))
    counts = {
        "genes_deposited": len(names),
        "genes_unknown": len(names) - len(known),
        "genes_merged": len(merged),
        "genes_dropped": len(others) - len(merged),
    }
    return (deposit.X @ chosen).tocsr(), winners["symbol"].tolist(), counts


def _one_name_a_batch(deposit: "AnnData", winners: "pd.Index", others: "pd.DataFrame") -> np.ndarray:
    """Bool [others]: no batch has values above 0 in two columns of that symbol."""
    import pandas as pd

    codes, batches = pd.factorize(deposit.obs["batch"])
    member = csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(len(batches), len(codes)))
    present = (member @ deposit.X > 0).astype(np.int64)
    columns = np.concatenate([winners, others.index])
    targets = np.concatenate([np.arange(len(winners)), others["target"]])
    group = csr_matrix((np.ones(len(columns), np.int64), (columns, targets)), shape=(deposit.n_vars, len(winners)))
    names_a_batch = (present @ group).max(axis=0).toarray().ravel()
    return names_a_batch[others["target"].to_numpy(dtype=int)] <= 1


def _obs(deposit: "pd.DataFrame", settings: Preparation, path: Path) -> "pd.DataFrame":
    obs = deposit.rename(columns={"dataset_id": "dataset", "donor_id": "donor"})
    columns = ["dataset", "organism", "cell_type", "cell_type_ontology_term_id", "batch", "donor", "split", "condition"]
    columns += [name for name in obs if name in (*PERTURBED, "sample") or name.startswith(TARGET)]
    obs = obs[columns].copy()
    marked = settings.contaminated
    if isinstance(marked, Contamination):
        absent = sorted(set(marked.values) - set(obs[marked.column]))
        if absent:
            raise ScfmError(
                f"{path}: contaminated names '{absent[0]}', which does not occur in column '{marked.column}'; "
                f"expected one of: {', '.join(sorted(set(obs[marked.column]))[:10])}"
            )
        obs["contaminated"] = obs[marked.column].isin(marked.values)
    else:
        obs["contaminated"] = marked
    return obs


def _coordinates(deposit: "AnnData", path: Path) -> np.ndarray:
    """float64 [cells, 2]."""
    table = np.asarray(deposit.obsm["spatial"])
    if table.ndim != 2 or table.shape[1] < 2 or table.dtype.kind not in "fiu":
        raise ScfmError(f"{path}: obsm 'spatial' must hold numbers in two columns, x and y; found shape {table.shape}")
    return table[:, :2].astype(np.float64)


def _check_batches(obs: "pd.DataFrame", tasks: tuple[str, ...], settings: Preparation, path: Path) -> None:
    column = settings.dataset.batch_column
    if "integration" in tasks and column and obs["batch"].nunique() == 1:
        raise ScfmError(
            f"{path}: batch column '{column}' holds the single batch '{obs['batch'].iloc[0]}' where integration needs "
            "two; name another column, or none for a dataset of one batch, which is then scored without AvgBatch"
        )


def _check_terms(obs: "pd.DataFrame", ontology: "Ontology | None", path: Path) -> None:
    if ontology is None:
        return
    strange = sorted(set(obs["cell_type_ontology_term_id"]) - set(ontology.names) - {UNKNOWN})
    if strange:
        raise ScfmError(
            f"{path}: cell type '{strange[0]}' is not a live term of the Cell Ontology; correct it, use '{UNKNOWN}', "
            "or configure the release that holds it"
        )
