"""Datasets of the synthetic census whose answer is planted: drugs with mechanisms, and a state that disease brings.

Both hold cells of types and genes of the census, at base rates solved on the census's own cells, and have generators
of their own: the census is the same with and without them.
"""

import anndata
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic.cells import cell_table, cell_types
from scfm.corpus.synthetic.counts import log_effects, negative_binomial, solve_base, type_effects
from scfm.corpus.synthetic.genes import DATA, LATENTS, gene_table
from scfm.ontology import Ontology

REFERENCE = 400
"""Cells of the census on which base rates are solved."""
HIT = (0.2, 0.85)
"""Planned zero fractions of the genes that drugs and disease change: neither in every cell nor in hardly any."""
MECHANISMS, DRUGS = 4, 4
"""Mechanisms, and drugs of each; one more mechanism has a single drug, and two more drugs of the first do nothing."""
DOSES = {10000: 20, 100: 5}
"""Dose in nM to cells of each drug."""
HALF_DOSE = 1000
"""Dose in nM at which a drug has half its effect."""
VEHICLE_CELLS = 60
SHARED_GENES, OWN_GENES, OWN_SD = 40, 30, 0.8
"""Genes of a mechanism; genes that a drug changes of its own, and the standard deviation of those log effects."""
STATE_CELLS = {"focus": 300, "bystander": 60}
"""Cells of the type with the state, and of each of two other types."""
STATE_GENES, UP, DOWN = 200, 4, 7
"""Genes that the state changes beside its signature, and the signature's genes in each direction."""
PLATES, DONORS = 2, 3
"""Batches of the drug screen; donors of each condition, in as many batches."""


def perturbation(settings: Synthetic, strength: float = 0.6) -> anndata.AnnData:
    """Cells of the census's first type under drugs; drugs of a mechanism share a program of genes.

    Args:
        strength: log effect of a mechanism on each of its genes, up or down.

    Returns:
        AnnData: X counts, CSR float32 [cells, genes]; obs product_name, mechanism, dose (nM), viability, batch,
        donor_id, cell_type, cell_type_ontology_term_id.
    """
    rng = np.random.default_rng([settings.seed, 8])
    genes = gene_table(settings)
    drugs = _drugs(rng)
    cells = _dosed(drugs, rng)
    shared = np.stack([strength * signs(genes, SHARED_GENES, rng) for _ in range(MECHANISMS + 1)])
    own = np.stack([rng.normal(0, OWN_SD, len(genes)) * signs(genes, OWN_GENES, rng) for _ in drugs.index])
    potency = rng.uniform(0.7, 1.3, len(drugs)) * drugs["active"]
    effects = np.vstack([potency.to_numpy()[:, None] * (shared[drugs["program"]] + own), np.zeros(len(genes))])
    reached = (cells["dose"] / (cells["dose"] + HALF_DOSE)).to_numpy() * (1 + HALF_DOSE / max(DOSES))
    return draw(cells, genes, reached[:, None] * effects[cells.pop("drug")], settings, rng)


def disease(settings: Synthetic, shares: tuple[float, float] = (0.1, 0.4), strength: float = 2.5) -> anndata.AnnData:
    """Cells of three types of controls and cases; some of the first type are in a state that cases have more often.

    Args:
        shares: share of the first type's cells in that state among controls and cases.
        strength: log effect of the state on each gene of its signature, up or down; other genes change by half of it.

    Returns:
        AnnData: as `perturbation`, with obs condition (control, case) and planted_state (bool).
    """
    rng = np.random.default_rng([settings.seed, 9])
    genes = gene_table(settings)
    sizes = list(STATE_CELLS.values())
    kind = np.repeat([0, 1, 2], [sizes[0], sizes[1], sizes[1]])
    case = rng.random(len(kind)) < 0.5
    donor = rng.integers(DONORS, size=len(kind)) + DONORS * case
    cells = pd.DataFrame({"type": kind, "condition": np.where(case, "case", "control")})
    cells["donor_id"] = [f"donor_{d}" for d in donor]
    cells["batch"] = [f"batch_{d % DONORS}" for d in donor]
    cells["planted_state"] = (kind == 0) & (rng.random(len(kind)) < np.array(shares)[case.astype(int)])
    effect = strength / 2 * signs(genes, STATE_GENES, rng)
    up, down = signature(settings)
    effect[genes["gene"].isin(up)], effect[genes["gene"].isin(down)] = strength, -strength
    return draw(cells, genes, cells["planted_state"].to_numpy()[:, None] * effect, settings, rng)


def signature(settings: Synthetic) -> tuple[list[str], list[str]]:
    """Genes that are up and down in the planted state: of program "noise", rare ones up and frequent ones down."""
    first = {"up": int(0.6 * settings.planted), "down": int(0.2 * settings.planted)}
    counts = {"up": UP, "down": DOWN}
    up, down = ([f"SYNN{first[way] + i + 1:04d}" for i in range(counts[way])] for way in ("up", "down"))
    return up, down


def _drugs(rng: np.random.Generator) -> pd.DataFrame:
    """program (number), active, viability; row i is drug i."""
    program = np.array([*np.repeat(np.arange(MECHANISMS), DRUGS), MECHANISMS, 0, 0])
    active = np.arange(len(program)) < len(program) - 2
    viability = np.where(active, rng.uniform(0.3, 0.8, len(program)), 0.95)
    return pd.DataFrame({"program": program, "active": active, "viability": viability.round(3)})


def _dosed(drugs: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row a cell in random order; vehicle has dose 0 and the drug number after the last."""
    wells = [(drug, dose, n) for drug in drugs.index for dose, n in DOSES.items()] + [(len(drugs), 0, VEHICLE_CELLS)]
    drug, dose, n = (np.array(part) for part in zip(*wells, strict=True))
    cells = pd.DataFrame({"drug": np.repeat(drug, n), "dose": np.repeat(dose, n)})
    cells = cells.iloc[rng.permutation(len(cells))].reset_index(drop=True)
    names = [*(f"drug {i + 1:02d}" for i in drugs.index), "Vehicle"]
    mechanisms = [*(f"mechanism {'ABCDEFGH'[i]}" for i in drugs["program"]), "Vehicle"]
    cells["product_name"] = np.array(names)[cells["drug"]]
    cells["mechanism"] = np.array(mechanisms)[cells["drug"]]
    cells["viability"] = np.append(drugs["viability"], 1.0)[cells["drug"]]
    cells["batch"] = [f"plate_{plate}" for plate in rng.integers(PLATES, size=len(cells))]
    return cells.assign(type=0, donor_id="line_1")


def able(genes: pd.DataFrame) -> np.ndarray:
    """Genes that can change, bool [genes]: neither in every cell nor in hardly any, and no housekeeping."""
    return (genes["target"].between(*HIT) & ~genes["role"].isin(["housekeeping", "mitochondrial"])).to_numpy()


def signs(genes: pd.DataFrame, count: int, rng: np.random.Generator) -> np.ndarray:
    """-1 or 1 for so many of the genes that can change, 0 for the others: float [genes]."""
    out = np.zeros(len(genes))
    out[rng.choice(np.flatnonzero(able(genes)), count, replace=False)] = rng.choice([-1.0, 1.0], count)
    return out


def draw(
    cells: pd.DataFrame, genes: pd.DataFrame, planted: np.ndarray, settings: Synthetic, rng: np.random.Generator
) -> anndata.AnnData:
    """Counts of the cells under the planted log effects [cells, genes], with a dataset's and its batches' effects."""
    types, census = cell_types(settings), cell_table(settings)
    good = (census["state"] == "good") & (census["dataset_id"] == census["dataset_id"].iloc[0])
    reference = census[good].head(REFERENCE)
    own = cells.assign(depth=np.exp(rng.normal(0, settings.depth_sd, len(cells))))
    own[list(LATENTS)] = rng.normal(size=(len(cells), 2))
    both = pd.concat([reference, own], ignore_index=True)
    effects = type_effects(types, settings.planted, np.random.default_rng([settings.seed, 3]))
    log_rate = log_effects(genes, both, types, effects, rng) + np.log(both["depth"].to_numpy())[:, None]
    log_rate += solve_base(log_rate[: len(reference)], genes["target"].to_numpy(), settings.overdispersion)
    codes, batches = pd.factorize(cells["batch"])
    technical = rng.normal(0, settings.dataset_sd, len(genes))
    technical = technical + rng.normal(0, settings.dataset_sd / 2, (len(batches), len(genes)))[codes]
    counts = negative_binomial(np.exp(log_rate[len(reference) :] + technical + planted), settings.overdispersion, rng)
    term = types["id"].to_numpy()[cells.pop("type")]
    names = Ontology.read(DATA / "cell_ontology.obo").names
    obs = cells.assign(cell_type=[names[t] for t in term], cell_type_ontology_term_id=term)
    obs.index = [f"cell_{i}" for i in range(len(cells))]
    var = pd.DataFrame({"ensembl": genes["ensembl"].to_numpy()}, index=genes["gene"].to_numpy())
    return anndata.AnnData(csr_matrix(counts, dtype=np.float32), obs=obs, var=var)
