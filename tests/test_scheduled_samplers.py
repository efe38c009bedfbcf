"""Samplers that go through given levels: on a Gaussian prior against their own recursions, mixtures, equalities."""

import functools
import itertools
from unittest.mock import Mock, call

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.classical import analytic
from gahr.sampling import SAMPLERS, driver, schedules, start

KEY = jax.random.key(0)
NUMBER = 10_000
PRIOR = np.array([0.5, 0.04])  # variances of the two modes
BASIS = np.array([[0.6, 0.8], [-0.8, 0.6]])
MEAN = jnp.array([[[0.3], [0.7]]])
GAUSSIAN = analytic.gaussian(MEAN, jnp.asarray(PRIOR, jnp.float32), jnp.asarray(BASIS, jnp.float32).reshape(2, 1, 2, 1))
FACTOR = jnp.asarray(np.sqrt(PRIOR)[:, None] * BASIS, jnp.float32).reshape(2, 1, 2, 1)
LEVELS = np.geomspace(1, 0.1, 8)
TO_ZERO = np.append(LEVELS, 0)


@functools.partial(jax.jit, static_argnames=("name", "shape", "denoiser", "options"))
def draw(name, sigmas, options=(), *, shape=(NUMBER, 1, 2, 1), denoiser=GAUSSIAN, mean=MEAN, factor=None, key=KEY):
    """Samples and trace; equal calls compile once."""
    given = {} if name == "langevin" else dict(sigmas=sigmas)
    sampler = SAMPLERS[name](**given, **dict(options), mean=mean, factor=factor)
    return driver.sample(sampler, denoiser, key, shape, chunk=shape[0])


def modes_of(samples):
    return np.asarray(samples - MEAN[None], np.float64).reshape(-1, 2) @ BASIS.T


# ---- one step of each on one mode of the prior: (variance, l, s, s') -> variance ----


def euler_factor(l, s, after):
    return 1 + (after - s) * s / (l + s**2)


def heun_factor(l, s, after):
    one = euler_factor(l, s, after)
    return one if after == 0 else 1 + (after - s) / 2 * (s / (l + s**2) + after * one / (l + after**2))


def ancestral(v, l, s, after, eta=1.0):
    noise = eta * np.sqrt(after**2 * (s**2 - after**2)) / s
    return euler_factor(l, s, np.sqrt(after**2 - noise**2)) ** 2 * v + noise**2


def reverse_diffusion(v, l, s, after):
    return ((l + after**2) / (l + s**2)) ** 2 * v + (s**2 - after**2 if after else 0)


def edm(v, l, s, after, most=0.5):  # churn 4 of 7 steps: g is 2^0.5 - 1; inflation 1.1
    raised = s * 2**0.5 if s <= most else s
    return heun_factor(l, raised, after) ** 2 * (v + 1.1**2 * (raised**2 - s**2))


def langevin(v, l, s, after, fraction=0.3):  # a = fraction s^2
    return (1 - fraction * s**2 / (l + s**2)) ** 2 * v + 2 * fraction * s**2


def consistency(v, l, s, after):  # of f = D
    return (l / (l + s**2)) ** 2 * v + after**2 - LEVELS[-1] ** 2


def repeated(levels, times):
    return np.append(np.repeat(levels, times), levels[-1])


CASES = {  # sampler: options, step, levels visited
    "euler": ({}, lambda v, *at: euler_factor(*at) ** 2 * v, TO_ZERO),
    "heun": ({}, lambda v, *at: heun_factor(*at) ** 2 * v, TO_ZERO),
    "ancestral": (dict(eta=0.5), functools.partial(ancestral, eta=0.5), TO_ZERO),
    "ddpm": ({}, ancestral, TO_ZERO),
    "reverse_diffusion": ({}, reverse_diffusion, TO_ZERO),
    "consistency": ({}, consistency, LEVELS),
    "edm": (dict(churn=4.0, churn_min=0.0, churn_max=0.5, inflation=1.1), edm, LEVELS),
    "edm at all levels": (dict(churn=4.0, churn_min=0.0, inflation=1.1), functools.partial(edm, most=25.0), LEVELS),
    "langevin": (dict(sigma=0.4, num_steps=20, step_size=0.3), langevin, np.full(21, 0.4)),
    "annealed_langevin": (dict(steps_per_level=3, step_size=0.003, form="code"), langevin, repeated(LEVELS, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_ten_thousand_samples_of_a_gaussian_have_the_mean_and_covariance_of_the_recursion(name):
    options, step, levels = CASES[name]
    given = TO_ZERO if levels[-1] == 0 else LEVELS
    samples, trace = draw(name.split()[0], given, tuple(options.items()), factor=FACTOR)
    variance = PRIOR + levels[0] ** 2
    for s, after in itertools.pairwise(levels):
        variance = np.array([step(v, l, s, after) for v, l in zip(variance, PRIOR, strict=True)])
    modes = modes_of(samples) / np.sqrt(variance)
    assert trace.steps.tolist() == [len(levels) - 1] * NUMBER
    assert not trace.diverged.any()
    np.testing.assert_allclose(modes.mean(0), 0, atol=4 / NUMBER**0.5)
    errors = np.sqrt((np.eye(2) + 1) / NUMBER)
    assert (np.abs(np.cov(modes.T) - np.eye(2)) < 4 * errors).all()


def test_ten_thousand_samples_by_the_multistep_method_are_those_of_the_polynomials_through_its_slopes():
    samples, trace = draw("multistep", TO_ZERO, factor=FACTOR)
    variance = []
    for l in PRIOR:
        slope = lambda y, s, l=l: y * s / (l + s**2)
        y, slopes = heun_factor(l, *TO_ZERO[:2]), [slope(1, TO_ZERO[0])]
        for n, (s, after) in enumerate(itertools.pairwise(TO_ZERO[1:]), 1):
            slopes.append(slope(y, s))
            known = min(n + 1, 3)
            polynomial = np.polyint(np.polyfit(TO_ZERO[n + 1 - known : n + 1], slopes[-known:], known - 1))
            y += np.polyval(polynomial, after) - np.polyval(polynomial, s)
        variance.append((l + TO_ZERO[0] ** 2) * y**2)
    modes = modes_of(samples) / np.sqrt(variance)
    assert trace.steps.tolist() == [len(TO_ZERO) - 1] * NUMBER
    np.testing.assert_allclose(modes.mean(0), 0, atol=4 / NUMBER**0.5)
    assert (np.abs(np.cov(modes.T) - np.eye(2)) < 4 * np.sqrt((np.eye(2) + 1) / NUMBER)).all()


def test_with_many_levels_the_samples_are_those_of_the_prior_and_from_a_wide_start_without_its_covariance():
    samples, _ = draw("heun", schedules.karras(sigma_max=20.0, sigma_min=0.005, num_levels=40))
    modes = modes_of(samples) / np.sqrt(PRIOR)
    np.testing.assert_allclose(modes.mean(0), 0, atol=4 / NUMBER**0.5)
    assert (np.abs(np.cov(modes.T) - np.eye(2)) < 4 * np.sqrt((np.eye(2) + 1) / NUMBER) + 0.01).all()  # of 40 levels


def test_the_stationary_variance_of_langevin_is_the_closed_form():
    options = dict(sigma=0.4, num_steps=60, step_size=0.5)
    samples, _ = draw("langevin", LEVELS, tuple(options.items()), factor=FACTOR)
    variance = PRIOR + 0.4**2
    stationary = variance / (1 - 0.5 * 0.4**2 / (2 * variance))
    np.testing.assert_allclose(modes_of(samples).var(0), stationary, rtol=4 * (2 / NUMBER) ** 0.5)


def test_the_same_number_means_steps_half_as_large_in_the_form_of_the_paper():
    code = draw("annealed_langevin", LEVELS, (("step_size", 0.0015), ("form", "code"), ("steps_per_level", 2)))
    paper = draw("annealed_langevin", LEVELS, (("step_size", 0.003), ("form", "paper"), ("steps_per_level", 2)))
    np.testing.assert_allclose(code[0], paper[0], atol=1e-5)


def test_corrections_have_the_steps_of_the_publication():
    number, side, l, snr = 300, 16, 0.3, 0.3  # norms of so many pixels hardly scatter
    denoiser = analytic.gaussian(jnp.zeros((side, side, 1)), jnp.full(side**2, l), jnp.eye(side**2))
    options, shape = (("corrections", 2), ("snr", snr)), (number, side, side, 1)
    samples, _ = draw("reverse_diffusion", LEVELS, options, shape=shape, denoiser=denoiser, mean=0.0)
    variance = LEVELS[0] ** 2
    for s, after in itertools.pairwise(LEVELS):
        v = l + s**2
        for _ in range(2):
            e = 2 * snr**2 * v**2 / variance  # |z|^2 / |g|^2 = v^2 / variance
            variance = (1 - e / v) ** 2 * variance + 2 * e
        variance = reverse_diffusion(variance, l, s, after)
    assert abs(variance / (l + LEVELS[-1] ** 2) - 1) > 0.03  # what is tested is no exact sampler
    assert float(jnp.mean(samples**2)) / variance == pytest.approx(1, abs=4 * (2 / samples.size) ** 0.5 + 0.005)


NARROW = analytic.mixture(
    jnp.array([0.3, 0.7]), jnp.array([[[[0.0], [0.3]]], [[[1.0], [0.6]]]]), jnp.full((2, 2), 0.003),
    jnp.broadcast_to(jnp.eye(2).reshape(2, 1, 2, 1), (2, 2, 1, 2, 1)),
)  # fmt: skip


@pytest.mark.parametrize("name", ["heun", "multistep", "ddpm", "edm", "reverse_diffusion"])
def test_the_modes_of_a_mixture_are_met_as_often_as_they_weigh(name):
    number = 200 if name in ("ddpm", "reverse_diffusion") else 60  # of order 1
    sigmas = schedules.karras(sigma_max=20.0, sigma_min=0.01, num_levels=number)
    samples, _ = draw(name, sigmas, denoiser=NARROW, mean=0.5)
    left = np.asarray(samples[:, 0, 0, 0]) < 0.5
    assert left.mean() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / NUMBER) ** 0.5)
    np.testing.assert_allclose(samples[left].mean(0).ravel(), [0, 0.3], atol=0.01)
    np.testing.assert_allclose(samples[left].std(0).ravel(), 0.003**0.5, rtol=0.1)


@pytest.mark.parametrize(("name", "options", "other"), [("ddim", (), "euler"), ("edm", (("churn", 0.0),), "heun")])
def test_ddim_is_euler_and_edm_without_churn_is_heun(name, options, other):
    found, expected = (draw(*pair, factor=FACTOR)[0] for pair in ((name, TO_ZERO, options), (other, TO_ZERO)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_ancestral_steps_are_those_of_ddim_in_its_own_coordinates():
    eta, alpha_bar = 0.6, np.cumprod(1 - np.linspace(0.01, 0.1, 20))[::-1]
    sigmas = schedules.sigma_of_alpha_bar(alpha_bar)
    np.testing.assert_allclose(schedules.alpha_bar_of_sigma(sigmas), alpha_bar, rtol=1e-12)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(50))
    noise = [jax.vmap(lambda k, t=t: jax.random.normal(jax.random.fold_in(k, t), (1, 2, 1)))(keys) for t in range(20)]
    x = np.sqrt(alpha_bar[0]) * (np.asarray(MEAN) + sigmas[0] * np.asarray(noise[0], np.float64))
    for t, (a, after) in enumerate(itertools.pairwise(alpha_bar)):  # Song et al. (2020), equation 12
        denoised = GAUSSIAN(jnp.asarray(x / np.sqrt(a)), np.float32(sigmas[t]))
        estimate = (x - np.sqrt(a) * np.asarray(denoised)) / np.sqrt(1 - a)
        spread = eta * np.sqrt((1 - after) / (1 - a)) * np.sqrt(1 - a / after)
        x = np.sqrt(after) * denoised + np.sqrt(1 - after - spread**2) * estimate + spread * noise[t + 1]
    samples, _ = draw("ancestral", sigmas, (("eta", eta),), shape=(50, 1, 2, 1))
    np.testing.assert_allclose(samples, x / np.sqrt(alpha_bar[-1]), atol=2e-5)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "blind"])
def test_a_sample_depends_on_its_own_row_and_key_alone(name):
    given = {} if name == "langevin" else dict(sigmas=LEVELS)
    options = {"langevin": dict(sigma=0.3, num_steps=5), "reverse_diffusion": dict(corrections=1)}.get(name, {})
    sampler = SAMPLERS[name](**given, **options)

    def steps(number):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(number))
        state = sampler.init(keys, (1, 2, 1))
        for _ in range(2):
            state, info = sampler.step(GAUSSIAN, keys, state)
        return state, info

    whole, alone = steps(3), steps(1)
    jax.tree.map(lambda one, rows: np.testing.assert_allclose(one, rows[:1], rtol=1e-6, atol=1e-7), alone, whole)
    assert np.ptp(np.asarray(whole[0].images), axis=0).min() > 1e-3


@pytest.mark.parametrize(
    ("name", "sigmas", "calls"),
    [("multistep", TO_ZERO, 9), ("heun", TO_ZERO, 15), ("edm", TO_ZERO, 15), ("heun", LEVELS, 15)],
)  # the last of eight levels is that of the final D(y)
def test_calls_of_the_denoiser_are_as_many_as_published_and_never_at_zero(name, sigmas, calls):
    seen = []

    def watched(noisy, sigma):
        seen.append(float(sigma[0]))
        return GAUSSIAN(noisy, sigma)

    with jax.disable_jit():
        driver.sample(SAMPLERS[name](sigmas=sigmas), watched, KEY, (3, 1, 2, 1))
    assert len(seen) == calls
    assert min(seen) > 0.09


@pytest.mark.parametrize("name", ["euler", "multistep"])
def test_in_pieces_with_progress_the_samples_are_the_same(name):
    sampler = SAMPLERS[name](sigmas=TO_ZERO, mean=MEAN)
    shown = Mock()
    samples, _ = driver.sample(sampler, GAUSSIAN, KEY, (5, 1, 2, 1), progress=shown, piece=4, note="found")
    np.testing.assert_allclose(samples, draw(name, TO_ZERO)[0][:5], atol=1e-5)
    # samples end at once, so that a bar of samples stood at 0, and the time left was not known
    assert shown.update.mock_calls == [call("found", steps, 8, note="5 samples") for steps in (4, 8, 8)]


def test_a_denoiser_that_diverges_is_stopped_at_the_step_that_the_trace_names():
    def bad(noisy, sigma):
        return jnp.where(sigma[:, None, None, None] < 0.3, jnp.nan, 0.5) * jnp.ones_like(noisy)

    samples, trace = driver.sample(SAMPLERS["euler"](sigmas=LEVELS), bad, KEY, (3, 1, 2, 1))
    assert trace.diverged.all()
    assert trace.steps.tolist() == [int(np.argmax(LEVELS < 0.3))] * 3
    assert np.isfinite(samples).all()
    amplified = driver.sample(SAMPLERS["euler"](sigmas=LEVELS), lambda y, s: -20 * y, KEY, (3, 1, 2, 1))[1]
    assert amplified.diverged.all()
    assert amplified.steps.max() <= 2


# ---- levels and starts ----


def test_schedules_have_their_ends_and_equal_differences_of_the_right_function():
    ends = dict(sigma_max=2.0, sigma_min=0.5, num_levels=6, zero=False)
    for made, function in (
        (schedules.geometric(**ends), np.log),
        (schedules.linear(**ends), np.asarray),
        (schedules.karras(**ends, rho=5.0), lambda sigma: np.power(sigma, 1 / 5)),
    ):
        np.testing.assert_allclose(made[jnp.array([0, -1])], [2, 0.5], rtol=1e-6)
        differences = np.diff(function(made))
        np.testing.assert_allclose(differences, differences.mean(), rtol=1e-4)
    published = schedules.karras(sigma_max=80.0, sigma_min=0.002, num_levels=18)
    np.testing.assert_allclose(published[jnp.array([3, 7, 11, 16, 18])], [28.4, 5.32, 0.585, 0.0075, 0], rtol=5e-3)
    steps = 2 * schedules.ddpm()
    np.testing.assert_allclose(
        steps[-jnp.array([2, 101, 251, 501, 1001])], [0.01, 0.339, 0.953, 3.42, 157.4], rtol=2e-3
    )
    np.testing.assert_allclose(
        schedules.ddpm(num_levels=5, zero=False)[jnp.array([0, -1])], steps[jnp.array([0, -2])] / 2
    )


def test_the_density_of_the_start_is_that_of_what_is_drawn():
    covariance = BASIS[:1].T @ BASIS[:1] * 0.5 + 0.3**2 * np.eye(2)  # of one factor
    options = dict(sigma=0.3, mean=MEAN, factor=FACTOR[:1])
    images = start.draw(jax.random.split(KEY, NUMBER), (1, 2, 1), **options)
    flat = np.asarray(images - MEAN[None]).reshape(NUMBER, 2)
    np.testing.assert_allclose(np.cov(flat.T), covariance, atol=4 * (2 / NUMBER) ** 0.5 * covariance.max())
    inverse, (_, log_det) = np.linalg.inv(covariance), np.linalg.slogdet(covariance)
    expected = -np.einsum("ni,ij,nj->n", flat, inverse, flat) / 2 - log_det / 2 - np.log(2 * np.pi)
    np.testing.assert_allclose(start.log_density(images, **options), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SAMPLERS["euler"](sigmas=[1.0, 0.5, 0.5]), "sigmas must fall, got 0.5 after 0.5"),
        (lambda: SAMPLERS["heun"](sigmas=[0.1, 1.0]), "sigmas must fall, got 1 after 0.1"),
        (lambda: SAMPLERS["edm"](sigmas=[1.0, -0.5]), "sigmas must be above 0, or 0 at the end, got -0.5"),
        (lambda: SAMPLERS["annealed_langevin"](sigmas=[1.0, 0.0]), "sigmas must be above 0, got 0.0"),
        (lambda: SAMPLERS["multistep"](sigmas=[1.0]), "sigmas must be a row of two levels at least"),
        (lambda: SAMPLERS["euler"](sigmas=[np.inf, 1.0]), "sigmas must be finite, got inf"),
        (lambda: SAMPLERS["euler"](sigmas=[np.nan, 1.0]), "sigmas must"),
        (lambda: SAMPLERS["langevin"](sigma=0.0, num_steps=3), "sigma must be a positive number, got 0.0"),
        (lambda: SAMPLERS["langevin"](sigma=0.1, num_steps=0), "num_steps must be a whole number from 1"),
        (lambda: SAMPLERS["ancestral"](sigmas=LEVELS, eta=1.1), "eta must be from 0 to 1, got 1.1"),
        (lambda: SAMPLERS["edm"](sigmas=LEVELS, churn=-1.0), "churn must be a number from 0"),
        (lambda: SAMPLERS["edm"](sigmas=LEVELS, churn_min=2.0, churn_max=1.0), "churn_min must be from 0 to"),
        (lambda: SAMPLERS["reverse_diffusion"](sigmas=LEVELS, snr=0.0), "snr must be a positive number"),
        (
            lambda: SAMPLERS["annealed_langevin"](sigmas=LEVELS, form="codes"),
            "unknown form 'codes'; did you mean code?",
        ),
        (lambda: schedules.karras(sigma_min=0.0), "sigma_min must be a positive number, got 0.0"),
        (lambda: schedules.linear(sigma_min=2.0), "sigma_min must be below sigma_max = 1, got 2.0"),
        (lambda: schedules.geometric(num_levels=1), "num_levels must be a whole number from 2"),
        (lambda: schedules.ddpm(num_levels=2000), "num_levels must be a whole number from 2 to 1000"),
        (
            lambda: driver.sample(SAMPLERS["euler"](sigmas=LEVELS, factor=FACTOR), GAUSSIAN, KEY, (2, 2, 2, 1)),
            r"factor must be images \(K, 2, 2, 1\), got shape \(2, 1, 2, 1\)",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
