"""What geometry is worth: networks trained on images as they are and with their pixels in a fixed random order.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 21, where the images are faces. The optimal denoiser is the same
up to the order of pixels, as is the best linear one; a network that looks for harmonics along contours in the plane
loses what it gains on images that have them.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gahr import metrics
from gahr.analysis import performance
from gahr.classical.analytic import fit_gaussian, gaussian
from gahr.data import shuffled
from gahr.types import Progress
from gahr.studies.common import COLOURS, Check, Run, at_least, check_counts, check_levels, check_positive, curve_of_told
from gahr.studies.shared.local_basis import basis_checks, draw_bases, draw_curves, local_bases, spread
from gahr.types import Key

_NAMES = {"plain": "as they are", "shuffled": "shuffled"}
_CHUNK = 8  # images treated at a time


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of `analyze` can be used."""
    check_levels(analysis, marks)
    check_counts(analysis, num_bases=1)
    check_positive(analysis, "sigma")


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    sigma: float = 0.3,
    num_bases: int = 4,
    num_images: int = 256,
    wiener_images: int = 20_000,
    lowest_db: float = 0.0,
    highest_db: float = 42.0,
    num_levels: int = 15,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Bases and PSNR curves of both networks, and of the linear denoiser of each set.

    Args:
      runs: "plain" and "shuffled".
      key: random key of the noise.
      sigma: noise level of the bases, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the curves.
      wiener_images: training images that the linear denoiser is fitted on, at most.
      lowest_db, highest_db, num_levels: input PSNRs of the curves, dB, equally spaced.
      progress: shows the state and asks for stops.

    Returns:
      Arrays named "RUN/quantity" that `check` and `draw` need; images and eigenvectors of "shuffled" are in
      the order of pixels that the images had.
    """
    levels = np.linspace(lowest_db, highest_db, num_levels)
    sigmas = metrics.sigma_of_input_psnr(levels)
    arrays: dict[str, Any] = {"input_psnr": levels}
    curve = jax.jit(functools.partial(performance.psnr_curve, sigmas=sigmas, chunk=_CHUNK))
    for name in _NAMES:
        run = runs[name]
        clean = run.images("test", num_images)
        found = local_bases(run.denoiser, key, clean[:num_bases], sigma, progress, note=f"{name}: bases")
        progress.check()
        found["psnr"] = curve(run.denoiser, key, clean).psnr
        wiener = gaussian(*fit_gaussian(run.images(run.data["subset"], wiener_images)))
        found["wiener"] = curve_of_told(wiener, key, clean, sigmas)
        if name == "shuffled":
            restore = functools.partial(shuffled.unshuffle, permutation_seed=run.data.get("permutation_seed", 0))
            found |= {quantity: restore(found[quantity]) for quantity in ("vectors", "clean", "noisy", "denoised")}
        arrays |= {f"{name}/{quantity}": value for quantity, value in found.items()}
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    fit_between: tuple[float, float] = (20.0, 34.0),
    psnr_loss: float | None = None,
    slope_loss: float | None = None,
    dimension_ratio: float | None = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      fit_between: input PSNRs of the slope fit, dB.
      psnr_loss: mark for what the shuffle costs at 30 dB of input, dB.
      slope_loss: mark for how much lower the slope is.
      dimension_ratio: mark for the oracle dimension of shuffled images over that of the images as they are.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels = arrays["input_psnr"]
    psnr, linear, oracle = (
        {name: arrays[f"{name}/{quantity}"] for name in _NAMES} for quantity in ("psnr", "wiener", "oracle")
    )
    span = f"{fit_between[0]:g}-{fit_between[1]:g} dB"
    slopes = {name: performance.psnr_slope(levels, psnr[name], between=fit_between) for name in _NAMES}

    def at(curves: Mapping[str, np.ndarray], name: str, decibel: float) -> float:
        return float(np.interp(decibel, levels, curves[name].mean(0)))

    loss = at(psnr, "plain", 30) - at(psnr, "shuffled", 30)
    flatter = slopes["plain"].slope - slopes["shuffled"].slope
    ratio = oracle["shuffled"].mean() / oracle["plain"].mean()
    checks = [
        Check(
            "largest difference of the two linear denoisers' curves, dB",
            "0 but for chance: other noise",
            f"{np.abs(linear['plain'].mean(0) - linear['shuffled'].mean(0)).max():.3f}",
        ),
        Check(
            "PSNR lost by the shuffle at 30 dB, dB", "0, optimal denoiser", f"{loss:.2f}", *at_least(loss, psnr_loss)
        ),
        Check(f"slope lost, {span}", "0, optimal denoiser", f"{flatter:.2f}", *at_least(flatter, slope_loss)),
        Check(
            "oracle dimension, shuffled / as they are",
            "1, one basis",
            f"{ratio:.2f}",
            *at_least(ratio, dimension_ratio),
        ),
    ]
    for name, label in _NAMES.items():
        slope = slopes[name]
        checks += [
            Check(f"{name}: slope, {span}", "-", f"{slope.slope:.3f} +- {slope.standard_error:.3f}"),
            Check(
                f"{name}: output at 10, 20, 30 dB",
                "linear " + " ".join(f"{at(linear, name, decibel):.2f}" for decibel in (10, 20, 30)),
                " ".join(f"{at(psnr, name, decibel):.2f}" for decibel in (10, 20, 30)),
            ),
            Check(f"{name}: oracle dimension, images {label}", "-", spread(oracle[name], digits=1)),
            Check(f"{name}: share of |x|^2 above 1/2", "1", spread(arrays[f"{name}/preserved"], digits=3)),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: image and eigenvectors of both networks, unshuffled; decays and PSNR curves."""

    def draw_third(axes) -> None:
        curves = [
            (arrays[f"{name}/psnr"].mean(0), "-", colour, label)
            for (name, label), colour in zip(_NAMES.items(), COLOURS, strict=False)
        ]
        linear = (arrays["plain/wiener"].mean(0), ":", "black", "best linear, both")
        draw_curves(axes, arrays["input_psnr"], [*curves, linear])

    return draw_bases(arrays, _NAMES, draw_third, title=title, note={"shuffled": " (drawn unshuffled)"})
