"""A screen of perturbations beside the synthetic census: types x perturbations with planted effects, and controls.

The generative model, on cells of the census's types at its base rates:

1. Programmes: so many genes, each up or down by one strength.
2. Single perturbations: each has a target gene, which it lowers, and moves two programmes by loadings drawn from a
   standard normal distribution.
3. Types: each scales each programme by a factor, log-normal around 1; so an effect differs between types in size and
   direction, and what other types show of it is informative but not exact.
4. Combinations: the log effects of additive pairs add up; those of interacting pairs are halved, and a programme that
   belongs to the pair alone is added.
5. Counts: negative binomial, with batch effects, as everywhere in the census.

It has a generator of its own: the census and the other planted datasets are the same with and without it.
"""

import anndata
import numpy as np
import pandas as pd

from scfm.corpus.synthetic.cells import cell_types
from scfm.corpus.synthetic.genes import gene_table
from scfm.corpus.synthetic.planted import able, draw, signs
from scfm.corpus.synthetic_settings import Screen, Synthetic
from scfm.errors import ScfmError

CONTROL = "control"
MOVED = 2
"""Programmes that a perturbation moves."""
TARGET_LOG = -2.0
"""Log effect of a perturbation on its target."""
BATCHES, DONORS = 2, 3


def screen(settings: Synthetic) -> anndata.AnnData:
    """Cells of several types under single perturbations and pairs, and their controls, in random order.

    Returns:
        AnnData: X counts, CSR float32 [cells, genes]; obs perturbation (`control`, the target gene, or two joined by
        "+"), planted (control, single, additive, interacting), cell_type, cell_type_ontology_term_id, batch, donor_id;
        uns["effects"] float32 [types, perturbations, genes], natural log, with uns["effect_types"] (ontology ids) and
        uns["effect_perturbations"] as names of the first two axes.

    Raises:
        ScfmError: the settings name no screen, more types than the census has, or more targets or pairs than genes
            allow.
    """
    asked = settings.screen
    if asked is None:
        raise ScfmError("corpus plant screen: corpus.source.screen is null; give it settings, {} for the defaults")
    if asked.types > settings.types:
        raise ScfmError(f"corpus.source.screen: {asked.types} types where the census has {settings.types}; lower types")
    rng = np.random.default_rng([settings.seed, 10])
    genes = _genes(settings, asked, rng)
    names, kinds, effects = _effects(genes, asked, rng)
    cells = _cells(names, kinds, asked, rng)
    planted = effects[cells["type"], cells.pop("number")]
    out = draw(cells, genes, planted, settings, rng)
    out.uns = {
        "effects": effects.astype(np.float32),
        "effect_types": cell_types(settings)["id"].head(asked.types).to_numpy(str),
        "effect_perturbations": np.array(names),
    }
    return out


def _genes(settings: Synthetic, asked: Screen, rng: np.random.Generator) -> pd.DataFrame:
    table = gene_table(settings)
    changing = np.flatnonzero(able(table))
    wanted = len(changing) if asked.genes is None else asked.genes
    if wanted > len(changing) or asked.perturbations > wanted:
        raise ScfmError(
            f"corpus.source.screen: {max(wanted, asked.perturbations)} genes or targets of {len(changing)} that can "
            "change; lower genes and perturbations, or raise corpus.source.genes"
        )
    if asked.genes is None:
        return table
    return table.iloc[np.sort(rng.choice(changing, asked.genes, replace=False))].reset_index(drop=True)


def _effects(genes: pd.DataFrame, asked: Screen, rng: np.random.Generator) -> tuple[list[str], list[str], np.ndarray]:
    """(names, kinds, log effects [types, names, genes]); the control is last, without effect."""
    size = min(asked.programme_genes, int(able(genes).sum()))
    programmes = asked.strength * np.stack([signs(genes, size, rng) for _ in range(asked.programmes)])
    targets = rng.choice(np.flatnonzero(able(genes)), asked.perturbations, replace=False)
    loadings = np.zeros((asked.perturbations, asked.programmes))
    moved = min(MOVED, asked.programmes)
    order = rng.permuted(np.tile(np.arange(asked.programmes), (asked.perturbations, 1)), axis=1)[:, :moved]
    np.put_along_axis(loadings, order, rng.normal(0, 1, (asked.perturbations, moved)), axis=1)
    scale = np.exp(rng.normal(0, asked.type_sd, (asked.types, asked.programmes)))
    single = np.einsum("pk,tk,kg->tpg", loadings, scale, programmes)
    single[:, np.arange(asked.perturbations), targets] += TARGET_LOG
    names = list(genes["gene"].iloc[targets])
    first, second = _pairs(asked, rng)
    sums = single[:, first] + single[:, second]
    own = asked.strength * np.stack([signs(genes, size, rng) for _ in first]) if len(first) else sums[0]
    interacts = (np.arange(len(first)) >= asked.additive)[:, None]
    double = np.where(interacts, 0.5 * sums + scale.mean(1)[:, None, None] * own, sums)
    pairs = ["+".join(sorted((names[a], names[b]))) for a, b in zip(first, second, strict=True)]
    kinds = ["single"] * len(names) + ["additive"] * asked.additive + ["interacting"] * asked.interacting + [CONTROL]
    nothing = np.zeros((asked.types, 1, len(genes)))
    return [*names, *pairs, CONTROL], kinds, np.concatenate([single, double, nothing], axis=1)


def _pairs(asked: Screen, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the partners of each combination, two int arrays."""
    first, second = np.triu_indices(asked.perturbations, 1)
    wanted = asked.additive + asked.interacting
    if wanted > len(first):
        raise ScfmError(
            f"corpus.source.screen: {wanted} pairs of {asked.perturbations} perturbations, which make {len(first)}; "
            "lower additive and interacting, or raise perturbations"
        )
    chosen = rng.choice(len(first), wanted, replace=False)
    return first[chosen], second[chosen]


def _cells(names: list[str], kinds: list[str], asked: Screen, rng: np.random.Generator) -> pd.DataFrame:
    """type, number (of the perturbation), perturbation, planted, batch, donor_id; in random order."""
    sizes = np.append(np.full(len(names) - 1, asked.cells), asked.controls)
    number = np.tile(np.repeat(np.arange(len(names)), sizes), asked.types)
    cells = pd.DataFrame({"type": np.repeat(np.arange(asked.types), sizes.sum()), "number": number})
    cells = cells.iloc[rng.permutation(len(cells))].reset_index(drop=True)
    cells["perturbation"] = np.array(names)[cells["number"]]
    cells["planted"] = np.array(kinds)[cells["number"]]
    cells["batch"] = [f"batch_{batch}" for batch in rng.integers(BATCHES, size=len(cells))]
    cells["donor_id"] = [f"donor_{donor}" for donor in rng.integers(DONORS, size=len(cells))]
    return cells
