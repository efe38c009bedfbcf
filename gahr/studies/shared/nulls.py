"""Null denoisers: what a claim about a trained network must not hold of, by the names of `style.NULLS`.

None has learnt how an image at hand is made: a fixed linear filter fitted to the training images, a fixed smoothing
filter, what does nothing, the network before training, and the posterior mean of the training images alone.
"""

import functools

import jax
import jax.numpy as jnp

from gahr.classical.analytic import fit_gaussian, gaussian, points
from gahr.denoiser import blind
from gahr.studies.shared.study import Run
from gahr.types import Array, NoiseDenoiser


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


def smooth(noisy: Array) -> Array:
    """Binomial 3 x 3 filter: (1, 2, 1) / 4 down and right; the border repeats."""
    wide = jnp.pad(noisy, [(0, 0)] * (noisy.ndim - 3) + [(1, 1), (1, 1), (0, 0)], mode="edge")
    down = (wide[..., :-2, :, :] + 2 * wide[..., 1:-1, :, :] + wide[..., 2:, :, :]) / 4
    return (down[..., :-2, :] + 2 * down[..., 1:-1, :] + down[..., 2:, :]) / 4


def _identity(noisy: Array) -> Array:
    return noisy
