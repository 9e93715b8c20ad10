"""Distances and draws of STACK against closed forms."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from scfm.models.stack.energy import energy_distance, stratified_energy
from scfm.models.stack.prompt import variable_genes
from scfm.models.stack.refine import draw_counts
from scfm.models.stack.settings import Sliced
from scfm.models.stack.surrogate import log_scaled, soft_draws
from scfm.models.stack.wasserstein import draw_slices, drawn_vectors, sets_of_two, sliced_wasserstein


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sliced(x, real=None, seed=0, **settings):
    """Of vectors [sets, cells, width] as they are, without centring."""
    real = torch.ones(x.shape[:2], dtype=torch.bool) if real is None else real
    slices = draw_slices(real, x.shape[2], Sliced(**settings), torch.Generator().manual_seed(seed))
    return sliced_wasserstein(x.gather(1, slices.row[..., None].expand(-1, -1, x.shape[2])), slices), slices


def test_the_sliced_distance_knows_a_normal_law_from_a_wider_one():
    x = normal(1, 128, 16, seed=1)
    near, _ = sliced(x, least=128)
    far, _ = sliced(3 * x, least=128)
    assert near < 0.1
    assert far > 2
    assert far == pytest.approx(4.0, abs=1.0)  # (3 - 1)² in each direction


def test_sets_of_other_sizes_count_alone_and_padding_never():
    x, real = normal(3, 40, 8), torch.arange(40) < torch.tensor([40, 1, 12])[:, None]
    total, slices = sliced(x, real, least=40)
    noisy, _ = sliced(torch.where(real[..., None], x, 1e6), real, least=40)
    assert torch.equal(total, noisy)
    assert sets_of_two(slices) == 2
    own = slices.row[2, :12]
    projections = (x[2, own] @ slices.direction).numpy(), slices.normal[2, :12].numpy()
    expected = np.square(np.sort(projections[0], 0) - np.sort(projections[1], 0)).mean()
    alone, _ = sliced_wasserstein(x[:1].gather(1, slices.row[:1, :, None].expand(-1, -1, 8)), _first(slices)), None
    np.testing.assert_allclose(total - alone, expected, rtol=1e-4)


def _first(slices):
    return type(slices)(slices.row[:1], slices.real[:1], slices.direction, slices.normal[:1])


def test_vectors_are_centred_on_all_cells_of_their_set():
    x, real = normal(2, 50, 4), torch.arange(50) < torch.tensor([50, 20])[:, None]
    slices = draw_slices(real, 4, Sliced(least=50), torch.Generator().manual_seed(0))
    found = drawn_vectors(x, real, slices)
    assert len(slices.row[1, slices.real[1]].unique()) == 20
    expected = x[1, slices.row[1, :20]] - x[1, :20].mean(0)
    torch.testing.assert_close(found[1, :20], expected)


def test_energy_distance_is_its_formula():
    a, b = normal(30, 5).numpy(), normal(20, 5, seed=1).numpy() + 0.5
    between, own_a, own_b = cdist(a, b).mean(), cdist(a, a).sum(), cdist(b, b).sum()
    tensors = torch.from_numpy(a).double(), torch.from_numpy(b).double()
    expected = 2 * between - own_a / 30 / 29 - own_b / 20 / 19
    np.testing.assert_allclose(energy_distance(*tensors), expected, rtol=1e-5)
    expected = 2 * between - own_a / 900 - own_b / 400
    np.testing.assert_allclose(energy_distance(*tensors, unbiased=False), expected, rtol=1e-5)
    assert energy_distance(tensors[0], tensors[0], unbiased=False).abs() < 1e-4


def test_energy_of_two_draws_of_one_law_is_zero_on_average_without_bias():
    draws = [normal(64, 100, seed=seed) for seed in range(80)]
    plain, unbiased = (
        [energy_distance(a, b, kind).item() for a, b in zip(draws[::2], draws[1::2], strict=True)]
        for kind in (False, True)
    )
    assert np.mean(plain) == pytest.approx(0.44, abs=0.05)
    assert abs(np.mean(unbiased)) < 0.02
    shifted = energy_distance(draws[0], draws[1] + 1).item()
    assert shifted == pytest.approx(7.0, abs=0.7)


def test_energy_by_type_is_the_mean_over_types_by_their_rows():
    a, b = normal(2, 30, 4), normal(2, 30, 4, seed=1) + 1
    kind, rows = torch.arange(60).view(2, 30) % 3, torch.arange(30) < torch.tensor([25, 0])[:, None]
    found = stratified_energy(a, b, rows, kind)
    of_type = [(kind[0] == number) & rows[0] for number in range(3)]
    expected = sum(len(a[0, own]) * energy_distance(a[0, own], b[0, own]) for own in of_type) / 25
    torch.testing.assert_close(found, torch.stack([expected, torch.tensor(0.0)]))
    assert stratified_energy(a, b, rows, torch.arange(60).view(2, 30)).isfinite().all()  # one row a type


def test_gradients_at_equal_vectors_are_finite():
    a = normal(1, 10, 4).requires_grad_()
    rows, kind = torch.ones(1, 10, dtype=torch.bool), torch.zeros(1, 10, dtype=torch.int64)
    stratified_energy(a, a.detach().clone(), rows, kind).sum().backward()
    assert a.grad.isfinite().all()


@pytest.mark.parametrize(("mean", "dispersion"), [(0.05, 1.0), (2.0, 0.7), (40.0, 5.0)])
def test_surrogate_draws_have_the_moments_of_counts(mean, dispersion):
    """With a gate that is nearly hard; that of training is softer."""
    shape, generator = (400_000,), torch.Generator().manual_seed(0)
    noise = torch.rand(shape, generator=generator), torch.randn(shape, generator=generator)
    logs = (torch.full(shape, float(np.log(value))) for value in (mean, dispersion))
    drawn = soft_draws(*logs, *noise, 1e-3)
    law = stats.nbinom(dispersion, dispersion / (dispersion + mean))
    assert drawn.mean().item() == pytest.approx(mean, rel=0.05)
    assert drawn.std().item() == pytest.approx(law.std(), rel=0.1)
    assert (drawn < 1e-6).float().mean().item() == pytest.approx(law.pmf(0), abs=0.01)


def test_gradients_of_surrogate_draws_are_finite_at_the_edges():
    log_mean = torch.tensor([-30.0, -13.8, 0.0, 12.0]).requires_grad_()
    log_dispersion = torch.tensor([-9.0, 0.0, 9.0])[:, None].expand(3, 4)
    for uniform in (0.0, 0.5, 1.0):
        drawn = soft_draws(log_mean.expand(3, 4), log_dispersion, torch.full((3, 4), uniform), normal(3, 4), 0.7)
        value = log_scaled(drawn, torch.tensor([0.0, 1.0, 1e4]), 1e4)
        (gradient,) = torch.autograd.grad(value.sum(), log_mean)
        assert value.isfinite().all()
        assert gradient.isfinite().all()


def test_drawn_counts_are_whole_and_have_the_depth_and_spread_asked_for():
    share = torch.softmax(normal(1, 50) / 2, 1).expand(4000, -1)
    depth = torch.full((4000,), 2000.0)
    counts = draw_counts(share, torch.full_like(share, 2.0), depth, torch.Generator().manual_seed(0))
    assert torch.equal(counts, counts.round())
    assert ((counts.sum(1) - depth).abs() < 0.1 * depth).float().mean() > 0.999
    np.testing.assert_allclose(counts.mean(0), 2000 * share[0], rtol=0.08)
    rare = share[0].argmin()
    expected = stats.nbinom(2.0, 2.0 / (2.0 + 2000 * share[0, rare].item())).var()
    assert counts[:, rare].var().item() == pytest.approx(expected, rel=0.2)
    assert not draw_counts(share, torch.full_like(share, 2.0), 0 * depth, torch.Generator().manual_seed(0)).any()


def test_the_most_variable_genes_are_those_planted():
    rng = np.random.default_rng(0)
    mean = np.exp(rng.normal(0, 1, 60))
    rate = np.repeat(mean[None], 300, 0)
    planted = np.sort(np.argsort(mean)[20:30])
    rate[:, planted] *= np.exp(rng.normal(0, 1, (300, 10)))
    found = variable_genes(torch.from_numpy(rng.poisson(rate).astype(np.float32)), 10)
    assert found.tolist() == planted.tolist()
    assert len(variable_genes(torch.zeros(5, 60), 100)) == 60
