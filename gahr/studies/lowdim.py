"""Networks on image sets of one and two dimensions, where the optimal denoiser is a projection.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 19 and 20: multiples of one image fill a ray, sine waves of one
frequency a disk in a plane. Networks find the dimensions, with unit slope, but keep more: harmonics for which there
is no need, so that the curve lies below input PSNR + 10 log10(d / dimension).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gahr import metrics
from gahr.analysis import geometry, performance
from gahr.data import ray, waves
from gahr.types import Progress
from gahr.studies.common import COLOURS, Check, Run, at_least, check_counts, check_levels
from gahr.studies.shared.local_basis import basis_checks, draw_bases, draw_curves, local_bases, spread
from gahr.types import Array, Key

_LABELS = {"ray": "Multiples of one image", "waves": "Sine waves"}
_CHUNK = 8  # images treated at a time


def _tangents(data: Mapping[str, Any]) -> Array:
    """Orthonormal basis (k, H, W, 1) of the span of an image set."""
    fields = {name: value for name, value in data.items() if name not in ("name", "subset", "set_size")}
    return ray.direction(**fields)[None] if data["name"] == "ray" else waves.plane(**fields)


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of `analyze` can be used."""
    check_levels(analysis, marks)
    check_counts(analysis, num_bases=1)
    if set(analysis["sigma"]) != set(_LABELS) or not all(value > 0 for value in analysis["sigma"].values()):
        raise ValueError(f"study.analysis.sigma must give {' and '.join(_LABELS)} a positive level each")


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    sigma: Mapping[str, float],
    num_bases: int = 4,
    num_images: int = 256,
    lowest_db: float = 0.0,
    highest_db: float = 42.0,
    num_levels: int = 15,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Bases and PSNR curves of both networks.

    Args:
      runs: "ray" and "waves".
      key: random key of the noise.
      sigma: run name -> noise level of its bases, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the curves.
      lowest_db, highest_db, num_levels: input PSNRs of the curves, dB, equally spaced.
      progress: shows the state and asks for stops.

    Returns:
      Arrays named "RUN/quantity" that `check` and `draw` need; "overlap" is that of as many leading eigenvectors
      as there are dimensions with the span of the set, "projection" the PSNR of the projection on it.
    """
    levels = np.linspace(lowest_db, highest_db, num_levels)
    curve = jax.jit(functools.partial(performance.psnr_curve, sigmas=metrics.sigma_of_input_psnr(levels), chunk=_CHUNK))
    arrays: dict[str, Any] = {"input_psnr": levels}
    for name in _LABELS:
        run = runs[name]
        clean, tangents = run.images("test", num_images), _tangents(run.data)
        found = local_bases(
            run.denoiser,
            key,
            clean[:num_bases],
            sigma[name],
            progress,
            note=f"{name}: bases",
            measure=lambda eigen, _, span=tangents: {"overlap": geometry.overlap(eigen.vectors[: len(span)], span)},
        )
        progress.check()
        found["psnr"] = curve(run.denoiser, key, clean).psnr
        found["projection"] = curve(jax.tree_util.Partial(_project, tangents), key, clean).psnr
        found["tangents"] = tangents
        arrays |= {f"{name}/{quantity}": value for quantity, value in found.items()}
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


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


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    fit_between: tuple[float, float] = (10.0, 34.0),
    overlap: float | None = None,
    slope_within: float | None = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      fit_between: input PSNRs of the slope and of the intercept, dB.
      overlap: mark for the overlap of the leading eigenvectors with the span of the set.
      slope_within: mark for |slope - 1|.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, checks = arrays["input_psnr"], []
    inside = performance.levels_between(levels, fit_between)
    span = f"{fit_between[0]:g}-{fit_between[1]:g} dB"
    for name in _LABELS:
        get = {kind: arrays[f"{name}/{kind}"] for kind in ("psnr", "projection", "overlap", "tangents", "shrinkage")}
        dimension, pixels = len(get["tangents"]), get["tangents"][0].size
        slope = performance.psnr_slope(levels, get["psnr"], between=fit_between)
        gain = _optimal_gain(pixels, dimension)
        intercepts = (get["psnr"] - levels)[:, inside].mean(1)
        verdict: tuple = ()
        if slope_within is not None:
            verdict = (f"within {slope_within:g}", bool(abs(slope.slope - 1) <= slope_within))
        at = f"sigma = {float(arrays[f'{name}/sigma']):g}"
        leading = get["shrinkage"].mean(0)[: dimension + 3]
        checks += [
            Check(
                f"{name}: overlap of {dimension} leading eigenvectors and the set's span, {at}",
                f"1; chance {dimension / pixels:.4f}",
                spread(get["overlap"], digits=3),
                *at_least(get["overlap"].mean(), overlap),
            ),
            Check(f"{name}: slope, {span}", "1", f"{slope.slope:.3f} +- {slope.standard_error:.3f}", *verdict),
            Check(f"{name}: mean output - input, {span}, dB", f"{gain:.2f}, optimal", spread(intercepts)),
            Check(
                f"{name}: the same of the projection, dB",
                f"{gain:.2f}",
                spread((get["projection"] - levels)[:, inside].mean(1)),
            ),
            Check(
                f"{name}: leading eigenvalues",
                f"1 ({dimension} times), then 0",
                " ".join(f"{value:.2f}" for value in leading),
            ),
            Check(f"{name}: tr J, {at}", f"{dimension}", spread(arrays[f"{name}/trace"], digits=1)),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: image and eigenvectors for both sets; decays, and PSNR curves beside the optimal lines."""

    def draw_third(axes) -> None:
        curves = []
        for (name, label), colour in zip(_LABELS.items(), COLOURS, strict=False):
            curves.append((arrays[f"{name}/psnr"].mean(0), "-", colour, label.lower()))
            curves.append((arrays[f"{name}/projection"].mean(0), ":", colour, None))
        axes.plot([], [], ":", color="grey", label="projection")
        draw_curves(axes, arrays["input_psnr"], curves)

    return draw_bases(arrays, _LABELS, draw_third, title=title)
