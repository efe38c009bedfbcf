"""One loop for all samplers: chunks, devices, the key of every sample and step, stops, frames and progress."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.tree_util import Partial

from gahr.blocks import in_chunks
from gahr.denoiser import as_argument
from gahr.names import require, require_whole
from gahr.sampling.sampler import Sampler
from gahr.types import Array, Denoiser, Key, NoiseDenoiser, Progress, PyTree, Sharding


class Trace(NamedTuple):
    sigma: Array  # (max_steps + 1, N) noise level after t = 0, 1, ... steps as the sampler says; NaN after the stop
    steps: Array  # (N,) steps taken: sigma[steps[i], i] is that of sample i, or of its last image before D(y)
    diverged: Array  # (N,) bool, given up by the sampler
    frames: Array | None  # (F, N, H, W, C) y after 0, k, 2 k, ... steps; NaN after the stop
    denoised: Array | None  # (F, N, H, W, C) D(y) of the frames


class _Samples(NamedTuple):
    state: PyTree  # of the sampler
    denoised: Array  # (N, H, W, C) D(y): that of state.images once a sample has stopped
    running: Array  # (N,) bool
    trace: Trace  # samples first


def sample(
    sampler: Sampler,
    denoiser: Denoiser | NoiseDenoiser,
    key: Key,
    shape: tuple[int, int, int, int],
    *,
    first: int | Array = 0,
    max_steps: int = 10_000,
    frame_every: int = 0,
    final_denoise: bool = False,
    chunk: int = 64,
    sharding: Sharding | None = None,
    progress: Progress | None = None,
    note: str = "samples",
    piece: int = 32,
) -> tuple[Array, Trace]:
    """Samples from a denoiser, each moved until its sampler stops it.

    Sample i draws from k = fold_in(key, i), its start from fold_in(k, 0) and step t = 1, 2, ... from fold_in(k, t).
    So it depends on no other sample, and two denoisers given one key meet the same noise.

    Args:
      sampler: one of `gahr.sampling.SAMPLERS` with its options.
      denoiser: what the sampler asks for: noisy (n, H, W, C) -> clean, or (noisy, sigma) -> clean.
      key: random key.
      shape: (N, H, W, C) of the samples.
      first: number of the first of them, so that a set can be drawn in parts: i counts from it.
      max_steps: a sample stops after so many, or the sampler's own number, whatever else its sampler says.
      frame_every: k, steps between stored frames; 0 stores none.
      final_denoise: return D(y) in place of y.
      chunk, sharding: samples computed at a time, and their devices: as `gahr.blocks.in_chunks`.
      progress: shows `note` and asks for stops, after every `piece` steps: samples that have stopped, or steps where
        the sampler knows their number. With it the loop runs on the host and what it repeats is jitted, once for equal
        samplers and denoisers of one kind; without, all can be traced.

    Returns:
      Samples (N, H, W, C), not clipped, and Trace. A sample that has diverged is its last y, also with
      final_denoise: that is finite, its D(y) need not be.

    Raises:
      ValueError: a number out of its range, a shape that is not (N, H, W, C), or a denoiser that changes it.
    """
    counts = {"max_steps": (max_steps, 1), "frame_every": (frame_every, 0), "chunk": (chunk, 1), "piece": (piece, 1)}
    for name, (value, least) in counts.items():
        require_whole(name, value, least=least)
    require(len(shape) == 4 and min(shape) >= 1, "shape", shape, "(N, H, W, C), all positive")
    rows, max_steps = shape[0], min(max_steps, sampler.num_steps or max_steps)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(rows))
    state = sampler.init(_at(keys, 0), tuple(shape[1:]))

    def room(*sides: int) -> Array:
        return jnp.full((rows, *sides), jnp.nan, state.images.dtype)

    frames = room(max_steps // frame_every + 1, *shape[1:]) if frame_every else None
    trace = Trace(room(max_steps + 1), jnp.zeros(rows, jnp.int32), jnp.zeros(rows, bool), frames, frames)
    samples = _Samples(state, state.images, jnp.ones(rows, bool), trace)
    step, denoiser = as_argument(sampler.step), as_argument(denoiser)
    options = dict(frame_every=frame_every, chunk=chunk, sharding=sharding)
    if progress is None:
        samples = _advance(step, denoiser, keys, samples, 0, num_steps=max_steps + 1, **options)
    else:
        if sharding is not None:  # where the pieces leave them, so that the first is no special case to compile
            everywhere = NamedSharding(sharding.mesh, PartitionSpec())
            keys, samples = lax.with_sharding_constraint((keys, samples), everywhere)
        for taken in range(0, max_steps + 1, piece):
            progress.check()
            samples = _advance_jitted(step, denoiser, keys, samples, taken, num_steps=piece, **options)
            running, steps = np.asarray(samples.running), int(np.max(samples.trace.steps))
            if sampler.num_steps is None:
                progress.update(note, int(np.sum(~running)), rows, note=f"step {steps}")
            else:  # all end at once, so that steps tell how long it takes
                progress.update(note, steps if running.any() else max_steps, max_steps, note=f"{rows} samples")
            if not running.any():
                break
    images = samples.state.images
    if final_denoise:
        images = _where(samples.trace.diverged, images, samples.denoised)
    return images, jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1) if leaf.ndim > 1 else leaf, samples.trace)


def _advance(
    step: Partial,
    denoiser: Partial,
    keys: Key,
    samples: _Samples,
    first: int | Array,
    *,
    num_steps: int | Array,
    frame_every: int,
    chunk: int,
    sharding: Sharding | None,
) -> _Samples:
    """The samples, which have taken `first` steps where they run, after at most `num_steps` more calls of `step`.

    The last call for a sample finds that it stops, and moves it no more.
    """
    last = samples.trace.sigma.shape[1] - 1

    def checked(noisy: Array, *sigma: Array) -> Array:
        denoised = denoiser(noisy, *sigma)
        if denoised.shape != noisy.shape:
            raise ValueError(f"the denoiser maps shape {noisy.shape} to {denoised.shape}; it must keep it")
        return denoised.astype(noisy.dtype)

    def once(t: Array, keys: Key, samples: _Samples) -> _Samples:
        before, runs, trace = samples.state, samples.running, samples.trace
        state, info = step(checked, _at(keys, t + 1), before)
        moves = runs & ~info.stop & ~info.diverged & (t < last)
        trace = trace._replace(
            sigma=_store(trace.sigma, info.sigma, runs, t),
            steps=trace.steps + moves,
            diverged=trace.diverged | (runs & info.diverged),
        )
        if frame_every:
            shown, row = runs & (t % frame_every == 0), t // frame_every
            trace = trace._replace(
                frames=_store(trace.frames, before.images, shown, row),
                denoised=_store(trace.denoised, info.denoised, shown, row),
            )
        state = jax.tree.map(lambda new, old: _where(moves, new, old), state, before)
        return _Samples(state, _where(runs, info.denoised, samples.denoised), moves, trace)

    def run(rows: tuple[Key, _Samples]) -> _Samples:
        keys, samples = rows
        return lax.while_loop(
            lambda carry: carry[1].running.any() & (carry[0] < first + num_steps),
            lambda carry: (carry[0] + 1, once(carry[0], keys, carry[1])),
            (first, samples),
        )[1]

    return in_chunks(run, (keys, samples), chunk=chunk, sharding=sharding)


_advance_jitted = jax.jit(_advance, static_argnames=("frame_every", "chunk", "sharding"))


def _at(keys: Key, t: int | Array) -> Key:
    return jax.vmap(jax.random.fold_in, (0, None))(keys, t)


def _where(rows: Array, new: Array, old: Array) -> Array:
    return jnp.where(jnp.expand_dims(rows, tuple(range(1, old.ndim))), new, old)


def _store(stored: Array, values: Array, rows: Array, index: Array) -> Array:
    """stored[rows, index] = values[rows]."""
    before = lax.dynamic_index_in_dim(stored, index, 1, keepdims=False)
    return lax.dynamic_update_index_in_dim(stored, _where(rows, values, before), index, 1)
