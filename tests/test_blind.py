"""The blind sampler against closed forms, its recursion of sigma, and its promises about randomness."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gahr.classical import analytic
from gahr.sampling import blind

KEY = jax.random.key(0)
SHAPE = (12, 8, 8, 1)
STATIC = ("denoiser", "shape", "growing", "final_denoise", "max_steps", "frame_every", "chunk", "sharding")


def flat(noisy):
    """Pulls every intensity to 0.5, elementwise, and leaves some noise."""
    return 0.5 + 0.1 * jnp.tanh(noisy - 0.5)


def constant(noisy):
    """Removes exactly the noise about 0.5."""
    return jnp.full_like(noisy, 0.5)


@functools.partial(jax.jit, static_argnames=STATIC)  # other options are traced; equal calls compile once
def sample(denoiser, shape=SHAPE, *, step_size=0.1, beta=0.5, max_steps=200, **options):
    return blind.ascend(denoiser, KEY, shape, step_size=step_size, beta=beta, max_steps=max_steps, **options)


@functools.partial(jax.jit, static_argnames=STATIC)
def init(shape=SHAPE, *, max_steps=200, **options):
    return blind.init(KEY, shape, max_steps=max_steps, **options)


@functools.partial(jax.jit, static_argnames=STATIC)
def advance(denoiser, state, num_steps, *, key=KEY, step_size=0.1, beta=0.5, **options):
    return blind.advance(denoiser, key, state, num_steps=num_steps, step_size=step_size, beta=beta, **options)


def sharding(devices):
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
    return NamedSharding(mesh, PartitionSpec("data"))


def last_sigma(trace):
    return np.take_along_axis(np.asarray(trace.sigma), np.asarray(trace.steps)[None], 0)[0]


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
    variance = prior + last_sigma(trace).mean() ** 2  # y is x and what noise is left
    coefficients = np.asarray((samples - mean[None]).reshape(number, -1) @ basis.T / jnp.sqrt(variance)[None])
    np.testing.assert_allclose(coefficients.mean(0), 0, atol=4 / number**0.5)
    error = (np.eye(rank) + 1) / number  # variance of the entries of a covariance that is the identity
    assert (np.abs(np.cov(coefficients.T) - np.eye(rank)) < 4 * np.sqrt(error)).all()


def test_samples_of_point_masses_are_training_points_and_meet_all_of_them():
    points = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))
    posterior_mean = analytic.points(points)

    def distances(noisy):
        return jnp.sqrt(jnp.mean((noisy[:, None] - points[None]) ** 2, axis=(2, 3, 4)))

    def denoiser(noisy):
        return posterior_mean(noisy, distances(noisy).min(1))

    samples, trace = sample(denoiser, (200, 8, 8, 1), beta=0.5, chunk=200)
    np.testing.assert_allclose(distances(samples).min(1), last_sigma(trace), rtol=1e-3)
    assert last_sigma(trace).max() <= 0.05
    denoised, _ = sample(denoiser, (200, 8, 8, 1), beta=0.5, chunk=200, final_denoise=True)
    assert distances(denoised).min(1).max() < 1e-5
    assert np.bincount(np.asarray(distances(denoised).argmin(1)), minlength=4).min() > 20


def from_unit_sigma(shape, *, sigma_stop, max_steps, **options):
    """Steps of the sampler where the denoiser removes exactly the noise and |y_0 - 0.5| / sqrt(d) is exactly 1."""
    state = init(shape, max_steps=max_steps)
    state = state._replace(images=0.5 + jax.random.rademacher(KEY, shape, jnp.float32))
    return advance(constant, state, max_steps + 1, step_size=0.01, sigma_stop=sigma_stop, **options)


@pytest.mark.parametrize(
    ("growing", "sigma_stop", "steps"), [(False, 0.05, 299), (False, 0.01, 459), (True, 0.05, 25), (True, 0.01, 32)]
)
def test_without_noise_the_steps_are_those_of_the_recursion(growing, sigma_stop, steps):
    state = from_unit_sigma((2, 4, 4, 1), beta=1.0, growing=growing, sigma_stop=sigma_stop, max_steps=500)
    assert state.steps.tolist() == [steps, steps]
    t = np.arange(1, steps + 1)
    left = 1 - (0.01 * t / (1 + 0.01 * (t - 1)) if growing else np.full(steps, 0.01))
    np.testing.assert_allclose(state.sigma[0, : steps + 1], [1, *np.cumprod(left)], rtol=1e-4)


@pytest.mark.parametrize(
    ("growing", "beta", "sigma_stop", "steps"),
    [(False, 0.1, 0.05, 2995), (False, 0.5, 0.05, 598), (True, 0.1, 0.05, 97), (True, 0.01, 0.01, 661)],
)
def test_with_noise_sigma_falls_by_one_minus_beta_h_and_the_steps_are_those_of_the_recursion(
    growing, beta, sigma_stop, steps
):
    number, side = 8, 64
    t = np.arange(steps)
    h = 0.01 * (t + 1) / (1 + 0.01 * t) if growing else np.full(steps, 0.01)
    assert np.prod(1 - beta * h) <= sigma_stop < np.prod(1 - beta * h[:-1])  # the table is the recursion
    left, added = ((1 - h) / (1 - beta * h)) ** 2, 1 - ((1 - h) / (1 - beta * h)) ** 2
    spread = np.sum((4 * left * added + 2 * added**2) / side**2) / 4  # variance of ln sigma, and minus its bias
    state = from_unit_sigma((number, side, side, 1), beta=beta, growing=growing, sigma_stop=sigma_stop, max_steps=4000)
    tolerance = 4 * np.sqrt(spread / number) / (beta * h[-1]) + 1
    assert float(state.steps.mean()) == pytest.approx(steps - spread / (beta * h[-1]), abs=tolerance)


@pytest.mark.parametrize("chunk", [1, 5, 12, 100])
def test_a_sample_depends_neither_on_its_batch_nor_on_the_chunk(chunk):
    samples, trace = sample(flat, frame_every=7)
    assert len(set(trace.steps.tolist())) > 1  # batch mates stop at different times
    few, few_trace = sample(flat, (5, *SHAPE[1:]), chunk=chunk, frame_every=7)
    same(few, samples[:5])
    same(few_trace.sigma, trace.sigma[:, :5])
    same(few_trace.steps, trace.steps[:5])
    same(few_trace.frames, trace.frames[:, :5])
    same(few_trace.denoised, trace.denoised[:, :5])


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_samples_do_not_depend_on_the_number_of_devices(devices):
    same(sample(flat, frame_every=7, sharding=sharding(devices), chunk=8), sample(flat, frame_every=7))


@pytest.mark.parametrize("devices", [2, 8])
def test_samples_of_a_network_agree_on_any_number_of_devices_which_share_the_work(denoiser, devices):
    shapes = []

    def watched(noisy):
        jax.debug.inspect_array_sharding(noisy, callback=lambda found: shapes.append(found.shard_shape(noisy.shape)))
        return denoiser(noisy)

    options = dict(beta=0.5, sigma_stop=0.5)
    found = sample(watched, (8, 16, 16, 1), sharding=sharding(devices), **options)
    assert shapes == [(8 // devices, 16, 16, 1)]
    expected = sample(denoiser, (8, 16, 16, 1), **options)
    same(found[1].steps, expected[1].steps)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)


@pytest.mark.parametrize("shift", [0.1, 0.3])
def test_the_noise_of_a_step_is_drawn_from_the_key_the_sample_and_the_step_alone(shift):
    h, beta = 0.2, 0.3
    options = dict(step_size=h, beta=beta, max_steps=3, frame_every=1)
    _, trace = sample(lambda noisy: noisy - shift, **options)  # residual and sigma are the shift
    gamma = shift * np.sqrt((1 - beta * h) ** 2 - (1 - h) ** 2)
    found = jnp.concatenate([trace.frames[:1] - 0.5, (jnp.diff(trace.frames, axis=0) + h * shift) / gamma])
    drawn = [
        [jax.random.normal(jax.random.fold_in(jax.random.fold_in(KEY, i), t), SHAPE[1:]) for i in range(SHAPE[0])]
        for t in range(4)
    ]
    np.testing.assert_allclose(found, drawn, atol=1e-4)


def test_without_noise_the_key_of_the_steps_does_not_matter():
    keys = KEY, jax.random.key(1)
    quiet, noisy = (
        [advance(flat, init(frame_every=7), 9, key=key, beta=beta).images for key in keys] for beta in (1.0, 0.5)
    )
    same(*quiet)
    assert jnp.abs(noisy[0] - noisy[1]).max() > 0.1


def test_frames_are_the_samples_of_shorter_runs():
    _, trace = sample(flat, frame_every=7)
    assert trace.frames.shape == trace.denoised.shape == (29, *SHAPE)
    for number in range(3):
        same(trace.frames[number], advance(flat, init(frame_every=7), 7 * number).images)
        same(trace.denoised[number], advance(flat, init(frame_every=7), 7 * number + 1).denoised)
    stored = 7 * np.arange(29)[:, None] <= np.asarray(trace.steps)[None]
    for frames in (trace.frames, trace.denoised):
        same(~np.isnan(frames), np.broadcast_to(stored[:, :, None, None, None], frames.shape))


def test_the_last_frame_is_the_sample_and_its_denoised_image_what_the_final_step_makes_of_it():
    samples, trace = sample(flat, frame_every=1)
    last = trace.steps, jnp.arange(len(samples))
    same(trace.frames[last], samples)
    denoised, _ = sample(flat, frame_every=1, final_denoise=True)
    same(trace.denoised[last], denoised)


def test_the_trace_of_sigma_is_that_of_the_frames_and_ends_at_the_stop():
    _, trace = sample(flat, frame_every=1)
    expected = jnp.sqrt(jnp.mean((trace.frames - trace.denoised) ** 2, axis=(2, 3, 4)))
    np.testing.assert_allclose(trace.sigma, expected, rtol=1e-5)
    assert last_sigma(trace).max() <= 0.05
    before = np.take_along_axis(np.asarray(trace.sigma), np.asarray(trace.steps)[None] - 1, 0)
    assert before.min() > 0.05
    same(np.isnan(trace.sigma).argmax(0), trace.steps + 1)


def test_steps_end_at_their_limit():
    _, trace = sample(flat, max_steps=5)
    assert trace.steps.tolist() == [5] * 12
    assert trace.sigma.shape == (6, 12)
    assert last_sigma(trace).min() > 0.05
    assert not trace.diverged.any()


def high(noisy):
    return noisy[:, :1, :1] > 1.2


@pytest.mark.parametrize(
    "bad",
    [
        lambda noisy: jnp.where(high(noisy), jnp.nan, flat(noisy)),
        lambda noisy: jnp.where(high(noisy), jnp.inf, flat(noisy)),
        lambda noisy: jnp.where(high(noisy), -9 * noisy, flat(noisy)),
    ],
    ids=["nan", "inf", "growing"],
)
def test_a_sample_that_diverges_is_stopped_and_marked_and_its_batch_mates_are_not_touched(bad):
    samples, trace = sample(bad, beta=1.0)
    expected, good = sample(flat, frame_every=7, beta=1.0)
    start = init(frame_every=7).images
    diverged = high(start)[:, 0, 0, 0]  # without noise none comes to be high later
    assert 0 < diverged.sum() < len(diverged)
    same(trace.diverged, diverged)
    same(trace.steps[diverged], jnp.zeros(int(diverged.sum()), int))
    same(samples[diverged], start[diverged])
    denoised, _ = sample(bad, beta=1.0, final_denoise=True)
    same(denoised[diverged], start[diverged])  # not D(y), which may be NaN
    np.testing.assert_allclose(denoised[~diverged], flat(samples[~diverged]), atol=1e-5)
    np.testing.assert_allclose(samples[~diverged], expected[~diverged], atol=1e-5)
    np.testing.assert_allclose(trace.sigma[:, ~diverged], good.sigma[:, ~diverged], atol=1e-5)


def test_a_denoiser_that_amplifies_is_stopped_at_the_limit():
    samples, trace = sample(lambda noisy: 2 * noisy - 0.5, sigma_limit=3.0)
    assert trace.diverged.all()
    assert trace.steps.min() > 0
    assert (last_sigma(trace) > 3).all()
    assert np.nanmax(np.asarray(trace.sigma)[:-1][~np.isnan(np.asarray(trace.sigma)[1:])]) <= 3
    assert jnp.isfinite(samples).all()


def test_pieces_give_what_the_whole_run_gives():
    state, asked = init(frame_every=7), 0
    for piece in (1, 9, 2, 30):
        state, asked = advance(flat, state, piece), asked + piece
        assert state.steps.tolist() == [asked] * 12
    while state.running.any():
        state = advance(flat, state, 13)
    same(blind.result(state), sample(flat, frame_every=7))


def test_the_start_has_the_given_mean_and_sigma():
    mean = jnp.linspace(0, 1, 16).reshape(4, 4, 1)
    images = init((4000, 4, 4, 1), mean=mean, sigma_start=0.5, max_steps=1).images
    np.testing.assert_allclose(images.mean(0), mean, atol=4 * 0.5 / 4000**0.5)
    np.testing.assert_allclose(images.std(0), 0.5, atol=4 * 0.5 / 8000**0.5)


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
