"""Donors with and without a cytokine beside the synthetic census: one type of cell answers, the others hardly.

How many cells of that type a donor has differs, so that the change of the mean over a donor's cells differs in size
between donors, and can be read from the sample without the cytokine.
"""

import anndata
import numpy as np
import pandas as pd

from scfm.corpus.synthetic.genes import gene_table
from scfm.corpus.synthetic.planted import able, draw, signs
from scfm.corpus.synthetic_settings import Synthetic

DONORS, CELLS, TYPES, BATCHES = 16, 60, 3, 2
"""Donors, cells of each sample, types of cells, batches."""
CHANGED, STRENGTH, OTHERS = 0.4, 2.0, 0.1
"""Share of the genes that change of those that can; log effect in cells of the first type, and its share in others."""
SHARE = (0.1, 0.8)
"""Between which the first type's share of a donor's cells lies, the same with and without."""


def cytokine(settings: Synthetic) -> anndata.AnnData:
    """Cells of several types of donors, in random order.

    Returns:
        AnnData: X counts, CSR float32 [cells, genes]; obs treatment (control, cytokine), planted_share (of the first
        type), donor_id, batch, cell_type, cell_type_ontology_term_id.
    """
    rng = np.random.default_rng([settings.seed, 11])
    genes = gene_table(settings)
    number = rng.permutation(2 * DONORS * CELLS) % (2 * DONORS)
    donor, treated = number // 2, number % 2
    share = rng.uniform(*SHARE, DONORS)[donor]
    kind = np.where(rng.random(len(number)) < share, 0, rng.integers(1, TYPES, len(number)))
    cells = pd.DataFrame({"type": kind, "treatment": np.where(treated == 1, "cytokine", "control")})
    cells["planted_share"] = share
    cells["donor_id"] = [f"donor_{d:02d}" for d in donor]
    cells["batch"] = [f"batch_{d % BATCHES}" for d in donor]
    effect = STRENGTH * signs(genes, int(CHANGED * able(genes).sum()), rng)
    reached = treated * np.where(kind == 0, 1, OTHERS)
    return draw(cells, genes, reached[:, None] * effect, settings, rng)
