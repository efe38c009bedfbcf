"""Half-quadratic splitting with a denoiser, for linear inverse problems: deterministic, the denoiser is told sigma."""

import jax.numpy as jnp
from jax import lax

from gahr.names import require_positive
from gahr.sampling.measurements import Measurement
from gahr.sampling.schedules import check_levels
from gahr.types import Array, NoiseDenoiser


def plug_and_play(
    noise_denoiser: NoiseDenoiser,
    measurement: Measurement,
    observed: Array,
    *,
    sigmas: Array,
    sigma_observed: float = 0.0,
    strength: float = 0.23,
    mean: float | Array = 0.5,
    start: Array | None = None,
) -> Array:
    """Half-quadratic splitting with a denoiser: Zhang et al. (2021), arXiv:2008.13751, algorithm 1. Deterministic.

    In turns x <- D(z; s) and z <- the minimum of |c - M^T z|^2 / t^2 + strength |z - x|^2 / s^2, for s from large to
    small; without noise of level t in c that puts c in the place of M^T x.

    Args:
      noise_denoiser: (noisy, sigma) -> denoised; a blind one as `gahr.denoiser.blind`.
      measurement, observed, sigma_observed: as in `gahr.sampling.inverse.solve`.
      sigmas: levels (L,) that fall, all positive, image units.
      strength: positive; 0.23 is theirs.
      mean: m of the start M c + m - P m.
      start: images (N, H, W, C) in place of m, such as those of `wiener`: from a few single pixels in grey, a denoiser
        that is not told sigma takes the pixels for noise, and hardly moves.

    Returns:
      The last z, (N, H, W, C).
    """
    require_positive(strength=strength)
    known = measurement.adjoint(measurement.check(observed))

    def fit(images: Array, sigma: float | Array) -> Array:
        weight = sigma**2 / (sigma**2 + strength * sigma_observed**2)
        return images + weight * (known - measurement.project(images))

    def turn(images: Array, sigma: Array) -> tuple[Array, None]:
        return fit(noise_denoiser(images, jnp.full(len(images), sigma)), sigma), None

    levels = check_levels(sigmas, zero=False)
    begin = jnp.broadcast_to(mean, known.shape) if start is None else start
    return lax.scan(turn, fit(begin, levels[0]), levels)[0]
