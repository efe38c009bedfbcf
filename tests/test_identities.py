"""Traces, norms and slopes from random probes against closed forms, and departures from D(y) = J(y) y."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import metrics, noise
from gahr.analysis import identities, probes
from gahr.classical import analytic
from gahr.classical.analytic import gaussian
from gahr.denoiser import at, blind

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def prior():
    """Gaussian prior of 64 dimensions: eigenvalues, basis (64, 64), and its posterior mean."""
    basis = jnp.linalg.qr(jax.random.normal(KEY, (64, 64)))[0]
    eigenvalues = jnp.geomspace(1.0, 1e-4, 64)
    return eigenvalues, basis, gaussian(jnp.zeros((8, 8, 1)), eigenvalues, basis.reshape(64, 8, 8, 1))


def assert_moments(denoiser, matrix, *, num_images=64, num_probes=16):
    """Means over images within four standard errors of tr J and |J|_F^2."""
    noisy = jax.random.normal(jax.random.key(1), (num_images, 8, 8, 1))
    found = identities.jacobian_moments(denoiser, KEY, noisy, num_probes=num_probes)
    for estimate, form in ((found.trace, matrix), (found.energy, matrix.T @ matrix)):
        symmetric = (form + form.T) / 2
        variance = 2 * (np.sum(symmetric**2) - np.sum(np.diag(symmetric) ** 2))  # of v.(form v), v random signs
        assert estimate.shape == (num_images,)
        assert abs(np.mean(estimate) - np.trace(form)) < 4 * np.sqrt(variance / num_images / num_probes)
        assert np.std(estimate) == pytest.approx(np.sqrt(variance / num_probes), rel=0.4)


def test_moments_of_the_wiener_denoiser_are_sums_of_its_gains(prior):
    eigenvalues, basis, posterior_mean = prior
    gains = np.asarray(eigenvalues / (eigenvalues + 0.1**2), np.float64)
    matrix = np.asarray(basis, np.float64).T * gains @ np.asarray(basis, np.float64)
    assert np.trace(matrix) == pytest.approx(gains.sum(), rel=1e-5)
    assert_moments(at(posterior_mean, 0.1), matrix)


@pytest.mark.parametrize("num_probes", [1, 16])
def test_moments_of_a_matrix_are_unbiased_for_any_number_of_probes(num_probes):
    matrix = jax.random.normal(jax.random.key(2), (64, 64)) / 8 + jnp.eye(64)

    def denoiser(noisy):
        return (noisy.reshape(*noisy.shape[:-3], 64) @ matrix.T).reshape(noisy.shape)

    assert_moments(denoiser, np.asarray(matrix, np.float64), num_images=200, num_probes=num_probes)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_moments_of_a_pixelwise_square_are_exact_at_each_image(chunk):
    noisy = jax.random.normal(jax.random.key(3), (7, 4, 4, 2))
    found = identities.jacobian_moments(jnp.square, KEY, noisy, num_probes=2, chunk=chunk)
    np.testing.assert_allclose(found.trace, 2 * jnp.sum(noisy, (1, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.energy, 4 * jnp.sum(noisy**2, (1, 2, 3)), rtol=1e-4)


def test_slope_is_the_ratio_of_means_over_the_images():
    moments = probes.JacobianMoments(trace=jnp.array([1.0, 3.0]), energy=jnp.array([2.0, 4.0]))
    assert float(moments.slope()) == pytest.approx(1.5)


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_slope_of_an_exact_denoiser_is_that_of_its_measured_psnr(prior, sigma):
    eigenvalues, basis, posterior_mean = prior
    gains = np.asarray(eigenvalues / (eigenvalues + sigma**2), np.float64)
    theory = np.sum(gains**2) / np.sum(gains)
    weights = jax.random.normal(jax.random.key(4), (4000, 64)) * jnp.sqrt(eigenvalues)[None]
    clean = (weights @ basis).reshape(4000, 8, 8, 1)

    def mean_psnr(level):
        denoised = posterior_mean(noise.add_noise(KEY, clean, level), level)
        return -10 * np.log10(np.mean(np.asarray(metrics.mse(clean, denoised), np.float64)))

    near = np.array([sigma * 0.95, sigma * 1.05])
    measured = (mean_psnr(near[0]) - mean_psnr(near[1])) / np.subtract(*(-20 * np.log10(near)))
    assert measured == pytest.approx(theory, abs=0.02)
    noisy = noise.add_noise(KEY, clean[:256], sigma)
    found = identities.jacobian_moments(at(posterior_mean, sigma), KEY, noisy, num_probes=8, chunk=64).slope()
    assert float(found) == pytest.approx(theory, abs=0.01)


def test_trained_network_is_homogeneous_and_its_own_linear_part(denoiser, noisy):
    for factor in (1e-2, 0.3, 5.0):
        assert jnp.all(identities.homogeneity_error(denoiser, noisy, factor=factor) < 1e-5)
    assert jnp.all(identities.linearity_error(denoiser, noisy) < 1e-5)


def test_an_affine_denoiser_departs_by_its_constant():
    noisy = jax.random.normal(jax.random.key(5), (3, 4, 4, 2))
    constant = jax.random.normal(jax.random.key(6), (4, 4, 2))

    def affine(noisy):
        return 0.5 * noisy + constant.reshape((1,) * (noisy.ndim - 3) + constant.shape)

    size = np.sqrt(np.sum(np.square(affine(noisy)), axis=(1, 2, 3)))
    expected = np.linalg.norm(np.ravel(constant)) / size
    np.testing.assert_allclose(identities.linearity_error(affine, noisy), expected, rtol=1e-5)
    for factor in (0.25, 3.0):  # |(1 - c) b| / |c D(y)|
        found = identities.homogeneity_error(affine, noisy, factor=factor)
        np.testing.assert_allclose(found, abs(1 - factor) / factor * expected, rtol=1e-5)


def test_exact_moments_and_chunks(prior):
    eigenvalues, _, posterior_mean = prior
    noisy = jax.random.normal(jax.random.key(4), (3, 8, 8, 1))
    gains = eigenvalues / (eigenvalues + 0.01)
    for chunk in (5, 64):
        found = identities.jacobian_moments(at(posterior_mean, 0.1), KEY, noisy, num_probes=None, chunk=chunk)
        np.testing.assert_allclose(found.trace, gains.sum(), rtol=1e-4)
        np.testing.assert_allclose(found.energy, jnp.sum(gains**2), rtol=1e-4)


def draw(prior, number, key):
    eigenvalues, basis, _ = prior
    coefficients = jnp.sqrt(eigenvalues)[None] * jax.random.normal(key, (number, 64))
    return (coefficients @ basis).reshape(number, 8, 8, 1)


@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_sure_estimates_the_mean_squared_error(prior, sigma):
    eigenvalues, _, posterior_mean = prior
    clean = draw(prior, 2000, jax.random.key(5))
    noisy = noise.add_noise(jax.random.key(6), clean, sigma)
    denoiser = at(posterior_mean, sigma)
    found = identities.sure(denoiser, KEY, noisy, sigma=sigma, num_probes=2, chunk=200)
    theory = jnp.sum(sigma**2 * eigenvalues / (eigenvalues + sigma**2)) / 64
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - theory) < 4 * error
    assert error < 0.05 * sigma**2  # so that a missing or doubled term is seen
    np.testing.assert_allclose(metrics.mse(clean, denoiser(noisy)).mean(), theory, rtol=0.05)


def test_sure_holds_for_a_denoiser_that_is_not_optimal(prior):
    sigma, clean = 0.3, draw(prior, 4000, jax.random.key(7))
    noisy = noise.add_noise(jax.random.key(8), clean, sigma)
    found = identities.sure(jnp.tanh, KEY, noisy, sigma=sigma, num_probes=1, chunk=500)
    difference = found - metrics.mse(clean, jnp.tanh(noisy))
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(found))
    assert abs(difference.mean()) < 0.02 * sigma**2


def test_covariance_products_are_the_posterior_covariance(prior):
    eigenvalues, basis, posterior_mean = prior
    noisy, vector = jnp.ones((8, 8, 1)), basis[5].reshape(8, 8, 1)
    found = identities.covariance_product(at(posterior_mean, 0.2), noisy, vector, sigma=0.2)
    np.testing.assert_allclose(found, 0.04 * eigenvalues[5] / (eigenvalues[5] + 0.04) * vector, atol=1e-6)


def test_asymmetry_from_probes(prior):
    matrix = jax.random.normal(jax.random.key(9), (64, 64)) / 8 + jnp.eye(64)
    noisy = jnp.ones((4, 8, 8, 1))
    found = identities.asymmetry(lambda y: (y.reshape(-1) @ matrix).reshape(y.shape), KEY, noisy, num_probes=200)
    exact = jnp.linalg.norm(matrix - matrix.T) / jnp.linalg.norm(matrix)
    np.testing.assert_allclose(found, exact, rtol=0.05)
    assert identities.asymmetry(at(prior[2], 0.1), KEY, noisy).max() < 1e-5


def test_kl_integral_between_two_gaussians(prior):
    """KL(N(0, C) | N(0, C')) = sum (l/l' - 1 - ln(l/l')) / 2 in a common basis."""
    eigenvalues, basis, exact = prior
    eigenvalues = eigenvalues.at[:].set(jnp.geomspace(1.0, 0.1, 64))
    exact = gaussian(jnp.zeros((8, 8, 1)), eigenvalues, basis.reshape(64, 8, 8, 1))
    other_eigenvalues = eigenvalues * jnp.linspace(0.5, 1.5, 64)
    other = gaussian(jnp.zeros((8, 8, 1)), other_eigenvalues, basis.reshape(64, 8, 8, 1))
    coefficients = jnp.sqrt(eigenvalues)[None] * jax.random.normal(jax.random.key(10), (2000, 64))
    clean = (coefficients @ basis).reshape(-1, 8, 8, 1)
    ratio = eigenvalues / other_eigenvalues
    theory = jnp.sum(ratio - 1 - jnp.log(ratio)) / 2
    found = identities.kl_integral(other, exact, KEY, clean, sigmas=jnp.geomspace(0.03, 30, 60))
    total = found.kl + found.below
    assert abs(total - theory) < 4 * found.standard_error + 0.005 * theory
    assert found.standard_error < 0.02 * theory
    assert found.below < 0.02 * theory
    np.testing.assert_allclose(found.prior, eigenvalues.sum() / 1800, rtol=0.1)
    same = identities.kl_integral(exact, exact, KEY, clean[:4], sigmas=jnp.geomspace(0.1, 1, 3))
    assert same.kl == 0
    assert same.below == 0


def test_the_price_of_the_prior_is_not_the_integral_above(prior):
    """Two Gaussians of means 0 and m: above sigma lies KL_sigma = sum_k <m, u_k>^2 / (l_k + sigma^2) / 2."""
    eigenvalues, basis, exact = prior
    clean, mean = draw(prior, 2000, jax.random.key(14)), 2 * jnp.ones((8, 8, 1))
    other = gaussian(mean, eigenvalues, basis.reshape(64, 8, 8, 1))
    squares = jnp.sum(basis * mean.ravel()[None], 1) ** 2
    start, stop = (jnp.sum(squares / (eigenvalues + sigma**2)) / 2 for sigma in (0.1, 2.0))
    found = identities.kl_integral(other, exact, KEY, clean, sigmas=jnp.geomspace(0.1, 2, 60))
    np.testing.assert_allclose(found.kl, start - stop, rtol=1e-2)
    noised = eigenvalues / 4  # variances of p_sigma_max are 4 (1 + noised)
    assert jnp.sum(noised - jnp.log1p(noised)) / 2 <= found.prior < stop / 10


def test_kl_integral_diverges_for_point_masses_against_a_smooth_law(prior):
    points = draw(prior, 5, jax.random.key(11))
    found = identities.kl_integral(prior[2], analytic.points(points), KEY, points, sigmas=jnp.geomspace(1e-3, 1e-2, 5))
    assert found.below == jnp.inf


def test_log_likelihood_of_a_gaussian(prior):
    _, basis, _ = prior
    eigenvalues = jnp.geomspace(1.0, 0.1, 64)
    exact = gaussian(jnp.zeros((8, 8, 1)), eigenvalues, basis.reshape(64, 8, 8, 1))
    coefficients = jnp.sqrt(eigenvalues)[None] * jax.random.normal(jax.random.key(12), (2000, 64))
    clean = (coefficients @ basis).reshape(-1, 8, 8, 1)
    found = identities.log_likelihood(exact, KEY, clean, sigmas=jnp.geomspace(0.02, 50, 80), num_draws=16)
    theory = -0.5 * jnp.sum(coefficients**2 / eigenvalues[None] + jnp.log(2 * jnp.pi * eigenvalues)[None], 1)
    difference = found - theory
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(2000) + 0.1
    assert abs(difference.mean()) < 0.5  # of 64 ln 2 = 44 for a wrong factor of the intensities
    assert np.corrcoef(found, theory)[0, 1] > 0.7


def test_the_card_of_an_exact_denoiser_agrees_with_itself(prior):
    eigenvalues, _, posterior_mean = prior
    clean = draw(prior, 400, jax.random.key(13))
    card = identities.card(at(posterior_mean, 0.2), KEY, clean, sigmas=[0.19, 0.2, 0.21], num_probes=2, chunk=100)
    gains = eigenvalues / (eigenvalues + 0.04)
    np.testing.assert_allclose(card.trace[1, 0], gains.sum(), rtol=0.02)
    np.testing.assert_allclose(card.energy[1, 0], jnp.sum(gains**2), rtol=0.03)
    np.testing.assert_allclose(card.slope[1, 0], jnp.sum(gains**2) / gains.sum(), rtol=0.03)
    for difference in (card.sure_error, card.excess):
        assert abs(difference[1, 0]) < 4 * difference[1, 1]
        assert difference[1, 1] < 0.1 * card.mse[1, 0]  # so that a missing or doubled term is seen
    assert card.asymmetry.max() < 1e-5
    assert card.homogeneity_error.max() < 1e-5
    lines = identities.card_lines(card)
    assert len(lines) == 13
    assert len({len(line) for line in lines}) == 1


def test_the_measured_slope_of_a_mixture_is_its_identity_and_not_the_slope_of_its_mean_psnr(prior):
    eigenvalues, basis, _ = prior
    law = jnp.ones(2) / 2, jnp.zeros((2, 8, 8, 1)), jnp.stack([eigenvalues, 1e-3 * eigenvalues])
    exact = analytic.mixture(*law, jnp.stack([basis, basis]).reshape(2, 64, 8, 8, 1))
    clean = draw(prior, 2000, jax.random.key(15)).at[1000:].multiply(1e-3**0.5)
    sigmas, values = jnp.array([0.095, 0.1, 0.105]), []
    for sigma in sigmas:
        values.append(identities.card_values(at(exact, sigma), KEY, clean, sigma=sigma, num_probes=2, chunk=500))
    card = identities.card_of(jax.tree.map(lambda *each: jnp.stack(each), *values), sigmas=sigmas)
    (measured, error), (identity, other_error) = card.measured_slope[1], card.slope[1]
    assert abs(measured - identity) < 4 * jnp.hypot(error, other_error)
    assert error < 0.02
    of_mean_psnr = jnp.gradient(card.psnr[:, 0])[1] / jnp.gradient(metrics.input_psnr(sigmas))[1]
    assert abs(of_mean_psnr - identity) > 0.1


def test_the_error_of_the_slope_is_that_of_the_jackknife():
    sigmas = jnp.geomspace(0.01, 1, 5)
    draws = jax.random.uniform(KEY, (5, 300), minval=0.5, maxval=1.5)
    mse = sigmas[:, None] ** 1.2 * draws * jnp.linspace(0.1, 10, 300)[None]
    found = identities.mse_slope(mse, sigmas=sigmas)
    less = lambda i: identities.mse_slope(jnp.roll(mse, -i, axis=1)[:, 1:], sigmas=sigmas)[:, 0]
    without = jax.vmap(less)(jnp.arange(300))
    np.testing.assert_allclose(found[:, 1], np.std(without, axis=0) * np.sqrt(299), rtol=0.02)
    np.testing.assert_allclose(found[:, 0], 0.6, atol=0.1)
    np.testing.assert_allclose(identities.mse_slope(mse[::-1], sigmas=sigmas[::-1]), found[::-1], rtol=1e-4)


def test_images_of_numpy_are_images(prior):
    clean = np.random.default_rng(0).uniform(size=(3, 8, 8, 1))  # float64
    same, told, sigmas = jnp.asarray(clean), prior[2], np.array([0.1, 0.2])
    wide = lambda noisy: jnp.tanh(noisy) + jnp.zeros(noisy.shape, noisy.dtype)
    for call in (
        lambda images: identities.card(wide, KEY, images, sigmas=sigmas),
        lambda images: identities.card_values(wide, KEY, images, sigma=0.1),
        lambda images: identities.jacobian_moments(wide, KEY, images),
        lambda images: identities.jacobian_moments(wide, KEY, images, num_probes=None),
        lambda images: identities.asymmetry(wide, KEY, images),
        lambda images: identities.sure(wide, KEY, images, sigma=0.1),
        lambda images: identities.covariance_product(wide, images[0], images[1], sigma=0.1),
        lambda images: identities.homogeneity_error(wide, images),
        lambda images: identities.linearity_error(wide, images),
        lambda images: identities.kl_integral(told, blind(wide), KEY, images, sigmas=sigmas),
        lambda images: identities.log_likelihood(told, KEY, images, sigmas=sigmas),
    ):
        jax.tree.map(np.testing.assert_array_equal, call(clean), call(same))


def test_images_known_inside_of_jit_are_checked_there(prior):
    clean, sigmas = jnp.ones((3, 8, 8, 1)), jnp.array([0.1, 0.2])
    card = jax.jit(lambda key: identities.card(jnp.tanh, key, clean, sigmas=sigmas))(KEY)
    np.testing.assert_allclose(card.psnr, identities.card(jnp.tanh, KEY, clean, sigmas=sigmas).psnr, rtol=1e-4)
    kl = jax.jit(lambda key: identities.kl_integral(prior[2], blind(jnp.tanh), key, clean, sigmas=sigmas).kl)(KEY)
    assert np.isfinite(kl)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_intensities_that_are_not_finite_are_found_in_every_image(value, prior):
    clean, sigmas = jnp.ones((3, 8, 8, 1)).at[2, 0, 0].set(value), jnp.array([0.1, 0.2])
    for call in (
        lambda: identities.card(jnp.tanh, KEY, clean, sigmas=sigmas),
        lambda: identities.jacobian_moments(jnp.tanh, KEY, np.asarray(clean)),
        lambda: jax.jit(lambda key: identities.asymmetry(jnp.tanh, key, clean))(KEY),
        lambda: identities.log_likelihood(prior[2], KEY, clean, sigmas=sigmas),
    ):
        with pytest.raises(ValueError, match="image 2 of 3 holds NaN or infinite"):
            call()


@pytest.mark.parametrize("option", ["num_probes", "chunk"])
def test_counts_below_one_are_named(option, prior):
    clean, options = jnp.ones((3, 8, 8, 1)), {option: 0}
    for call in (
        lambda: identities.card(jnp.tanh, KEY, clean, sigmas=[0.1, 0.2], **options),
        lambda: identities.jacobian_moments(jnp.tanh, KEY, clean, **options),
        lambda: identities.asymmetry(jnp.tanh, KEY, clean, **options),
        lambda: identities.sure(jnp.tanh, KEY, clean, sigma=0.1, **options),
    ):
        with pytest.raises(ValueError, match=f"^{option} must be at least 1, got 0$"):
            call()
    with pytest.raises(ValueError, match=r"^num_draws must be at least 1, got 0$"):
        identities.log_likelihood(prior[2], KEY, clean, sigmas=[0.1, 0.2], num_draws=0)


def test_a_card_needs_two_images_and_levels(prior):
    with pytest.raises(ValueError, match="two images"):
        identities.card(jnp.tanh, KEY, jnp.ones((1, 8, 8, 1)), sigmas=[0.1, 0.2])
    with pytest.raises(ValueError, match="two noise levels"):
        identities.card(jnp.tanh, KEY, jnp.ones((3, 8, 8, 1)), sigmas=[0.1])
