"""Linear inverse problems with a blind denoiser as prior: ascent constrained to what was measured.

Kadkhodaie and Simoncelli (2020), arXiv:2007.13640, algorithm 2. Other methods for the same problems:
`gahr.sampling.restoration`.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.denoiser import as_argument
from gahr.names import is_number, require
from gahr.sampling import blind, driver
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


def solve(
    denoiser: Denoiser,
    key: Key,
    measurement: Measurement,
    observed: Array,
    *,
    step_size: float = 0.01,
    beta: float = 0.01,
    sigma_start: float = 1.0,
    sigma_stop: float = 0.01,
    mean: float | Array = 0.5,
    growing: bool = True,
    sigma_limit: float = 2.0,
    sigma_observed: float = 0.0,
    final_denoise: bool = True,
    **how: Any,
) -> tuple[Array, driver.Trace]:
    """Samples of the images that were measured, by `blind.sampler` with the constrained denoiser of `constrain`.

    A sample is one of many images that fit; the mean over several, of the same observation under different numbers,
    is nearer to the posterior mean, and to the image, as published by 1 to 2 dB. The defaults are the published ones.
    For a Gaussian prior of low rank they give the posterior mean and two thirds of the posterior variance; both are
    right with steps that stay short, such as step_size=0.1, beta=0.2, growing=False.

    Args:
      denoiser: noisy -> denoised, not told sigma.
      key: random key; sample i uses fold_in(key, i).
      measurement: what is measured, see `gahr.sampling.measurements`.
      observed: c, (N, ...), of one image each; for several samples of one image repeat it.
      step_size, beta, sigma_start, sigma_stop, mean, growing, sigma_limit: as in `gahr.sampling.blind.sampler`.
      sigma_observed: level of the noise in c, image units.
      final_denoise: return the constrained D(y), whose measurements are c where there is no noise in them; False
        returns y. The published code returns the unconstrained D(y), which misses c by up to 0.05 a pixel.
      how: options of `gahr.sampling.driver.sample`.

    Returns:
      Samples (N, H, W, C), and Trace.

    Raises:
      ValueError: c that are not those of any image, and as `blind.sampler` and `driver.sample`.
    """
    levels = dict(sigma_start=sigma_start, sigma_stop=sigma_stop, sigma_limit=sigma_limit)
    ascent = blind.sampler(step_size=step_size, beta=beta, mean=mean, growing=growing, **levels)
    sampler = constrain(ascent, measurement, observed, mean=mean, sigma_observed=sigma_observed)
    return driver.sample(
        sampler, denoiser, key, (len(observed), *measurement.shape), final_denoise=final_denoise, **how
    )


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
      measurement, observed, sigma_observed: as in `solve`.
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
