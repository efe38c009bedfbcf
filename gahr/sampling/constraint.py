"""Samplers constrained to what was measured of an image.

Kadkhodaie and Simoncelli (2020), arXiv:2007.13640, algorithm 2, for any sampler.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.denoiser import as_argument
from gahr.names import is_number, require
from gahr.sampling.measurements import Measurement
from gahr.sampling.sampler import Info, Sampler
from gahr.types import Array, Denoiser, Key, PyTree, with_options


class State(NamedTuple):
    inner: PyTree  # state of the sampler that is constrained
    known: Array  # (n, H, W, C) M c

    @property
    def images(self) -> Array:
        """y, (n, H, W, C)."""
        return self.inner.images


def constrain(
    sampler: Sampler,
    measurement: Measurement,
    observed: Array,
    *,
    mean: float | Array = 0.5,
    sigma_observed: float = 0.0,
) -> Sampler:
    """Any sampler, with D(y) + w (M c - P D(y)) in place of D(y).

    Without noise in c, w = 1: the residual is (I - P)(y - D(y)) + P y - M c. With noise of level t,
    w = s^2 / (s^2 + t^2), s the root mean square of y - D(y), so that noise is not fitted once y has less of it
    (Song et al. 2023, "Pseudoinverse-guided diffusion models", without their derivative). The start is moved
    by M c - P m.

    Args:
      sampler: told sigma or not, with the start of mean m.
      measurement, observed, sigma_observed: as in `gahr.sampling.inverse.solve`.
      mean: m.
    """
    require(is_number(sigma_observed) and sigma_observed >= 0, "sigma_observed", sigma_observed, "a number from 0")
    known = measurement.adjoint(measurement.check(observed))
    moved = known - measurement.project(jnp.broadcast_to(mean, measurement.shape))[None]
    init = with_options(_init, as_argument(sampler.init), known, moved)
    step = with_options(_step, as_argument(sampler.step), measurement.as_argument(), sigma_observed=sigma_observed)
    return Sampler(init, step, num_steps=sampler.num_steps)


def _init(init: Partial, known: Array, moved: Array, keys: Key, shape: tuple[int, int, int]) -> State:
    inner = init(keys, shape)
    return State(inner._replace(images=inner.images + moved), known)


def _step(
    step: Partial, measurement: Measurement, denoiser: Denoiser, keys: Key, state: State, *, sigma_observed: float
) -> tuple[State, Info]:
    def constrained(noisy: Array, *sigma: Array) -> Array:
        denoised = denoiser(noisy, *sigma)
        lack = state.known - measurement.project(denoised)
        if sigma_observed:
            variance = jnp.mean((noisy - denoised) ** 2, axis=(1, 2, 3), keepdims=True)
            lack = variance / (variance + sigma_observed**2) * lack
        return denoised + lack

    inner, info = step(constrained, keys, state.inner)
    return State(inner, state.known), info
