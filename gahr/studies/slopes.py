"""PSNR curves of networks trained on C^alpha images, beside theory and the best linear denoiser.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 4: on C^alpha images the optimal mse falls as
sigma^(2 alpha / (alpha + 1)), so the PSNR of an optimal denoiser rises with slope alpha / (alpha + 1).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gahr import metrics, noise
from gahr.analysis import identities, performance
from gahr.classical.analytic import fit_gaussian, gaussian
from gahr.types import Progress
from gahr.studies.common import (
    COLOURS,
    STYLE,
    Check,
    Run,
    at_least,
    at_most,
    check_levels,
    counter,
    curve_of_told,
    denoise,
)
from gahr.types import Array, Denoiser, Key

_SHOWN_DB = 20.0  # input PSNR of the images drawn
_NUM_SHOWN = 4
_CHUNK = 8  # images treated at a time

validate = check_levels  # of the options of `analyze` and `check`, before any training


def exponents(alpha: float, background_alpha: float) -> dict[str, float]:
    """Slopes that theory suggests.

    "class" is alpha / (alpha + 1) of the class C^alpha. White noise filtered by |k|^-alpha is less regular than
    C^alpha: alpha - 1/2 along a curve and alpha - 1 in the plane, which makes the slope
    (alpha - 1/2) / (alpha + 1/2) for the contour and (beta - 1) / beta for a background of exponent beta,
    0 where beta <= 1.
    """
    return {
        "class": alpha / (alpha + 1),
        "contour": max(0.0, (alpha - 0.5) / (alpha + 0.5)),
        "background": max(0.0, (background_alpha - 1) / background_alpha),
    }


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    num_images: int = 256,
    wiener_images: int = 20_000,
    lowest_db: float = 0.0,
    highest_db: float = 34.0,
    num_levels: int = 18,
    num_probe_images: int = 64,
    num_probes: int = 4,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Curves, identity slopes and a few denoised images of every run.

    Args:
      runs: run name -> Run; drawn in this order.
      key: random key.
      num_images: test images, and training images, per curve.
      wiener_images: training images that the linear denoiser is fitted on, at most.
      lowest_db, highest_db, num_levels: input PSNRs, dB, equally spaced.
      num_probe_images, num_probes: test images and random probes for the identity slope.
      progress: shows the state and asks for stops.

    Returns:
      Arrays named "RUN/quantity"; all that `check` and `draw` need.
    """
    levels = np.linspace(lowest_db, highest_db, num_levels)
    sigmas = metrics.sigma_of_input_psnr(levels)
    arrays: dict[str, np.ndarray] = {"input_psnr": levels, "runs": np.array(list(runs))}
    curve = jax.jit(functools.partial(performance.psnr_curve, sigmas=sigmas, chunk=_CHUNK))
    moments = jax.jit(functools.partial(identities.jacobian_moments, num_probes=num_probes, chunk=_CHUNK))
    advance = counter(progress, len(runs) * (3 + num_levels))
    for name, run in runs.items():
        test, train = run.images("test", num_images), run.images(run.data["subset"], num_images)
        wiener = gaussian(*fit_gaussian(run.images(run.data["subset"], wiener_images)))
        found = {"alpha": run.data["alpha"], "background_alpha": _background_alpha(run.data)}
        found["test"] = curve(run.denoiser, key, test).psnr
        advance(f"{name}: test images")
        found["train"] = curve(run.denoiser, key, train).psnr
        advance(f"{name}: training images")
        found["wiener"] = curve_of_told(wiener, key, test, sigmas)
        advance(f"{name}: linear denoiser")
        slopes = []
        for sigma in sigmas:
            noisy = noise.add_noise(key, test[:num_probe_images], sigma)
            slopes.append(moments(run.denoiser, jax.random.fold_in(key, 2**32 - 1), noisy).slope())
            advance(f"{name}: Jacobian probes")
        found["identity"] = np.array(slopes)
        found |= _examples(run.denoiser, wiener, key, test[:_NUM_SHOWN])
        arrays |= {f"{name}/{quantity}": np.asarray(value) for quantity, value in found.items()}
    return arrays


def _background_alpha(data: Mapping[str, Any]) -> float:
    return data["alpha"] if data.get("background_alpha") is None else data["background_alpha"]


def _examples(denoiser: Denoiser, wiener: Any, key: Key, clean: Array) -> dict[str, Array]:
    """Images to show, and the departures from D(c y) = c D(y) and D(y) = J(y) y on them."""
    sigma = metrics.sigma_of_input_psnr(_SHOWN_DB)
    noisy = noise.add_noise(key, clean, sigma)
    return {
        "shown_clean": clean,
        "shown_noisy": noisy,
        "shown_wiener": denoise(wiener, noisy, sigma),
        "shown_network": denoise(denoiser, noisy),
        "homogeneity_error": jax.jit(identities.homogeneity_error)(denoiser, noisy),
        "linearity_error": jax.jit(identities.linearity_error)(denoiser, noisy),
    }


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    fit_between: tuple[float, float] = (20.0, 34.0),
    slope_within: float | None = None,
    gain_over_wiener: Mapping[str, float] | None = None,
    train_test_gap: float | None = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      fit_between: input PSNRs of the slope fit, dB.
      slope_within: mark for |slope - alpha / (alpha + 1)|.
      gain_over_wiener: input PSNR in dB (a name such as "20") -> least gain over the linear denoiser, dB.
      train_test_gap: mark for the largest |train - test| PSNR, dB.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, checks = arrays["input_psnr"], []
    span = f"{fit_between[0]:g}-{fit_between[1]:g} dB"
    for name in arrays["runs"]:
        get = _getter(arrays, name)
        theory = exponents(float(get("alpha")), float(get("background_alpha")))
        fitted = performance.psnr_slope(levels, get("test"), between=fit_between)
        linear = performance.psnr_slope(levels, get("wiener"), between=fit_between)
        inside = performance.levels_between(levels, fit_between)
        checks.append(
            _within(
                f"{name}: slope of the network, {span}",
                theory["class"],
                fitted.slope,
                slope_within,
                text=f"{fitted.slope:.3f} +- {fitted.standard_error:.3f}",
            )
        )
        corrected = f"contour {theory['contour']:.2f}, background {theory['background']:.2f}"
        local = performance.local_slope(levels, get("test"))[inside]
        of_mse = _slope_of_mean_mse(levels, get("test"))[inside]
        checks += [
            Check(f"{name}: local slopes, {span}", corrected, f"{local.min():.2f} to {local.max():.2f}"),
            Check(
                f"{name}: slope from |J|^2 / tr J, {span}",
                f"slope of the mean mse {of_mse.min():.2f} to {of_mse.max():.2f}",
                f"{get('identity')[inside].min():.2f} to {get('identity')[inside].max():.2f}",
            ),
            Check(f"{name}: slope of the linear denoiser", "below the network", f"{linear.slope:.3f}"),
        ]
        gains = get("test").mean(0) - get("wiener").mean(0)
        for decibel in sorted({20, 30} | {int(decibel) for decibel in gain_over_wiener or {}}):
            gain = np.interp(decibel, levels, gains)
            mark = (gain_over_wiener or {}).get(str(decibel))
            checks.append(
                Check(f"{name}: gain over linear at {decibel} dB, dB", "> 0", f"{gain:.2f}", *at_least(gain, mark))
            )
        gap = np.abs(get("train").mean(0) - get("test").mean(0)).max()
        checks.append(_below(f"{name}: largest train-test gap, dB", gap, train_test_gap, digits=2))
        checks.append(_below(f"{name}: |D(cy) - c D(y)| / |c D(y)|", get("homogeneity_error").max(), 1e-5))
        checks.append(_below(f"{name}: |J y - D(y)| / |D(y)|", get("linearity_error").max(), 1e-5))
    return checks


def _slope_of_mean_mse(levels: np.ndarray, psnr: np.ndarray) -> np.ndarray:
    """What |J|^2 / tr J of an exact denoiser is equal to, (S,), from PSNRs (N, S); not the slope of their mean."""
    mse = np.asarray(psnr, float).T
    return np.asarray(identities.mse_slope(10 ** (-mse / 10), sigmas=metrics.sigma_of_input_psnr(levels)))[:, 0]


def _getter(arrays: Mapping[str, np.ndarray], name: str):
    return lambda quantity: arrays[f"{name}/{quantity}"]


def _within(name: str, theory: float, value: float, margin: float | None, *, text: str) -> Check:
    verdict = () if margin is None else (f"within {margin:g}", bool(abs(value - theory) <= margin))
    return Check(name, f"{theory:.3f}", text, *verdict)


def _below(name: str, value: float, mark: float | None, *, digits: int | None = None) -> Check:
    return Check(name, "0", f"{value:.1e}" if digits is None else f"{value:.{digits}f}", *at_most(value, mark))


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: PSNR curves and local slopes above, denoised test images below."""
    import matplotlib.pyplot as plt

    names = [str(name) for name in arrays["runs"]]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 5.6), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1))
        curves, slopes = above.subplots(1, 2)
        for name, colour in zip(names, COLOURS * len(names), strict=False):
            _draw_curves(curves, slopes, arrays, name, colour, alone=len(names) == 1)
        _label_curves(curves, slopes, arrays["input_psnr"], alone=len(names) == 1)
        _draw_images(below, arrays, names)
    return figure


def _draw_curves(curves, slopes, arrays, name: str, colour: str, *, alone: bool) -> None:
    get, levels = _getter(arrays, name), arrays["input_psnr"]
    test, alpha = get("test").mean(0), float(get("alpha"))
    theory = exponents(alpha, float(get("background_alpha")))
    network = "network, test" if alone else rf"network, $\alpha$ = {alpha:g}"

    curves.plot(levels, test, color=colour, label=network)
    circles = dict(marker="o", ms=2.5, mfc="none", mew=0.7, ls="", color=colour)
    curves.plot(levels, get("train").mean(0), **circles, label=_once(alone, "network, training"))
    curves.plot(levels, get("wiener").mean(0), ":", color=colour, label=_once(alone, "linear (PCA-Wiener)"))
    end = levels >= levels[-1] - 14
    line = test[end].mean() + theory["class"] * (levels[end] - levels[end].mean())
    curves.plot(levels[end], line, "--", color="black", lw=1, label=_once(alone, f"slope {theory['class']:.2f}"))

    slopes.plot(levels, performance.local_slope(levels, get("test")), color=colour, label=_once(alone, network))
    of_mse = _slope_of_mean_mse(levels, get("test"))
    slopes.plot(levels, of_mse, color=colour, lw=0.6, label=_once(alone, "the same, of the mean mse"))
    squares = dict(marker="s", ms=3, mfc="none", mew=0.7, ls="", color=colour)
    slopes.plot(levels, get("identity"), **squares, label=_once(alone, "network, $|J|^2$ / tr $J$"))
    linear = performance.local_slope(levels, get("wiener"))
    slopes.plot(levels, linear, ":", color=colour, label=_once(alone, "linear (PCA-Wiener)"))
    lines = [(r"$\alpha/(\alpha+1)$", theory["class"], "--")]
    if alone:
        lines += [("contour", theory["contour"], "-."), ("background", theory["background"], (0, (1, 1)))]
    for place, (text, value, style) in enumerate(lines):
        slopes.axhline(value, ls=style, lw=1, color="black" if alone else colour)
        label = dict(fontsize=6.5, va="center", bbox=dict(pad=0.5, fc="white", ec="none"))
        at = levels[0] + place * 0.27 * np.ptp(levels) if alone else levels[-1] + 0.06 * np.ptp(levels)
        slopes.text(at, value, f"{text} {value:.2f}" if alone else f"{value:.2f}", **label)


def _once(alone: bool, label: str) -> str | None:
    """A label where there is one run; with several, the caption of the legend says what the styles mean."""
    return label if alone else None


def _label_curves(curves, slopes, levels: np.ndarray, *, alone: bool) -> None:
    curves.plot(levels, levels, color="grey", lw=0.8, label="identity")
    if not alone:
        curves.plot([], [], "o", ms=2.5, mfc="none", color="grey", label="network, training")
        curves.plot([], [], ":", color="grey", label="linear (PCA-Wiener)")
        curves.plot([], [], "--", color="black", lw=1, label=r"slope $\alpha/(\alpha+1)$")
        slopes.plot([], [], color="grey", label="network, test")
        slopes.plot([], [], color="grey", lw=0.6, label="the same, of the mean mse")
        slopes.plot([], [], "s", ms=3, mfc="none", color="grey", label="network, $|J|^2$ / tr $J$")
        slopes.plot([], [], ":", color="grey", label="linear (PCA-Wiener)")
        slopes.plot([], [], "--", color="grey", lw=1, label=r"$\alpha/(\alpha+1)$, value at the right")
    curves.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)", title="Denoising performance")
    slopes.set(xlabel="input PSNR (dB)", ylabel="local slope (dB / dB)", title="Slope of the curves")
    slopes.set_ylim(0, 1.2)  # |J|^2 / tr J is larger at large noise, where the network is no MMSE denoiser
    for axes in (curves, slopes):
        axes.legend(loc="best")


def _draw_images(figure, arrays, names: list[str]) -> None:
    """Four test images of one run, or the first of up to four runs: each clean, noisy and denoised by both."""
    alone = len(names) == 1
    shown = [(names[0], i) for i in range(_NUM_SHOWN)] if alone else [(name, 0) for name in names[:_NUM_SHOWN]]
    kinds = (("clean", "clean"), ("noisy", "noisy"), ("wiener", "linear"), ("network", "network"))
    groups = figure.subfigures(2, 2, wspace=0.03)
    for group, (name, i) in zip(groups.flat, shown, strict=False):
        get = _getter(arrays, name)
        clean = get("shown_clean")[i]
        for axes, (kind, heading) in zip(group.subplots(1, len(kinds)), kinds, strict=True):
            image = get(f"shown_{kind}")[i]
            axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            psnr = rf"$\alpha$ = {float(get('alpha')):g}"
            if kind != "clean":
                psnr = f"{float(metrics.psnr(clean, image)):.1f} dB"
            axes.set_title(f"{heading}\n{psnr}", fontsize=7)
