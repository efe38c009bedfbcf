"""The figure of `gahr.studies.miyasawa`."""

import numpy as np

from gahr.studies.miyasawa.analysis import CENTRES
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, NULLS, STYLE


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: densities and scores above; below errors and their estimates, what others lose, and the divergence."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(2, 3, figsize=(7.0, 4.9), layout="constrained", height_ratios=(1.15, 1))
        figure.suptitle(title)
        level = rf"$\sigma$ = {float(arrays['sigma']):g}"
        headings = {
            "point": f"one point, {level}",
            "points": f"points 5 : 2 : 3, {level}",
            "mixture": f"Gaussians 5 : 2 : 3, {level}",
        }
        for axes, (name, heading) in zip(panels[0], headings.items(), strict=True):
            _draw_field(axes, arrays, name)
            axes.set_title(heading)
        _draw_estimates(panels[1, 0], arrays)
        _draw_excess(panels[1, 1], arrays)
        _draw_divergence(panels[1, 2], arrays)
    return figure


def _draw_field(axes, arrays: Arrays, name: str) -> None:
    side = round(len(arrays["grid"]) ** 0.5)
    x, y = arrays["grid"].reshape(side, side, 2).transpose(2, 0, 1)
    log = np.log(np.maximum(arrays[f"{name}/density"], 1e-30)).reshape(side, side)
    axes.contourf(x, y, log - log.max(), levels=np.arange(-8, 0.5), cmap="Blues", extend="min")
    step = max(1, side // 12)
    score_x, score_y = arrays[f"{name}/score"].reshape(side, side, 2)[step // 2 :: step, step // 2 :: step].T
    x, y = (values[step // 2 :: step, step // 2 :: step].T for values in (x, y))
    axes.quiver(x, y, score_x, score_y, angles="xy", color=COLOURS[1], width=0.006)
    if name != "mixture":
        axes.plot(*CENTRES[: 1 if name == "point" else 3].T, "o", color="black", ms=4)
    axes.set(aspect="equal", xlabel="first pixel", ylabel="second pixel", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))


def _draw_estimates(axes, arrays: Arrays) -> None:
    for name, colour, marker in zip(arrays["denoisers"].tolist(), COLOURS, "osv^", strict=False):
        mse, sure = arrays[f"{name}/mse"].mean(1), arrays[f"{name}/sure"].mean(1)
        axes.plot(arrays["sigmas"], mse, color=colour, lw=1, label=name)
        axes.plot(arrays["sigmas"], sure, marker, color=colour, mfc="none", ms=4, ls="")
    axes.plot([], [], "o", color="black", mfc="none", ms=4, ls="", label="SURE, without the clean images")
    axes.set(xscale="log", yscale="log", xlabel=r"noise level $\sigma$", ylabel="mean squared error")
    axes.set(title="Error, and its estimate")
    _ticks(axes)
    axes.set_ylim(bottom=axes.get_ylim()[0] / 2, top=axes.get_ylim()[1] * 8)
    axes.legend(fontsize=5.5, loc="upper left")


def _draw_excess(axes, arrays: Arrays) -> None:
    exact = arrays["exact/mse"].mean(1)
    for name, colour, marker in list(zip(arrays["denoisers"].tolist(), COLOURS, "osv^", strict=False))[1:]:
        axes.plot(arrays["sigmas"], arrays[f"{name}/gap"], color=colour, lw=1)
        axes.plot(arrays["sigmas"], arrays[f"{name}/mse"].mean(1) - exact, marker, color=colour, mfc="none", ms=4)
    axes.plot([], [], color="black", lw=1, label=r"$E |D - D_{exact}|^2$")
    axes.plot([], [], "o", color="black", mfc="none", ms=4, ls="", label="error above the least one")
    axes.set(xscale="log", yscale="log", xlabel=r"noise level $\sigma$", ylabel="mean squared error")
    axes.set_title("What other denoisers lose")
    _ticks(axes)
    axes.legend(fontsize=5.5, loc="upper left")


def _ticks(axes) -> None:
    axes.set(xticks=(0.03, 0.1, 0.3), xticklabels=("0.03", "0.1", "0.3"))
    axes.minorticks_off()


def _draw_divergence(axes, arrays: Arrays) -> None:
    levels, integrand = arrays["levels"], arrays["integrand"]
    integral, _, closed = (float(value) for value in arrays["kl"])
    axes.fill_between(levels, integrand, color=COLOURS[0], alpha=0.3, lw=0, label=f"integral: {integral:.4f} nats")
    axes.plot(levels, integrand, color=COLOURS[0])
    axes.plot([], [], **NULLS["identity"], label=f"KL of the two, closed form: {closed:.4f}")
    axes.set(xscale="log", xlabel=r"noise level $\sigma$", ylabel=r"$E |D_q - D_p|^2 / \sigma^2$ (nats)")
    axes.set(title="Divergence of two Gaussians", ylim=(0, 1.35 * integrand.max()))
    axes.legend(fontsize=5.5)
