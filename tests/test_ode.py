"""The probability-flow ODE as a map: orders of convergence, there and back, densities, the flow's Jacobian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from gahr.analysis.jacobian import jacobian
from gahr.classical import analytic
from gahr.denoiser import blind
from gahr.sampling import driver, heun, likelihood, ode, schedules

KEY = jax.random.key(0)
PRIOR = np.array([0.5, 0.04])  # variances of the two modes
BASIS = np.array([[0.6, 0.8], [-0.8, 0.6]])
MEAN = jnp.array([[[0.3], [0.7]]])
GAUSSIAN = analytic.gaussian(MEAN, jnp.asarray(PRIOR, jnp.float32), jnp.asarray(BASIS, jnp.float32).reshape(2, 1, 2, 1))
NOISY = MEAN + jnp.array([[[2.0], [-1.0]]])
solve = jax.jit(ode.solve, static_argnames="solver")
encode = jax.jit(ode.encode, static_argnames="solver")


def flow(s, after):
    """The exact map (2, 2) from level s to another."""
    return BASIS.T @ np.diag(np.sqrt((PRIOR + after**2) / (PRIOR + s**2))) @ BASIS


def exactly(noisy, s, after):
    return np.asarray(MEAN) + (flow(s, after) @ np.asarray(noisy - MEAN).ravel()).reshape(1, 2, 1)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("multistep", 3)])
def test_the_error_of_the_endpoint_falls_by_the_order_of_the_solver(solver, order):
    with jax.enable_x64(True):
        mean, modes = np.asarray(MEAN, np.float64), BASIS.reshape(2, 1, 2, 1)
        denoiser = analytic.gaussian(mean, PRIOR, modes)
        errors = []
        for number in (65, 129):
            levels = np.linspace(2**0.25, 0.1**0.25, number) ** 4
            found = ode._follow(denoiser, jnp.asarray(NOISY, jnp.float64), jnp.asarray(levels), solver)
            errors.append(np.abs(found - exactly(NOISY, 2, 0.1)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)
    assert errors[1] < 0.01


def test_a_blind_denoiser_drives_the_ode_by_the_ratio_of_levels_alone():
    point = blind(lambda noisy: jnp.full_like(noisy, 0.25))  # exact for one image, whatever sigma
    for scale in (1.0, 1000.0):
        found = solve(point, NOISY, sigmas=scale * jnp.array([1.0, 0.5, 0.1]))
        np.testing.assert_allclose(found, 0.25 + 0.1 * (NOISY - 0.25), rtol=1e-5)


@pytest.mark.parametrize("solver", ["heun", "multistep"])
def test_what_is_encoded_is_decoded_and_is_the_exact_noise(solver):
    sigmas = schedules.karras(sigma_max=5.0, sigma_min=0.02, num_levels=60, zero=False)
    clean = jnp.stack([MEAN + 0.3, MEAN - 0.2])
    noise = encode(GAUSSIAN, clean, sigmas=sigmas, solver=solver)
    np.testing.assert_allclose(noise, [exactly(x, 0.02, 5) for x in clean], atol=0.01)
    np.testing.assert_allclose(solve(GAUSSIAN, noise, sigmas=sigmas, solver=solver), clean, atol=2e-3)


def test_the_flow_has_the_jacobian_of_the_closed_form_by_forward_and_backward_differentiation():
    sigmas = schedules.karras(sigma_max=2.0, sigma_min=0.1, num_levels=40, zero=False)
    ends = functools.partial(ode.solve, GAUSSIAN, sigmas=sigmas)
    np.testing.assert_allclose(jax.jit(lambda y: jacobian(ends, y))(NOISY), flow(2, 0.1), atol=1e-3)
    rows = jax.jit(lambda y: jax.vmap(jax.vjp(ends, y)[1])(jnp.eye(2).reshape(2, 1, 2, 1))[0])(NOISY)
    np.testing.assert_allclose(rows.reshape(2, 2), flow(2, 0.1), atol=1e-3)


def test_heun_takes_a_key_or_noise_and_gives_what_the_driver_and_the_map_give():
    sigmas, shape = schedules.karras(sigma_max=2.0, num_levels=5), (3, 1, 2, 1)
    expected, _ = driver.sample(heun.sampler(sigmas=sigmas, mean=MEAN), GAUSSIAN, KEY, shape)
    np.testing.assert_array_equal(ode.heun(GAUSSIAN, KEY, shape, sigmas=sigmas, mean=MEAN), expected)
    noise = jax.random.normal(KEY, shape)
    mapped = ode.heun(GAUSSIAN, noise, shape, sigmas=sigmas, chunk=2)
    np.testing.assert_allclose(mapped, solve(GAUSSIAN, noise, sigmas=sigmas), atol=1e-6)
    bad = ode.heun(lambda noisy, sigma: noisy * jnp.nan, noise, shape, sigmas=sigmas)
    assert jnp.isnan(bad).all()
    with pytest.raises(ValueError, match=r"start must be a key or noise of shape \(3, 1, 2, 1\), got shape \(2, 1, 2"):
        ode.heun(GAUSSIAN, noise[:2], shape, sigmas=sigmas)


# ---- density ----


def gaussian_log_density(images, covariance):
    flat = np.asarray(images - MEAN[None], np.float64).reshape(-1, 2)
    return -np.einsum("ni,ij,nj->n", flat, np.linalg.inv(covariance), flat) / 2 - np.log(
        2 * np.pi * np.sqrt(np.linalg.det(covariance))
    )


LEVELS = schedules.geometric(sigma_max=50.0, sigma_min=0.05, num_levels=200)
log_likelihood = jax.jit(likelihood.log_likelihood, static_argnames="num_probes")


def test_the_density_of_a_gaussian_is_the_closed_form_exactly_and_by_probes():
    images = MEAN[None] + jax.random.normal(KEY, (6, 1, 2, 1)) * 0.3
    expected = gaussian_log_density(images, BASIS.T @ np.diag(PRIOR + 0.05**2) @ BASIS)
    assert np.ptp(expected) > 2
    found = log_likelihood(GAUSSIAN, KEY, images, sigmas=LEVELS, mean=MEAN)
    np.testing.assert_allclose(found, expected, atol=0.01)
    # v . J v of one probe v = (1, +-1) is tr J +- 2 J_01 at every level
    lack = np.array([np.log(50**2 + l) - np.log(0.05**2 + l) for l in PRIOR])  # integral of 2 l / (l + sigma^2)
    spread = abs((BASIS.T @ np.diag(np.log(50 / 0.05) - lack / 2) @ BASIS)[0, 1] * 2)
    probed = log_likelihood(GAUSSIAN, KEY, images, sigmas=LEVELS, num_probes=1, mean=MEAN)
    np.testing.assert_allclose(np.abs(probed - expected), spread, atol=0.02)
    assert len({*np.sign(np.asarray(probed) - expected)}) == 2


def test_the_density_of_a_mixture_is_the_closed_form_and_a_start_with_its_covariance_needs_no_wide_levels():
    weights, means = np.array([0.3, 0.7]), np.array([[0.0, 0.3], [1.0, 0.6]])
    prior = analytic.mixture(
        jnp.asarray(weights), jnp.asarray(means, jnp.float32).reshape(2, 1, 2, 1), jnp.full((2, 2), 0.02),
        jnp.broadcast_to(jnp.eye(2).reshape(2, 1, 2, 1), (2, 2, 1, 2, 1)),
    )  # fmt: skip
    points = np.array([[0.1, 0.3], [0.5, 0.5], [0.9, 0.5], [1.2, 0.2]])
    variance = 0.02 + 0.05**2
    distances = np.sum((points[:, None] - means[None]) ** 2, -1)
    expected = np.log(np.exp(-distances / (2 * variance)) @ weights / (2 * np.pi * variance))
    images, centre = (jnp.asarray(values, jnp.float32).reshape(-1, 1, 2, 1) for values in (points, weights @ means))
    found = log_likelihood(prior, KEY, images, sigmas=LEVELS, mean=centre[0])
    np.testing.assert_allclose(found, expected, atol=0.01)
    factor = jnp.asarray(np.sqrt(PRIOR)[:, None] * BASIS, jnp.float32).reshape(2, 1, 2, 1)
    few = schedules.geometric(sigma_max=0.5, sigma_min=0.05, num_levels=60)
    images = MEAN[None] + 0.2 * jax.random.normal(KEY, (3, 1, 2, 1))
    found = likelihood.log_likelihood(GAUSSIAN, KEY, images, sigmas=few, mean=MEAN, factor=factor)
    np.testing.assert_allclose(
        found, gaussian_log_density(images, BASIS.T @ np.diag(PRIOR + 0.05**2) @ BASIS), atol=0.01
    )


# ---- between two samples ----


def test_images_between_two_noisy_ones_have_their_noise_and_the_ends_are_they():
    one, other = 0.5 + jax.random.normal(KEY, (2, 16, 16, 1))
    between = ode.slerp(one, other, jnp.array([0.0, 0.3, 1.0]))
    np.testing.assert_allclose(between[jnp.array([0, 2])], jnp.stack([one, other]), atol=1e-5)
    norms = jnp.linalg.norm((between - 0.5).reshape(3, -1), axis=1)
    assert min(norms[0], norms[2]) - 0.1 < norms[1] < max(norms[0], norms[2]) + 0.1
    angle = lambda a, b: np.arccos(np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
    a, middle, b = np.asarray(between - 0.5)
    assert angle(a, middle) / angle(a, b) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ode.solve(GAUSSIAN, NOISY, sigmas=[0.1, 1.0]), "sigmas must fall"),
        (
            lambda: ode.solve(GAUSSIAN, NOISY, sigmas=[1.0, 0.1], solver="hein"),
            "unknown solver 'hein'; did you mean heun",
        ),
        (lambda: ode.encode(GAUSSIAN, NOISY, sigmas=[1.0, 0.0]), "sigmas must be above 0, got 0.0"),
        (lambda: likelihood.log_likelihood(GAUSSIAN, KEY, NOISY[None], sigmas=[1.0, 0.0]), "sigmas must be above 0"),
        (
            lambda: likelihood.log_likelihood(GAUSSIAN, KEY, NOISY[None], sigmas=[1.0, 0.1], num_probes=0),
            "num_probes must be a whole number from 1",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_trajectory_that_is_not_finite_says_from_which_step_on():
    """NaN below sigma = 0.3, which the second step of three reaches; a caller's jit gets the NaN."""
    broken = lambda noisy, sigma: jnp.where(sigma[:, None, None, None] < 0.3, jnp.nan, noisy / 2)
    sigmas = jnp.array([1.0, 0.5, 0.2, 0.1])
    with pytest.raises(ValueError, match=r"not finite from step 3 on, sigma 0.2 to 0.1: the denoiser diverges"):
        ode.solve(broken, NOISY, sigmas=sigmas, solver="euler")
    assert np.isnan(solve(Partial(broken), NOISY, sigmas=sigmas, solver="euler")).all()
