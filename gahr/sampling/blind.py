"""Samples from the prior that a blind denoiser embodies, by stochastic ascent of its log density.

Kadkhodaie and Simoncelli (2020), arXiv:2007.13640; as algorithm 1 in Kadkhodaie et al. (2024), arXiv:2310.02557.
`ascend` is the whole; `init`, `advance` and `result` are its parts, for callers that show progress in between.
None is jitted; a jitted caller takes a denoiser of `gahr.denoiser.bind` as an argument.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gahr.types import Array, Denoiser, Key


class State(NamedTuple):
    images: Array  # (N, H, W, C) y, image units
    denoised: Array  # (N, H, W, C) D(y) as last computed: that of `images` once a sample has stopped
    steps: Array  # (N,) taken so far
    running: Array  # (N,) bool
    diverged: Array  # (N,) bool
    sigma: Array  # (N, max_steps + 1) as `Trace.sigma`, samples first
    frames: Array | None  # (N, F, H, W, C) as `Trace.frames`, samples first
    denoised_frames: Array | None  # (N, F, H, W, C) as `Trace.denoised`, samples first
    frame_every: Array  # () steps between frames


class Trace(NamedTuple):
    sigma: Array  # (max_steps + 1, N) |y - D(y)| / sqrt(d) after t = 0, 1, ... steps; NaN after the stop
    steps: Array  # (N,) steps taken: sigma[steps[i], i] is that of sample i, or of its last image before D(y)
    diverged: Array  # (N,) bool, stopped by sigma_limit or by NaN
    frames: Array | None  # (F, N, H, W, C) y after 0, k, 2 k, ... steps; NaN after the stop
    denoised: Array | None  # (F, N, H, W, C) D(y) of the frames


def ascend(
    denoiser: Denoiser,
    key: Key,
    shape: tuple[int, int, int, int],
    *,
    step_size: float = 0.01,
    beta: float = 0.1,
    sigma_start: float = 1.0,
    sigma_stop: float = 0.05,
    mean: float | Array = 0.5,
    growing: bool = False,
    final_denoise: bool = False,
    sigma_limit: float = 2.0,
    max_steps: int = 10_000,
    frame_every: int = 0,
    chunk: int = 64,
    sharding: jax.sharding.Sharding | None = None,
) -> tuple[Array, Trace]:
    """Samples of the prior of a denoiser that is not told sigma.

    From y_0 = m + sigma_start z repeat y <- y - h r + gamma z with r = y - D(y), sigma = |r| / sqrt(d),
    gamma^2 = [(1 - beta h)^2 - (1 - h)^2] sigma^2 and fresh z, until sigma <= sigma_stop. Where D removes exactly
    the noise, sigma falls by 1 - beta h a step: 2995 steps with the defaults, which are the paper's, and 97 with
    `growing`. The paper's listing looks at the sigma before its last step and thus takes one step more.

    Sample i draws from k = fold_in(key, i), z of the start from fold_in(k, 0) and that of step t = 1, 2, ... from
    fold_in(k, t). So it depends on no other sample, and two denoisers given one key meet the same noise.

    Args:
      denoiser: noisy (n, H, W, C) -> estimate of the clean images.
      key: random key.
      shape: (N, H, W, C) of the samples; d = H W C.
      step_size: h, above 0 and at most 1: fraction of the residual removed in a step.
      beta: above 0 and at most 1; 1 adds no noise, small values much.
      sigma_start, sigma_stop: first and last noise level, image units.
      mean: m of the start, image units: a number or an image (H, W, C).
      growing: h_t = h t / (1 + h (t - 1)) as in the code of 2020 in place of h.
      final_denoise: return D(y) in place of y, as the published code but not the listing does.
      sigma_limit: a sample whose sigma exceeds it, or is NaN, stops and is marked as diverged.
      max_steps: a sample stops after so many; then steps = max_steps, and sigma may be above sigma_stop.
      frame_every: k, steps between stored frames; 0 stores none.
      chunk: samples computed at a time; bounds the memory. With `sharding` rounded up to whole devices.
      sharding: how the samples of a chunk are spread over devices, for instance
        NamedSharding(mesh, PartitionSpec("data")).

    Returns:
      Samples (N, H, W, C), not clipped, and Trace. A sample that has diverged is its last y, also with
      final_denoise: that is finite, its D(y) need not be.

    Raises:
      ValueError: an option out of its range, a shape that is not (N, H, W, C), or a denoiser that changes it.
    """
    _between("sigma_start", sigma_start, 0, sigma_limit)
    _between("sigma_stop", sigma_stop, 0, sigma_start)
    state = init(key, shape, sigma_start=sigma_start, mean=mean, max_steps=max_steps, frame_every=frame_every)
    state = advance(
        denoiser,
        key,
        state,
        num_steps=max_steps + 1,
        step_size=step_size,
        beta=beta,
        sigma_stop=sigma_stop,
        growing=growing,
        sigma_limit=sigma_limit,
        chunk=chunk,
        sharding=sharding,
    )
    return result(state, final_denoise=final_denoise)


def init(
    key: Key,
    shape: tuple[int, int, int, int],
    *,
    sigma_start: float = 1.0,
    mean: float | Array = 0.5,
    max_steps: int = 10_000,
    frame_every: int = 0,
) -> State:
    """The start of `ascend`, whose arguments these are: y_0 of every sample and room for the trace."""
    for name, value, least in (("max_steps", max_steps, 1), ("frame_every", frame_every, 0)):
        _whole(name, value, least)
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(f"shape must be (N, H, W, C), all positive, got {shape}")
    _between("sigma_start", sigma_start, 0, jnp.inf)
    number, image = shape[0], tuple(shape[1:])
    if jnp.shape(mean) not in ((), image):
        raise ValueError(f"mean must be a number or an image of shape {image}, got shape {jnp.shape(mean)}")
    images = jnp.broadcast_to(mean, shape) + sigma_start * _normal(_keys(key, jnp.arange(number)), 0, image)
    frames = None
    if frame_every:
        frames = jnp.full((number, max_steps // frame_every + 1, *image), jnp.nan, images.dtype)
    return State(
        images=images,
        denoised=images,
        steps=jnp.zeros(number, jnp.int32),
        running=jnp.ones(number, bool),
        diverged=jnp.zeros(number, bool),
        sigma=jnp.full((number, max_steps + 1), jnp.nan, images.dtype),
        frames=frames,
        denoised_frames=frames,
        frame_every=jnp.asarray(frame_every, jnp.int32),
    )


def advance(
    denoiser: Denoiser,
    key: Key,
    state: State,
    *,
    num_steps: int,
    step_size: float = 0.01,
    beta: float = 0.1,
    sigma_stop: float = 0.05,
    growing: bool = False,
    sigma_limit: float = 2.0,
    chunk: int = 64,
    sharding: jax.sharding.Sharding | None = None,
) -> State:
    """The state after at most `num_steps` more evaluations of the denoiser for each running sample.

    Pieces of any lengths give what one call gives; the work is done when no `state.running` is left. The last
    evaluation of a sample finds its sigma and moves it no more.

    Args:
      denoiser, key: as in `ascend`; the key also that of `init`.
      state: from `init` or `advance`.
      num_steps: evaluations, at least 1.
      step_size, beta, sigma_stop, growing, sigma_limit, chunk, sharding: as in `ascend`.

    Raises:
      ValueError: as `ascend`.
    """
    for name, value in (("num_steps", num_steps), ("chunk", chunk)):
        _whole(name, value, 1)
    _between("step_size", step_size, 0, 1)
    _between("beta", beta, 0, 1)
    _between("sigma_stop", sigma_stop, 0, jnp.inf)
    out = jax.eval_shape(denoiser, state.images)
    if out.shape != state.images.shape:
        raise ValueError(f"the denoiser maps shape {state.images.shape} to {out.shape}; it must keep it")

    number = len(state.images)
    devices = 1 if sharding is None else sharding.num_devices
    chunk = -(-min(chunk, number) // devices) * devices
    every = state.frame_every

    def run(part: tuple[Array, State]) -> State:
        if sharding is not None:
            part = jax.tree.map(lambda leaf: lax.with_sharding_constraint(leaf, sharding), part)
        indices, samples = part
        keys = _keys(key, indices)
        first = jnp.max(jnp.where(samples.running, samples.steps, 0))  # those that run have taken equally many

        def step(carry: tuple[Array, State]) -> tuple[Array, State]:
            t, samples = carry
            h = step_size * (t + 1) / (1 + step_size * t) if growing else step_size
            samples, sigma, residual = _measure(denoiser, t, samples, every, sigma_stop, sigma_limit)
            gamma = sigma * jnp.sqrt(h * (1 - beta) * (2 - h * (1 + beta)))  # factored: 0 at beta = 1
            moved = samples.images - h * residual + _per_image(gamma) * _normal(keys, t + 1, residual.shape[1:])
            images = jnp.where(_per_image(samples.running), moved, samples.images)
            return t + 1, samples._replace(images=images, steps=samples.steps + samples.running)

        def unfinished(carry: tuple[Array, State]) -> Array:
            return carry[1].running.any() & (carry[0] < first + num_steps)

        return lax.while_loop(unfinished, step, (first, samples))[1]

    def split(leaf: Array) -> Array:  # into whole chunks; what is filled in does not run
        filled = jnp.pad(leaf, ((0, -number % chunk),) + ((0, 0),) * (leaf.ndim - 1))
        return filled.reshape(-1, chunk, *leaf.shape[1:])

    parts = jax.tree.map(split, (jnp.arange(number), state._replace(frame_every=None)))
    done = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:number], lax.map(run, parts))
    return done._replace(frame_every=every)


def result(state: State, *, final_denoise: bool = False) -> tuple[Array, Trace]:
    """Samples and Trace of `ascend` from a state, also from an unfinished one."""
    frames, denoised = (
        None if stored is None else jnp.swapaxes(stored, 0, 1) for stored in (state.frames, state.denoised_frames)
    )
    samples = state.images
    if final_denoise:
        samples = jnp.where(_per_image(state.diverged), samples, state.denoised)
    return samples, Trace(state.sigma.T, state.steps, state.diverged, frames, denoised)


def _measure(
    denoiser: Denoiser, t: Array, samples: State, every: Array, sigma_stop: float, sigma_limit: float
) -> tuple[State, Array, Array]:
    """Denoise, record, and stop the samples that are to move no more; with sigma (n,) and residual."""
    was_running = samples.running
    denoised = denoiser(samples.images).astype(samples.images.dtype)
    residual = samples.images - denoised
    sigma = jnp.sqrt(jnp.mean(residual**2, axis=(1, 2, 3)))
    diverged = was_running & ~(sigma <= sigma_limit)  # also NaN
    last = samples.sigma.shape[1] - 1
    frames, denoised_frames = (
        None if stored is None else _store(stored, values, was_running, t, every)
        for stored, values in ((samples.frames, samples.images), (samples.denoised_frames, denoised))
    )
    row = jnp.where(was_running, sigma, jnp.nan)
    samples = samples._replace(
        denoised=denoised,
        running=was_running & ~diverged & (sigma > sigma_stop) & (t < last),
        diverged=samples.diverged | diverged,
        sigma=lax.dynamic_update_index_in_dim(samples.sigma, row, t, 1),
        frames=frames,
        denoised_frames=denoised_frames,
    )
    return samples, sigma, residual


def _store(stored: Array, values: Array, running: Array, t: Array, every: Array) -> Array:
    index = t // every
    before = lax.dynamic_index_in_dim(stored, index, 1, keepdims=False)
    row = jnp.where(_per_image(running & (t % every == 0)), values, before)
    return lax.dynamic_update_index_in_dim(stored, row, index, 1)


def _keys(key: Key, indices: Array) -> Key:
    return jax.vmap(jax.random.fold_in, (None, 0))(key, indices)


def _normal(keys: Key, t: Array, image: tuple[int, ...]) -> Array:
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, t), image))(keys)


def _per_image(values: Array) -> Array:
    return values.reshape(-1, 1, 1, 1)


def _between(name: str, value: float, low: float, high: float) -> None:
    """ValueError unless low < value <= high, as far as the values are known."""
    known = not any(isinstance(number, jax.core.Tracer) for number in (value, low, high))
    if known and not low < value <= high:
        raise ValueError(f"{name} must be above {low:g} and at most {high:g}, got {value!r}")


def _whole(name: str, value: int, least: int) -> None:
    if not isinstance(value, jax.core.Tracer) and (value != int(value) or value < least):
        raise ValueError(f"{name} must be a whole number from {least}, got {value!r}")
