"""The figure of `gahr.studies.consistency_points`."""

from typing import Any

import numpy as np

from gahr.studies.consistency_points.analysis import METHODS
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, STYLE

_NULL_LABELS = {"linear": "linear flow", "untrained": "untrained", "denoiser": "posterior mean"}


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: ends of noise on the line and in the plane, errors, singular values and answers to moved noise."""
    import matplotlib.pyplot as plt

    colours = dict(zip(METHODS, COLOURS, strict=False))
    with plt.rc_context(STYLE):
        figure, rows = plt.subplots(2, 3, figsize=(7.0, 4.6), layout="constrained")
        figure.suptitle(title)
        (line, plane, errors), (values, answers, shares) = rows
        order = np.argsort(arrays["line/noisy"].ravel())
        there = arrays["line/noisy"].ravel()[order]
        line.plot(there, arrays["line/ends"].ravel()[order], color="k", lw=2.5, alpha=0.3, label="exact")
        plane.scatter(*arrays["plane/centres"].reshape(-1, 2).T, marker="+", color="k", s=60, lw=1, zorder=3)
        plane.set(xlabel="first number", ylabel="second number", title="plane: ends in one step", aspect="equal")
        line.set(xlabel="noisy number (image units)", ylabel="end (image units)", title="line: ends in one step")
        for who, colour in colours.items():
            if f"line/{who}/found" in arrays:
                line.plot(there, arrays[f"line/{who}/found"].ravel()[order], color=colour, lw=0.9)
            if f"plane/{who}/error" not in arrays:
                continue
            plane.plot(
                *arrays[f"plane/{who}/found"].reshape(-1, 2)[:300].T, ".", color=colour, ms=2, label=METHODS[who]
            )
            _distribution(errors, arrays[f"plane/{who}/error"], color=colour)
            x, y = (arrays[f"plane{name}/values"].ravel() for name in ("", f"/{who}"))
            values.loglog(x, y, ".", color=colour, ms=2)
            for axes, quantity in ((answers, "answer"), (shares, "left")):
                axes.plot(arrays["amplitudes"], arrays[f"plane/{who}/{quantity}"], "o-", color=colour, ms=3)
        for null, look in (("linear", ":"), ("untrained", "--"), ("denoiser", "-.")):
            if f"plane/{null}/error" in arrays:
                _distribution(errors, arrays[f"plane/{null}/error"], color="0.5", ls=look, label=_NULL_LABELS[null])
                answers.plot(arrays["amplitudes"], arrays[f"plane/{null}/answer"], look, color="0.5")
        limits = [arrays["plane/values"].min(), arrays["plane/values"].max()]
        values.plot(limits, limits, color="k", lw=0.8)
        shares.plot(arrays["amplitudes"], arrays["plane/linear/left_exact"], color="k", lw=2.5, alpha=0.3)
        for axes in (line, errors):
            axes.legend()
        figure.legend(*plane.get_legend_handles_labels(), loc="outside lower center", ncols=4, markerscale=4)
        errors.set(xscale="log", xlabel="distance to exact end", ylabel="share of points", title="plane")
        values.set(xlabel="exact singular value", ylabel="of the network", title="plane: Jacobian")
        answers.set(xlabel="move of the noise / sigma", ylabel="relative error of the answer", xscale="log")
        shares.set(xlabel="move of the noise / sigma", ylabel="share that leaves its mode", xscale="log")
        answers.set(yscale="log", title="plane: moved noise")
    return figure


def _distribution(axes, values: np.ndarray, **look: Any) -> None:
    axes.plot(np.sort(values), np.linspace(0, 1, len(values)), **look)
