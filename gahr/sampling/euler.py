"""The probability-flow ODE dy/dsigma = (y - D(y; sigma)) / sigma by Euler's method, order 1.

Song et al. (2021), arXiv:2011.13456; in this form Karras et al. (2022), arXiv:2206.00364. A step is
y + (1 - sigma' / sigma) (D(y) - y): only the ratio of the levels enters, so a blind denoiser drives it unasked
(`gahr.denoiser.blind`). It is DDIM (Song et al. 2020, arXiv:2010.02502, eta = 0) in y = x_t / sqrt(alpha-bar).
"""

from gahr.sampling import scheduled
from gahr.sampling.sampler import Sampler
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree


def sampler(*, sigmas: Array, mean: float | Array = 0.5, factor: Array | None = None) -> Sampler:
    """Sampler of the ODE by Euler's method, with one call of the denoiser a step.

    Args:
      sigmas: levels (L,) that fall, image units; the last may be 0. See `gahr.sampling.schedules`.
      mean, factor: of the start, N(mean, C + sigmas[0]^2 I), as `gahr.sampling.start.draw`.

    Raises:
      ValueError: levels that do not fall, or are not positive.
    """
    return scheduled.sampler(rule, check_levels(sigmas), mean=mean, factor=factor)


def rule(noise_denoiser: NoiseDenoiser, keys: Key, now: Now) -> tuple[Array, PyTree]:
    """The rule of `scheduled.Rule`; `keys` are not used."""
    del noise_denoiser, keys
    return now.images + (1 - now.after / now.sigma) * (now.denoised - now.images), now.memory
