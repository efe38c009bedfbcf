"""Noise levels for samplers to go through, from large to small, in image units; and those of DDPM, both ways."""

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import require, require_positive, require_whole
from gahr.types import Array


def geometric(*, sigma_max: float = 1.0, sigma_min: float = 0.01, num_levels: int = 10, zero: bool = False) -> Array:
    """Equal ratios: s_i = sigma_max (sigma_min / sigma_max)^(i / (L - 1)), Song and Ermon (2019), arXiv:1907.05600.

    Args:
      sigma_max, sigma_min: first and last positive level, image units.
      num_levels: L, at least 2.
      zero: append a last level 0.

    Returns:
      Levels (L,), or (L + 1,) with zero.

    Raises:
      ValueError: a number out of its range.
    """
    return _levels(sigma_max, sigma_min, num_levels, zero, np.log, np.exp)


def linear(*, sigma_max: float = 1.0, sigma_min: float = 0.01, num_levels: int = 100, zero: bool = False) -> Array:
    """Equal differences. Arguments, result and errors as in `geometric`."""
    return _levels(sigma_max, sigma_min, num_levels, zero, lambda sigma: sigma, lambda sigma: sigma)


def karras(
    *, sigma_max: float = 40.0, sigma_min: float = 0.001, num_levels: int = 18, rho: float = 7.0, zero: bool = True
) -> Array:
    """Equal differences of sigma^(1 / rho): Karras et al. (2022), arXiv:2206.00364, equation 5.

    The defaults are theirs, 80 to 0.002 for intensities in [-1, 1], in our unit. Arguments, result and errors as in
    `geometric`; rho: positive, 1 is `linear`, large values approach `geometric`.
    """
    require_positive(rho=rho)
    return _levels(sigma_max, sigma_min, num_levels, zero, lambda sigma: sigma ** (1 / rho), lambda root: root**rho)


def ddpm(
    *, num_levels: int = 1000, num_steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02, zero: bool = True
) -> Array:
    """Levels of DDPM (Ho et al. 2020, arXiv:2006.11239): beta linear over the steps, alpha-bar = prod (1 - beta).

    Theirs are for intensities in [-1, 1], from 157 to 0.01; these are half of them.

    Args:
      num_levels: so many of the steps, evenly spread, at least 2.
      num_steps: T, at least num_levels.
      beta_min, beta_max: first and last beta, between 0 and 1.
      zero: append a last level 0.

    Returns:
      Levels (num_levels,), or one more with zero, image units.

    Raises:
      ValueError: a number out of its range.
    """
    require_whole("num_steps", num_steps, least=2)
    require_whole("num_levels", num_levels, least=2, most=num_steps)
    require(0 < beta_min <= beta_max < 1, "beta_min, beta_max", (beta_min, beta_max), "between 0 and 1, not falling")
    alpha_bar = np.cumprod(1 - np.linspace(beta_min, beta_max, num_steps))
    sigmas = sigma_of_alpha_bar(alpha_bar) / 2
    sigmas = sigmas[np.round(np.linspace(num_steps - 1, 0, num_levels)).astype(int)]
    return jnp.asarray(np.append(sigmas, 0) if zero else sigmas, jnp.float32)


def sigma_of_alpha_bar(alpha_bar: np.ndarray) -> np.ndarray:
    """sigma = sqrt((1 - a) / a): DDPM's x_t = sqrt(a) x + sqrt(1 - a) z is sqrt(a) y with y = x + sigma z.

    Same shape, in the unit of the clean images; float64, since 1 - a is small.
    """
    return np.sqrt(1 / np.asarray(alpha_bar, np.float64) - 1)


def alpha_bar_of_sigma(sigma: np.ndarray) -> np.ndarray:
    """a = 1 / (1 + sigma^2), the inverse of `sigma_of_alpha_bar`; float64."""
    return 1 / (1 + np.asarray(sigma, np.float64) ** 2)


SCHEDULES = {"geometric": geometric, "linear": linear, "karras": karras, "ddpm": ddpm}


def check_levels(sigmas: Array, *, zero: bool = True) -> Array:
    """The levels (L,) as an array; ValueError unless they fall and are positive, the last one 0 at least if `zero`.

    Levels that an enclosing `jit` does not know are not looked at.
    """
    if isinstance(sigmas, jax.core.Tracer):
        return sigmas
    values = np.asarray(sigmas, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"sigmas must be a row of two levels at least, got shape {values.shape}")
    falls = np.diff(values) < 0
    if not falls.all():
        i = int(np.argmin(falls))
        raise ValueError(f"sigmas must fall, got {values[i + 1]:g} after {values[i]:g}")
    require(np.isfinite(values[0]), "sigmas", float(values[0]), "finite")
    allowed = "above 0, or 0 at the end" if zero else "above 0"
    wrong = values[(values < 0) if zero else (values <= 0)]
    require(not len(wrong), "sigmas", float(wrong[0]) if len(wrong) else None, allowed)
    return jnp.asarray(values, jnp.float32)


def _levels(sigma_max: float, sigma_min: float, num_levels: int, zero: bool, there, back) -> Array:
    require_positive(sigma_max=sigma_max, sigma_min=sigma_min)
    require(sigma_min < sigma_max, "sigma_min", sigma_min, f"below sigma_max = {sigma_max:g}")
    require_whole("num_levels", num_levels, least=2)
    sigmas = back(np.linspace(there(sigma_max), there(sigma_min), num_levels))
    return jnp.asarray(np.append(sigmas, 0) if zero else sigmas, jnp.float32)
