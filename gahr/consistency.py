"""Consistency functions: the end point of the probability-flow ODE from any of its points, in one step.

Song et al. (2023), Consistency Models, arXiv:2303.01469. f is no denoiser: D(y, sigma) is the mean of the images that y
may stem from, f(y, sigma) is one image, where dy/dsigma = (y - D(y, sigma)) / sigma ends at sigma_min.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.names import require
from gahr.preconditioning import scales
from gahr.types import Array, NoiseDenoiser, PyTree, with_options


def consistency_fn(
    apply: Callable[[PyTree, Array, Array], Array],
    variables: PyTree,
    *,
    sigma_data: float,
    sigma_min: float,
    mean: float = 0.0,
) -> NoiseDenoiser:
    """f(y, sigma) = m + c_skip (y - m) + c_out F(c_in (y - m), log(sigma) / 4) of a caller's own network F.

    Coefficients as in `gahr.preconditioning`, so that f(y, sigma_min) = y. Networks of `gahr.models` that are told
    sigma hold them already: `gahr.denoiser.bind_told` makes f of them.

    Args:
      apply: F, (variables, images (N, H, W, C), c_noise (N,)) -> images of the same shape.
      variables: of F; the leaves of the result, which is a pytree.
      sigma_data: standard deviation of the images' pixels about m, image units.
      sigma_min: smallest noise level, image units, where f is the identity; 0 makes a denoiser of f.
      mean: m, image units; 0 as published, for images in [-1, 1].

    Returns:
      (noisy (..., H, W, C), sigma () or (...,)) -> images of the shape of `noisy`.

    Raises:
      ValueError: sigma_data is not positive, or sigma_min is negative.
    """
    require(sigma_data > 0, "sigma_data", sigma_data, "positive")
    require(sigma_min >= 0, "sigma_min", sigma_min, "at least 0")
    fixed = dict(sigma_data=float(sigma_data), sigma_min=float(sigma_min), mean=float(mean))
    return Partial(with_options(_consistency, Partial(apply), **fixed), variables)


def _consistency(
    apply: Callable,
    variables: PyTree,
    noisy: Array,
    sigma: Array,
    *,
    sigma_data: float,
    sigma_min: float,
    mean: float,
) -> Array:
    lead = noisy.shape[:-3]
    sigma = jnp.broadcast_to(sigma, lead).reshape(-1)
    centred = noisy.reshape(-1, *noisy.shape[-3:]) - mean
    c = scales(sigma, sigma_data=sigma_data, sigma_min=sigma_min)
    moved = c.skip * centred + c.out * apply(variables, c.in_ * centred, c.noise)
    return (mean + moved).reshape(noisy.shape)
