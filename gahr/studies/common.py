"""What every study receives, what it says, and how its figures look."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis import jacobian, performance
from gahr.progress import Progress
from gahr.types import Array, Denoiser, Key, NoiseDenoiser

_COLUMNS = 128  # of a Jacobian between two looks at the clock

# Okabe and Ito's colours, distinguishable with any colour vision, and line styles that differ without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}


def check_counts(analysis: Mapping[str, Any], **least: int) -> None:
    """ValueError naming the first field of study.analysis that is below its least value."""
    for field, lowest in least.items():
        if analysis[field] < lowest:
            raise ValueError(f"study.analysis.{field} must be at least {lowest}, got {analysis[field]}")


def check_positive(analysis: Mapping[str, Any], *fields: str) -> None:
    """ValueError naming the first of these fields of study.analysis that is not positive."""
    for field in fields:
        if not analysis[field] > 0:
            raise ValueError(f"study.analysis.{field} must be positive, got {analysis[field]}")


def check_files(analysis: Mapping[str, Any], *fields: str) -> None:
    """ValueError naming the first field of study.analysis whose files, joined by "+", are not there."""
    for field in fields:
        for name in filter(None, analysis[field].split("+")):
            if not Path(name).is_file():
                raise ValueError(f"study.analysis.{field}: there is no file {name}")


def check_levels(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of a study of PSNR curves leave a slope to fit: the `validate` of its module."""
    check_counts(analysis, num_levels=2, num_images=2)
    levels = np.linspace(analysis["lowest_db"], analysis["highest_db"], analysis["num_levels"])
    between = marks["fit_between"]
    if performance.levels_between(levels, between).sum() < 2:
        raise ValueError(
            f"study.marks.fit_between must hold at least two of the levels {', '.join(f'{x:.3g}' for x in levels)} dB, "
            f"got {tuple(between)}"
        )


def counter(progress: Progress, total: int) -> Callable[[str], None]:
    """Function of a note that shows one more of `total` parts of the analysis as done, where a stop is heard."""
    done = 0

    def advance(note: str) -> None:
        nonlocal done
        done += 1
        progress.check()
        progress.update("analysis", done, total, note=note)

    return advance


def at_least(value: Any, mark: float | None, *, of: str = "") -> tuple:
    """The last fields of a Check whose value must reach a mark; none where there is no mark."""
    return () if mark is None else (f">= {mark:g}{of}", bool(value >= mark))


def at_most(value: Any, mark: float | None, *, of: str = "") -> tuple:
    """The last fields of a Check whose value must not exceed a mark; none where there is no mark."""
    return () if mark is None else (f"<= {mark:g}{of}", bool(value <= mark))


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


class Run(NamedTuple):
    """A trained network and its images."""

    denoiser: Denoiser
    images: Callable[[str, int], Array]  # (subset, number) -> at most that many images (N, H, W, C)
    data: dict[str, Any]  # the data section of its config


class Check(NamedTuple):
    """One line of the table that a study prints."""

    name: str
    theory: str  # what theory says, or "-"
    measured: str
    mark: str = "-"  # what counts as met, or "-" where the value is only reported
    met: bool | None = None  # None where there is no mark
