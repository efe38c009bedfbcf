"""The reverse diffusion by ancestral steps, which are those of DDPM and DDIM in y = x_t / sqrt(alpha-bar).

Ho et al. (2020), arXiv:2006.11239 (eta = 1, the smaller variance); Song et al. (2020), arXiv:2010.02502, equation 12
(any eta); Song et al. (2021), arXiv:2011.13456, equation 47 (eta = 1). Levels of a DDPM: `schedules.ddpm`.
"""

import jax.numpy as jnp

from gahr.names import require
from gahr.sampling import scheduled
from gahr.sampling.sampler import Sampler, normal
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


def sampler(*, sigmas: Array, eta: float = 1.0, mean: float | Array = 0.5, factor: Array | None = None) -> Sampler:
    """Sampler that steps down to a level below the next one and adds the noise that lacks.

    From s to s': noise of level n = eta s' sqrt(s^2 - s'^2) / s, and Euler's step of the ODE to sqrt(s'^2 - n^2).
    One call of the denoiser a step.

    Args:
      sigmas, mean, factor: as in `gahr.sampling.euler.sampler`.
      eta: from 0, which is Euler's method for the ODE, to 1.

    Raises:
      ValueError: eta out of its range, levels that do not fall, or are not positive.
    """
    require(0 <= eta <= 1, "eta", eta, "from 0 to 1")
    return scheduled.sampler(with_options(rule, eta=eta), check_levels(sigmas), mean=mean, factor=factor)


def rule(noise_denoiser: NoiseDenoiser, keys: Key, now: Now, *, eta: float) -> tuple[Array, PyTree]:
    """The rule of `scheduled.Rule`."""
    del noise_denoiser
    ratio = now.after / now.sigma
    fresh = eta * jnp.sqrt(1 - ratio**2)  # n / s'
    moved = now.images + (1 - ratio * jnp.sqrt(1 - fresh**2)) * (now.denoised - now.images)
    return moved + now.after * fresh * normal(keys, now.images.shape[1:]), now.memory
