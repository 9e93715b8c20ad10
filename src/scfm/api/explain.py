"""Which genes make a model say what it says of cells: integrated gradients."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from scfm.api.cells import Cells, Reading, describe, loaded, to_write
from scfm.api.gradients import BASELINES, Effects, attributions
from scfm.api.targets import Target, score_of
from scfm.errors import ScfmError
from scfm.model import Model

if TYPE_CHECKING:
    from anndata import AnnData


def explain(
    adata: "AnnData",
    model: Model | Path | str,
    target: Target,
    *,
    pooling: str = "cls",
    baseline: str = "empty",
    steps: int = 50,
    key_added: str = "scfm_explain",
    batch_size: int = 8,
    progress: bool | None = None,
    verbose: bool = True,
    **reading: Unpack[Reading],
) -> pd.DataFrame:
    """Mean effect of each gene on what a model says of cells, by integrated gradients (Sundararajan et al. 2017).

    The path goes from the baseline to the cell in the space of the embedding layer's vectors; an effect is the sum over
    a vector's dimensions, in the unit of the target: log-odds of a term or label, that of a number. The effects of a
    cell's genes add up to what its target differs by from that of the baseline: this completeness is checked, and where
    it is off by more than 2 %, the steps of the integral are doubled, up to 800.

    Args:
        adata: cells to explain, at least two, e.g. those of one type.
        target: a term's id or name, `group:label`, the column of a predicted number, `gene:symbol`, or a direction, see
            `scfm.api.targets.score_of`.
        pooling: of the direction, if it is one.
        baseline: `empty` or `zero`, see `BASELINES`.
        steps: Gauss-Legendre nodes of the integral.
        key_added: key of `adata.uns` for the table and what was found. batch_size: most cells at once.
        progress, verbose, reading: as in `scfm.embed`.

    Returns:
        One row a gene that a cell expresses, the strongest positive effect first: gene, ensembl, cells (that express
        it), effect (mean over all cells, 0 where it is not expressed), sd, t and p (against 0, two-sided t-test over
        cells), p_adjusted (Benjamini-Hochberg). `attrs`: target, baseline, cells, steps, completeness (relative error).

    Raises:
        ScfmError: fewer than two cells, an unknown baseline; what `score_of` and `scfm.embed` raise.
    """
    if baseline not in BASELINES:
        raise ScfmError(f"baseline: '{baseline}' is not known; choose {' or '.join(BASELINES)}")
    model, adata = loaded(model), to_write(adata, copy=False)
    model.must_read_tokens("explain")
    what, score = score_of(model, target, pooling)
    cells = Cells.open(adata, model, **reading)
    effects = Effects(len(model.genes))

    def attribute(block: "AnnData") -> None:
        for _, view in model.views(block, cells.values, batch_size):
            effects.add(view, *attributions(model, view, score, baseline, steps))

    for _ in cells.each(attribute, progress):
        pass
    table, found = effects.table(model.gene_table), effects.about()
    table.attrs = {"target": what, "baseline": baseline, **found}
    if verbose:
        print(
            f"explain: {describe(cells.facts, adata.n_obs)}; {what}, from {BASELINES[baseline]}; completeness off by "
            f"{found['completeness']:.2%} with up to {found['steps']} steps"
        )
    adata.uns[key_added] = {**cells.facts, **table.attrs, "table": table}
    return table
