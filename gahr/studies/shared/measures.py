"""What several studies measure, and how they show how far they are."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.analysis import jacobian, performance
from gahr.analysis.probes import jacobian_moments
from gahr.denoiser import as_argument, at
from gahr.studies.shared.study import Estimate, Runs
from gahr.types import Array, Denoiser, Key, NoiseDenoiser, Progress, Sharding

_COLUMNS = 128  # of a Jacobian between two looks at the clock
_IMAGES = 8  # treated at a time


def counter(progress: Progress, total: int) -> Callable[[str], None]:
    """Function of a note that shows one more of `total` parts of the analysis as done, where a stop is heard."""
    done = 0

    def advance(note: str) -> None:
        nonlocal done
        done += 1
        progress.check()
        progress.update("analysis", done, total, note=note)

    return advance


def mean_and_range(values: np.ndarray) -> Estimate:
    """The mean of some numbers between the least and the largest."""
    return Estimate(np.mean(values), low=np.min(values), high=np.max(values))


def trained_levels(runs: Runs, levels: np.ndarray) -> np.ndarray:
    """Input PSNRs (S,), dB, less those of noise below the least that all of the networks were trained with."""
    least = max(run.sigma_min for run in runs.values())
    return levels[metrics.sigma_of_input_psnr(levels) >= least * (1 - 1e-5)]


@jax.jit
def denoise(denoiser: Any, *arguments: Array) -> Array:
    """Compiled once for all denoisers of one kind, which are arguments here and not constants."""
    return denoiser(*arguments)


@functools.partial(jax.jit, static_argnames="sharding")
def curve_of_told(
    noise_denoiser: NoiseDenoiser, key: Key, clean: Array, sigmas: Array, *, sharding: Sharding | None = None
) -> Array:
    """PSNR (N, S) of a denoiser that is told sigma, as `gahr.analysis.performance.psnr_curve`."""
    at_levels = at(noise_denoiser, sigmas)
    return performance.psnr_curve(at_levels, key, clean, sigmas=sigmas, chunk=_IMAGES, sharding=sharding).psnr


# compiled once for all denoisers of one kind that are pytrees, such as those of `gahr.denoiser.at`
probed_moments = jax.jit(jacobian_moments, static_argnames=("num_probes", "chunk", "sharding"))
_columns = jax.jit(jacobian.columns, static_argnames=("chunk", "sharding"))


def whole_jacobian(
    denoiser: Denoiser, noisy: Array, progress: Progress, *, note: str = "", sharding: Sharding | None = None
) -> Array:
    """The Jacobian (d, d) at one image, a part at a time, so that a stop is heard and, with a note, a bar is shown.

    The last part overlaps the one before, so that all have one shape. With `sharding` (`gahr.blocks.in_chunks`) the
    columns are spread over devices.
    """
    part = min(_COLUMNS, noisy.size)
    rows = np.empty((noisy.size, noisy.size), np.float32)
    for start in range(0, noisy.size, part):
        progress.check()
        if note:
            progress.update(note, start, noisy.size)
        indices = np.arange(part) + min(start, noisy.size - part)
        rows[indices] = _columns(as_argument(denoiser), noisy, indices, chunk=32, sharding=sharding)
    return jnp.asarray(rows.T)
