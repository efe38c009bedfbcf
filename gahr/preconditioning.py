"""How networks that are told sigma are scaled, so that what they learn has one size at every noise level.

f(y, sigma) = m + c_skip (y - m) + c_out F(c_in (y - m), c_noise) with

    c_skip = s^2 / ((sigma - e)^2 + s^2)        c_in = 1 / sqrt(sigma^2 + s^2)
    c_out = (sigma - e) s / sqrt(sigma^2 + s^2)   c_noise = log(sigma) / 4

for images of mean m and standard deviation s. Where e = 0 this is a denoiser's (Karras et al. 2022, arXiv:2206.00364,
table 1), where e > 0 a consistency model's, for which f(y, e) = y (Song et al. 2023, arXiv:2303.01469, appendix C).
"""

from typing import NamedTuple

import jax.numpy as jnp

from gahr.types import Array


class Scales(NamedTuple):
    """Coefficients (..., 1, 1, 1), one per image."""

    skip: Array
    out: Array
    in_: Array
    noise: Array  # (...,) what the network is told


def scales(sigma: Array, *, sigma_data: float, sigma_min: float) -> Scales:
    """The four coefficients.

    Args:
      sigma: noise level, image units, (...,), positive.
      sigma_data: s, standard deviation of the images' pixels about m, image units.
      sigma_min: e, noise level at which f is the identity, image units; 0 for a denoiser.
    """
    wide = jnp.asarray(sigma)[..., None, None, None]
    above, size = wide - sigma_min, jnp.sqrt(wide**2 + sigma_data**2)
    skip = sigma_data**2 / (above**2 + sigma_data**2)
    return Scales(skip, above * sigma_data / size, 1 / size, jnp.log(sigma) / 4)
