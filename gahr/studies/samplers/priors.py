"""Priors whose denoiser, moments and samples are known: a Gaussian with the spectrum of images, and two of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis.statistics import Moments
from gahr.classical.analytic import gaussian, mixture
from gahr.sampling import start
from gahr.types import Array, Key, NoiseDenoiser

_MEAN, _SD = 0.5, 0.2  # of the pixels
_APART = 5.0  # standard deviations between the mixture's centre and each mode, along the line through both
_LIGHT = 0.3  # weight of the lighter mode
_SHRUNK = 0.25  # of the variances, in the mixture


class Prior(NamedTuple):
    """Images of a known law, in noise: N(m, sum_k l_k u_k u_k^T), or two of these with means m -+ a v."""

    noise_denoiser: NoiseDenoiser
    mean: Array  # (H, W, C)
    eigenvalues: Array  # (d,) of each mode, in the order of the vectors
    vectors: Array  # (d, H, W, C) orthonormal, of falling power
    offset: Array  # (H, W, C) a v, 0 for one mode

    @property
    def shares(self) -> tuple[float, float]:
        """Weights of the modes m - a v and m + a v."""
        return (_LIGHT, 1 - _LIGHT)

    def moments(self, sigma: float, number: int) -> Moments:
        """Exact moments of noisy images along the first so many vectors."""
        rows = np.asarray(self.vectors, np.float64)[:number].reshape(number, -1)
        light, heavy = self.shares
        offset = rows @ np.asarray(self.offset, np.float64).ravel()
        centre = rows @ np.asarray(self.mean, np.float64).ravel() + (heavy - light) * offset
        spread = np.diag(np.asarray(self.eigenvalues, np.float64)[:number] + sigma**2)
        return Moments(centre, spread + 4 * light * heavy * np.outer(offset, offset))

    def draw(self, key: Key, number: int, sigma: float) -> Array:
        """Noisy images (N, H, W, C)."""
        which, keys = jax.random.fold_in(key, 0), jax.random.split(jax.random.fold_in(key, 1), number)
        factor = jnp.sqrt(self.eigenvalues)[:, None, None, None] * self.vectors
        images = start.draw(keys, self.mean.shape, sigma=sigma, mean=self.mean, factor=factor)
        sides = jnp.where(jax.random.bernoulli(which, self.shares[1], (number,)), 1.0, -1.0)
        return images + sides[:, None, None, None] * self.offset[None]

    def start(self) -> dict[str, Array]:
        """Mean and factor of a start with the moments of the images."""
        light, heavy = self.shares
        factor = jnp.sqrt(self.eigenvalues)[:, None, None, None] * self.vectors
        between = 2 * (light * heavy) ** 0.5 * self.offset
        return {"mean": self.mean + (heavy - light) * self.offset, "factor": jnp.append(factor, between[None], 0)}

    def light_share(self, images: Array) -> float:
        """Share of images (N, H, W, C) on the side of the lighter mode."""
        along = jnp.sum((images - self.mean[None]) * self.offset[None], (1, 2, 3))
        return float(jnp.mean(along < 0))


def power_law(size: int) -> Prior:
    """Gaussian images of power 1 / (1 + |k|^2), k in cycles per image, mean 1/2 and standard deviation 0.2."""
    values, vectors = _hartley(size)
    mean = jnp.full((size, size, 1), _MEAN)
    return Prior(gaussian(mean, values, vectors), mean, values, vectors, jnp.zeros_like(mean))


def two_modes(size: int) -> Prior:
    """Two Gaussians of a quarter of that power, whose means differ by a wave of one cycle; weights 0.3 and 0.7."""
    one = power_law(size)
    values = _SHRUNK * one.eigenvalues
    offset = _APART * jnp.sqrt(values[1]) * one.vectors[1]
    means = one.mean[None] + jnp.stack([-offset, offset])
    both = jnp.broadcast_to(values, (2, len(values))), jnp.broadcast_to(one.vectors, (2, *one.vectors.shape))
    exact = mixture(jnp.array([_LIGHT, 1 - _LIGHT]), means, *both)
    return Prior(exact, one.mean, values, one.vectors, offset)


def _hartley(size: int) -> tuple[Array, Array]:
    """Variances (d,), falling, and the orthonormal waves cos + sin that they belong to."""
    k = np.fft.fftfreq(size, 1 / size)
    power = 1 / (1 + k[:, None] ** 2 + k[None] ** 2)
    power *= _SD**2 * size**2 / power.sum()
    spectrum = np.fft.fft2(np.eye(size**2).reshape(-1, size, size), norm="ortho")
    waves = (spectrum.real - spectrum.imag)[..., None]
    order = np.argsort(-power.ravel(), kind="stable")
    return jnp.asarray(power.ravel()[order], jnp.float32), jnp.asarray(waves[order], jnp.float32)
