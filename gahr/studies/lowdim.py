"""Networks on image sets of one and two dimensions, where the optimal denoiser is a projection.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 19 and 20: multiples of one image fill a ray, sine waves of one
frequency a disk in a plane. Networks find the dimensions, with unit slope, but keep more: harmonics for which there
is no need, so that the curve lies below input PSNR + 10 log10(d / dimension).
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
from gahr.studies.shared.local_basis import basis_arrays, basis_checks, draw_bases, draw_curves, spread
from gahr.studies.shared.measures import curve_of_told
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, AtLeast, Check, Estimate, Limit, Runs, Study, within
from gahr.studies.shared.style import COLOURS
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
    lowest_db: float = 0.0,
    highest_db: float = 42.0,
    num_levels: int = 15,
    fit_between: tuple[float, float] = (10.0, 34.0),
) -> Callable:
    """Bases and PSNR curves of both networks.

    Args:
      sigma: run name -> noise level of its bases, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the curves.
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
    require_least(num_bases=(num_bases, 1), num_images=(num_images, 2))
    if set(sigma) != set(_LABELS) or not all(0 < value < np.inf for value in sigma.values()):
        raise ValueError(f"sigma must give {' and '.join(_LABELS)} a positive level each, got {dict(sigma)}")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        sigmas = metrics.sigma_of_input_psnr(levels)
        arrays: dict[str, Any] = {"input_psnr": levels, "fit_between": fit_between}
        for name in _LABELS:
            clean, tangents = runs[name].images("test", num_images), _tangents(runs[name].data)
            options = dict(sigma=sigma[name], sigmas=sigmas, num_bases=num_bases, measure=Partial(_span, tangents))
            options |= dict(progress=progress, sharding=sharding)
            arrays |= basis_arrays(name, runs[name].noise_denoiser, key, clean, **options)
            projection = blind(Partial(_project, tangents))
            arrays[f"{name}/projection"] = curve_of_told(projection, key, clean, sigmas, sharding=sharding)
            arrays[f"{name}/tangents"] = tangents
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _span(tangents: Array, eigen: jacobian.Eigenbasis, clean: Array) -> dict[str, Array]:
    del clean
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


def check(arrays: Arrays, *, overlap: Limit = None, slope_within: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      overlap: mark for the overlap of the leading eigenvectors with the span of the set.
      slope_within: mark for |slope - 1|.

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
        gain = _optimal_gain(pixels, dimension)
        intercept, projected = (spread((get[kind] - levels)[:, inside].mean(1)) for kind in ("psnr", "projection"))
        at = f"sigma = {get['sigma']:g}"
        leading = arrays[f"{name}/shrinkage"].mean(0)[: dimension + 3]
        checks += [
            Check(
                f"{name}: overlap of {dimension} leading eigenvectors and the set's span, {at}",
                {"optimal": 1, "chance": dimension / pixels},
                spread(get["span"]),
                AtLeast(overlap),
            ),
            Check(f"{name}: slope, {fitted}", 1, Estimate(*map(float, slope)), within(slope_within, of=1)),
            Check(f"{name}: mean output - input, {fitted}, dB", {"optimal": gain}, intercept),
            Check(f"{name}: the same of the projection, dB", gain, projected),
            Check(f"{name}: leading eigenvalues", [1] * dimension + [0] * 3, leading.tolist()),
            Check(f"{name}: tr J, {at}", dimension, spread(arrays[f"{name}/trace"])),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: image and eigenvectors for both sets; decays, and PSNR curves beside the optimal lines."""

    def draw_third(axes) -> None:
        curves = []
        for (name, label), colour in zip(_LABELS.items(), COLOURS, strict=False):
            curves.append((arrays[f"{name}/psnr"].mean(0), "-", colour, label.lower()))
            curves.append((arrays[f"{name}/projection"].mean(0), ":", colour, None))
        axes.plot([], [], ":", color="grey", label="projection")
        draw_curves(axes, arrays["input_psnr"], curves)

    return draw_bases(arrays, _LABELS, draw_third, title=title)


STUDY = Study(analyze, check, draw)
