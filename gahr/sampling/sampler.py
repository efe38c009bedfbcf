"""What a sampler is: how its samples start, and one step of them. `gahr.sampling.driver.sample` does all the rest.

A new one is a file with `sampler(*, options) -> Sampler` and an entry of `gahr.sampling.SAMPLERS`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from gahr.types import Array, Denoiser, Key, NoiseDenoiser, PyTree


class Info(NamedTuple):
    denoised: Array  # (n, H, W, C) D(y) of the images y as they were before the step
    sigma: Array  # (n,) noise level of y, image units
    stop: Array  # (n,) bool: y is the sample
    diverged: Array  # (n,) bool: y is given up, whatever `stop` says


class Sampler(NamedTuple):
    """Two functions, plain or of `types.with_options`, and an end.

    A state is a pytree of arrays with n rows, one of them `images`.
    A sample depends on its own key and row alone. Where `stop` or `diverged` is set, the driver keeps the state of
    before the step; so a step need not look at them.
    """

    init: Callable[[Key, tuple[int, int, int]], PyTree]  # keys (n,), (H, W, C) -> state of all samples at the start
    step: Callable[[Denoiser | NoiseDenoiser, Key, PyTree], tuple[PyTree, Info]]  # D, keys (n,), state -> state, Info
    num_steps: int | None = None  # after which every sample has stopped, where that is known


def normal(keys: Key, shape: tuple[int, int, int]) -> Array:
    """Standard normal images (n, H, W, C), each from its own of n keys."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
