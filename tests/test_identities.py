"""Traces, norms, slopes and integrals against closed forms, and departures from D(y) = J(y) y."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from gahr import metrics, noise
from gahr.analysis import identities, probes
from gahr.classical import analytic
from gahr.classical.analytic import gaussian
from gahr.denoiser import at, blind

KEY = jax.random.key(0)
BASIS = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)
VECTORS = BASIS.reshape(64, 8, 8, 1)
EIGENVALUES = np.geomspace(1, 1e-4, 64).astype(np.float32)
EXACT = gaussian(jnp.zeros((8, 8, 1)), EIGENVALUES, VECTORS)  # posterior mean of a Gaussian prior
MATRIX = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32) / 8 + np.eye(64, dtype=np.float32)
moments = jax.jit(identities.jacobian_moments, static_argnames=("num_probes", "chunk"))


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw(number, seed, *, eigenvalues=EIGENVALUES):
    """Images (number, 8, 8, 1) of the prior."""
    coefficients = np.sqrt(eigenvalues) * np.random.default_rng(seed).normal(size=(number, 64))
    return jnp.asarray(coefficients @ BASIS, jnp.float32).reshape(number, 8, 8, 1)


def linear(matrix):
    return Partial(lambda matrix, y: (y.reshape(*y.shape[:-3], 64) @ matrix.T).reshape(y.shape), matrix)


@pytest.mark.parametrize(
    ("matrix", "num_probes"), [(BASIS.T * (EIGENVALUES / (EIGENVALUES + 0.01)) @ BASIS, 16), (MATRIX, 16), (MATRIX, 1)]
)
def test_moments_of_a_matrix_are_unbiased_for_any_number_of_probes(matrix, num_probes):
    found = moments(linear(matrix), KEY, normal(1, (200, 8, 8, 1)), num_probes=num_probes)
    matrix = np.asarray(matrix, np.float64)
    for estimate, form in ((found.trace, matrix), (found.energy, matrix.T @ matrix)):
        symmetric = (form + form.T) / 2
        variance = 2 * (np.sum(symmetric**2) - np.sum(np.diag(symmetric) ** 2))  # of v.(form v), v random signs
        assert estimate.shape == (200,)
        assert abs(np.mean(estimate) - np.trace(form)) < 4 * np.sqrt(variance / 200 / num_probes)
        assert np.std(estimate) == pytest.approx(np.sqrt(variance / num_probes), rel=0.4)


def test_moments_of_a_pixelwise_square_are_exact_at_each_image():
    noisy = normal(3, (7, 4, 4, 2))
    found = moments(Partial(jnp.square), KEY, noisy, num_probes=2, chunk=4)
    np.testing.assert_allclose(found.trace, 2 * np.sum(noisy, (1, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.energy, 4 * np.sum(noisy**2, (1, 2, 3)), rtol=1e-4)


def test_exact_moments_and_chunks():
    gains = EIGENVALUES / (EIGENVALUES + 0.01)
    for chunk in (5, 64):
        measure = jax.jit(lambda y, n=chunk: probes.jacobian_moments(at(EXACT, 0.1), KEY, y, num_probes=None, chunk=n))
        found = measure(normal(4, (3, 8, 8, 1)))
        np.testing.assert_allclose(found.trace, gains.sum(), rtol=1e-4)
        np.testing.assert_allclose(found.energy, np.sum(gains**2), rtol=1e-4)


def test_slope_is_the_ratio_of_means_over_the_images():
    moments = probes.JacobianMoments(trace=np.array([1.0, 3.0]), energy=np.array([2.0, 4.0]))
    assert float(moments.slope()) == pytest.approx(1.5)


def test_slope_of_an_exact_denoiser_is_that_of_its_measured_psnr():
    clean = draw(4000, 4)
    per_image = jax.jit(lambda level: metrics.mse(clean, EXACT(noise.add_noise(KEY, clean, level), level)))
    slope = jax.jit(
        lambda sigma: identities.jacobian_moments(
            at(EXACT, sigma), KEY, noise.add_noise(KEY, clean[:256], sigma), num_probes=8, chunk=64
        ).slope()
    )
    for sigma in (0.05, 0.3):
        gains = np.asarray(EIGENVALUES / (EIGENVALUES + sigma**2), np.float64)
        near = np.array([sigma * 0.95, sigma * 1.05])
        psnr = [-10 * np.log10(np.asarray(per_image(level), np.float64).mean()) for level in near]
        theory = np.sum(gains**2) / np.sum(gains)
        assert np.subtract(*psnr) / np.subtract(*(-20 * np.log10(near))) == pytest.approx(theory, abs=0.02)
        assert float(slope(sigma)) == pytest.approx(theory, abs=0.01)


def test_an_affine_denoiser_departs_by_its_constant():
    noisy, constant = normal(5, (3, 4, 4, 2)), normal(6, (1, 4, 4, 2))
    affine = Partial(lambda noisy: 0.5 * noisy + constant)
    expected = np.linalg.norm(constant) / np.sqrt(np.sum(np.square(0.5 * noisy + constant), axis=(1, 2, 3)))
    np.testing.assert_allclose(jax.jit(identities.linearity_error)(affine, noisy), expected, rtol=1e-5)
    for factor in (0.25, 3.0):  # |(1 - c) b| / |c D(y)|
        found = jax.jit(identities.homogeneity_error)(affine, noisy, factor=factor)
        np.testing.assert_allclose(found, abs(1 - factor) / factor * expected, rtol=1e-5)


def test_sure_estimates_the_mean_squared_error_also_of_a_denoiser_that_is_not_optimal():
    clean = draw(2000, 5)

    @jax.jit
    def measured(sigma, told):
        noisy, denoiser = noise.add_noise(jax.random.key(6), clean, sigma), at(EXACT, told)
        found = identities.sure(denoiser, KEY, noisy, sigma=sigma, num_probes=2, chunk=200)
        return found, metrics.mse(clean, denoiser(noisy))

    for sigma in (0.05, 0.5):
        found, mse = measured(sigma, sigma)
        theory = np.mean(sigma**2 * EIGENVALUES / (EIGENVALUES + sigma**2))
        error = found.std() / np.sqrt(len(found))
        assert abs(found.mean() - theory) < 4 * error
        assert error < 0.05 * sigma**2  # so that a missing or doubled term is seen
        np.testing.assert_allclose(mse.mean(), theory, rtol=0.05)
    found, mse = measured(0.3, 0.6)
    assert abs((found - mse).mean()) < min(4 * (found - mse).std() / np.sqrt(2000), 0.02 * 0.3**2)


WIDE = np.geomspace(1, 0.1, 64).astype(np.float32)
WIDE_EXACT = gaussian(jnp.zeros((8, 8, 1)), WIDE, VECTORS)
kl_integral = jax.jit(identities.kl_integral)


def test_kl_integral_between_two_gaussians():
    """KL(N(0, C) | N(0, C')) = sum (l/l' - 1 - ln(l/l')) / 2 in a common basis."""
    factor = np.linspace(0.5, 1.5, 64).astype(np.float32)
    other, clean = gaussian(jnp.zeros((8, 8, 1)), WIDE * factor, VECTORS), draw(2000, 10, eigenvalues=WIDE)
    theory = np.sum(1 / factor - 1 + np.log(factor)) / 2
    sigmas = np.geomspace(0.03, 30, 60)
    found = kl_integral(other, WIDE_EXACT, KEY, clean, sigmas=sigmas)
    total = found.kl + found.below
    assert abs(total - theory) < 4 * found.standard_error + 0.005 * theory
    assert found.standard_error < 0.02 * theory
    assert found.below < 0.02 * theory
    np.testing.assert_allclose(found.prior, WIDE.sum() / 1800, rtol=0.1)
    same = kl_integral(WIDE_EXACT, WIDE_EXACT, KEY, clean, sigmas=sigmas)
    assert same.kl == same.below == 0


def test_the_price_of_the_prior_is_not_the_integral_above():
    """Two Gaussians of means 0 and m: above sigma lies KL_sigma = sum_k <m, u_k>^2 / (l_k + sigma^2) / 2."""
    clean, mean = draw(2000, 14), 2 * np.ones((8, 8, 1), np.float32)
    squares = np.sum(BASIS * mean.ravel(), 1) ** 2
    start, stop = (np.sum(squares / (EIGENVALUES + sigma**2)) / 2 for sigma in (0.1, 2.0))
    found = kl_integral(gaussian(mean, EIGENVALUES, VECTORS), EXACT, KEY, clean, sigmas=np.geomspace(0.1, 2, 60))
    np.testing.assert_allclose(found.kl, start - stop, rtol=1e-2)
    noised = EIGENVALUES / 4  # variances of p_sigma_max are 4 (1 + noised)
    assert np.sum(noised - np.log1p(noised)) / 2 <= found.prior < stop / 10


def test_kl_integral_diverges_for_point_masses_against_a_smooth_law():
    points = draw(5, 11)
    found = kl_integral(EXACT, analytic.points(points), KEY, points, sigmas=np.geomspace(1e-3, 1e-2, 5))
    assert found.below == np.inf


def test_log_likelihood_of_a_gaussian_from_levels_that_leave_two_tails():
    clean = draw(2000, 12, eigenvalues=WIDE)
    coefficients = np.asarray(clean).reshape(2000, 64) @ BASIS.T
    likelihood = jax.jit(identities.log_likelihood, static_argnames="num_draws")
    found = likelihood(WIDE_EXACT, KEY, clean, sigmas=np.geomspace(0.1, 10, 40), num_draws=16)
    difference = found + 0.5 * np.sum(coefficients**2 / WIDE + np.log(2 * np.pi * WIDE), 1)
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(2000) + 0.1
    assert abs(difference.mean()) < 0.5  # of 64 ln 2 = 44 for a wrong factor of the intensities, and 1 for the tails
    assert np.corrcoef(found, found - difference)[0, 1] > 0.7


def test_the_card_of_an_exact_denoiser_agrees_with_itself():
    clean = draw(400, 13)
    measure = jax.jit(
        lambda c: identities.card(at(EXACT, 0.2), KEY, c, sigmas=[0.19, 0.2, 0.21], num_probes=2, chunk=100)
    )
    card = measure(clean)
    gains = EIGENVALUES / (EIGENVALUES + 0.04)
    np.testing.assert_allclose(card.trace[1, 0], gains.sum(), rtol=0.02)
    np.testing.assert_allclose(card.energy[1, 0], np.sum(gains**2), rtol=0.03)
    np.testing.assert_allclose(card.slope[1, 0], np.sum(gains**2) / gains.sum(), rtol=0.03)
    for difference in (card.sure_error, card.excess):
        assert abs(difference[1, 0]) < 4 * difference[1, 1]
        assert difference[1, 1] < 0.1 * card.mse[1, 0]  # so that a missing or doubled term is seen
    assert card.asymmetry.max() < 1e-5
    assert card.homogeneity_error.max() < 1e-5
    lines = identities.card_lines(jax.tree.map(np.asarray, card))
    assert len(lines) == len(card)
    assert len({len(line) for line in lines}) == 1


def test_the_measured_slope_of_a_mixture_is_its_identity_and_not_the_slope_of_its_mean_psnr():
    law = jnp.ones(2) / 2, jnp.zeros((2, 8, 8, 1)), jnp.stack([EIGENVALUES, 1e-3 * EIGENVALUES])
    exact = analytic.mixture(*law, jnp.stack([VECTORS, VECTORS]))
    clean = draw(2000, 15).at[1000:].multiply(1e-3**0.5)
    sigmas = np.array([0.095, 0.1, 0.105], np.float32)
    measure = jax.jit(lambda s: identities.card_values(at(exact, s), KEY, clean, sigma=s, num_probes=2, chunk=500))
    values = [jax.tree.map(np.asarray, measure(sigma)) for sigma in sigmas]
    card = jax.jit(identities.card_of)(jax.tree.map(lambda *each: np.stack(each), *values), sigmas=sigmas)
    (measured, error), (identity, other_error) = card.measured_slope[1], card.slope[1]
    assert abs(measured - identity) < 4 * np.hypot(error, other_error)
    assert error < 0.02
    of_mean_psnr = np.gradient(card.psnr[:, 0])[1] / np.gradient(-20 * np.log10(sigmas))[1]
    assert abs(of_mean_psnr - identity) > 0.1


def test_the_error_of_the_slope_is_that_of_the_jackknife():
    sigmas = np.geomspace(0.01, 1, 5).astype(np.float32)
    draws = np.random.default_rng(0).uniform(0.5, 1.5, (5, 300)).astype(np.float32)
    mse = sigmas[:, None] ** 1.2 * draws * np.linspace(0.1, 10, 300, dtype=np.float32)
    slope = jax.jit(identities.mse_slope)
    found = slope(mse, sigmas=sigmas)
    without = jax.jit(jax.vmap(lambda i: slope(jnp.roll(mse, -i, axis=1)[:, 1:], sigmas=sigmas)[:, 0]))(jnp.arange(300))
    np.testing.assert_allclose(found[:, 1], np.std(without, axis=0) * np.sqrt(299), rtol=0.02)
    np.testing.assert_allclose(found[:, 0], 0.6, atol=0.1)
    np.testing.assert_allclose(slope(mse[::-1], sigmas=sigmas[::-1]), found[::-1], rtol=1e-4)


@pytest.mark.parametrize("option", ["num_probes", "chunk", "num_draws"])
def test_counts_below_one_are_named(option):
    clean, options, sigmas = jnp.ones((3, 8, 8, 1)), {option: 0}, [0.1, 0.2]
    calls = [
        lambda: identities.card(jnp.tanh, KEY, clean, sigmas=sigmas, **options),
        lambda: identities.jacobian_moments(jnp.tanh, KEY, clean, **options),
        lambda: identities.asymmetry(jnp.tanh, KEY, clean, **options),
        lambda: identities.sure(jnp.tanh, KEY, clean, sigma=0.1, **options),
    ]
    if option == "num_draws":
        calls = [lambda: identities.log_likelihood(blind(jnp.tanh), KEY, clean, sigmas=sigmas, **options)]
    for call in calls:
        with pytest.raises(ValueError, match=f"^{option} must be at least 1, got 0$"):
            call()
