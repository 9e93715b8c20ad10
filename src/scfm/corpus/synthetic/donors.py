"""The donors of the synthetic census with an age and a disease: a layer over its cells, off unless it is asked for.

Which cells there are, of which types and batches, stays as it is without the layer; which donor each is of is drawn
anew, from generators of the layer's own:

1. Donors: an age between 20 and 90 years, uniform, and the disease in every second donor of a dataset, rounded down,
   in random order and whatever the age.
2. Composition: a cell of a type is of a donor with a probability that grows or falls with the donor's age, types in
   turn; a cell of one of the two minor types, the least frequent but the last, with one that grows with the disease.
3. State: in donors with the disease the cells of the minor types change a program of background genes. Zero fractions
   are those planned all the same, for base rates are solved with it.

The minor types do not age, so that age is told by composition alone, the disease by minor cells alone.
"""

import numpy as np
import pandas as pd

from scfm.corpus.settings import Synthetic

AGES = (20, 90)
"""Years of the youngest and the oldest."""
DISEASE, HEALTHY = "planted disease", "normal"
MINOR = 2
"""Types whose cells the disease changes."""
STATE_GENES = 40
STATE_TARGETS = (0.2, 0.85)
"""Planned zero fractions of the genes that can be of the disease's program."""


def minor_types(types: pd.DataFrame) -> np.ndarray:
    """Bool [types]: the least frequent of all but the last."""
    least = np.argsort(types["weight"].to_numpy()[:-1], kind="stable")[:MINOR]
    return np.isin(np.arange(len(types)), least)


def ageing(types: pd.DataFrame) -> np.ndarray:
    """float [types]: -1 and 1 in turn, 0 for the minor types."""
    minor = minor_types(types)
    turn = np.cumsum(~minor)
    return np.where(minor, 0.0, np.where(turn % 2 == 1, -1.0, 1.0))


def donor_table(datasets: list[str], settings: Synthetic) -> pd.DataFrame:
    """dataset_id, donor_id, age (years), disease and sex, one row a donor."""
    rng = np.random.default_rng([settings.seed, 10])
    count = settings.donors
    ages = rng.uniform(*AGES, (len(datasets), count)).round(1)
    ill = np.stack([rng.permutation(count) < count // 2 for _ in datasets])
    number = np.tile(np.arange(count), len(datasets))
    return pd.DataFrame(
        {
            "dataset_id": np.repeat(datasets, count),
            "donor_id": [f"donor_{d}" for d in number],
            "age": ages.ravel(),
            "disease": np.where(ill.ravel(), DISEASE, HEALTHY),
            "sex": np.where(number % 2 == 0, "female", "male"),
        }
    )


def with_donors(cells: pd.DataFrame, types: pd.DataFrame, settings: Synthetic) -> pd.DataFrame:
    """The cells with other donors: donor_id, sex, age and disease drawn by each cell's type and dataset.

    Args:
        cells: dataset_id and type of each.
    """
    truth, datasets = settings.donor_truth, list(dict.fromkeys(cells["dataset_id"]))
    donors = donor_table(datasets, settings)
    low, high = AGES
    age = ((donors["age"] - (low + high) / 2) / ((high - low) / np.sqrt(12))).to_numpy()
    ill = (donors["disease"] == DISEASE).to_numpy()
    log_odds = truth.age * ageing(types)[:, None] * age + truth.disease * minor_types(types)[:, None] * ill
    chances = np.exp(log_odds).reshape(len(types), len(datasets), settings.donors)
    below = np.cumsum(chances / chances.sum(2, keepdims=True), axis=2)
    of_dataset = pd.Index(datasets).get_indexer(cells["dataset_id"])
    drawn = np.random.default_rng([settings.seed, 11]).random(len(cells))
    number = (below[cells["type"].to_numpy(), of_dataset, :-1] < drawn[:, None]).sum(1)
    own = donors.iloc[of_dataset * settings.donors + number]
    return cells.assign(**{name: own[name].to_numpy() for name in ("donor_id", "sex", "age", "disease")})


def in_state(cells: pd.DataFrame, types: pd.DataFrame) -> np.ndarray:
    """Bool [cells]: of a minor type and of a donor with the disease."""
    return minor_types(types)[cells["type"].to_numpy()] & (cells["disease"] == DISEASE).to_numpy()


def state_effects(genes: pd.DataFrame, settings: Synthetic) -> np.ndarray:
    """Log effect of the state on each gene, float [genes]: of plain background genes alone."""
    rng = np.random.default_rng([settings.seed, 12])
    able = (genes["planted"] == "background") & (genes["role"] == "plain") & genes["target"].between(*STATE_TARGETS)
    where = np.flatnonzero(able)
    chosen = rng.choice(where, min(STATE_GENES, len(where)), replace=False)
    effects = np.zeros(len(genes))
    effects[chosen] = settings.donor_truth.state * rng.choice([-1.0, 1.0], len(chosen))
    return effects
