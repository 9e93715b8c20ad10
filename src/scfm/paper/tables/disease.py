"""Supplementary 11 as a table: the cluster with the signature of the disease, and its share of cases."""

from collections.abc import Mapping

import pandas as pd

from scfm.paper.tables.by_dataset import CONTAMINATED, UNDEFINED

KEYS = ["run", "pooling", "dataset", "seed"]


def disease_table(tidy: pd.DataFrame, needs: Mapping[str, object]) -> pd.DataFrame:
    """One row for each embedding (each seed, since each has clusters of its own), then one for each missing file.

    Args:
        tidy: results of the task disease, or none.
        needs: dataset to the file that is not there.

    Returns:
        Columns run, pooling, dataset, seed, cells (of the type), clusters, found (a cluster has the signature),
        cluster_cells, signature_up, signature_down (Int64: its genes that are significantly up and down in the best
        cluster), case_share (text with its interval), rest_case_share, odds_ratio, p (text, – where no cluster has
        the signature), note.
    """
    rows = [_row(key, own) for key, own in tidy.groupby(KEYS, sort=False)]
    rows += [{"dataset": name, "note": f"needs {file}"} for name, file in needs.items()]
    counts = ["cells", "clusters", "cluster_cells", "signature_up", "signature_down"]
    columns = [*KEYS, "cells", "clusters", "found", *counts[2:], "case_share", "rest_case_share", "odds_ratio", "p"]
    table = pd.DataFrame(rows).reindex(columns=[*columns, "note"])
    return table.astype(dict.fromkeys(("seed", *counts), "Int64") | {"found": "boolean"})


def _row(key: tuple[str, str, str, int], own: pd.DataFrame) -> dict:
    values, cells = own.set_index("metric")["value"], own.set_index("metric")["n"]["clusters"]
    row = dict(zip(KEYS, key, strict=True)) | {"cells": cells, "found": bool(values["found"])}
    row |= {name: values.get(name) for name in ("clusters", "cluster_cells", "signature_up", "signature_down")}
    if not values["found"]:
        return row | dict.fromkeys(("case_share", "rest_case_share", "odds_ratio", "p"), UNDEFINED)
    mark = f" {CONTAMINATED}" if own.contaminated.any() else ""
    low, high = values["case_share_low"], values["case_share_high"]
    share = f"{values['case_share']:.3f} ({low:.3f} to {high:.3f}){mark}"
    rest, odds = (f"{values[name]:.3f}" for name in ("rest_case_share", "odds_ratio"))
    return row | {
        "case_share": share,
        "rest_case_share": rest,
        "odds_ratio": odds,
        "p": f"{10 ** -values['minus_log10_p']:.2g}",
    }
