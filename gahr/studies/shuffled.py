"""What geometry is worth: networks trained on images as they are and with their pixels in a fixed random order.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 21, where the images are faces. The optimal denoiser is the same
up to the order of pixels, as is the best linear one; a network that looks for harmonics along contours in the plane
loses what it gains on images that have them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.tree_util import Partial

from gahr import metrics
from gahr.analysis import performance
from gahr.classical.analytic import fit_gaussian, gaussian
from gahr.data import shuffled
from gahr.names import require_positive
from gahr.studies.shared.local_basis import basis_arrays, basis_checks, draw_bases, draw_curves, spread
from gahr.studies.shared.measures import curve_of_told
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, AtLeast, Check, Estimate, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_NAMES = {"plain": "as they are", "shuffled": "shuffled"}


def analyze(
    *,
    sigma: float = 0.3,
    num_bases: int = 4,
    num_images: int = 256,
    wiener_images: int = 20_000,
    lowest_db: float = 0.0,
    highest_db: float = 42.0,
    num_levels: int = 15,
    fit_between: tuple[float, float] = (20.0, 34.0),
) -> Callable:
    """Bases and PSNR curves of both networks, and of the linear denoiser of each set.

    All denoisers meet images and noise in the order of pixels as they are: those of shuffled images between `shuffle`
    and `unshuffle`, so that what is the same up to that order is the same.

    Args:
      sigma: noise level of the bases, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the curves.
      wiener_images: training images that the linear denoiser is fitted on, at most.
      lowest_db, highest_db, num_levels: input PSNRs of the curves, dB, equally spaced.
      fit_between: input PSNRs of the slope fit, dB.

    Returns:
      Function (runs "plain" and "shuffled", key, *, progress, sharding=None) -> arrays named "RUN/quantity" that
      `check` and `draw` need.

    Raises:
      ValueError: an option that cannot be used.
    """
    levels = input_levels(lowest_db, highest_db, num_levels, fit_between=fit_between)
    require_positive(sigma=sigma)
    require_least(num_bases=(num_bases, 1), num_images=(num_images, 2), wiener_images=(wiener_images, 1))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        sigmas = metrics.sigma_of_input_psnr(levels)
        options = dict(sigma=sigma, sigmas=sigmas, num_bases=num_bases, progress=progress, sharding=sharding)
        arrays: dict[str, Any] = {"input_psnr": levels, "fit_between": fit_between}
        for name in _NAMES:
            run, clean = runs[name], runs[name].images("test", num_images)
            network, linear = run.noise_denoiser, gaussian(*fit_gaussian(run.images(run.subset, wiener_images)))
            if name == "shuffled":
                seed = run.data.get("permutation_seed", 0)
                clean = shuffled.unshuffle(clean, permutation_seed=seed)
                network, linear = (Partial(_unshuffled, each, seed) for each in (network, linear))
            arrays |= basis_arrays(name, network, key, clean, **options)
            arrays[f"{name}/wiener"] = curve_of_told(linear, key, clean, sigmas, sharding=sharding)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _unshuffled(noise_denoiser: NoiseDenoiser, seed: int, noisy: Array, sigma: Array) -> Array:
    """A denoiser of shuffled images on images as they are."""
    denoised = noise_denoiser(shuffled.shuffle(noisy, permutation_seed=seed), sigma)
    return shuffled.unshuffle(denoised, permutation_seed=seed)


def check(
    arrays: Arrays, *, psnr_loss: Limit = None, slope_loss: Limit = None, dimension_ratio: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      psnr_loss: mark for what the shuffle costs at 30 dB of input, dB.
      slope_loss: mark for how much lower the slope is.
      dimension_ratio: mark for the oracle dimension of shuffled images over that of the images as they are.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, between = arrays["input_psnr"], tuple(arrays["fit_between"])
    psnr, linear, oracle = (
        {name: arrays[f"{name}/{quantity}"] for name in _NAMES} for quantity in ("psnr", "wiener", "oracle")
    )
    fitted = "{:g}-{:g} dB".format(*between)
    slopes = {name: performance.psnr_slope(levels, psnr[name], between=between) for name in _NAMES}

    def at(curve: np.ndarray) -> dict[str, float]:
        return {f"{decibel} dB": float(np.interp(decibel, levels, curve.mean(0))) for decibel in (10, 20, 30)}

    apart = float(np.abs(linear["plain"].mean(0) - linear["shuffled"].mean(0)).max())
    loss = at(psnr["plain"] - psnr["shuffled"])["30 dB"]
    flatter = float(slopes["plain"].slope - slopes["shuffled"].slope)
    ratio = float(oracle["shuffled"].mean() / oracle["plain"].mean())
    checks = [
        Check("largest difference of the two linear denoisers' curves, dB", 0, apart),
        Check("PSNR lost by the shuffle at 30 dB, dB", {"optimal denoiser": 0}, loss, AtLeast(psnr_loss)),
        Check(f"slope lost, {fitted}", {"optimal denoiser": 0}, flatter, AtLeast(slope_loss)),
        Check("oracle dimension, shuffled / as they are", {"one basis": 1}, ratio, AtLeast(dimension_ratio)),
    ]
    for name, label in _NAMES.items():
        best = {f"linear, {decibel}": value for decibel, value in at(linear[name]).items()}
        checks += [
            Check(f"{name}: slope, {fitted}", None, Estimate(*map(float, slopes[name]))),
            Check(f"{name}: output PSNR, dB, at inputs of", best, at(psnr[name])),
            Check(f"{name}: oracle dimension, images {label}", None, spread(oracle[name])),
            Check(f"{name}: share of |x|^2 above 1/2", 1, spread(arrays[f"{name}/preserved"])),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: image and eigenvectors of both networks, unshuffled; decays and PSNR curves."""

    def draw_third(axes) -> None:
        curves = [
            (arrays[f"{name}/psnr"].mean(0), "-", colour, label)
            for (name, label), colour in zip(_NAMES.items(), COLOURS, strict=False)
        ]
        linear = (arrays["plain/wiener"].mean(0), ":", "black", "best linear, both")
        draw_curves(axes, arrays["input_psnr"], [*curves, linear])

    return draw_bases(arrays, _NAMES, draw_third, title=title, note={"shuffled": " (drawn unshuffled)"})


STUDY = Study(analyze, check, draw)
