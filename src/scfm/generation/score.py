"""All metrics of drawn cells and of the controls, as tidy rows."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.results import Measurement, tidy
from scfm.generation.evaluate import LEAST_CELLS, compare
from scfm.generation.settings import Comparison
from scfm.generation.sources import CONTROLS, Source, having, marker_genes

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

TASK = "generation"
LABEL = "cell_type"


def score(
    reference: "AnnData",
    found: Sequence[Source],
    settings: Comparison,
    study: str,
    facts: dict,
    seen: Mapping[str, str] | None = None,
) -> "pd.DataFrame":
    """Compare every source with the reference, without condition and under each that a run drew.

    Both sides of a comparison hold equally many cells. A condition of which a side has fewer than 20 cells is left out,
    with a line that says so.

    Args:
        reference, found: of `scfm.generation.sources.sources`. facts: uns["scfm"] of the real cells. seen: run to what
            it has seen of them, of `scfm.benchmarks.seen.seen_by`; what the facts say where it is not given.

    Returns:
        Tidy rows, `run` a run or one of the controls, `split` the condition: the metrics of `compare`, genes, and
        empty, the drawn cells without counts, which were left out.

    Raises:
        ScfmError: what `compare` raises.
    """
    import pandas as pd

    markers = settings.markers or marker_genes(reference, LABEL)
    drawn = [source for source in found if source.name not in CONTROLS]
    conditions = dict.fromkeys(name for source in drawn for name in source.cells.obs["condition"].astype(str))
    tables = []
    for condition in sorted(conditions, key=bool):
        real = having(reference, condition)
        for source in found:
            made = source.under(condition)
            cells = min(real.n_obs, made.n_obs, settings.cells)
            if condition and cells < LEAST_CELLS:
                _leave_out(source, condition, made.n_obs, real.n_obs)
                continue
            rng = np.random.default_rng(settings.seed)
            sides = (_some(one, cells, rng) for one in (real, made))
            values = compare(*sides, settings.seed, LABEL, markers, cells, settings.genes, settings.components)
            values["genes"] = reference.n_vars
            if not condition:
                values["empty"] = source.empty
            known = "false" if source.name in CONTROLS else (seen or {}).get(source.name, facts["contaminated"])
            whose = {"run": source.name, "seed": source.seed, "dataset": facts["name"], "contaminated": known}
            rows = [Measurement(name, value, cells, condition) for name, value in values.items()]
            tables.append(tidy(rows, study=study, pooling="", task=TASK, **whose))
    return pd.concat(tables, ignore_index=True)


def _some(cells: "AnnData", number: int, rng: np.random.Generator) -> "AnnData":
    return cells[np.sort(rng.choice(cells.n_obs, number, replace=False))].copy()


def _leave_out(source: Source, condition: str, made: int, real: int) -> None:
    if source.name not in CONTROLS:
        print(
            f"{source.name}/{source.seed}: {condition} left out, {made} drawn cells against {real} real ones",
            file=sys.stderr,
        )
