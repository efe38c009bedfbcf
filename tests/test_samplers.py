"""The blind sampler against closed forms and its recursion of sigma; the driver's promises, with it and a toy."""

import functools
import os
from typing import NamedTuple
from unittest.mock import Mock, call

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from gahr.classical import analytic
from gahr.sampling import SAMPLERS, blind, driver
from gahr.sampling.sampler import Info, Sampler, normal

KEY = jax.random.key(0)
SHAPE = (12, 8, 8, 1)


def flat(noisy):
    """Pulls every intensity to 0.5, elementwise, and leaves some noise."""
    return 0.5 + 0.1 * jnp.tanh(noisy - 0.5)


def constant(noisy):
    """Removes exactly the noise about 0.5."""
    return jnp.full_like(noisy, 0.5)


@functools.partial(jax.jit, static_argnames=("denoiser", "shape", "final_denoise", "max_steps", "frame_every", "chunk"))
def sample(denoiser, shape=SHAPE, *, step_size=0.1, beta=0.5, max_steps=200, **options):
    """Options that are not static are traced; equal calls compile once."""
    return blind.ascend(denoiser, KEY, shape, step_size=step_size, beta=beta, max_steps=max_steps, **options)


def at_stop(values, trace, *, before=0):
    """values[steps - before, i] of every sample i."""
    return np.asarray(values)[np.asarray(trace.steps) - before, np.arange(len(trace.steps))]


def same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_samples_of_a_gaussian_on_a_subspace_have_its_mean_and_covariance():
    number, side, rank = 1000, 16, 4
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (side**2, rank)))[0].T
    prior, mean = jnp.array([0.3, 0.2, 0.1, 0.05]), jnp.linspace(0, 1, side**2).reshape(side, side, 1)
    posterior_mean = analytic.gaussian(mean, prior, basis.reshape(rank, side, side, 1))

    def denoiser(noisy):  # sees sigma off the subspace
        off = (noisy - mean[None]).reshape(len(noisy), -1)
        off = off - off @ basis.T @ basis
        return posterior_mean(noisy, jnp.sqrt(jnp.sum(off**2, 1) / (side**2 - rank)))

    options = dict(step_size=0.05, beta=0.2, mean=mean, chunk=number)
    samples, trace = sample(denoiser, (number, side, side, 1), **options)
    variance = prior + at_stop(trace.sigma, trace).mean() ** 2  # y is x and what noise is left
    coefficients = np.asarray((samples - mean[None]).reshape(number, -1) @ basis.T / jnp.sqrt(variance)[None])
    np.testing.assert_allclose(coefficients.mean(0), 0, atol=4 / number**0.5)
    error = (np.eye(rank) + 1) / number  # variance of the entries of a covariance that is the identity
    assert (np.abs(np.cov(coefficients.T) - np.eye(rank)) < 4 * np.sqrt(error)).all()


def halved(noisy):
    """Posterior mean of white noise at the level where that is as large."""
    return noisy / 2


def test_ten_thousand_blind_samples_have_the_second_moment_of_the_recursion():
    """gamma^2 is linear in |r|^2, so that E y^2 is known in any dimension: two, where |r| varies most."""
    number, steps, h, beta = 10_000, 12, 0.3, 0.4
    options = dict(step_size=h, beta=beta, max_steps=steps, mean=0.0, sigma_stop=1e-9, sigma_limit=1e3, chunk=number)
    samples, trace = sample(halved, (number, 1, 2, 1), **options)
    factor = (1 - h / 2) ** 2 + ((1 - beta * h) ** 2 - (1 - h) ** 2) / 4
    squares = np.mean(np.asarray(samples, np.float64) ** 2, (1, 2, 3))
    assert trace.steps.tolist() == [steps] * number
    assert abs(squares.mean() - factor**steps) < 4 * squares.std() / number**0.5
    assert abs(np.mean(samples)) < 4 * np.std(samples) / (2 * number) ** 0.5


def test_samples_of_point_masses_are_training_points_and_meet_all_of_them():
    points = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))
    posterior_mean = analytic.points(points)

    def distances(noisy):
        return jnp.sqrt(jnp.mean((noisy[:, None] - points[None]) ** 2, axis=(2, 3, 4)))

    def denoiser(noisy):
        return posterior_mean(noisy, distances(noisy).min(1))

    samples, trace = sample(denoiser, (200, 8, 8, 1), chunk=200)
    sigma = at_stop(trace.sigma, trace)
    np.testing.assert_allclose(distances(samples).min(1), sigma, rtol=1e-3)
    assert sigma.max() <= 0.05
    near = distances(denoiser(samples))
    assert near.min(1).max() < 1e-5
    assert np.bincount(np.asarray(near.argmin(1)), minlength=4).min() > 20


@functools.partial(jax.jit, static_argnames="growing")
def from_unit_sigma(key, **options):
    """The sampler where the denoiser removes exactly the noise and |y_0 - 0.5| / sqrt(d) is exactly 1."""
    sampler, shape = blind.sampler(step_size=0.01, **options), (8, 64, 64, 1)

    def init(keys, image):
        images = 0.5 + jax.random.rademacher(KEY, shape, jnp.float32)
        return sampler.init(keys, image)._replace(images=images)

    return driver.sample(sampler._replace(init=init), constant, key, shape, max_steps=4000)


@pytest.mark.parametrize(
    ("growing", "sigma_stop", "steps"), [(False, 0.05, 299), (False, 0.01, 459), (True, 0.05, 25), (True, 0.01, 32)]
)
def test_without_noise_the_steps_are_those_of_the_recursion_whatever_the_key(growing, sigma_stop, steps):
    options = dict(beta=1.0, growing=growing, sigma_stop=sigma_stop)
    found = from_unit_sigma(KEY, **options)
    assert found[1].steps.tolist() == [steps] * 8
    t = np.arange(1, steps + 1)
    left = 1 - (0.01 * t / (1 + 0.01 * (t - 1)) if growing else np.full(steps, 0.01))
    np.testing.assert_allclose(found[1].sigma[: steps + 1, 0], [1, *np.cumprod(left)], rtol=1e-4)
    same(found, from_unit_sigma(jax.random.key(1), **options))


@pytest.mark.parametrize(
    ("growing", "beta", "sigma_stop", "steps"),
    [(False, 0.1, 0.05, 2995), (False, 0.5, 0.05, 598), (True, 0.1, 0.05, 97), (True, 0.01, 0.01, 661)],
)
def test_with_noise_sigma_falls_by_one_minus_beta_h_and_the_steps_are_those_of_the_recursion(
    growing, beta, sigma_stop, steps
):
    t = np.arange(steps)
    h = 0.01 * (t + 1) / (1 + 0.01 * t) if growing else np.full(steps, 0.01)
    assert np.prod(1 - beta * h) <= sigma_stop < np.prod(1 - beta * h[:-1])  # the table is the recursion
    left, added = ((1 - h) / (1 - beta * h)) ** 2, 1 - ((1 - h) / (1 - beta * h)) ** 2
    spread = np.sum((4 * left * added + 2 * added**2) / 64**2) / 4  # variance of ln sigma, and minus its bias
    _, trace = from_unit_sigma(KEY, beta=beta, growing=growing, sigma_stop=sigma_stop)
    tolerance = 4 * np.sqrt(spread / 8) / (beta * h[-1]) + 1
    assert float(trace.steps.mean()) == pytest.approx(steps - spread / (beta * h[-1]), abs=tolerance)


def test_the_noise_of_a_step_is_gamma_times_what_the_key_the_sample_and_the_step_alone_give():
    h, beta, shift = 0.2, 0.3, np.where(np.arange(12) % 2, 0.1, 0.3)[:, None, None, None].astype("float32")
    options = dict(step_size=h, beta=beta, max_steps=3, frame_every=1)
    _, trace = sample(lambda noisy: noisy - shift, **options)  # residual and sigma are the shift
    gamma = shift * np.sqrt((1 - beta * h) ** 2 - (1 - h) ** 2)
    found = jnp.concatenate([trace.frames[:1] - 0.5, (jnp.diff(trace.frames, axis=0) + h * shift[None]) / gamma[None]])
    drawn = [
        [jax.random.normal(jax.random.fold_in(jax.random.fold_in(KEY, i), t), SHAPE[1:]) for i in range(SHAPE[0])]
        for t in range(4)
    ]
    np.testing.assert_allclose(found, drawn, atol=1e-4)


def test_the_start_has_the_given_mean_and_sigma():
    mean = jnp.linspace(0, 1, 16).reshape(4, 4, 1)
    images = SAMPLERS["blind"](mean=mean, sigma_start=0.5).init(jax.random.split(KEY, 4000), (4, 4, 1)).images
    np.testing.assert_allclose(images.mean(0), mean, atol=4 * 0.5 / 4000**0.5)
    np.testing.assert_allclose(images.std(0), 0.5, atol=4 * 0.5 / 8000**0.5)


def test_a_sample_stops_at_sigma_stop_and_every_frame_before_is_kept():
    samples, trace = sample(flat, frame_every=1)
    assert trace.frames.shape == trace.denoised.shape == (201, *SHAPE)
    assert len(set(trace.steps.tolist())) > 1  # batch mates stop at different times
    expected = jnp.sqrt(jnp.mean((trace.frames - trace.denoised) ** 2, axis=(2, 3, 4)))
    np.testing.assert_allclose(trace.sigma, expected, rtol=1e-5)
    assert at_stop(trace.sigma, trace).max() <= 0.05 < at_stop(trace.sigma, trace, before=1).min()
    stored = np.arange(201)[:, None] <= np.asarray(trace.steps)[None]
    for values in (trace.sigma[:, :, None, None, None], trace.frames, trace.denoised):
        same(~np.isnan(values), np.broadcast_to(stored[:, :, None, None, None], values.shape))
    same(at_stop(trace.frames, trace), samples)


@pytest.mark.parametrize(("chunk", "max_steps", "every"), [(1, 7, 1), (3, 200, 7)])
def test_a_sample_depends_neither_on_its_batch_nor_on_the_chunk_nor_on_the_end(chunk, max_steps, every):
    _, whole = sample(flat, frame_every=1)
    options = dict(chunk=chunk, max_steps=max_steps, frame_every=every, final_denoise=True)
    samples, trace = sample(flat, (5, *SHAPE[1:]), **options)
    same(trace.steps, np.minimum(whole.steps[:5], max_steps))
    rounding = 0 if os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "0" else 1e-6  # to the bit as users compile it
    near = functools.partial(np.testing.assert_allclose, rtol=rounding, atol=rounding)
    near(trace.sigma, whole.sigma[: max_steps + 1, :5])
    near(trace.frames, whole.frames[: max_steps + 1 : every, :5])
    near(trace.denoised, whole.denoised[: max_steps + 1 : every, :5])
    near(samples, at_stop(whole.denoised[:, :5], trace))
    assert not trace.diverged.any()


def test_a_set_drawn_in_parts_is_the_set_drawn_at_once():
    whole, trace = sample(flat)
    late, rest = sample(flat, (2, *SHAPE[1:]), first=3)
    same(late, whole[3:5])
    same(rest.steps, trace.steps[3:5])


def test_samples_that_diverge_are_stopped_and_marked_and_their_batch_mates_are_not_touched():
    def kinds(noisy):  # four ways to fail, by four pixels; without noise none comes to be high later
        return [noisy[:, :1, i : i + 1] > 1.2 for i in range(4)]

    def bad(noisy):
        ways = [jnp.full_like(noisy, jnp.nan), jnp.full_like(noisy, jnp.inf), -9 * noisy, 2 * noisy - 0.5]
        return jnp.select(kinds(noisy), ways, flat(noisy))

    samples, trace = sample(bad, beta=1.0, frame_every=1, final_denoise=True)
    expected, good = sample(flat, beta=1.0, frame_every=1)
    *at_once, amplified = np.asarray(kinds(good.frames[0]))[..., 0, 0, 0]
    assert all(kind.any() for kind in (*at_once, amplified))
    at_once = np.any(at_once, 0)
    amplified, fine = amplified & ~at_once, ~(at_once | amplified)
    assert amplified.any()
    assert fine.any()
    same(trace.diverged, ~fine)
    same(trace.steps[at_once], np.zeros(at_once.sum(), int))
    assert at_stop(trace.sigma, trace, before=1)[amplified].max() <= 2 < at_stop(trace.sigma, trace)[amplified].min()
    last = at_stop(trace.frames, trace)
    assert np.isfinite(last).all()
    same(samples[~fine], last[~fine])  # not D(y), which may be NaN
    same(samples[fine], at_stop(trace.denoised, trace)[fine])
    np.testing.assert_allclose(last[fine], expected[fine], atol=1e-5)
    np.testing.assert_allclose(trace.sigma[:, fine], good.sigma[:, fine], atol=1e-5)


def test_pieces_give_what_one_gives_and_compile_once_for_denoisers_of_one_kind_and_equal_options():
    traced = []

    def pull(strength, noisy):
        traced.append(noisy)
        return 0.5 + strength * jnp.tanh(noisy - 0.5)

    def pieces(strength, piece, shown):
        options = dict(max_steps=200, frame_every=7, progress=shown, piece=piece, note="found")
        sampler = blind.sampler(step_size=0.1, beta=0.5)
        return driver.sample(sampler, Partial(pull, jnp.asarray(strength)), KEY, SHAPE, **options)

    many, one, asked = Mock(), Mock(), Mock(**{"check.side_effect": [None, None, InterruptedError]})
    found = pieces(0.1, 13, many)
    compiled, most = len(traced), int(found[1].steps.max())
    same(found, pieces(0.1, 201, one))
    assert len(many.update.mock_calls) == len(many.check.mock_calls) == most // 13 + 1
    assert many.update.mock_calls[0] == call("found", 0, 12, note="step 13")
    assert many.update.mock_calls[-1:] == one.update.mock_calls == [call("found", 12, 12, note=f"step {most}")]
    with pytest.raises(InterruptedError):
        pieces(0.2, 5, asked)
    assert asked.update.mock_calls == [call("found", 0, 12, note=f"step {steps}") for steps in (5, 10)]
    assert len(traced) == compiled > 0


class Repeated(NamedTuple):
    images: jax.Array


def repeat(keys, shape):
    return Repeated(normal(keys, shape))


def repeat_step(noise_denoiser, keys, state):
    sigma = jnp.sqrt(jnp.mean(state.images**2, axis=(1, 2, 3)))
    denoised = noise_denoiser(state.images, sigma)
    return Repeated(denoised), Info(denoised, sigma, stop=sigma < 0.01, diverged=jnp.isnan(sigma))


@pytest.mark.parametrize("progress", [None, Mock()])
def test_a_sampler_is_two_functions(progress):
    options = dict(frame_every=1, final_denoise=True, progress=progress)
    toy = Sampler(repeat, repeat_step)
    samples, trace = driver.sample(toy, lambda noisy, sigma: noisy / 2, KEY, SHAPE, max_steps=10, **options)
    same(trace.steps, np.full(12, 7))
    same(trace.frames[:8], trace.frames[:1] / 2 ** np.arange(8)[:, None, None, None, None])
    same(samples, trace.frames[7] / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(step_size=0.0), "step_size must be above 0 and at most 1, got 0.0"),
        (dict(step_size=1.5), "step_size must be"),
        (dict(beta=0.0), "beta must be above 0 and at most 1"),
        (dict(beta=float("nan")), "beta must be"),
        (dict(sigma_stop=2.0), "sigma_stop must be above 0 and at most 1"),
        (dict(sigma_start=3.0), "sigma_start must be above 0 and at most 2"),
        (dict(max_steps=0), "max_steps must be a whole number from 1"),
        (dict(max_steps=2.5), "max_steps must be a whole number from 1"),
        (dict(frame_every=-1), "frame_every must be a whole number from 0"),
        (dict(chunk=0), "chunk must be a whole number from 1"),
        (dict(mean=jnp.zeros((8, 8))), r"mean must be a number or an image of shape \(8, 8, 1\), got shape \(8, 8\)"),
        (dict(shape=(4, 4, 1)), r"shape must be \(N, H, W, C\), all positive, got \(4, 4, 1\)"),
        (dict(shape=(0, 4, 4, 1)), "all positive"),
        (dict(denoiser=lambda noisy: noisy[:, :2]), "it must keep it"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        blind.ascend(**dict(denoiser=flat, key=KEY, shape=SHAPE) | options)
