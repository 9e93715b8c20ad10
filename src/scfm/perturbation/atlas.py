"""A perturbed atlas: every cell type of a reference rewritten under every perturbation of a screen.

One block, a type under a perturbation, is in memory at a time, and written before the next; so memory does not grow
with the atlas. A control of each type is rewritten in the same way, prompted by the screen's controls, and effects
are read against it: what the rewriting alone does to cells is no effect (STACK, Perturb Sapiens).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from scfm.datasets import UNKNOWN
from scfm.errors import ScfmError
from scfm.files import whole
from scfm.perturbation.cells import CONTROL, log_normalised
from scfm.perturbation.differential import profile
from scfm.perturbation.growing import growing
from scfm.perturbation.metrics import row_correlation
from scfm.perturbation.predictions import check_perturbations, check_prompt
from scfm.perturbation.settings import Atlas
from scfm.perturbation.stored import Stored

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

Rewrite = Callable[["AnnData", "AnnData", int], "AnnData"]
"""`rewrite` of a system (see `scfm.models.system.load_system`), with its network."""


@dataclass(frozen=True)
class Plan:
    """What an atlas holds."""

    types: tuple[str, ...]
    """Cell types of the reference, in alphabetical order."""
    perturbations: tuple[str, ...]
    """Of the screen, the control first."""
    left_out: dict[str, int]
    """Types and perturbations of too few cells, and cells without a count in the model's genes."""


def build(rewrite: Rewrite, screen: Stored, reference: Stored, settings: Atlas, out: Path) -> "pd.DataFrame":
    """Write an atlas as h5ad or SOMA and return what it says of each type and perturbation.

    The file: X CSR float32 counts [cells, genes]; obs cell_type, perturbation (the control among them), confidence (log
    odds by the system that the cell is one of the condition) and reference_row, the row of the reference that it was;
    uns["atlas"] counts of what was left out. Every block has seeds of its own: it is the same in any atlas of these
    settings.

    Args:
        reference: `background` is the cell type; its controls are rewritten.
        out: its ending says the format, .h5ad or .soma.

    Returns:
        Columns cell_type, perturbation, cells, confidence (median), confident (share of cells from `settings.confident`
        on), effect (mean over genes of the absolute change of mean log1p expression), genes_changed, measured_cells and
        pearson_delta: correlation over genes of the change with that of the screen's own cells of this type, where it
        holds `settings.min_cells` of them and of their controls. Effects are NaN for the control.

    Raises:
        ScfmError: another ending of `out`, a type or perturbation that is unknown or has too few cells, none of either,
            cells that `check_prompt` refuses. All cells that the atlas reads are looked at before the first is
            rewritten.
    """
    import pandas as pd

    plan = plan_atlas(screen, reference, settings)
    depths = _look_at_all(plan, screen, reference, settings)
    total = float(np.median(depths))
    missing = {"screen_genes_missing": screen.missing, "reference_genes_missing": reference.missing}
    uns = {"atlas": plan.left_out | missing | {"total": total}}
    genes, cells, table = pd.DataFrame(index=list(screen.genes)), len(depths) * len(plan.perturbations), []
    with whole(out) as temporary, growing(temporary, genes, cells, uns) as add:
        for kind in plan.types:
            for name, rows, made, start in _blocks(rewrite, plan, screen, reference, kind, settings):
                add(made.X, _obs(made, plan, kind, name, rows))
                said = _said(made, start, _measured(screen, kind, name, settings, total), total, settings)
                table.append({"cell_type": kind, "perturbation": name, **said})
    return pd.DataFrame(table)


def _blocks(
    rewrite: Rewrite, plan: Plan, screen: Stored, reference: Stored, kind: str, settings: Atlas
) -> "Iterator[tuple[str, np.ndarray, AnnData, AnnData]]":
    """(perturbation, rows of the reference, they rewritten, and rewritten as controls) of a type, the control first."""
    rows, query = _query(reference, kind, settings)
    start = None
    for name in plan.perturbations:
        made = rewrite(query, _prompt(screen, name, settings), _seed(settings, "rewrite", kind, name))
        start = made if start is None else start
        yield name, rows, made, start


def plan_atlas(screen: Stored, reference: Stored, settings: Atlas) -> Plan:
    """What is asked for and has enough cells.

    Raises:
        ScfmError: as `build` says.
    """
    import pandas as pd

    rewritten, shown = (cells.obs[cells.alive] for cells in (reference, screen))
    controls = rewritten["background"][rewritten["perturbation"] == CONTROL]
    sizes = {
        "cell type": controls[controls != UNKNOWN].value_counts(),
        "perturbation": shown["perturbation"].value_counts(),
    }
    if CONTROL not in sizes["perturbation"]:
        raise ScfmError("screen: no control cell; an atlas reads effects against rewritten controls")
    if strange := sorted(set(settings.types) - set(sizes["cell type"].index)):
        known = ", ".join(sorted(sizes["cell type"].index)[:10]) or "none"
        raise ScfmError(f"atlas: cell type '{strange[0]}' has no cell in the reference, which holds {known}")
    asked = {"cell type": settings.types, "perturbation": settings.perturbations}
    check_perturbations(pd.Series(asked["perturbation"], dtype=object), shown["perturbation"])
    kept, left_out = {}, {"screen_cells_empty": screen.empty, "reference_cells_empty": reference.empty}
    for what, own in sizes.items():
        named = set(asked[what]) | ({CONTROL} if what == "perturbation" else set())
        few = own[own < settings.min_cells]
        for name in sorted(named & set(few.index)):
            raise ScfmError(
                f"atlas: {few[name]} cells of {what} '{name}' where {settings.min_cells} are needed; give more, leave "
                "it out, or lower min_cells"
            )
        chosen = set(asked[what]) or set(own.index) - set(few.index)
        kept[what] = chosen - {CONTROL}
        left_out[f"{what.replace(' ', '_')}s_left_out"] = 0 if asked[what] else len(few)
        if not kept[what]:
            raise ScfmError(f"atlas: no {what} with {settings.min_cells} cells; give more, or lower min_cells")
    return Plan(tuple(sorted(kept["cell type"])), (CONTROL, *sorted(kept["perturbation"])), left_out)


def _look_at_all(plan: Plan, screen: Stored, reference: Stored, settings: Atlas) -> np.ndarray:
    """Check everything that is going to be read; the counts of each cell that is rewritten, float [cells]."""
    control, depths = _prompt(screen, CONTROL, settings), []
    for kind in plan.types:
        query = _query(reference, kind, settings)[1]
        with _named(f"atlas, cell type '{kind}'"):
            check_prompt(control, query)
        depths.append(np.asarray(query.X.sum(1)).ravel())
    for name in plan.perturbations[1:]:
        with _named(f"atlas, perturbation '{name}'"):
            check_prompt(_prompt(screen, name, settings), query)
    return np.concatenate(depths)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except ScfmError as error:
        raise ScfmError(f"{what}: {error}") from error


def _query(reference: Stored, kind: str, settings: Atlas) -> "tuple[np.ndarray, AnnData]":
    """(their rows, control cells of a type): the same under every perturbation."""
    rng = np.random.default_rng(_seed(settings, "query", kind))
    rows = _drawn(reference.rows(CONTROL, kind), settings.cells, rng)
    return rows, reference.read(rows)


def _prompt(screen: Stored, name: str, settings: Atlas) -> "AnnData":
    """Cells of a perturbation: the same for every type."""
    rng = np.random.default_rng(_seed(settings, "prompt", name))
    return screen.read(_drawn(screen.rows(name), settings.prompt, rng))


def _drawn(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _seed(settings: Atlas, *names: str) -> int:
    words = [crc32(name.encode()) for name in names]
    return int(np.random.SeedSequence([settings.seed, *words]).generate_state(1)[0])


def _obs(made: "AnnData", plan: Plan, kind: str, name: str, rows: np.ndarray) -> "pd.DataFrame":
    import pandas as pd

    of = {"cell_type": (kind, plan.types), "perturbation": (name, sorted(plan.perturbations))}
    columns = {column: pd.Categorical([value] * len(rows), categories) for column, (value, categories) in of.items()}
    confidence = made.obs["confidence"].to_numpy(np.float32)
    return pd.DataFrame(columns | {"confidence": confidence, "reference_row": rows.astype(np.int64)})


def _measured(screen: Stored, kind: str, name: str, settings: Atlas, total: float) -> tuple[int, np.ndarray | None]:
    """(cells of the screen itself, their change of mean log1p expression [genes] where there are enough)."""
    rows, start = screen.rows(name, kind), screen.rows(CONTROL, kind)
    if name == CONTROL or min(len(rows), len(start)) < settings.min_cells:
        return len(rows), None
    rng = np.random.default_rng(_seed(settings, "measured", kind, name))
    means = [_mean(screen.read(_drawn(own, settings.prompt, rng)).X, total) for own in (rows, start)]
    return len(rows), means[0] - means[1]


def _mean(counts: "csr_matrix", total: float) -> np.ndarray:
    return np.asarray(log_normalised(_alive(counts), total).astype(np.float64).mean(0)).ravel()


def _alive(counts: "csr_matrix") -> "csr_matrix":
    return counts[np.flatnonzero(np.asarray(counts.sum(1)).ravel() > 0)]


def _said(
    made: "AnnData", start: "AnnData", measured: tuple[int, np.ndarray | None], total: float, settings: Atlas
) -> dict[str, float]:
    """A row of `build`'s table; cells that hold no count are passed over for effects."""
    from scipy.sparse import vstack

    confidence = made.obs["confidence"].to_numpy()
    row = {
        "cells": made.n_obs,
        "confidence": float(np.median(confidence)),
        "confident": float((confidence >= settings.confident).mean()),
        "effect": np.nan,
        "genes_changed": np.nan,
        "measured_cells": measured[0],
        "pearson_delta": np.nan,
    }
    if made is start:
        return row
    parts = [log_normalised(_alive(one.X), total) for one in (made, start)]
    labels = np.repeat(["perturbed", CONTROL], [part.shape[0] for part in parts])
    found = profile(vstack(parts).tocsr(), labels)
    row |= {
        "effect": float(np.abs(found.deltas[0]).mean()),
        "genes_changed": int((found.fdr[0] < settings.alpha).sum()),
    }
    if measured[1] is not None:
        row["pearson_delta"] = float(row_correlation(found.deltas, measured[1][None])[0])
    return row
