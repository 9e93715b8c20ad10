"""What a reader must know before believing a figure, found in the tables themselves."""

import pandas as pd

from scfm.paper.tidy import is_true

DATASET_COLUMNS = ("dataset", "role", "contaminated", "panel", "genes", "values", "batches")
CONTROL_COLUMNS = ("metric", "run", "pooling", "control", "datasets", "beaten", "above_control")


def dataset_warnings(datasets: pd.DataFrame) -> list[str]:
    """A sentence for each evaluated dataset that was seen in pretraining, is a gene panel, or holds no counts.

    Args:
        datasets: table 14.
    """
    found = []
    for row in datasets[datasets.role == "zero-shot"].itertuples():
        contaminated = str(row.contaminated).lower()
        if contaminated == "partly":
            found.append(f"{row.dataset}: part of its cells comes from a study used in pretraining (†).")
        elif contaminated == "true":
            found.append(f"{row.dataset}: its cells come from a study used in pretraining (†).")
        if str(row.panel).lower() == "true":
            found.append(f"{row.dataset}: a small panel of {row.genes:.0f} genes; compare with care.")
        if row.values in ("tpm", "lognorm"):
            found.append(f"{row.dataset}: values are {row.values}, not counts.")
        if row.batches < 2:
            found.append(f"{row.dataset}: one batch, so batch correction is not defined.")
    return found


def control_warnings(controls: pd.DataFrame) -> list[str]:
    """A sentence for each run that does not beat its own random weights, or of which one seed cannot tell.

    Args:
        controls: the table of `scfm.paper.tables.controls`.
    """
    untold = controls[controls.beaten.isna()]
    failed = controls[controls.beaten.notna() & ~is_true(controls.above_control)]
    return [
        f"{row.run} ({row.pooling}), {row.metric}: one seed, so without a spread over seeds to hold the difference "
        f"from {row.control} against."
        for row in untold.itertuples()
    ] + [
        f"{row.run} ({row.pooling}), {row.metric}: does not beat {row.control} by more than the seed spread "
        f"on enough datasets ({row.beaten:.0f} of {row.datasets})."
        for row in failed.itertuples()
    ]
