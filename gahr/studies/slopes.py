"""PSNR curves of networks trained on C^alpha images, beside theory and the best linear denoiser.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 4: on C^alpha images the optimal mse falls as
sigma^(2 alpha / (alpha + 1)), so the PSNR of an optimal denoiser rises with slope alpha / (alpha + 1).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from gahr import metrics, noise
from gahr.analysis import identities, performance
from gahr.classical.analytic import fit_gaussian, gaussian
from gahr.denoiser import at
from gahr.studies.shared.measures import counter, curve_of_told, mean_and_range, moments_of_told
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import AtLeast, AtMost, Check, Estimate, Run, Study, within
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_SHOWN_DB = 20.0  # input PSNR of the images drawn
_NUM_SHOWN = 4


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
    *,
    num_images: int = 256,
    wiener_images: int = 20_000,
    lowest_db: float = 0.0,
    highest_db: float = 34.0,
    num_levels: int = 18,
    fit_between: tuple[float, float] = (20.0, 34.0),
    num_probe_images: int = 64,
    num_probes: int = 4,
) -> Callable[..., dict[str, np.ndarray]]:
    """Curves, identity slopes and a few denoised images of every run.

    Args:
      num_images: test images, and training images, per curve.
      wiener_images: training images that the linear denoiser is fitted on, at most.
      lowest_db, highest_db, num_levels: input PSNRs, dB, equally spaced.
      fit_between: input PSNRs of the slope fit, dB.
      num_probe_images, num_probes: test images and random probes for the identity slope.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays named "RUN/quantity", in the order of the runs.

    Raises:
      ValueError: too few images, levels or probes, or too few levels in `fit_between`.
    """
    levels = input_levels(lowest_db, highest_db, num_levels, fit_between=fit_between)
    require_least(num_images=(num_images, 2), num_probe_images=(num_probe_images, 1), num_probes=(num_probes, 1))
    sigmas = metrics.sigma_of_input_psnr(levels)

    def analysis(
        runs: Mapping[str, Run], key: Key, *, progress: Progress, sharding: Sharding | None = None
    ) -> dict[str, np.ndarray]:
        probe_key = jax.random.fold_in(key, 2**32 - 1)  # no image has this number
        probing = dict(num_probes=num_probes, sharding=sharding)
        arrays: dict[str, Any] = {"input_psnr": levels, "fit_between": fit_between, "runs": list(runs)}
        advance = counter(progress, len(runs) * (3 + num_levels))
        for name, run in runs.items():
            test, train = run.images("test", num_images), run.images(run.subset, num_images)
            wiener = gaussian(*fit_gaussian(run.images(run.subset, wiener_images)))
            found = {"alpha": run.data["alpha"], "background_alpha": _background_alpha(run.data)}
            for curve, noise_denoiser, clean, note in (
                ("test", run.noise_denoiser, test, "test images"),
                ("train", run.noise_denoiser, train, "training images"),
                ("wiener", wiener, test, "linear denoiser"),
            ):
                found[curve] = curve_of_told(noise_denoiser, key, clean, sigmas, sharding=sharding)
                advance(f"{name}: {note}")
            found["identity"] = []
            for sigma in sigmas:
                noisy = noise.add_noise(key, test[:num_probe_images], sigma)
                moments = moments_of_told(run.noise_denoiser, probe_key, noisy, sigma, **probing)
                found["identity"].append(moments.slope())
                advance(f"{name}: Jacobian probes")
            mse = 10 ** (-found["test"].T / 10)
            found["mse_slope"] = identities.mse_slope(mse, sigmas=sigmas)[:, 0]  # not the slope of the mean PSNR
            found |= {f"{curve}_slope": performance.local_slope(levels, found[curve]) for curve in ("test", "wiener")}
            found |= _examples(run.noise_denoiser, wiener, key, test[:_NUM_SHOWN])
            arrays |= {f"{name}/{quantity}": value for quantity, value in found.items()}
        return {name: np.asarray(value) for name, value in arrays.items()}

    return analysis


def _background_alpha(data: Mapping[str, Any]) -> float:
    return data["alpha"] if data.get("background_alpha") is None else data["background_alpha"]


@jax.jit
def _examples(noise_denoiser: NoiseDenoiser, wiener: NoiseDenoiser, key: Key, clean: Array) -> dict[str, Array]:
    """Images to show, and the departures from D(c y) = c D(y) and D(y) = J(y) y on them."""
    sigma = metrics.sigma_of_input_psnr(_SHOWN_DB)
    denoiser, noisy = at(noise_denoiser, sigma), noise.add_noise(key, clean, sigma)
    return {
        "shown_clean": clean,
        "shown_noisy": noisy,
        "shown_wiener": wiener(noisy, sigma),
        "shown_network": denoiser(noisy),
        "homogeneity_error": identities.homogeneity_error(denoiser, noisy),
        "linearity_error": identities.linearity_error(denoiser, noisy),
    }


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    slope_within: float | None = None,
    gain_over_wiener: Mapping[str, float] | None = None,
    train_test_gap: float | None = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      slope_within: mark for |slope - alpha / (alpha + 1)|.
      gain_over_wiener: input PSNR in dB (a name such as "20") -> least gain over the linear denoiser, dB.
      train_test_gap: mark for the largest |train - test| PSNR, dB.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, between, gains, checks = arrays["input_psnr"], arrays["fit_between"], gain_over_wiener or {}, []
    inside = performance.levels_between(levels, between)
    span = f"{between[0]:g}-{between[1]:g} dB"
    for name in arrays["runs"]:
        get = _getter(arrays, name)
        theory = exponents(float(get("alpha")), float(get("background_alpha")))
        fitted, linear = (
            Estimate(*performance.psnr_slope(levels, get(curve), between=between)) for curve in ("test", "wiener")
        )
        local = {key: mean_and_range(get(key)[inside]) for key in ("test_slope", "mse_slope", "identity")}
        filtered = {part: theory[part] for part in ("contour", "background")}
        of_mse = {"slope of the mean mse": local["mse_slope"]}
        within_class = within(slope_within, theory["class"])
        checks += [
            Check(f"{name}: slope of the network, {span}", theory["class"], fitted, within_class),
            Check(f"{name}: local slopes, {span}", filtered, local["test_slope"]),
            Check(f"{name}: slope from |J|^2 / tr J, {span}", of_mse, local["identity"]),
            Check(f"{name}: slope of the linear denoiser, {span}", "below the network", linear),
        ]
        test, train, wiener = (get(curve).mean(0) for curve in ("test", "train", "wiener"))
        for decibel in sorted({20, 30} | {int(decibel) for decibel in gains}):
            gain = np.interp(decibel, levels, test - wiener)
            mark = AtLeast(gains.get(str(decibel)))
            checks.append(Check(f"{name}: gain over linear at {decibel} dB, dB", "> 0", gain, mark))
        for text, value, limit in (
            ("largest train-test gap, dB", np.abs(train - test).max(), train_test_gap),
            ("|D(cy) - c D(y)| / |c D(y)|", get("homogeneity_error").max(), 1e-5),
            ("|J y - D(y)| / |D(y)|", get("linearity_error").max(), 1e-5),
        ):
            checks.append(Check(f"{name}: {text}", 0.0, value, AtMost(limit)))
    return checks


def _getter(arrays: Mapping[str, np.ndarray], name: str):
    return lambda quantity: arrays[f"{name}/{quantity}"]


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

    slopes.plot(levels, get("test_slope"), color=colour, label=_once(alone, network))
    slopes.plot(levels, get("mse_slope"), color=colour, lw=0.6, label=_once(alone, "the same, of the mean mse"))
    squares = dict(marker="s", ms=3, mfc="none", mew=0.7, ls="", color=colour)
    slopes.plot(levels, get("identity"), **squares, label=_once(alone, "network, $|J|^2$ / tr $J$"))
    slopes.plot(levels, get("wiener_slope"), ":", color=colour, label=_once(alone, "linear (PCA-Wiener)"))
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
    images = [(names[0], i) for i in range(len(arrays[f"{names[0]}/shown_clean"]))]
    shown = images if alone else [(name, 0) for name in names[:_NUM_SHOWN]]
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


STUDY = Study(analyze, check, draw)
