"""Denoisers that shrink coefficients in an orthonormal basis: oracles, Wiener filters and thresholds.

All take a `gahr.classical.transforms.Transform` and are NoiseDenoisers on images (..., H, W, C), sigma () or one per
image (...,), and pytrees, as `gahr.denoiser.bind` makes. c_k = <y, e_k> below, or <x, e_k> of oracles.

Where there are `bands`, they are whole numbers from 0, of a shape that broadcasts to the coefficients', such as
`gahr.classical.wavelets.bands`: thresholds are found for each band by itself, and band 0 is kept as it is. Where None,
all coefficients are one band.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.classical.transforms import Transform, vectors
from gahr.denoiser import as_argument
from gahr.noise import per_image
from gahr.types import Array, NoiseDenoiser, with_options

SHIFTS = tuple((k, 3 * k % 8) for k in range(8))  # a lattice, even over the 8 x 8 shifts of three levels


def oracle(transform: Transform, clean: Array) -> NoiseDenoiser:
    """The best factors in a basis, which know the image: c_k^2 / (c_k^2 + sigma^2).

    The expected error is sum_k sigma^2 c_k^2 / (c_k^2 + sigma^2), `gahr.classical.rates.oracle_error` of c_k^2.

    Args:
      transform: the basis.
      clean: x, images of the shape of the noisy ones, or one for all.
    """
    return wiener(transform, transform.analysis(clean) ** 2)


def projection_oracle(transform: Transform, clean: Array) -> NoiseDenoiser:
    """The best choice of basis vectors, which knows the image: c_k is kept where |c_k| > sigma.

    The expected error is sum_k min(c_k^2, sigma^2), between 1 and 2 times that of `oracle`, whose arguments these are.
    """
    return Partial(_project, transform, transform.analysis(clean) ** 2)


def _project(transform: Transform, energy: Array, noisy: Array, sigma: Array) -> Array:
    coefficients = transform.analysis(noisy)
    is_kept = jnp.broadcast_to(energy, coefficients.shape) > per_image(sigma, noisy) ** 2
    return transform.synthesis(jnp.where(is_kept, coefficients, 0))


def wiener(transform: Transform, spectrum: Array, *, mean: Array | None = None) -> NoiseDenoiser:
    """Best linear denoiser for a prior that is uncorrelated in a basis: m + sum_k l_k / (l_k + sigma^2) c_k e_k.

    It is the posterior mean of a Gaussian prior, and its expected error sum_k sigma^2 l_k / (l_k + sigma^2) =
    sigma^2 tr J. For a stationary prior take `fourier()` and a power spectrum (`gahr.classical.spectra`), for principal
    components `gahr.classical.analytic.gaussian(*fit_gaussian(images, rank=...))`.

    Args:
      transform: the basis e_k.
      spectrum: l_k = E c_k^2 about the mean, of a shape that broadcasts to the coefficients', not negative.
      mean: m, (H, W, C); zero where None. With another one D(y) = J y does not hold.
    """
    return Partial(_shrink, transform, spectrum, jnp.zeros_like(spectrum, shape=(1, 1, 1)) if mean is None else mean)


def wiener_of_covariance(covariance: Array, mean: Array) -> NoiseDenoiser:
    """`wiener` in the eigenvectors of a covariance S (d, d), mean m (H, W, C): m + S (S + sigma^2 I)^-1 (y - m)."""
    ascending, columns = jnp.linalg.eigh(covariance)
    transform = vectors(columns.T.reshape(-1, *mean.shape))
    return wiener(transform, jnp.maximum(ascending, 0)[:, None, None], mean=mean)


def _shrink(transform: Transform, spectrum: Array, mean: Array, noisy: Array, sigma: Array) -> Array:
    mean = jnp.broadcast_to(mean, noisy.shape)
    coefficients = transform.analysis(noisy - mean)
    spectrum = jnp.broadcast_to(spectrum, coefficients.shape)
    gains = spectrum / jnp.where(spectrum > 0, spectrum + per_image(sigma, noisy) ** 2, 1)  # 0, not 0/0
    return mean + transform.synthesis(gains * coefficients)


def universal(number: int) -> float:
    """The factor (2 ln n)^0.5 of sigma that n values of pure noise hardly exceed.

    With it `hard` and `soft` are within 2 ln n + 1 of sigma^2 + sum_k min(c_k^2, sigma^2).

    Reference: Donoho and Johnstone (1994), Biometrika 81, 425-455.
    """
    return math.sqrt(2 * math.log(number))


def hard(transform: Transform, *, factor: float = 3.0, bands: np.ndarray | None = None) -> NoiseDenoiser:
    """Coefficients up to T = `factor` sigma in size set to zero; a projection for each image, so that D(y) = J y."""
    return with_options(_hard, transform, factor=factor, bands=_labels(bands)[0])


def soft(transform: Transform, *, factor: float = 3.0, bands: np.ndarray | None = None) -> NoiseDenoiser:
    """Coefficients brought nearer to zero by T = `factor` sigma, those below set to zero."""
    return with_options(_soft, transform, factor=factor, bands=_labels(bands)[0])


def bayes(transform: Transform, *, bands: np.ndarray | None = None) -> NoiseDenoiser:
    """BayesShrink: `soft` with T = sigma^2 / s in each band, s^2 = max(mean of c_k^2 - sigma^2, 0).

    Reference: Chang, Yu and Vetterli (2000), IEEE Transactions on Image Processing 9, 1532-1546.
    """
    labels, number = _labels(bands)
    return with_options(_bayes, transform, bands=labels, number=number)


def sure(transform: Transform, *, bands: np.ndarray | None = None) -> NoiseDenoiser:
    """SureShrink: `soft` with the T in each band of least risk, by Stein's estimate, up to (2 ln n)^0.5 sigma.

    n sigma^2 - 2 sigma^2 #{|c_k| <= T} + sum_k min(c_k^2, T^2), whose mean is the error of any fixed T.

    Reference: Donoho and Johnstone (1995), Journal of the American Statistical Association 90, 1200-1224.
    """
    labels, number = _labels(bands)
    return with_options(_sure, transform, bands=labels, number=number)


def cycle_spin(noise_denoiser: NoiseDenoiser, *, shifts: tuple[tuple[int, int], ...] = SHIFTS) -> NoiseDenoiser:
    """Mean over periodic shifts of the image, each taken back: a denoiser that depends less on places.

    Args:
      noise_denoiser: the denoiser of a shifted image.
      shifts: (rows, columns), pixels.

    Reference: Coifman and Donoho (1995), Translation-invariant de-noising.
    """
    return with_options(_spin, as_argument(noise_denoiser), shifts=shifts)


def _spin(noise_denoiser: NoiseDenoiser, noisy: Array, sigma: Array, *, shifts: tuple[tuple[int, int], ...]) -> Array:
    def add(total: Array, shift: Array) -> tuple[Array, None]:
        moved = jnp.roll(noisy, (shift[0], shift[1]), (-3, -2))
        return total + jnp.roll(noise_denoiser(moved, sigma), (-shift[0], -shift[1]), (-3, -2)), None

    return jax.lax.scan(add, jnp.zeros_like(noisy), jnp.array(shifts))[0] / len(shifts)


def _labels(bands: np.ndarray | None) -> tuple[np.ndarray, int]:
    labels = np.ones((1, 1, 1), int) if bands is None else np.asarray(bands)
    return labels, int(labels.max()) + 1


def _hard(transform: Transform, noisy: Array, sigma: Array, *, factor: float, bands: Array) -> Array:
    coefficients = transform.analysis(noisy)
    is_kept = (jnp.broadcast_to(bands, coefficients.shape) == 0) | (
        abs(coefficients) > factor * per_image(sigma, noisy)
    )
    return transform.synthesis(jnp.where(is_kept, coefficients, 0))


def _soft(transform: Transform, noisy: Array, sigma: Array, *, factor: float, bands: Array) -> Array:
    coefficients = transform.analysis(noisy)
    return _soften(transform, coefficients, bands, factor * per_image(sigma, noisy))


def _soften(transform: Transform, coefficients: Array, bands: Array, threshold: Array) -> Array:
    threshold = jnp.where(jnp.broadcast_to(bands, coefficients.shape) == 0, 0, threshold)
    return transform.synthesis(jnp.sign(coefficients) * jnp.maximum(abs(coefficients) - threshold, 0))


def _members(coefficients: Array, bands: Array, number: int) -> list[Array]:
    """Masks, of the shape of the coefficients, of bands 1, 2, ..."""
    labels = jnp.broadcast_to(bands, coefficients.shape)
    return [labels == label for label in range(1, number)]


def _bayes(transform: Transform, noisy: Array, sigma: Array, *, bands: Array, number: int) -> Array:
    coefficients, variance = transform.analysis(noisy), per_image(sigma, noisy) ** 2
    threshold = jnp.zeros_like(coefficients)
    for members in _members(coefficients, bands, number):
        energy = jnp.sum(coefficients**2, (-3, -2, -1), keepdims=True, where=members)
        signal = energy / jnp.sum(members, (-3, -2, -1), keepdims=True) - variance
        there = variance / jnp.sqrt(jnp.where(signal > 0, signal, 1))
        threshold = jnp.where(members, jnp.where(signal > 0, there, jnp.inf), threshold)
    return _soften(transform, coefficients, bands, threshold)


def _sure(transform: Transform, noisy: Array, sigma: Array, *, bands: Array, number: int) -> Array:
    coefficients, sigma = transform.analysis(noisy), per_image(sigma, noisy)
    lead, size = coefficients.shape[:-3], math.prod(coefficients.shape[-3:])
    in_sigma = jax.lax.stop_gradient(abs(coefficients) / sigma)
    threshold = jnp.zeros_like(coefficients)
    for members in _members(coefficients, bands, number):
        sizes = jnp.sort(jnp.where(members, in_sigma, jnp.inf).reshape(*lead, size))
        count = jnp.sum(members, (-3, -2, -1))[..., None]
        rank = jnp.broadcast_to(jnp.arange(1, size + 1), sizes.shape)  # how many are at most so large
        is_candidate = (rank <= count) & (sizes <= jnp.sqrt(2 * jnp.log(count)))
        square = jnp.where(is_candidate, sizes, 0) ** 2
        risk = -2 * rank + jnp.cumsum(square, -1) + (count - rank) * square  # less n, the risk of T = 0
        risk = jnp.where(is_candidate, risk, jnp.inf)
        best = jnp.take_along_axis(sizes, jnp.argmin(risk, -1)[..., None], -1)
        best = jnp.where(risk.min(-1, keepdims=True) < 0, best, 0)[..., None, None]
        threshold = jnp.where(members, best * sigma, threshold)
    return _soften(transform, coefficients, bands, threshold)
