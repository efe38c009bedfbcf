"""Linear inverse problems: operators, limits, the posterior of a Gaussian, and the methods beside."""

import functools
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.classical import analytic
from gahr.sampling import (
    ancestral,
    blind,
    constraint,
    driver,
    euler,
    guidance,
    inverse,
    measurements,
    restoration,
    schedules,
    splitting,
)

KEY = jax.random.key(0)
SIDE = 8
SHAPE = (SIDE, SIDE, 1)
ROWS = np.random.default_rng(0).normal(size=(10, 2 * SIDE**2)) @ np.diag(np.tile([1, 0.1], SIDE**2))
ROWS[-1] = ROWS[0]  # of rank 9
BLUR = np.zeros((SIDE, SIDE))
BLUR[0, :2], BLUR[:2, 0], BLUR[0, 0] = 0.25, 0.25, 0.4
COLOUR = (SIDE, SIDE, 2)
OPERATORS = {  # name -> measurement of colour images, values measured
    "nothing": (lambda: measurements.nothing(COLOUR), 0),
    "hole": (lambda: measurements.hole(COLOUR, side=3, centre=(7, 2)), 2 * (64 - 2 * 3)),
    "random_pixels": (lambda: measurements.random_pixels(KEY, COLOUR, fraction=0.3), 38),
    "block_means": (lambda: measurements.block_means(COLOUR, factor=2), 32),
    "low_pass": (lambda: measurements.low_pass(COLOUR, fraction=0.4), 2 * 25),
    "low_pass of all": (lambda: measurements.low_pass(COLOUR, fraction=1.0), 128),
    "random_basis": (lambda: measurements.random_basis(KEY, COLOUR, fraction=0.3), 38),
    "matrix": (lambda: measurements.matrix(ROWS, COLOUR)[0], 9),
    "deblurring": (lambda: measurements.deblurring(COLOUR, kernel=BLUR, threshold=0.5)[0], None),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_measured_is_an_orthonormal_part_of_the_image(name):
    make, number = OPERATORS[name]
    measurement = make()
    images, others = jax.random.normal(KEY, (2, 3, *COLOUR))
    observed = measurement.measure(images)
    assert number is None or observed[0].size == number
    norm = lambda array: float(np.linalg.norm(np.asarray(array, np.float64).ravel()))
    again, projected = measurement.measure(measurement.adjoint(observed)), measurement.project(images)
    assert norm(again - observed) <= 1e-6 * norm(images)  # M^T M = I
    assert norm(measurement.project(projected) - projected) <= 1e-6 * norm(images)
    pairs = (projected, others), (images, measurement.project(others))
    inner, other = (np.vdot(*(np.asarray(array, np.float64) for array in pair)) for pair in pairs)
    assert abs(inner - other) <= 1e-6 * norm(images) * norm(others)
    assert norm(observed) == pytest.approx(norm(projected), rel=1e-6)
    np.testing.assert_allclose(measurement.measure(images[1]), observed[1], atol=1e-6)  # any leading axes


def test_operators_measure_what_their_names_say():
    images = jax.random.normal(KEY, (2, *COLOUR))
    blocks = measurements.block_means(COLOUR, factor=4)
    means = np.asarray(images).reshape(2, 2, 4, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(blocks.measure(images) / 4, means, atol=1e-6)
    smooth = measurements.low_pass(COLOUR, fraction=0.4).project(images)  # |k| <= 2
    spectrum = np.fft.fft2(images, axes=(1, 2))
    k = np.abs(np.fft.fftfreq(SIDE, 1 / SIDE))
    kept = (k[:, None] <= 2) & (k[None] <= 2)
    np.testing.assert_allclose(np.fft.fft2(smooth, axes=(1, 2)), spectrum * kept[None, :, :, None], atol=1e-4)
    measurement, coordinates = measurements.matrix(ROWS, COLOUR)
    values = np.asarray(images, np.float64).reshape(2, -1) @ ROWS.T
    np.testing.assert_allclose(coordinates(jnp.asarray(values, jnp.float32)), measurement.measure(images), atol=1e-5)
    measurement, coordinates = measurements.deblurring(COLOUR, kernel=BLUR, threshold=0.5)
    blurred = np.fft.ifft2(spectrum * np.fft.fft2(BLUR)[None, :, :, None], axes=(1, 2)).real
    np.testing.assert_allclose(coordinates(jnp.asarray(blurred, jnp.float32)), measurement.measure(images), atol=1e-5)
    assert 0 < measurement.measure(images)[0].size < 128
    hole = measurements.hole((9, 9, 1), side=3).project(jnp.ones((9, 9, 1)))[..., 0]
    np.testing.assert_array_equal(hole, np.pad(np.zeros((3, 3)), 3, constant_values=1))


# ---- the constrained ascent ----


def flat(noisy):
    return 0.5 + 0.1 * jnp.tanh(noisy - 0.5)


def test_with_nothing_measured_the_solver_is_the_sampler_bit_for_bit():
    options = dict(step_size=0.1, beta=0.5, growing=True, sigma_stop=0.1, final_denoise=True, max_steps=50)
    expected = jax.jit(lambda key: blind.ascend(flat, key, (3, *SHAPE), **options))(KEY)
    nothing = measurements.nothing(SHAPE)
    found = jax.jit(lambda key: inverse.solve(flat, key, nothing, jnp.zeros((3, 0)), **options))(KEY)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_pieces_compile_once_for_measurements_of_one_kind():
    traced = []

    def watched(noisy):
        traced.append(noisy)
        return flat(noisy)

    def solved(seed):
        known = measurements.random_pixels(jax.random.key(seed), SHAPE, fraction=0.5)
        options = dict(beta=0.5, max_steps=100, progress=Mock())
        return inverse.solve(watched, KEY, known, known.measure(jnp.ones((2, *SHAPE))), **options)[0]

    one, compiled, other = solved(0), len(traced), solved(1)
    assert len(traced) == compiled > 0
    assert not np.allclose(one, other)


def test_the_start_has_what_was_observed_in_place_of_the_mean():
    known = measurements.random_pixels(KEY, SHAPE, fraction=0.5)
    observed = jax.random.uniform(KEY, (2, 32))
    sampler = blind.sampler(mean=0.3, sigma_start=1e-6, sigma_stop=1e-7)
    images = constraint.constrain(sampler, known, observed, mean=0.3).init(jax.random.split(KEY), SHAPE).images
    np.testing.assert_allclose(known.measure(images), observed, atol=1e-5)
    np.testing.assert_allclose(
        images - known.project(images), 0.3 * (1 - known.project(jnp.ones(images.shape))), atol=1e-5
    )


def test_with_everything_measured_the_solver_returns_the_image():
    images = jax.random.uniform(KEY, (3, *SHAPE))
    everything = measurements.pixels(np.ones(SHAPE, bool))
    solve = jax.jit(lambda c: inverse.solve(flat, KEY, everything, c, beta=0.5, max_steps=100))
    samples, trace = solve(everything.measure(images))
    np.testing.assert_allclose(samples, images, atol=1e-6)
    assert 0 < trace.steps.min() <= trace.steps.max() < 100


def low_rank(number, variances):
    """Basis (K, d), factor, and the blind posterior mean, which sees sigma off the subspace."""
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (SIDE**2, len(variances))))[0].T
    told = analytic.gaussian(jnp.full(SHAPE, 0.5), variances, basis.reshape(-1, *SHAPE))

    def denoiser(noisy):
        off = (noisy - 0.5).reshape(len(noisy), -1)
        off = off - off @ basis.T @ basis
        return told(noisy, jnp.sqrt(jnp.sum(off**2, 1) / (SIDE**2 - len(variances))))

    return np.asarray(basis, np.float64), jnp.sqrt(variances)[:, None, None, None] * basis.reshape(-1, *SHAPE), denoiser


VARIANCES = jnp.array([0.3, 0.2, 0.1, 0.05])


@pytest.fixture(scope="module")
def gaussian():
    """Basis, factor and denoiser; measurement of two sums of two modes each, and c; the sums and their values."""
    basis, factor, denoiser = low_rank(4, VARIANCES)
    sums, values = np.array([[1, 1, 0, 0], [0, 0, 1, 1]]) / 2**0.5, np.array([0.3, -0.2])
    measurement, coordinates = measurements.matrix(sums @ basis, SHAPE)
    observed = coordinates(jnp.asarray(values + 0.5 * sums @ basis.sum(1), jnp.float32))
    return basis, factor, denoiser, measurement, observed, sums, values


def posterior(sums, values, sigma):
    """Mean and covariance of the modes, given noisy values of their sums."""
    prior = np.diag(np.asarray(VARIANCES, np.float64))
    gain = prior @ sums.T @ np.linalg.inv(sums @ prior @ sums.T + sigma**2 * np.eye(2))
    return gain @ values, prior - gain @ sums @ prior


@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_slow_ascent_recovers_the_posterior_mean_and_covariance_of_a_gaussian(gaussian, sigma):
    basis, _, denoiser, measurement, observed, mean, covariance = *gaussian[:5], *posterior(*gaussian[5:], sigma)
    number = 1000

    @jax.jit
    def solve(observed):
        options = dict(step_size=0.1, beta=0.2, growing=False, max_steps=400, chunk=number, sigma_observed=sigma)
        return inverse.solve(denoiser, KEY, measurement, jnp.broadcast_to(observed, (number, 2)), **options)

    samples, trace = solve(observed)
    assert trace.steps.max() < 400
    assert not trace.diverged.any()
    modes = np.asarray(samples - 0.5, np.float64).reshape(number, -1) @ basis.T
    if not sigma:
        np.testing.assert_allclose(measurement.measure(samples), np.tile(observed, (number, 1)), atol=1e-5)
    spread = np.sqrt(np.diag(covariance))
    bias = np.array([0.03, 0.03, 0.07, 0.07]) * spread  # of steps so long, from the recursion of the law of y
    assert (np.abs(modes.mean(0) - mean) < 4 * spread / number**0.5 + bias).all()
    correlation = covariance / np.outer(spread, spread)
    found = np.cov(modes.T) / np.outer(spread, spread)
    assert (np.abs(found - correlation) < 4 * np.sqrt((1 + correlation**2) / number)).all()


def test_any_sampler_can_be_constrained():
    told = analytic.gaussian(jnp.full(SHAPE, 0.5), jnp.full(64, 0.2), jnp.eye(64).reshape(64, *SHAPE))
    known = measurements.random_pixels(KEY, SHAPE, fraction=0.5)
    observed = jax.random.uniform(KEY, (3, 32))
    sampler = euler.sampler(sigmas=schedules.karras(sigma_max=5.0, num_levels=10))
    samples, trace = driver.sample(constraint.constrain(sampler, known, observed), told, KEY, (3, *SHAPE))
    np.testing.assert_allclose(known.measure(samples), observed, atol=1e-5)
    assert trace.steps.tolist() == [10] * 3
    free, _ = driver.sample(sampler, told, KEY, (3, *SHAPE))
    rest = measurements.pixels(np.asarray(known.project(jnp.ones(SHAPE))) == 0)
    np.testing.assert_allclose(rest.measure(samples), rest.measure(free), atol=1e-5)  # pixels are independent


# ---- the methods beside ----


@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_wiener_is_the_posterior_mean_of_a_gaussian(gaussian, sigma):
    basis, factor, _, measurement, observed, *known = gaussian
    options = dict(mean=jnp.full(SHAPE, 0.5), factor=factor, sigma_observed=sigma)
    found = restoration.wiener(measurement, observed[None], **options)
    modes = np.asarray(found - 0.5, np.float64).reshape(1, -1) @ basis.T
    np.testing.assert_allclose(modes[0], posterior(*known, sigma)[0], atol=1e-4)


def test_plug_and_play_ends_at_the_minimum_of_its_two_terms():
    variance, sigma, tau = 0.3, 0.2, 0.1
    told = analytic.gaussian(jnp.full(SHAPE, 0.5), jnp.full(64, variance), jnp.eye(64).reshape(64, *SHAPE))
    known = measurements.random_pixels(KEY, SHAPE, fraction=0.5)
    observed = jax.random.uniform(KEY, (2, 32))
    levels = sigma * np.linspace(1.0001, 1, 200)  # as good as fixed
    for noise, strength in ((0.0, 0.23), (tau, 0.5)):
        options = dict(sigmas=levels, sigma_observed=noise, strength=strength)
        found = splitting.plug_and_play(told, known, observed, **options)
        gain, weight = variance / (variance + sigma**2), sigma**2 / (sigma**2 + strength * noise**2)
        expected = 0.5 + weight * (observed - 0.5) / (1 - (1 - weight) * gain)
        np.testing.assert_allclose(known.measure(found), expected, atol=1e-3)
        np.testing.assert_allclose((found - known.project(found)).max(), 0.5, atol=1e-3)


def test_plug_and_play_goes_on_from_what_it_is_given():
    told = analytic.gaussian(jnp.full(SHAPE, 0.5), jnp.full(64, 0.3), jnp.eye(64).reshape(64, *SHAPE))
    known, begin = measurements.random_pixels(KEY, SHAPE, fraction=0.5), jax.random.uniform(KEY, (2, *SHAPE))
    options = dict(sigmas=np.array([0.5, 0.2]), start=begin)
    found = splitting.plug_and_play(told, known, jnp.zeros((2, 32)), **options)
    expected = 0.5 + 0.3 / 0.55 * 0.3 / 0.34 * (begin - 0.5)
    np.testing.assert_allclose(found, expected - known.project(expected), atol=1e-6)


def test_guidance_is_an_ancestral_step_less_the_gradient_in_their_unit():
    shape, sigmas, strength = (3, *SHAPE), np.array([0.6, 0.4]), 0.7
    gains = jnp.linspace(0.2, 0.9, 64).reshape(SHAPE)
    linear = lambda noisy, sigma: gains[None] * noisy
    known = measurements.random_pixels(KEY, SHAPE, fraction=0.5)
    observed = jax.random.uniform(jax.random.key(3), (3, 32))
    run = lambda sampler: driver.sample(sampler, linear, KEY, shape, frame_every=1)
    guided, trace = run(guidance.guided(known, observed, sigmas=sigmas, strength=strength))
    plain, _ = run(ancestral.sampler(sigmas=sigmas))
    lack = observed - known.measure(gains[None] * trace.frames[0])
    towards = gains[None] * known.adjoint(lack / jnp.linalg.norm(lack, axis=1, keepdims=True))
    # x_t of images in [-1, 1] moves by strength times the gradient of twice the distance: ours by half of both roots
    scale = strength / 2 * np.sqrt((1 + 4 * 0.6**2) * (1 + 4 * 0.4**2))
    np.testing.assert_allclose(guided - plain, scale * towards, atol=1e-5)


def test_guidance_leads_to_the_observation():
    told = analytic.gaussian(jnp.full(SHAPE, 0.5), jnp.full(64, 0.05), jnp.eye(64).reshape(64, *SHAPE))
    known = measurements.random_pixels(KEY, SHAPE, fraction=0.5)
    observed = jax.random.uniform(KEY, (3, 32))
    sampler = functools.partial(guidance.guided, known, observed, sigmas=schedules.ddpm(num_levels=100))
    samples, trace = driver.sample(sampler(strength=0.3), told, KEY, (3, *SHAPE))
    assert not trace.diverged.any()
    missed = lambda images: float(jnp.mean((known.measure(images) - observed) ** 2)) ** 0.5
    free, _ = driver.sample(ancestral.sampler(sigmas=schedules.ddpm(num_levels=100)), told, KEY, (3, *SHAPE))
    assert missed(samples) < 0.3 * missed(free)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: inverse.solve(flat, KEY, measurements.block_means(SHAPE, factor=2), jnp.zeros((1, 3, 3, 1))),
            r"observed must be \(N, 4, 4, 1\) for images \(8, 8, 1\), got shape \(1, 3, 3, 1\)",
        ),
        (lambda: measurements.block_means(SHAPE, factor=3), "factor must divide the sides 8 and 8 of the images"),
        (lambda: measurements.hole(SHAPE, side=9), "side must be a whole number from 1 to 8, got 9"),
        (lambda: measurements.random_pixels(KEY, SHAPE, fraction=0.0), "fraction must be above 0"),
        (lambda: measurements.random_basis(KEY, SHAPE, fraction=1.5), "fraction must be above 0"),
        (lambda: measurements.pixels(np.ones((8, 8))), r"mask must be bool \(H, W, C\), got 'float64 \(8, 8\)'"),
        (lambda: measurements.frequencies(np.eye(8, dtype=bool, k=1)[..., None]), "mask must be symmetric"),
        (lambda: measurements.matrix(np.ones((3, 63)), SHAPE), r"rows must be \(m, 64\) for images \(8, 8, 1\)"),
        (lambda: measurements.deblurring(SHAPE, kernel=np.ones((3, 3))), r"kernel must be of shape \(8, 8\)"),
        (lambda: measurements.deblurring(SHAPE, kernel=BLUR, threshold=5.0), "threshold must be below the largest"),
        (
            lambda: inverse.solve(flat, KEY, measurements.nothing(SHAPE), jnp.zeros((1, 0)), sigma_observed=-1.0),
            "sigma_observed must be a number from 0",
        ),
        (
            lambda: guidance.guided(measurements.nothing(SHAPE), jnp.zeros((1, 0)), sigmas=[1.0, 0.1], strength=0.0),
            "strength must be a positive number",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
