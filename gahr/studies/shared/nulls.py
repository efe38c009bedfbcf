"""Null denoisers: what a claim about a trained network must not hold of, by the names of `style.NULLS`.

None has learnt how an image at hand is made: a fixed linear filter fitted to the training images, a fixed smoothing
filter, what does nothing, the network before training, and the posterior mean of the training images alone.
"""

import functools

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.classical.analytic import fit_gaussian, gaussian, points
from gahr.denoiser import as_argument, blind
from gahr.studies.shared.study import Run
from gahr.types import Array, Denoiser, NoiseDenoiser


def null_denoisers(run: Run, *, num_fit: int = 20_000, memorized: int = 0) -> dict[str, NoiseDenoiser]:
    """Null denoisers of a run by name; pytrees, so that compiled functions serve all runs.

    Args:
      run: of which they are nulls.
      num_fit: training images that the linear denoiser is fitted to, at most.
      memorized: training images that the memorizer is the exact denoiser of, at most; every call goes through all.

    Returns:
      "linear" (`linear`), "3x3 filter" (`smooth`), "identity"; "untrained" where it is known, "memorizer" where it is
      asked for.
    """
    found = {
        "linear": linear(run.images(run.subset, num_fit)),
        "3x3 filter": blind(smooth),
        "identity": blind(_identity),
    }
    if run.initial is not None:
        found["untrained"] = run.initial
    if memorized:
        found["memorizer"] = points(run.images(run.subset, memorized))
    return found


def linear(images: Array, *, centred: bool = False) -> NoiseDenoiser:
    """The best denoiser D(y) = A y: A = M (M + sigma^2 I)^-1 with the second moment M = E x x^T of images (N, H, W, C).

    It is told sigma and knows no mean image, as a bias-free network; `centred`, it knows one: D(y) = m + A (y - m),
    with the covariance. Eigenvalues are those of images held out (`fit_gaussian`), so that few images cost little.
    """
    return gaussian(*_fit(images, centred=centred))


# every fifth image says how much to shrink
_fit = jax.jit(functools.partial(fit_gaussian, hold_out=5), static_argnames="centred")


def estimated(noise_denoiser: NoiseDenoiser) -> Denoiser:
    """A denoiser that is not told sigma but reads it off the image, for samplers that know none; a pytree.

    sigma = median |h| / 0.6745 with h = (a - b - c + d) / 2 of each 2 x 2 pixels, where images have least.

    Reference: Donoho and Johnstone (1994), Biometrika 81, 425-455.
    """
    return Partial(_told_its_estimate, as_argument(noise_denoiser))


def _told_its_estimate(noise_denoiser: NoiseDenoiser, noisy: Array) -> Array:
    height, width = (side // 2 * 2 for side in noisy.shape[-3:-1])
    rows = noisy[..., :height:2, :width, :] - noisy[..., 1:height:2, :width, :]
    details = (rows[..., ::2, :] - rows[..., 1::2, :]) / 2
    return noise_denoiser(noisy, jnp.median(jnp.abs(details), axis=(-3, -2, -1)) / 0.6745)


def smooth(noisy: Array) -> Array:
    """Binomial 3 x 3 filter: (1, 2, 1) / 4 down and right; the border repeats."""
    wide = jnp.pad(noisy, [(0, 0)] * (noisy.ndim - 3) + [(1, 1), (1, 1), (0, 0)], mode="edge")
    down = (wide[..., :-2, :, :] + 2 * wide[..., 1:-1, :, :] + wide[..., 2:, :, :]) / 4
    return (down[..., :-2, :] + 2 * down[..., 1:-1, :] + down[..., 2:, :]) / 4


def _identity(noisy: Array) -> Array:
    return noisy
