"""The figure of `gahr.studies.slopes`."""

import numpy as np

from gahr.studies.shared.images import draw_stages
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, NULLS, STYLE
from gahr.studies.slopes.check import exponents, kinds

_NUM_SHOWN = 4
_LINEAR = ("best linear denoiser", dict(ls=":"))
_POINTS = dict(mfc="none", mew=0.7, ls="")
_CURVES = {  # PSNR by the name of its array: label, look
    "test/network": ("network, test", {}),
    "train/network": ("network, training", dict(marker="o", ms=2.5, **_POINTS)),
    "test/linear": _LINEAR,
}
_SLOPES = {  # likewise
    "slope/network": ("network, test", {}),
    "mse_slope": ("the same, of the mean mse", dict(lw=0.6)),
    "identity": ("network, $|J|^2$ / tr $J$", dict(marker="s", ms=3, **_POINTS)),
    "slope/linear": _LINEAR,
}
_ALONE = ("3x3 filter", "untrained")  # nulls that are drawn of one run alone


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: PSNR curves and local slopes above, denoised test images below."""
    import matplotlib.pyplot as plt

    names = [str(name) for name in arrays["runs"]]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 5.6), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1))
        _draw_curves(*above.subplots(1, 2), arrays)
        _draw_images(below, arrays, names)
    return figure


def _draw_curves(curves, slopes, arrays) -> None:
    """Of one run with its legend; of several in their colours, with a legend that says what the lines mean in grey."""
    found, levels = kinds(arrays), arrays["input_psnr"]
    alone = len(found) == 1
    for (kind, names), colour in zip(found.items(), COLOURS * len(found), strict=False):
        every = lambda quantity, names=names: np.stack([arrays[f"{name}/{quantity}"] for name in names])
        if not alone:
            curves.plot([], [], color=colour, label=_label(arrays, kind, names[0]))
        for axes, lines in ((curves, _CURVES), (slopes, _SLOPES)):
            for quantity, (label, look) in lines.items():
                values = every(quantity)
                values = values.mean(1) if values.ndim > 2 else values  # over the images, where it is known of each
                axes.plot(levels, values.mean(0), color=colour, label=label if alone else None, **look)
                if len(names) > 1:
                    axes.fill_between(levels, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0)
        if alone:
            for who in [who for who in _ALONE if f"{names[0]}/test/{who}" in arrays]:
                curves.plot(levels, every(f"test/{who}").mean((0, 1)), **NULLS[who], label=who)
                slopes.plot(levels, every(f"slope/{who}").mean(0), **NULLS[who], label=who)
        theory = exponents(*(float(every(quantity)[0]) for quantity in ("alpha", "background_alpha")))
        _draw_theory(curves, slopes, theory, levels, every("test/network").mean((0, 1)), None if alone else colour)
    if not alone:
        for axes, lines in ((curves, _CURVES), (slopes, _SLOPES)):
            for label, look in lines.values():
                axes.plot([], [], color="grey", label=label, **look)
        curves.plot([], [], "--", color="black", lw=1, label=r"slope $\alpha/(\alpha+1)$")
        slopes.plot([], [], "--", color="grey", lw=1, label=r"$\alpha/(\alpha+1)$, value at the right")
    curves.plot(levels, levels, **NULLS["identity"], label="identity")
    curves.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)", title="Denoising performance")
    slopes.set(xlabel="input PSNR (dB)", ylabel="local slope (dB / dB)", title="Slope of the curves")
    if not alone:
        curves.set_ylim(bottom=-24)  # room for the legend
    slopes.set_ylim(0, 1.2)  # |J|^2 / tr J is larger at large noise, where the network is no MMSE denoiser
    for axes in (curves, slopes):
        axes.legend(loc="best")


def _label(arrays, kind: str, name: str) -> str:
    """The exponent of a run, or its kind where others have the same exponent."""
    alphas = [float(arrays[f"{names[0]}/alpha"]) for names in kinds(arrays).values()]
    alpha = float(arrays[f"{name}/alpha"])
    return rf"$\alpha$ = {alpha:g}" if alphas.count(alpha) == 1 else kind


def _draw_theory(curves, slopes, theory: dict, levels: np.ndarray, test: np.ndarray, colour: str | None) -> None:
    """The slope of the class, of one run alone, without a colour, with its name and those of contour and background."""
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
    kinds = {"clean": "clean", "noisy": "noisy", "linear": "linear", "network": "network"}
    for group, (name, i) in zip(figure.subfigures(2, 2, wspace=0.03).flat, shown, strict=False):
        stages = {heading: arrays[f"{name}/shown_{kind}"][i] for heading, kind in kinds.items()}
        draw_stages(group.subplots(1, 4), stages, rf"$\alpha$ = {arrays[f'{name}/alpha']:g}", fontsize=7)
