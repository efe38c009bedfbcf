"""What samplers share that go through given noise levels: the state, the denoiser's call at a level, the end.

A rule says how images move from one level to the next; `sampler` makes a member of the protocol of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from gahr.denoiser import as_argument
from gahr.sampling import start
from gahr.sampling.sampler import Info, Sampler
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options

_LIMIT = 10.0  # times intensities and noise together: no residual of a working denoiser is so large


class State(NamedTuple):
    images: Array  # (n, H, W, C) y, image units
    index: Array  # (n,) of its level
    memory: PyTree  # what the rule remembers, n rows


class Now(NamedTuple):
    """What a rule sees of n images at their levels."""

    images: Array  # (n, H, W, C) y
    denoised: Array  # (n, H, W, C) D(y; sigma)
    sigma: Array  # (n, 1, 1, 1) level of y
    after: Array  # (n, 1, 1, 1) the next level; 0 where there is none
    index: Array  # (n,) number of the level
    memory: PyTree  # n rows


Rule = Callable[[NoiseDenoiser, Key, Now], tuple[Array, PyTree]]  # -> images at the next level, memory


def nothing(images: Array) -> PyTree:
    """The memory of a rule that needs none."""
    del images
    return ()


def sampler(
    rule: Rule,
    levels: Array,
    *,
    mean: float | Array,
    factor: Array | None,
    sigma_start: float | Array | None = None,
    remember: Callable[[Array], PyTree] = nothing,
) -> Sampler:
    """Sampler that moves images by a rule from each level to the next and stops at the last.

    A sample has diverged where the root mean square of its residual is above 10 (1 + sigma), or NaN.

    Args:
      rule: as `Rule`, a function or pytree.
      levels: (L,), image units; where the last is 0, D(y; 0) = y is not computed.
      mean, factor: of the start, as `gahr.sampling.start.draw`.
      sigma_start: noise level of the start, levels[0] where None.
      remember: memory at the start from the images.
    """
    sigma = levels[0] if sigma_start is None else sigma_start
    init = with_options(_init, sigma, remember=remember, mean=mean, factor=factor)
    return Sampler(init, with_options(_step, as_argument(rule), levels), num_steps=len(levels) - 1)


def denoise(noise_denoiser: NoiseDenoiser, images: Array, sigma: Array) -> Array:
    """D(y; sigma) of images (n, H, W, C), sigma (n, 1, 1, 1), and y where sigma is 0; not called where that is all."""

    def call() -> Array:
        known = sigma > 0
        denoised = noise_denoiser(images, jnp.where(known, sigma, 1)[:, 0, 0, 0])
        return jnp.where(known, denoised, images).astype(images.dtype)

    return lax.cond(jnp.any(sigma > 0), call, lambda: images)


def move(rule: Rule, levels: Array, noise_denoiser: NoiseDenoiser, keys: Key, state: State) -> tuple[State, Now]:
    """The state at the next level, and what the rule saw."""
    padded = jnp.append(levels, 0.0)
    sigma, after = (padded[state.index + i][:, None, None, None] for i in (0, 1))
    denoised = denoise(noise_denoiser, state.images, sigma)
    now = Now(state.images, denoised, sigma, after, state.index, state.memory)
    images, memory = rule(noise_denoiser, keys, now)
    return State(images, state.index + 1, memory), now


def _init(sigma: Array, keys: Key, shape: tuple[int, int, int], *, remember: Callable, **options: Any) -> State:
    images = start.draw(keys, shape, sigma=sigma, **options)
    return State(images, jnp.zeros(len(keys), jnp.int32), remember(images))


def _step(rule: Partial, levels: Array, denoiser: NoiseDenoiser, keys: Key, state: State) -> tuple[State, Info]:
    moved, now = move(rule, levels, denoiser, keys, state)
    sigma = now.sigma[:, 0, 0, 0]
    residual = jnp.sqrt(jnp.mean((now.images - now.denoised) ** 2, axis=(1, 2, 3)))
    last = state.index == len(levels) - 1
    return moved, Info(now.denoised, sigma, stop=last, diverged=~(residual <= _LIMIT * (1 + sigma)))
