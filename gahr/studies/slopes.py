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
from gahr.studies.shared.images import draw_stages
from gahr.studies.shared.measures import counter, curve_of_told, mean_and_range, probed_moments
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Estimate, Limit, Runs, Study, within
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_SHOWN_DB = 20.0  # input PSNR of the images drawn
_NUM_SHOWN = 4
_LINEAR = ("linear (PCA-Wiener)", dict(ls=":"))
_POINTS = dict(mfc="none", mew=0.7, ls="")
_CURVES = {  # PSNR by the name of its array: label, look
    "test": ("network, test", {}),
    "train": ("network, training", dict(marker="o", ms=2.5, **_POINTS)),
    "wiener": _LINEAR,
}
_SLOPES = {  # likewise
    "test_slope": ("network, test", {}),
    "mse_slope": ("the same, of the mean mse", dict(lw=0.6)),
    "identity": ("network, $|J|^2$ / tr $J$", dict(marker="s", ms=3, **_POINTS)),
    "wiener_slope": _LINEAR,
}


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
) -> Callable:
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

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
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
                moments = probed_moments(at(run.noise_denoiser, sigma), probe_key, noisy, **probing)
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
    arrays: Arrays,
    *,
    slope_within: Limit = None,
    gain_over_wiener: Mapping[str, float] | None = None,
    train_test_gap: Limit = None,
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
        get = lambda quantity, name=name: arrays[f"{name}/{quantity}"]
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


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: PSNR curves and local slopes above, denoised test images below."""
    import matplotlib.pyplot as plt

    names = [str(name) for name in arrays["runs"]]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 5.6), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1))
        _draw_curves(*above.subplots(1, 2), arrays, names)
        _draw_images(below, arrays, names)
    return figure


def _draw_curves(curves, slopes, arrays, names: list[str]) -> None:
    """Of one run with its legend; of several in their colours, with a legend that says what the lines mean in grey."""
    alone, levels = len(names) == 1, arrays["input_psnr"]
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        get = lambda quantity, name=name: arrays[f"{name}/{quantity}"]
        if not alone:
            curves.plot([], [], color=colour, label=rf"$\alpha$ = {float(get('alpha')):g}")
        for axes, lines in ((curves, _CURVES), (slopes, _SLOPES)):
            for quantity, (label, look) in lines.items():
                values = np.atleast_2d(get(quantity)).mean(0)  # over the images, where it is known of each
                axes.plot(levels, values, color=colour, label=label if alone else None, **look)
        _draw_theory(curves, slopes, get, levels, None if alone else colour)
    if not alone:
        for axes, lines in ((curves, _CURVES), (slopes, _SLOPES)):
            for label, look in lines.values():
                axes.plot([], [], color="grey", label=label, **look)
        curves.plot([], [], "--", color="black", lw=1, label=r"slope $\alpha/(\alpha+1)$")
        slopes.plot([], [], "--", color="grey", lw=1, label=r"$\alpha/(\alpha+1)$, value at the right")
    curves.plot(levels, levels, color="grey", lw=0.8, label="identity")
    curves.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)", title="Denoising performance")
    slopes.set(xlabel="input PSNR (dB)", ylabel="local slope (dB / dB)", title="Slope of the curves")
    slopes.set_ylim(0, 1.2)  # |J|^2 / tr J is larger at large noise, where the network is no MMSE denoiser
    for axes in (curves, slopes):
        axes.legend(loc="best")


def _draw_theory(curves, slopes, get, levels: np.ndarray, colour: str | None) -> None:
    """The slope of the class, of one run alone, without a colour, with its name and those of contour and background."""
    theory, test = exponents(float(get("alpha")), float(get("background_alpha"))), get("test").mean(0)
    end = levels >= levels[-1] - 14
    line = test[end].mean() + theory["class"] * (levels[end] - levels[end].mean())
    label = None if colour else f"slope {theory['class']:.2f}"
    curves.plot(levels[end], line, "--", color="black", lw=1, label=label)
    text = dict(fontsize=6.5, va="center", bbox=dict(pad=0.5, fc="white", ec="none"))
    if colour:
        slopes.axhline(theory["class"], ls="--", lw=1, color=colour)
        slopes.text(levels[-1] + 0.06 * np.ptp(levels), theory["class"], f"{theory['class']:.2f}", **text)
        return
    words, styles = (r"$\alpha/(\alpha+1)$", "contour", "background"), ("--", "-.", (0, (1, 1)))
    for place, (word, value, style) in enumerate(zip(words, theory.values(), styles, strict=True)):
        slopes.axhline(value, ls=style, lw=1, color="black")
        slopes.text(levels[0] + place * 0.27 * np.ptp(levels), value, f"{word} {value:.2f}", **text)


def _draw_images(figure, arrays, names: list[str]) -> None:
    """Four test images of one run, or the first of up to four runs: each clean, noisy and denoised by both."""
    images = [(names[0], i) for i in range(len(arrays[f"{names[0]}/shown_clean"]))]
    shown = images if len(names) == 1 else [(name, 0) for name in names[:_NUM_SHOWN]]
    kinds = {"clean": "clean", "noisy": "noisy", "linear": "wiener", "network": "network"}
    for group, (name, i) in zip(figure.subfigures(2, 2, wspace=0.03).flat, shown, strict=False):
        stages = {heading: arrays[f"{name}/shown_{kind}"][i] for heading, kind in kinds.items()}
        draw_stages(group.subplots(1, 4), stages, rf"$\alpha$ = {arrays[f'{name}/alpha']:g}", fontsize=7)


STUDY = Study(analyze, check, draw)
