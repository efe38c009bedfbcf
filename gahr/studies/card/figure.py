"""The figure of `gahr.studies.card`."""

from collections.abc import Mapping

import numpy as np

from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, STYLE

_COLUMNS = 4
_MARKERS = "os^Dv<>ph*"
_LABEL = r"noise level $\sigma$"


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: mse, tr J and SURE of each denoiser above; slope, asymmetry, bias and KL integrand of all below."""
    import matplotlib.pyplot as plt

    names = [str(name) for name in arrays["names"]]
    looks = {name: _look(i) for i, name in enumerate(names)}
    rows = -(-len(names) // _COLUMNS)  # of the upper panels, with about as many in each
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 1.8 * rows + 4.2), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.8 * rows, 4.2))
        _draw_top(above, arrays, names, rows)
        panels = below.subplots(2, 3)
        ratio, slope, symmetry, bias, kl, key = panels.flat
        for name in names:
            _draw_identities(ratio, slope, symmetry, bias, arrays, name, looks[name])
        _draw_kl(kl, arrays, looks)
        for axes in panels.flat[:-1]:
            axes.set(xscale="log", xlabel=_LABEL)
        _draw_key(key, names, arrays["exact"], looks)
    return figure


def _draw_top(figure, arrays, names: list[str], rows: int) -> None:
    panels = figure.subplots(rows, -(-len(names) // rows), sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    for i, (axes, name) in enumerate(zip(panels.flat, names, strict=False)):
        _draw_errors(axes, arrays, name, COLOURS[i % len(COLOURS)])
        axes.set_title(f"{name}{', exact' if arrays['exact'][i] else ''}", fontsize=8 if len(name) < 22 else 6)
    curves = np.concatenate([arrays[f"{name}/{field}"][:, 0] for name in names for field in ("mse", "trace")])
    panels.flat[0].set_ylim(curves.min() / 2, 1.5 * max(curves.max(), np.prod(arrays["shape"])))
    for axes in panels[:, 0]:
        axes.set_ylabel("dimensions")
    for axes in panels.flat[max(0, len(names) - panels.shape[1]) : len(names)]:
        axes.set_xlabel(_LABEL)
        axes.tick_params(labelbottom=True)


def _look(i: int) -> dict:
    return dict(color=COLOURS[i % len(COLOURS)], marker=_MARKERS[i % len(_MARKERS)], ms=3, mfc="none", mew=0.8)


def _draw_errors(axes, arrays, name: str, colour: str) -> None:
    sigmas = arrays["sigmas"]
    get = lambda field: arrays[f"{name}/{field}"]
    axes.loglog(sigmas, get("mse")[:, 0], color=colour)
    axes.loglog(sigmas, get("trace")[:, 0], "--", color="black", lw=1.1)
    mean, error = get("sure").T
    axes.errorbar(sigmas, mean, 2 * error, fmt="o", ms=2.5, color=colour, mfc="white", lw=0.7)
    axes.axhline(np.prod(arrays["shape"]), color="grey", lw=0.7, ls=":")


def _draw_identities(ratio, slope, symmetry, bias, arrays, name: str, look: dict) -> None:
    sigmas, get = arrays["sigmas"], lambda field: arrays[f"{name}/{field}"][:, 0]
    ratio.errorbar(sigmas, get("ratio"), 2 * arrays[f"{name}/ratio"][:, 1], **look, lw=1)
    ratio.axhline(1, color="black", lw=0.7, ls=":")
    slope.plot(sigmas, get("measured_slope"), color=look["color"])
    slope.plot(sigmas, get("slope"), **look, ls="")
    symmetry.plot(sigmas, get("asymmetry"), **look)
    bias.loglog(sigmas, np.maximum(get("homogeneity_error"), 1e-8), **look)
    ratio.set(title=r"tr $J\,/\,$(mse $d\,/\,\sigma^2$); exact: 1", yscale="log")
    slope.set(title=r"PSNR slope and $|J|^2\,/\,$tr $J$")
    symmetry.set(title=r"$|J-J^T|\,/\,|J|$; exact: 0")
    bias.set(title=r"$|D(cy)-cD(y)|\,/\,|cD(y)|$; bias-free: 0")


def _draw_kl(axes, arrays, looks: Mapping[str, dict]) -> None:
    fine = arrays["kl/sigmas"]
    axes.loglog(fine, arrays["kl/theory_integrand"], color="black", lw=0.8)
    for name in map(str, arrays["kl/names"]):
        look = looks.get(name, dict(color="black", marker="x", ms=3.5, mew=0.8, ls=""))
        axes.loglog(fine, arrays[f"kl/{name}/integrand"], **look, markevery=4)
    axes.set(title="KL integrand (nats), Gaussian images")


def _draw_key(axes, names: list[str], exact: np.ndarray, looks: Mapping[str, dict]) -> None:
    axes.set_axis_off()
    for name, known in zip(names, exact, strict=True):
        axes.plot([], [], **looks[name], label=f"{name}{', exact' if known else ''}")
    axes.plot([], [], color="grey", label=r"top: mse $d\,/\,\sigma^2$")
    axes.plot([], [], "--", color="black", lw=1.1, label=r"top: tr $J$")
    axes.errorbar([], [], [], fmt="o", ms=2.5, color="grey", mfc="white", label="top: SURE, two standard errors")
    axes.plot([], [], ":", color="grey", lw=0.7, label="top: number of pixels")
    axes.plot([], [], color="grey", label="slope panel: measured, of the mean mse")
    axes.plot([], [], "o", ms=3, mfc="none", color="grey", label=r"slope panel: $|J|^2\,/\,$tr $J$")
    axes.plot([], [], "x", ms=3.5, color="black", label="KL panel: half the contrast")
    axes.plot([], [], color="black", lw=0.8, label="KL panel: the same, theory")
    axes.legend(loc="center left", bbox_to_anchor=(-0.1, 0.5))
