"""Networks on image sets of one and two dimensions, where the optimal denoiser is a projection.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 19 and 20: multiples of one image fill a ray, sine waves of one
frequency a disk in a plane. Networks find the dimensions, with unit slope, but keep more: harmonics for which there
is no need, so that the curve lies below input PSNR + 10 log10(d / dimension). Here the best basis is the same for all
images, and the best linear denoiser is nearly optimal; what a network must not be is a filter that knows no images.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial

from gahr import metrics
from gahr.analysis import geometry, jacobian, performance
from gahr.data import ray, waves
from gahr.denoiser import blind
from gahr.studies.shared.basis_figure import draw_bases, draw_curves
from gahr.studies.shared.local_basis import basis_arrays, basis_checks, fixed_bases, null_psnr, spread, swap_checks
from gahr.studies.shared.measures import curve_of_told
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, AtLeast, Check, Estimate, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS
from gahr.types import Array, Key, Progress, Sharding

_LABELS = {"ray": "Multiples of one image", "waves": "Sine waves"}


def _tangents(data: Mapping[str, Any]) -> Array:
    """Orthonormal basis (k, H, W, 1) of the span of an image set."""
    options = {name: value for name, value in data.items() if name != "name"}
    return ray.direction(**options)[None] if data["name"] == "ray" else waves.plane(**options)


def analyze(
    *,
    sigma: Mapping[str, float],
    num_bases: int = 4,
    num_images: int = 256,
    num_fit: int = 20_000,
    lowest_db: float = 0.0,
    highest_db: float = 42.0,
    num_levels: int = 15,
    fit_between: tuple[float, float] = (10.0, 34.0),
) -> Callable:
    """Bases and PSNR curves of both networks and of their nulls.

    Args:
      sigma: run name -> noise level of its bases, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the curves.
      num_fit: training images of the linear null, at most.
      lowest_db, highest_db, num_levels: input PSNRs of the curves, dB, equally spaced.
      fit_between: input PSNRs of the slope and of the intercept, dB.

    Returns:
      Function (runs "ray" and "waves", key, *, progress, sharding=None) -> arrays named "RUN/quantity" that `check`
      and `draw` need; "span" is the overlap of as many leading eigenvectors as there are dimensions with the span of
      the set, "projection" the PSNR of the projection on it.

    Raises:
      ValueError: an option that cannot be used.
    """
    levels = input_levels(lowest_db, highest_db, num_levels, fit_between=fit_between)
    require_least(num_bases=(num_bases, 2), num_images=(num_images, 2), num_fit=(num_fit, 1))
    if set(sigma) != set(_LABELS) or not all(0 < value < np.inf for value in sigma.values()):
        raise ValueError(f"sigma must give {' and '.join(_LABELS)} a positive level each, got {dict(sigma)}")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        sigmas = metrics.sigma_of_input_psnr(levels)
        arrays: dict[str, Any] = {"input_psnr": levels, "fit_between": fit_between}
        for name in _LABELS:
            run, tangents = runs[name], _tangents(runs[name].data)
            clean, nulls = run.images("test", num_images), null_denoisers(run, num_fit=num_fit)
            fixed = fixed_bases(clean.shape[1:], images=run.images(run.subset, num_fit))
            options = dict(sigma=sigma[name], sigmas=sigmas, num_bases=num_bases, measure=Partial(_span, tangents))
            options |= dict(nulls=nulls, fixed=fixed, progress=progress, sharding=sharding)
            arrays |= basis_arrays(name, run.noise_denoiser, key, clean, **options)
            projection = blind(Partial(_project, tangents))
            arrays[f"{name}/projection"] = curve_of_told(projection, key, clean, sigmas, sharding=sharding)
            arrays[f"{name}/tangents"] = tangents
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _span(
    tangents: Array, eigen: jacobian.Eigenbasis, singular: jacobian.SingularBasis, clean: Array
) -> dict[str, Array]:
    del singular, clean
    return {"span": geometry.overlap(eigen.vectors[: len(tangents)], tangents)}


def _project(tangents: Array, noisy: Array) -> Array:
    rows = tangents.reshape(len(tangents), -1)
    flat = noisy.reshape(*noisy.shape[:-3], -1)
    return (flat @ rows.T @ rows).reshape(noisy.shape)


def _optimal_gain(pixels: int, dimension: int) -> float:
    """Mean of output less input PSNR of the projection on k of d dimensions, dB.

    The error is sigma^2 chi^2_k / d, and the mean is taken after the logarithm:
    10 log10(d) - 10 (psi(k / 2) + ln 2) / ln 10, above 10 log10(d / k) by 5.52 dB where k = 1 and 2.51 where k = 2.
    """
    return float(10 / np.log(10) * (np.log(pixels / 2) - jax.scipy.special.digamma(dimension / 2)))


def check(arrays: Arrays, *, overlap: Limit = None, gain_share: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      overlap: mark for the overlap of the leading eigenvectors with the span of the set.
      gain_share: mark for the mean of output less input PSNR, in dB, over that of the projection.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, between, checks = arrays["input_psnr"], tuple(arrays["fit_between"]), []
    inside = performance.levels_between(levels, between)
    fitted = "{:g}-{:g} dB".format(*between)
    for name in _LABELS:
        get = {kind: arrays[f"{name}/{kind}"] for kind in ("psnr", "projection", "span", "tangents", "sigma")}
        dimension, pixels = len(get["tangents"]), get["tangents"][0].size
        slope = performance.psnr_slope(levels, get["psnr"], between=between)
        gain = lambda psnr: spread((psnr - levels)[:, inside].mean(1))
        optimal, others = _optimal_gain(pixels, dimension), null_psnr(arrays, name)
        share = lambda psnr, optimal=optimal, gain=gain: gain(psnr).mean / optimal
        spans = {who: arrays.get(f"{name}/nulls/{who}/span") for who in others}
        at = f"sigma = {get['sigma']:g}"
        leading = arrays[f"{name}/shrinkage"].mean(0)[: dimension + 3]
        checks += [
            Check(
                f"{name}: overlap of {dimension} leading eigenvectors and the set's span, {at}",
                {"optimal": 1, "chance": dimension / pixels},
                spread(get["span"]),
                AtLeast(overlap),
                {who: spread(values) for who, values in spans.items() if values is not None},
            ),
            Check(
                f"{name}: mean output - input, {fitted}, dB",
                {"optimal": optimal, "projection": gain(get["projection"])},
                gain(get["psnr"]),
                nulls={who: gain(psnr) for who, psnr in others.items()},
            ),
            Check(
                f"{name}: the same over that of the projection",
                1,
                share(get["psnr"]),
                AtLeast(gain_share),
                {who: share(psnr) for who, psnr in others.items()},
            ),
            Check(f"{name}: slope, {fitted}", {"optimal, identity": 1}, Estimate(*map(float, slope))),
            Check(f"{name}: leading eigenvalues", [1] * dimension + [0] * 3, leading.tolist()),
            Check(f"{name}: tr J, {at}", dimension, spread(arrays[f"{name}/trace"])),
            *swap_checks(arrays, name),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: image and leading vectors for both sets; decays, dimensions, and PSNR curves beside optimal ones."""

    def draw_last(axes) -> None:
        curves = []
        for (name, label), colour in zip(_LABELS.items(), COLOURS, strict=False):
            curves.append((arrays[f"{name}/psnr"].mean(0), dict(color=colour, label=label.lower())))
            curves.append((arrays[f"{name}/projection"].mean(0), dict(ls=(0, (4, 1)), lw=0.9, color=colour)))
        filtered = null_psnr(arrays, "waves")["3x3 filter"].mean(0)
        curves.append((filtered, NULLS["3x3 filter"] | dict(label="3x3 filter, waves")))
        axes.plot([], [], ls=(0, (4, 1)), lw=0.9, color="grey", label="projection")
        draw_curves(axes, arrays["input_psnr"], curves)

    return draw_bases(arrays, _LABELS, draw_last, title=title)


STUDY = Study(analyze, check, draw)
