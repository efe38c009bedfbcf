"""Denoisers as plain functions: bind, at, blind, residual, score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.denoiser import at, bind, bind_told, blind, is_told, network_of, residual, score


def test_a_bound_network_subtracts_its_evaluation_mode_output(trained, noisy):
    model, variables = trained
    expected = noisy - model.apply(variables, noisy, train=False)
    np.testing.assert_allclose(bind(model, variables)(noisy), expected, atol=1e-6)
    training_mode, _ = model.apply(variables, noisy, train=True, mutable=["batch_stats"])
    assert np.abs(noisy - training_mode - expected).max() > 1e-3


def test_the_trained_network_removes_noise(denoiser, images):
    clean = images(jax.random.key(1), 6)
    noisy = clean + 0.3 * jax.random.normal(jax.random.key(2), clean.shape)
    assert jnp.mean((denoiser(noisy) - clean) ** 2) < 0.5 * 0.3**2


def test_a_bound_network_takes_any_leading_axes(denoiser, noisy):
    denoised = denoiser(noisy)
    np.testing.assert_allclose(denoiser(noisy[2]), denoised[2], atol=1e-5)
    nested = denoiser(noisy.reshape(2, 3, 16, 16, 1))
    np.testing.assert_allclose(nested, denoised.reshape(nested.shape), atol=1e-5)


def test_networks_of_one_architecture_are_arguments_of_one_compiled_code(trained, noisy):
    model, variables = trained
    traces = []

    @jax.jit
    def denoise(denoiser, noisy):
        traces.append(denoiser)
        return denoiser(noisy)

    np.testing.assert_allclose(denoise(bind(model, variables), noisy), bind(model, variables)(noisy), atol=1e-5)
    zero = bind(model, variables | {"params": jax.tree.map(jnp.zeros_like, variables["params"])})
    np.testing.assert_array_equal(denoise(zero, noisy), noisy)
    assert len(traces) == 1
    assert jax.make_jaxpr(denoise)(zero, noisy).consts == []


def test_a_blind_network_in_the_forms_of_those_told_sigma_ignores_it(trained, noisy):
    model, variables = trained
    assert not is_told(model)
    np.testing.assert_array_equal(bind_told(model, variables)(noisy, 17.0), bind(model, variables)(noisy))
    for train in (False, True):
        found = network_of(model)(variables, noisy, 17.0, train=train)
        expected = model.apply(variables, noisy, train=train, mutable=["batch_stats"] if train else [])
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    moved = jax.tree.map(lambda new, old: np.all(new != old), found[1]["batch_stats"], variables["batch_stats"])
    assert jax.tree.all(moved)


def test_at_fixes_sigma_and_blind_ignores_it():
    noisy, shrink = jnp.ones((2, 3, 3, 1)), lambda noisy, sigma: noisy * sigma
    np.testing.assert_allclose(at(shrink, 0.25)(noisy), 0.25 * noisy)
    np.testing.assert_allclose(blind(at(shrink, 0.25))(noisy, 17.0), 0.25 * noisy)


def test_residual_is_what_the_denoiser_takes_away():
    noisy = jax.random.normal(jax.random.key(3), (2, 3, 3, 1))
    np.testing.assert_allclose(residual(lambda noisy: 0.2 * noisy, noisy), 0.8 * noisy, rtol=1e-6)


@pytest.mark.parametrize("sigma", [0.05, np.float32(0.5), jnp.arange(1.0, 7.0).reshape(2, 3)])
def test_score_of_the_posterior_mean_of_white_images_is_the_gradient_of_their_log_density(sigma):
    """Images of variance 2 per pixel: ln p_sigma(y) = -|y|^2 / 2 / (2 + sigma^2) but for a constant."""
    noisy = jax.random.normal(jax.random.key(5), (2, 3, 4, 4, 1))
    square = np.broadcast_to(np.square(sigma)[..., None, None, None], noisy.shape)
    found = score(lambda noisy: 2 / (2 + square) * noisy, noisy, sigma)
    np.testing.assert_allclose(found, -noisy / (2 + square), rtol=1e-3)
