"""The figure of `gahr.studies.card`."""

from collections.abc import Mapping

import numpy as np

from gahr.studies.common import COLOURS, STYLE

_COLUMNS = 4
_MARKERS = "os^Dv<>ph*"
_LABEL = r"noise level $\sigma$"


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: mse, tr J and SURE of each denoiser above; slope, asymmetry, bias and KL integrand of all below."""
    import matplotlib.pyplot as plt

    names = [str(name) for name in arrays["names"]]
    looks = {name: _look(i) for i, name in enumerate(names)}
    rows = -(-len(names) // _COLUMNS)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 1.8 * rows + 2.9), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.8 * rows, 2.6))
        panels = above.subplots(rows, min(len(names), _COLUMNS), sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[len(names) :]:
            axes.set_axis_off()
        for axes, name, exact in zip(panels.flat, names, arrays["exact"], strict=False):
            _draw_errors(axes, arrays, name, looks[name]["color"])
            axes.set_title(f"{name}{', exact' if exact else ''}")
        for axes in panels[:, 0]:
            axes.set_ylabel("dimensions")
        for axes in panels.flat[max(0, len(names) - panels.shape[1]) : len(names)]:
            axes.set_xlabel(_LABEL)
        panels.flat[0].legend(loc="best")
        slope, symmetry, bias, kl = below.subplots(1, 4)
        for name in names:
            _draw_identities(slope, symmetry, bias, arrays, name, looks[name])
        _draw_kl(kl, arrays, looks)
        for axes in (slope, symmetry, bias, kl):
            axes.set_xscale("log")
            axes.set_xlabel(_LABEL)
        handles, labels = symmetry.get_legend_handles_labels()
        below.legend(handles, labels, loc="outside lower center", ncols=min(len(names), 5))
    return figure


def _look(i: int) -> dict:
    return dict(color=COLOURS[i % len(COLOURS)], marker=_MARKERS[i % len(_MARKERS)], ms=3, mfc="none", mew=0.8)


def _draw_errors(axes, arrays, name: str, colour: str) -> None:
    sigmas = arrays["sigmas"]
    get = lambda field: arrays[f"{name}/{field}"]
    axes.loglog(sigmas, get("mse")[:, 0], color=colour, label=r"mse $d\,/\,\sigma^2$")
    axes.loglog(sigmas, get("trace")[:, 0], "--", color="black", lw=1.1, label=r"tr $J$")
    mean, error = get("sure").T
    axes.errorbar(sigmas, mean, 2 * error, fmt="o", ms=2.5, color=colour, mfc="white", lw=0.7, label="SURE, 2 s.e.")
    axes.axhline(np.prod(arrays["shape"]), color="grey", lw=0.7, ls=":")


def _draw_identities(slope, symmetry, bias, arrays, name: str, look: dict) -> None:
    sigmas = arrays["sigmas"]
    get = lambda field: arrays[f"{name}/{field}"][:, 0]
    slope.plot(sigmas, get("measured_slope"), color=look["color"])
    slope.plot(sigmas, get("slope"), **look, ls="")
    symmetry.plot(sigmas, get("asymmetry"), **look, label=name)
    bias.loglog(sigmas, np.maximum(get("homogeneity_error"), 1e-8), **look)
    slope.set(title=r"PSNR slope; $|J|^2\,/\,$tr $J$")
    symmetry.set(title=r"$|J-J^T|\,/\,|J|$")
    bias.set(title=r"$|D(cy)-cD(y)|\,/\,|cD(y)|$")


def _draw_kl(axes, arrays, looks: Mapping[str, dict]) -> None:
    fine = arrays["kl/sigmas"]
    for name in map(str, arrays["kl/names"]):
        look = looks.get(name, dict(color="black", ls="--"))
        axes.loglog(fine, arrays[f"kl/{name}/integrand"], **{"markevery": 4, **look})
    axes.set(title="KL integrand, nats")
