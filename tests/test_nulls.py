"""Null denoisers, and that every mark of a study is missed by one of them in the place of the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.denoiser import blind
from gahr.studies.shared.nulls import estimated, null_denoisers, smooth
from gahr.studies.shared.study import Run
from gahr.studies.shared.style import NULLS

KEY = jax.random.key(0)
denoise = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))
denoise_blind = jax.jit(lambda denoiser, noisy: denoiser(noisy))


def test_nulls_are_fitted_to_the_images_that_the_network_has_seen():
    def images(subset, number):
        assert subset == "b"
        return 0.5 + 0.1 * jax.random.normal(KEY, (50, 4, 4, 1))[:number]

    run = Run(None, None, images, {}, "b", 30, initial=blind(lambda noisy: -noisy))
    found = null_denoisers(run, num_fit=20, memorized=30)
    assert list(found) == list(NULLS)
    assert list(null_denoisers(run._replace(initial=None))) == ["linear", "3x3 filter", "identity"]
    noisy = jax.random.normal(jax.random.key(1), (3, 4, 4, 1))
    np.testing.assert_array_equal(found["identity"](noisy, 0.1), noisy)
    np.testing.assert_array_equal(found["untrained"](noisy, 0.1), -noisy)
    trained_on, grey = images("b", 30), jnp.full((3, 4, 4, 1), 0.5)
    np.testing.assert_allclose(denoise(found["memorizer"], trained_on[27:], 0.01), trained_on[27:], atol=1e-5)
    linear = [denoise(found["linear"], *pair) for pair in ((noisy, 0.1), (2 * noisy, 0.1), (grey, 0.1), (noisy, 10.0))]
    np.testing.assert_allclose(linear[1], 2 * linear[0], rtol=1e-4)
    np.testing.assert_allclose(linear[2], grey, atol=0.05)  # the mean image, of which there is most, is kept
    assert jnp.linalg.norm(linear[3]) < 0.05 * jnp.linalg.norm(noisy)  # it is told sigma


def test_the_filter_is_the_binomial_one_and_repeats_the_border():
    filtered = jax.jit(smooth)
    impulse = jnp.zeros((2, 5, 6, 1)).at[1, 2, 3].set(16.0)
    expected = np.zeros((5, 6))
    expected[1:4, 2:5] = np.outer([1, 2, 1], [1, 2, 1])
    np.testing.assert_array_equal(filtered(impulse)[1, ..., 0], expected)
    np.testing.assert_array_equal(filtered(impulse[1])[..., 0], expected)
    corner = jnp.zeros((5, 6, 1)).at[0, 0].set(16.0)
    np.testing.assert_array_equal(filtered(corner)[:3, :3, 0], [[9, 3, 0], [3, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("sigma", [0.03, 0.5])
def test_nulls_read_sigma_off_smooth_images_with_few_edges(sigma):
    clean = jnp.zeros((4, 41, 40, 1)).at[:, 13:].set(0.7).at[:, :, 20:].add(-0.2)
    noisy = clean + sigma * jax.random.normal(KEY, clean.shape)
    found = denoise_blind(estimated(lambda noisy, sigma: noisy * 0 + sigma[:, None, None, None]), noisy)
    np.testing.assert_allclose(found, sigma, rtol=0.15)
    one = denoise_blind(estimated(lambda noisy, sigma: noisy * 0 + sigma), noisy[0])  # a single image has one
    np.testing.assert_allclose(one, found[0], rtol=1e-5)
