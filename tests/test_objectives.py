"""Denoising as an objective: its closed forms, and what it refuses."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import noise
from gahr.objectives import OBJECTIVES, denoising

KEY = jax.random.key(0)
CLEAN = np.asarray(jax.random.uniform(jax.random.key(1), (64, 8, 8, 2)))
DIMENSION = 8 * 8 * 2


def losses(*cases):
    """Loss, noisy images and sigmas for networks that have no variables: (share of the noisy image, options) each."""

    @jax.jit
    def measure():
        results = []
        for share, options in cases:
            network = lambda variables, noisy, sigma, *, train, s=share: (s * noisy, {"seen": (noisy, sigma)})
            value, updates = denoising.loss(network, {}, KEY, CLEAN, **options)
            results.append((value, *updates["seen"]))
        return results

    return jax.tree.map(np.float64, measure())


def test_loss_is_the_mean_over_images_of_a_sum_over_pixels_at_sigmas_of_the_law():
    ((found, noisy, sigma),) = losses((0.3, dict(law="uniform")))
    assert found == pytest.approx(((0.7 * noisy - CLEAN) ** 2).sum((1, 2, 3)).mean(), rel=1e-5)
    measured = (noisy - CLEAN).std((1, 2, 3)) / sigma
    np.testing.assert_allclose(measured, 1, atol=5 / math.sqrt(2 * DIMENSION))
    assert sigma.mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / len(CLEAN)))
    assert sigma.std() == pytest.approx(math.sqrt(1 / 12), rel=0.3)


def test_loss_of_the_identity_is_the_noise_and_of_zero_the_image_and_weights_divide_it():
    fixed = [(0.0, dict(law="fixed", sigma=0.2, weighting=weighting)) for weighting in denoising.WEIGHTINGS]
    levels = dict(law="log_uniform", weighting="inverse_variance", sigma_min=1e-3, sigma_max=1.0)
    zero, weighted, identity, *others = (found[0] for found in losses((1.0, {}), (0.0, levels), *fixed))
    assert zero == pytest.approx(float(np.sum(CLEAN**2)) / len(CLEAN), rel=1e-5)
    error = 4 * math.sqrt(2 / DIMENSION / len(CLEAN))
    assert identity == pytest.approx(DIMENSION * 0.2**2, rel=error)
    assert weighted == pytest.approx(DIMENSION, rel=error)  # of every noise level alike
    np.testing.assert_allclose(others, identity * np.array([1 / 0.2, 1 / 0.2**2, 1 / 0.2**2 + 16]), rtol=1e-5)


def test_what_cannot_be_is_refused_before_anything_is_computed(monkeypatch):
    later = noise.Law(lambda key, shape, *, low=0.0: jnp.full(shape, low), floor="low")
    monkeypatch.setitem(noise.LAWS, "later", later)
    positive = "must be positive with weighting inverse_sigma, and its weight finite, got"
    for options, message in (
        (dict(law="quadratc"), "unknown law 'quadratc'; did you mean quadratic"),
        (dict(weighting="variance"), "unknown weighting 'variance'; did you mean inverse_variance"),
        (dict(sigma_mx=1.0), "unknown option 'sigma_mx'; did you mean sigma_max"),
        (dict(law="fixed"), "option sigma is missing"),
        (dict(sigma_min=0.5, sigma_max=0.2), "sigma_min must be at most sigma_max = 0.2, got 0.5"),
        (dict(weighting="inverse_sigma"), f"sigma_min {positive} 0.0"),
        (dict(weighting="inverse_sigma", sigma_min=1e-39), f"sigma_min {positive} 1e-39"),
        (dict(weighting="inverse_sigma", law="fixed", sigma=0.0), f"sigma {positive} 0.0"),
        (dict(weighting="inverse_sigma", law="later"), f"low {positive} 0.0"),
        (dict(teacher=lambda noisy, sigma: noisy), "takes no teacher"),
    ):
        with pytest.raises(ValueError, match=message):
            losses((0.0, options))
    for law, (_, floor) in noise.LAWS.items():  # at sigma = 0 each is refused, or has no such option and finite weights
        case = (0.0, dict(law=law, weighting="inverse_sigma") | ({} if floor is None else {floor: 0.0}))
        if floor is None:
            assert np.isfinite(losses(case)[0][0])
        else:
            with pytest.raises(ValueError, match=f"{floor} must be positive"):
                losses(case)


def test_objectives_have_one_signature():
    for name, objective in OBJECTIVES.items():
        parameters = list(inspect.signature(objective).parameters.values())
        assert [p.name for p in parameters[:5]] == ["network", "variables", "key", "clean", "teacher"], name
        assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[4:]), name
