"""What geometry is worth: networks trained on images as they are and with their pixels in a fixed random order.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 21, where the images are faces. The optimal denoiser is the same
up to the order of pixels, as is the best linear one; a network that looks for harmonics along contours in the plane
loses what it gains on images that have them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jax.tree_util import Partial

from gahr import metrics
from gahr.analysis import performance
from gahr.analysis.adaptivity import summary
from gahr.data import shuffled
from gahr.names import require_positive
from gahr.studies.shared.basis_figure import draw_bases, draw_curves
from gahr.studies.shared.local_basis import basis_arrays, basis_checks, fixed_bases, null_psnr, spread, swap_checks
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, AtLeast, Check, Estimate, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_NAMES = {"plain": "as they are", "shuffled": "shuffled"}


def analyze(
    *,
    sigma: float = 0.3,
    num_bases: int = 4,
    num_images: int = 256,
    num_fit: int = 20_000,
    num_memorized: int = 1_000,
    lowest_db: float = 0.0,
    highest_db: float = 42.0,
    num_levels: int = 15,
    fit_between: tuple[float, float] = (20.0, 34.0),
) -> Callable:
    """Bases and PSNR curves of both networks and of their nulls.

    All denoisers meet images and noise in the order of pixels as they are: those of shuffled images between `shuffle`
    and `unshuffle`, so that what is the same up to that order is the same.

    Args:
      sigma: noise level of the bases, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the curves.
      num_fit, num_memorized: training images of the linear null and of the memorizer, at most.
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
    require_least(num_bases=(num_bases, 2), num_images=(num_images, 2), num_fit=(num_fit, 1))
    require_least(num_memorized=(num_memorized, 1))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        sigmas = metrics.sigma_of_input_psnr(levels)
        options = dict(sigma=sigma, sigmas=sigmas, num_bases=num_bases, progress=progress, sharding=sharding)
        arrays: dict[str, Any] = {"input_psnr": levels, "fit_between": fit_between}
        for name in _NAMES:
            run, clean = runs[name], runs[name].images("test", num_images)
            fitted = run.images(run.subset, num_fit)
            network, nulls = run.noise_denoiser, null_denoisers(run, num_fit=num_fit, memorized=num_memorized)
            if name == "shuffled":
                seed = run.data.get("permutation_seed", 0)
                clean, fitted = (shuffled.unshuffle(images, permutation_seed=seed) for images in (clean, fitted))
                network, *others = (Partial(_unshuffled, each, seed) for each in (network, *nulls.values()))
                nulls = dict(zip(nulls, others, strict=True))
            fixed = fixed_bases(clean.shape[1:], images=fitted)
            arrays |= basis_arrays(name, network, key, clean, nulls=nulls, fixed=fixed, **options)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _unshuffled(noise_denoiser: NoiseDenoiser, seed: int, noisy: Array, sigma: Array) -> Array:
    """A denoiser of shuffled images on images as they are."""
    denoised = noise_denoiser(shuffled.shuffle(noisy, permutation_seed=seed), sigma)
    return shuffled.unshuffle(denoised, permutation_seed=seed)


def check(
    arrays: Arrays, *, psnr_loss: Limit = None, slope_loss: Limit = None, swapped_loss: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      psnr_loss: mark for what the shuffle costs at 30 dB of input, dB.
      slope_loss: mark for how much lower the slope is.
      swapped_loss: mark for the dimension in left singular vectors, another image's over own, of images as they are
        over that of shuffled images.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, between = arrays["input_psnr"], tuple(arrays["fit_between"])
    nulls = {name: null_psnr(arrays, name) for name in _NAMES}
    curves = {"": {name: arrays[f"{name}/psnr"] for name in _NAMES}}
    curves |= {who: {name: nulls[name][who] for name in _NAMES} for who in nulls["plain"]}
    fitted = "{:g}-{:g} dB".format(*between)
    slopes = {name: performance.psnr_slope(levels, arrays[f"{name}/psnr"], between=between) for name in _NAMES}

    def at(curve: np.ndarray) -> dict[str, float]:
        return {f"{decibel} dB": float(np.interp(decibel, levels, curve.mean(0))) for decibel in (10, 20, 30)}

    def loss(of: Mapping[str, np.ndarray]) -> float:
        return at(of["plain"] - of["shuffled"])["30 dB"]

    def flatter(of: Mapping[str, np.ndarray]) -> float:
        plain, mixed = (performance.psnr_slope(levels, of[name], between=between).slope for name in _NAMES)
        return float(plain - mixed)

    def compared(line: str, of: Callable, mark: AtLeast) -> Check:
        network, *others = (of(each) for each in curves.values())
        found = dict(zip(nulls["plain"], others, strict=True))
        return Check(line, {"optimal denoiser": 0}, network, mark, found)

    linear = {name: nulls[name]["linear"] for name in _NAMES}
    apart = float(np.abs(linear["plain"].mean(0) - linear["shuffled"].mean(0)).max())
    oracle = float(arrays["shuffled/oracle"].mean() / arrays["plain/oracle"].mean())
    checks = [
        Check("largest difference of the two linear denoisers' curves, dB", 0, apart),
        compared("PSNR lost by the shuffle at 30 dB, dB", loss, AtLeast(psnr_loss)),
        compared(f"slope lost, {fitted}", flatter, AtLeast(slope_loss)),
        _adapted(arrays, AtLeast(swapped_loss)),
        Check("oracle dimension, shuffled / as they are", {"one basis": 1}, oracle),
    ]
    for name, label in _NAMES.items():
        best = {f"linear, {decibel}": value for decibel, value in at(linear[name]).items()}
        checks += [
            Check(f"{name}: slope, {fitted}", None, Estimate(*map(float, slopes[name]))),
            Check(f"{name}: output PSNR, dB, at inputs of", best, at(arrays[f"{name}/psnr"])),
            Check(f"{name}: oracle dimension, images {label}", None, spread(arrays[f"{name}/oracle"])),
            Check(f"{name}: share of |x|^2 above 1/2", 1, spread(arrays[f"{name}/preserved"])),
            *swap_checks(arrays, name),
            *basis_checks(arrays, name),
        ]
    return checks


def _adapted(arrays: Arrays, mark: AtLeast) -> Check:
    """How much more a swap costs images as they are than shuffled ones, of the networks and of their nulls."""

    def ratio(who: str) -> float:
        plain, mixed = (summary(arrays[f"{name}/{who}left/dimension"]).ratio.mean for name in _NAMES)
        return float(plain / mixed)

    others = [who for who in NULLS if f"plain/nulls/{who}/left/dimension" in arrays]
    line = "dimension in another's / own left singular vectors, as they are over shuffled"
    return Check(line, {"one basis": 1}, ratio(""), mark, {who: ratio(f"nulls/{who}/") for who in others})


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: image and leading vectors of both networks, unshuffled; decays, dimensions and PSNR curves."""

    def draw_last(axes) -> None:
        curves = [
            (arrays[f"{name}/psnr"].mean(0), dict(color=colour, label=label))
            for (name, label), colour in zip(_NAMES.items(), COLOURS, strict=False)
        ]
        curves.append((arrays["plain/nulls/linear/psnr"].mean(0), NULLS["linear"] | dict(label="linear, both")))
        for name, colour in zip(_NAMES, COLOURS, strict=False):
            filtered = arrays[f"{name}/nulls/3x3 filter/psnr"].mean(0)
            curves.append((filtered, NULLS["3x3 filter"] | dict(color=colour)))
        axes.plot([], [], label="3x3 filter", **NULLS["3x3 filter"])
        draw_curves(axes, arrays["input_psnr"], curves)

    return draw_bases(arrays, _NAMES, draw_last, title=title, note={"shuffled": " (drawn unshuffled)"})


STUDY = Study(analyze, check, draw)
