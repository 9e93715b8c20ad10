"""Likelihood and divergences of CellPLM against closed forms, scipy and torch.distributions."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import nbinom
from torch.distributions import Categorical, Normal

from scfm.errors import ScfmError
from scfm.models.cellplm.losses import component_divergence, hinge_sum, normal_divergence
from scfm.models.cellplm.settings import Cellplm, Mixture
from scfm.models.negative_binomial import negative_binomial_nll
from scfm.settings import parse


def test_the_negative_binomial_is_that_of_scipy():
    rng = np.random.default_rng(0)
    mean, dispersion = np.exp(rng.uniform(-11, 7, (400, 30))), np.exp(rng.uniform(-4, math.log(1e4), 30))
    count = rng.poisson(np.clip(mean * rng.gamma(1, 1, mean.shape), 0, 5000))
    expected = -nbinom.logpmf(count, dispersion, dispersion / (dispersion + mean))
    tensors = [torch.from_numpy(x).float() for x in (count, np.log(mean), np.log(dispersion))]
    found = negative_binomial_nll(*tensors)
    exact = negative_binomial_nll(*(torch.from_numpy(x).double() for x in (count, np.log(mean), np.log(dispersion))))
    np.testing.assert_allclose(exact, expected, atol=1e-8, rtol=1e-8)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
    assert found.dtype == torch.float32


def test_the_gradient_of_the_negative_binomial_is_exact():
    count = torch.tensor([[0.0, 1.0, 7.0], [3.0, 0.0, 0.5]], dtype=torch.float64)
    draw = torch.Generator().manual_seed(0)
    mean = torch.randn(2, 3, generator=draw, dtype=torch.float64).requires_grad_()
    dispersion = torch.randn(3, generator=draw, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, d: negative_binomial_nll(count, m, d), (mean, dispersion))


def test_components_alike_cost_nothing_and_certain_ones_log_k():
    alike, certain = torch.zeros(5, 16), 100 * torch.eye(16)
    torch.testing.assert_close(component_divergence(alike), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(component_divergence(certain), torch.full((16,), math.log(16)), atol=1e-6, rtol=0)
    logits = 3 * torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    found = component_divergence(logits)
    assert (found >= 0).all()
    assert (found <= math.log(16)).all()
    torch.testing.assert_close(found, math.log(16) - Categorical(logits=logits).entropy())


def test_the_divergence_of_normals_is_the_mean_over_draws():
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(6, 12, generator=generator, dtype=torch.float64) for _ in range(4)]
    mean, variance, prior_mean, prior_variance = parts[0], parts[1].exp(), parts[2], parts[3].exp()
    torch.testing.assert_close(normal_divergence(mean, variance, mean, variance), torch.zeros(6, dtype=torch.float64))
    found = normal_divergence(mean, variance, prior_mean, prior_variance)
    z = mean + variance.sqrt() * torch.randn(10_000, 6, 12, generator=generator, dtype=torch.float64)
    posterior, prior = Normal(mean, variance.sqrt()), Normal(prior_mean, prior_variance.sqrt())
    draws = (posterior.log_prob(z) - prior.log_prob(z)).sum(2)
    assert ((draws.mean(0) - found).abs() < 3 * draws.std(0) / 100).all()


def test_the_hinge_has_no_gradient_below_and_all_of_it_above():
    divergence = torch.tensor([1.0, 2.0, 9.0, 3.0], requires_grad=True)
    total = hinge_sum(divergence, torch.tensor([0, 0, 1, 1]), 5.0)
    assert total.item() == 2 * 5 + 12
    (gradient,) = torch.autograd.grad(total, divergence)
    assert gradient.tolist() == [0, 0, 1, 1]


def test_hinges_of_whole_sets_add_up():
    divergence, set_of = 10 * torch.rand(30, generator=torch.Generator().manual_seed(0)), torch.arange(30) // 10
    parts = [hinge_sum(divergence[a : a + 10], torch.zeros(10, dtype=torch.int64), 5.0) for a in (0, 10, 20)]
    torch.testing.assert_close(hinge_sum(divergence, set_of, 5.0), sum(parts))


def test_the_component_term_of_our_defaults_can_act():
    latent = Cellplm().latent
    assert latent.component_hinge < math.log(latent.components)
    divergence = component_divergence(3 * torch.eye(latent.components)[:4].requires_grad_())
    total = hinge_sum(divergence, torch.zeros(4, dtype=torch.int64), latent.component_hinge)
    assert total > 4 * latent.component_hinge


@pytest.mark.parametrize("keys", [{"component_hinge": 5.0}, {"components": 2, "component_hinge": math.log(2)}])
def test_a_hinge_that_silences_the_component_term_is_refused(keys):
    with pytest.raises(ScfmError, match=r"component_hinge .* must be below log\(components\)"):
        parse(Mixture, keys, "model.latent")
    with pytest.raises(ScfmError, match="component_hinge"):
        parse(Cellplm, {"latent": keys}, "model")
