"""Linear inverse problems with a blind denoiser as prior: ascent constrained to what was measured.

Kadkhodaie and Simoncelli (2020), arXiv:2007.13640, algorithm 2. Other methods for the same problems:
`gahr.sampling.restoration`, `gahr.sampling.splitting`, `gahr.sampling.guidance`.
"""

from typing import Any

from gahr.sampling import blind, driver
from gahr.sampling.constraint import constrain
from gahr.sampling.measurements import Measurement
from gahr.types import Array, Denoiser, Key


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
    """Samples of the images that were measured, by `gahr.sampling.constraint.constrain` of `blind.sampler`.

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
