"""Diffusion posterior sampling, for linear inverse problems: ancestral steps guided by the gradient of the misfit."""

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.names import require, require_positive
from gahr.sampling import ancestral, scheduled
from gahr.sampling.measurements import Measurement
from gahr.sampling.sampler import Sampler
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


def guided(
    measurement: Measurement,
    observed: Array,
    *,
    sigmas: Array,
    strength: float = 1.0,
    eta: float = 1.0,
    mean: float | Array = 0.5,
    factor: Array | None = None,
) -> Sampler:
    """Sampler of diffusion posterior sampling: Chung et al. (2023), arXiv:2209.14687, algorithm 1.

    An ancestral step, less the gradient in y of |c - M^T D(y; s)| times (strength / 2) sqrt((1 + 4 s^2)(1 + 4 s'^2)),
    which is theirs in our unit and with y = x_t / sqrt(alpha-bar). The denoiser is differentiated.

    Args:
      measurement, observed: as in `gahr.sampling.inverse.solve`, one observation for each sample that is drawn.
      sigmas, mean, factor: as in `gahr.sampling.euler.sampler`; theirs are `schedules.ddpm()`.
      strength: positive; 1 is theirs for inpainting and super-resolution.
      eta: as in `gahr.sampling.ancestral.sampler`.
    """
    require_positive(strength=strength)
    require(0 <= eta <= 1, "eta", eta, "from 0 to 1")
    rule = with_options(_guided_step, measurement.as_argument(), strength=strength, eta=eta)
    sampler = scheduled.sampler(rule, check_levels(sigmas), mean=mean, factor=factor)
    return sampler._replace(init=with_options(_begin, sampler.init, measurement.check(observed)))


def _begin(init: Partial, observed: Array, keys: Key, shape: tuple[int, int, int]) -> scheduled.State:
    return init(keys, shape)._replace(memory=observed)


def _guided_step(
    measurement: Measurement, noise_denoiser: NoiseDenoiser, keys: Key, now: Now, *, strength: float, eta: float
) -> tuple[Array, PyTree]:
    sigma = jnp.where(now.sigma > 0, now.sigma, 1)  # 0 only where the step is not taken

    def distance(noisy: Array) -> Array:
        lack = now.memory - measurement.measure(noise_denoiser(noisy, sigma[:, 0, 0, 0]))
        square = jnp.sum(lack.reshape(len(lack), -1) ** 2, 1)
        return jnp.sum(jnp.sqrt(jnp.where(square > 0, square, 1)) * (square > 0))

    scale = strength / 2 * jnp.sqrt((1 + 4 * now.sigma**2) * (1 + 4 * now.after**2))
    moved, observed = ancestral.rule(noise_denoiser, keys, now, eta=eta)
    return moved - scale * jax.grad(distance)(now.images), observed
