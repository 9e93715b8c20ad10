"""PULSAR trained on synthetic donors with planted truth, with and without the contrast of subsets.

Label A shifts two rare cell types, label B splits every cell up or down along one direction, so that a donor's mean
knows nothing of it, age moves the composition, and each donor has a batch shift of few dimensions.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scfm.benchmarks.donor_search import nearest_donors
from scfm.models.cells import Cells
from scfm.models.pulsar.network import Network
from scfm.models.pulsar.settings import Pulsar
from scfm.models.tasks import combine
from scfm.settings import parse

pytestmark = [pytest.mark.toy, pytest.mark.xdist_group("pulsar")]

DONORS, CELLS, WIDTH, TYPES, BATCH, STEPS = 600, 256, 64, 8, 16, 570
TRAINED = np.arange(480)
HELD_OUT = np.arange(480, DONORS)
SETTINGS = {
    "width": WIDTH,
    "sampling": {"cells": CELLS, "replacement": False, "targets": 96},
    "transformer": {"hidden": 64, "heads": 4, "ffn": 256, "encoder_layers": 3, "decoder_layers": 2, "dropout": 0.0},
    "masking": {"strategy": "independent"},
}


@dataclass
class Toy:
    """Cells float32 [donors, cells, width], labels int [donors], age float [donors]."""

    cells: np.ndarray
    a: np.ndarray
    b: np.ndarray
    age: np.ndarray


@pytest.fixture(scope="module")
def toy():
    rng = np.random.default_rng(0)
    a, b, age = rng.integers(0, 2, DONORS), rng.integers(0, 2, DONORS), rng.normal(size=DONORS)
    usual = np.log([0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05, 0.05])
    share = np.exp(usual + age[:, None] * rng.normal(0, 0.4, TYPES) + rng.normal(0, 0.25, (DONORS, TYPES)))
    bounds = (share / share.sum(1, keepdims=True)).cumsum(1)[:, None, :-1]
    kind = (rng.random((DONORS, CELLS, 1)) > bounds).sum(2)
    state, split = (x / np.linalg.norm(x) * 8 for x in rng.normal(size=(2, WIDTH)))
    cells = rng.normal(size=(TYPES, WIDTH))[kind] + rng.normal(0, 0.6, (DONORS, CELLS, WIDTH))
    cells += 0.2 * rng.normal(size=(DONORS, 1, 3)) @ rng.normal(0, 3**-0.5, (3, WIDTH))
    cells += (a[:, None] * (kind >= 6))[..., None] * state
    cells += (0.4 * b[:, None] * rng.choice([-1, 1], (DONORS, CELLS)))[..., None] * split
    return Toy(cells.astype(np.float32), a, b, age)


def batch(cells):
    """Cells [donors, cells, width] as a batch."""
    vectors = torch.from_numpy(np.ascontiguousarray(cells)).flatten(0, 1)
    none = torch.zeros(len(vectors), dtype=torch.long)
    which = torch.arange(len(cells)).repeat_interleave(cells.shape[1])
    return Cells(none[:0], torch.zeros(0), none, none, {"vector": vectors, "set": which})


def trained(toy, contrast):
    settings = parse(Pulsar, SETTINGS | {"contrastive_weight": contrast}, "toy")
    network = Network(settings, 0, 1, seed=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    warm = STEPS // 20
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * step / STEPS)))
    )
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    for _ in range(STEPS):
        donors = rng.choice(TRAINED, BATCH, replace=False)
        view = network.view(batch(toy.cells[donors]), None, generator, "train")
        tasks, _ = network.tasks(view, generator)
        optimizer.zero_grad()
        combine(tasks, network.counts(view)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network


@pytest.fixture(scope="module")
def rebuilding(toy):
    """Trained by reconstruction alone."""
    return trained(toy, 0.0)


@pytest.fixture(scope="module")
def contrasting(toy):
    """Trained by 0.1 reconstruction and 1.0 contrast."""
    return trained(toy, 1.0)


@torch.no_grad()
def embed(network, cells):
    """float [donors, hidden] of cells [donors, cells, width]."""
    views = (network.view(batch(part), None, None, "embed") for part in np.array_split(cells, 12))
    return torch.cat([network.embed(view)["donor"] for view in views]).numpy()


def probe(features, truth):
    """AUROC or Pearson r out of five folds of donors."""
    fold = np.random.default_rng(1).permutation(len(truth)) % 5
    binary = truth.dtype.kind == "i"
    score = np.zeros(len(truth))
    for k in range(5):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        assert not np.intersect1d(train, test).size
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000) if binary else Ridge(1.0))
        model.fit(features[train], truth[train])
        score[test] = model.decision_function(features[test]) if binary else model.predict(features[test])
    return roc_auc_score(truth, score) if binary else np.corrcoef(truth, score)[0, 1]


def halves(network, toy):
    """Centred embeddings of disjoint halves of each donor's cells."""
    pair = [embed(network, toy.cells[:, k::2]) for k in (0, 1)]
    return [half - (pair[0].mean(0) + pair[1].mean(0)) / 2 for half in pair]


def top_1(network, toy):
    """Share of donors whose one half finds the other among those of all donors."""
    rows, _ = nearest_donors(*halves(network, toy), 1)
    return (rows[:, 0] == np.arange(DONORS)).mean()


@torch.no_grad()
def rebuilt(network, toy):
    """Squared error of hidden elements of held-out donors: own vector, the mean one, another donor's."""
    generator, error, count = torch.Generator().manual_seed(5), np.zeros(3), 0
    for donors in np.array_split(np.tile(HELD_OUT, 2), 6):
        view = network.view(batch(toy.cells[donors]), None, generator, "validate")
        own = network.encode(view.vectors[view.seen], view.seen_real)[:, 0]
        for k, donor in enumerate((own, own.mean(0).expand_as(own), own.roll(1, 0))):
            got = network.reconstruct(donor, view)
            error[k] += ((got.value - view.vectors[view.target]) ** 2)[got.hidden].sum().item()
        count += got.hidden.sum().item()
    return error / count


def test_the_own_donor_vector_rebuilds_best(rebuilding, contrasting, toy):
    for network in (rebuilding, contrasting):
        own, mean, other = rebuilt(network, toy)
        assert own < mean < other
    own, _, other = rebuilt(rebuilding, toy)
    assert other >= 1.005 * own


def test_donor_vectors_know_what_the_mean_does_not(contrasting, toy):
    cls, mean = embed(contrasting, toy.cells), toy.cells.mean(1)
    assert probe(mean, toy.b) <= 0.65
    assert probe(cls, toy.b) >= 0.90
    assert probe(cls, toy.a) >= probe(mean, toy.a) - 0.03
    assert probe(cls, toy.age) >= probe(mean, toy.age) - 0.05
    spread = np.concatenate([mean, toy.cells.std(1)], axis=1)
    assert probe(spread, toy.b) >= 0.90  # a baseline that sees it


def test_halves_of_a_donor_are_alike_and_donors_are_not(contrasting, toy):
    first, second = (half / np.linalg.norm(half, axis=1, keepdims=True) for half in halves(contrasting, toy))
    cosine = first @ second.T
    assert cosine.diagonal().mean() >= 0.8
    assert abs(cosine[~np.eye(DONORS, dtype=bool)].mean()) < 0.1


def test_halves_find_each_other(contrasting, toy):
    assert top_1(contrasting, toy) >= 0.95


def test_halves_find_each_other_less_without_the_contrast(rebuilding, toy):
    """The three dimensions of the batch shift, which help rebuild most, then fill the donor vector."""
    assert top_1(rebuilding, toy) >= 0.05  # 30 times chance


def test_permuted_labels_are_not_predicted(contrasting, toy):
    cls, rng = embed(contrasting, toy.cells), np.random.default_rng(2)
    for label in (toy.a, toy.b):
        assert 0.40 <= probe(cls, rng.permutation(label)) <= 0.60


def test_the_mean_of_five_draws_varies_a_fifth(contrasting, toy):
    """Variance over seeds, of draws with replacement."""

    def variance(resample):
        draws = []
        for k in range(12):
            sampling = {"cells": 128, "replacement": True, "resample": resample, "seed": 100 * k}
            network = Network(parse(Pulsar, SETTINGS | {"sampling": sampling}, "toy"), 0, 1, seed=0)
            network.load_state_dict(contrasting.state_dict())
            draws.append(embed(network, toy.cells[:24]))
        return np.var(draws, axis=0, ddof=1).mean()

    assert 3 <= variance(1) / variance(5) <= 7


def test_the_masker_gathers_what_varies_together():
    """Four planted blocks of elements: the overlap of memberships within them grows beyond that across them."""
    keys = {
        "width": 32,
        "sampling": {"cells": 64, "replacement": False},
        "transformer": {"hidden": 32, "heads": 4, "ffn": 64, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0},
        "masking": {"ratio": 0.5, "programs": 4, "hidden": 32},
        "reconstruction_weight": 1.0,
        "contrastive_weight": 0.0,
    }
    network = Network(parse(Pulsar, keys, "toy"), 0, 1, seed=0)
    masker, rng, generator = network.mask.masker, np.random.default_rng(0), torch.Generator().manual_seed(0)
    learnt = [p for name, p in network.named_parameters() if not name.startswith("mask.masker")]
    groups = [{"params": learnt, "lr": 2e-3}, {"params": masker.parameters(), "lr": 2e-2}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    block = np.arange(32) // 8
    inside = (block[:, None] == block) & ~np.eye(32, dtype=bool)
    for _ in range(300):
        cells = rng.normal(size=(8, 64, 4))[..., block] + rng.normal(0, 0.3, (8, 64, 32))
        view = network.view(batch(cells.astype(np.float32)), None, generator, "train")
        tasks, _ = network.tasks(view)
        optimizer.zero_grad()
        combine(tasks, network.counts(view)).backward()
        optimizer.step()
    member = masker.membership().detach().numpy()
    overlap = member @ member.T
    assert overlap[inside].mean() > 1.8 * overlap[block[:, None] != block].mean()
    assert masker.entropy() < 0.5
    assert masker.unevenness() < 0.5
