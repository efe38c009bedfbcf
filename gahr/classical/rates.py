"""Errors of shrinkage for given energies of coefficients, and how they fall for power laws c_k^2 = A k^-(alpha + 1).

Energies c_k^2 are (d,), in squared image units; errors are sums over all coefficients, so that an error divided by d is
a mean squared error per pixel.
"""

import math

import jax.numpy as jnp
import numpy as np

from gahr.names import require_positive
from gahr.types import Array

_NUM_FITTED = 32  # numbers k of a fit, at most


def oracle_error(energy: Array, sigma: Array) -> Array:
    """sum_k sigma^2 c_k^2 / (c_k^2 + sigma^2), () or as sigma: of the best factors, and of a Wiener filter."""
    energy, variance = _pair(energy, sigma)
    return jnp.sum(variance * energy / (energy + variance), -1)


def projection_error(energy: Array, sigma: Array) -> Array:
    """sum_k min(c_k^2, sigma^2), () or as sigma: of the best choice of vectors, 1 to 2 times `oracle_error`."""
    return jnp.sum(jnp.minimum(*_pair(energy, sigma)), -1)


def oracle_slope(energy: Array, sigma: Array) -> Array:
    """Slope d PSNR / d input PSNR of `oracle_error`, () or as sigma: sum_k g_k^2 / sum_k g_k, g_k the factors.

    That of d coefficients: 1 where sigma^2 is below them all, as each then costs sigma^2, 0 where it is above them
    all. Compare a measured slope with it; alpha / (alpha + 1) is reached only in between.
    """
    energy, variance = _pair(energy, sigma)
    gains = energy / (energy + variance)
    return jnp.sum(gains**2, -1) / jnp.sum(gains, -1)


def _pair(energy: Array, sigma: Array) -> tuple[Array, Array]:
    variance = jnp.asarray(sigma)[..., None] ** 2
    shape = jnp.broadcast_shapes(energy.shape, variance.shape)
    return jnp.broadcast_to(energy, shape), jnp.broadcast_to(variance, shape)


def power_law(number: int, *, alpha: float, mean: float = 1.0) -> np.ndarray:
    """Energies A k^-(alpha + 1), (number,), with A such that their mean is the given one."""
    require_positive(mean=mean)
    energy = np.arange(1.0, number + 1) ** -(alpha + 1)
    return energy * mean / energy.mean()


def oracle_constant(alpha: float) -> float:
    """C(alpha) = (pi / (alpha + 1)) / sin(pi / (alpha + 1)) of `power_law_error`."""
    require_positive(alpha=alpha)
    return math.pi / (alpha + 1) / math.sin(math.pi / (alpha + 1))


def projection_constant(alpha: float) -> float:
    """(alpha + 1) / alpha, in place of C(alpha) where vectors are chosen: sum_k min(A k^-(alpha + 1), sigma^2)."""
    require_positive(alpha=alpha)
    return (alpha + 1) / alpha


def power_law_error(sigma: Array, *, alpha: float, amplitude: float = 1.0) -> Array:
    """`oracle_error` of infinitely many energies A k^-(alpha + 1), shape of sigma.

    C(alpha) A^(1 / (alpha + 1)) (sigma^2)^(alpha / (alpha + 1)) - sigma^2 / 2, up to terms of higher order in sigma^2:
    the integral over k, and the first correction of the sum.
    """
    leading = oracle_constant(alpha) * amplitude ** (1 / (alpha + 1)) * jnp.square(sigma) ** (alpha / (alpha + 1))
    return leading - jnp.square(sigma) / 2


def decay_exponent(energy: Array, *, between: tuple[int, int]) -> Array:
    """The alpha (...,) for which the k-th largest of energies (..., d) falls as k^-(alpha + 1), by least squares.

    Args:
      energy: c_k^2 in any order, positive where fitted.
      between: first and last number k of the fit, from 1; ln c_k^2 counts alike at every ln k.

    Raises:
      ValueError: numbers that do not rise, or outside of 1 to d.
    """
    first, last = between
    if not 1 <= first < last <= energy.shape[-1]:
        raise ValueError(f"between must be two numbers from 1 to {energy.shape[-1]} that rise, got {between}")
    numbers = np.unique(np.round(np.geomspace(first, last, _NUM_FITTED)).astype(int))
    centred = np.log(numbers) - np.log(numbers).mean()
    fitted = jnp.log(-jnp.sort(-energy, axis=-1)[..., numbers - 1])
    return -(fitted @ (centred / (centred**2).sum())) - 1


def alpha_of_power_slope(slope: float) -> float:
    """alpha = s / 2 - 1 of the sorted Fourier coefficients of images with an isotropic power spectrum A f^-s.

    pi f^2 frequencies are below f, so that the k-th largest is A (k / pi)^(-s/2). The power f^-2 to f^-2.4 of natural
    images is alpha = 0 to 0.2, for which the PSNR slope alpha / (alpha + 1) of a Fourier basis is poor.
    """
    return slope / 2 - 1


def inverse_square_error(sigma: Array, *, amplitude: float, limit: float) -> Array:
    """`oracle_error` of a power spectrum A f^-2 on frequencies |f| < F of a unit grid, the case alpha = 0.

    pi A ln(1 + sigma^2 F^2 / A), the integral over the plane: neither a power of sigma, nor finite without F.

    Args:
      sigma: noise level, image units.
      amplitude: A, power at f = 1.
      limit: F, cycles per image.
    """
    return math.pi * amplitude * jnp.log1p(jnp.square(sigma) * limit**2 / amplitude)
