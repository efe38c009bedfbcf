"""The figure of `gahr.studies.link`: decays with their fits, and predicted slopes against those measured."""

import numpy as np

from gahr.classical import rates
from gahr.studies.link.analysis import NULLS as WITH_BASES
from gahr.studies.link.check import OWN, bases_of, fitted_numbers, in_basis, measured_slope, predict
from gahr.studies.shared.study import Arrays, mean_of
from gahr.studies.shared.style import COLOURS, STYLE

_MARKERS = "os^Dv<>"  # one an exponent
_COLUMNS = 4  # decays in a row


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: coefficients in the bases of each network above; below, slopes and levels that the bases predict."""
    import matplotlib.pyplot as plt

    names = [str(name) for name in arrays["runs"]]
    rows = -(-len(names) // _COLUMNS)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 3.4 + 2.1 * rows), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(2.1 * rows, 3.2))
        panels = above.subplots(rows, min(len(names), _COLUMNS), squeeze=False, sharey=True).ravel()
        for axes, name in zip(panels, names, strict=False):
            _draw_decay(axes, arrays, name)
        panels[0].set_ylabel(r"$\langle x, e_k \rangle^2$, sorted")
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        _draw_predicted(*below.subplots(1, 2, width_ratios=(1.25, 1)), arrays, names)
    return figure


def _look(arrays: Arrays, name: str) -> dict[str, str]:
    return dict(zip(bases_of(arrays, name), COLOURS, strict=False))


def _draw_decay(axes, arrays: Arrays, name: str) -> None:
    """Mean over images of the logarithm, at the middle level, and the line of the mean exponent through it."""
    middle = len(arrays["input_psnr"]) // 2
    for basis, colour in _look(arrays, name).items():
        energy = in_basis(arrays, name, "network", basis)[middle]
        size = energy.shape[-1]
        numbers, (first, last) = np.arange(1, size + 1), fitted_numbers(size)
        curve = np.exp(np.log(np.maximum(-np.sort(-energy, -1), 1e-12)).mean((0, 1)))
        axes.plot(numbers, curve, color=colour, lw=1)
        a = float(np.mean(rates.decay_exponent(energy, between=(first, last))))
        ends = np.array([first, last])
        middle_of_fit = round(float(np.sqrt(first * last)))
        axes.plot(ends, curve[middle_of_fit - 1] * (ends / middle_of_fit) ** -(a + 1), ":", color=colour, lw=1.6)
    level = 10 ** (-arrays["input_psnr"][middle] / 10)
    axes.axhline(level, color="grey", lw=0.6)
    axes.text(1, level, r"$\sigma^2$", fontsize=6.5, va="bottom", color="grey")
    axes.set(xscale="log", yscale="log", xlabel="number $k$", ylim=(1e-8, None))
    axes.set_title(rf"$\alpha$ = {float(arrays[f'{name}/alpha']):g}, {arrays['input_psnr'][middle]:g} dB")


def _draw_predicted(slopes, levels, arrays: Arrays, names: list[str]) -> None:
    """Slopes by the risk (filled) and by the decay (open) against those measured; PSNR of the risk less the own."""
    limits = []
    for place, (name, marker) in enumerate(zip(names, _MARKERS * len(names), strict=False)):
        measured = measured_slope(arrays, name, "network").mean
        for basis, colour in _look(arrays, name).items():
            found = predict(arrays, name, "network", basis)
            look = dict(marker=marker, ms=4.5, ls="", color=colour)
            slopes.plot(measured, mean_of(found.risk), **look)
            slopes.plot(measured, mean_of(found.decay), **look, mfc="none", mew=0.8)
            levels.plot(place, mean_of(found.level), **look)
            limits += [measured, mean_of(found.risk)]
        for who in WITH_BASES:
            if f"{name}/{who}/psnr" in arrays:
                predicted, own = predict(arrays, name, who, OWN).risk, measured_slope(arrays, name, who).mean
                slopes.plot(own, mean_of(predicted), marker="x" if who == "linear" else "+", ms=5, color="0.4", ls="")
                limits += [own, mean_of(predicted)]
        slopes.plot([], [], marker=marker, ms=4.5, ls="", color="black", label=rf"$\alpha$ = {_alpha(arrays, name):g}")
    ends = [min(limits) - 0.03, max(limits) + 0.03]
    slopes.plot(ends, ends, color="grey", lw=0.8)
    slopes.plot([], [], marker="o", ms=4.5, ls="", mfc="none", color="black", label="by the decay")
    slopes.plot([], [], marker="x", ms=5, ls="", color="0.4", label="linear denoiser, own")
    slopes.plot([], [], marker="+", ms=5, ls="", color="0.4", label="untrained, own")
    slopes.set(xlabel="measured slope (dB / dB)", ylabel="predicted slope", title="Slope by the risk in a basis")
    slopes.legend(loc="upper left")
    levels.axhline(0, color="grey", lw=0.8)
    for basis, colour in _look(arrays, names[0]).items():
        levels.plot([], [], "s", ms=4, color=colour, label=basis)
    levels.set_xticks(range(len(names)), [f"{_alpha(arrays, name):g}" for name in names])
    levels.set(xlabel=r"$\alpha$", ylabel="dB", title="PSNR of the risk less the network's")
    levels.margins(0.2, 0.15)
    levels.figure.legend(*levels.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _alpha(arrays: Arrays, name: str) -> float:
    return float(arrays[f"{name}/alpha"])
