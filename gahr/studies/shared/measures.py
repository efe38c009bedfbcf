"""What several studies measure, and how they show how far they are."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis import jacobian
from gahr.types import Array, Denoiser, Key, NoiseDenoiser, Progress

_COLUMNS = 128  # of a Jacobian between two looks at the clock


def counter(progress: Progress, total: int) -> Callable[[str], None]:
    """Function of a note that shows one more of `total` parts of the analysis as done, where a stop is heard."""
    done = 0

    def advance(note: str) -> None:
        nonlocal done
        done += 1
        progress.check()
        progress.update("analysis", done, total, note=note)

    return advance


@jax.jit
def denoise(denoiser: Any, *arguments: Array) -> Array:
    """Compiled once for all denoisers of one kind, which are arguments here and not constants."""
    return denoiser(*arguments)


def curve_of_told(noise_denoiser: NoiseDenoiser, key: Key, clean: Array, sigmas: Array) -> Array:
    """PSNR (N, S) of a denoiser that is told sigma, on the same noise as `performance.psnr_curve`, level by level."""
    noisy = (noise.add_noise(key, clean, sigma) for sigma in sigmas)
    curve = (
        metrics.psnr(clean, denoise(noise_denoiser, images, sigma)) for images, sigma in zip(noisy, sigmas, strict=True)
    )
    return jnp.stack(list(curve), axis=1)


@jax.jit
def _columns(denoiser: Denoiser, noisy: Array, indices: Array) -> Array:
    return jacobian.columns(denoiser, noisy, indices, chunk=32)


def whole_jacobian(denoiser: Denoiser, noisy: Array, progress: Progress, *, note: str = "") -> Array:
    """The Jacobian (d, d) at one image, a part at a time, so that a stop is heard and, with a note, a bar is shown.

    The last part overlaps the one before, so that all have one shape.
    """
    part = min(_COLUMNS, noisy.size)
    rows = np.empty((noisy.size, noisy.size), np.float32)
    for start in range(0, noisy.size, part):
        progress.check()
        if note:
            progress.update(note, start, noisy.size)
        indices = np.arange(part) + min(start, noisy.size - part)
        rows[indices] = _columns(denoiser, noisy, indices)
    return jnp.asarray(rows.T)
