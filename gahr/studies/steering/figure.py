"""Figure of steering: outputs as the report's figure 9 shows them, and how they answer."""

import numpy as np

from gahr.studies.shared.images import draw_image, draw_vector
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.studies.steering.analysis import AMPLITUDES, MIXED, ORDERS, SHOWN


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: outputs for each sine; gains against what the spectrum predicts, and what is kept of the output."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 8.2), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(2.2, 1))
        grid, beside = above.subfigures(1, 2, width_ratios=(5, 1.7))
        grid.suptitle(
            f"(a) outputs of one noise of level {arrays['sigma']:g}, with {AMPLITUDES[SHOWN]:g} sd of each sine",
            fontsize=8,
        )
        shown = dict(zip(arrays["names"], arrays["shown"], strict=True))
        for axes, (n, m) in zip(grid.subplots(5, 5).ravel(), ORDERS, strict=False):
            draw_image(axes, shown[f"sine {n},{m}"], f"{n},{m}", fontsize=6, pad=1.5)
        panels = beside.subplots(5, 1)
        draw_vector(panels[0], arrays["mixed"], f"(b) {MIXED}", fontsize=6, pad=1.5)
        others = {"(c) its output": arrays["mixed/shown"], "(d) undisturbed": arrays["undisturbed"]}
        others |= {"6,6": shown["sine 6,6"], "white": shown["white"]}
        for axes, (name, image) in zip(panels[1:], others.items(), strict=True):
            draw_image(axes, image, name, fontsize=6, pad=1.5)
        _draw_gains(*below.subplots(1, 2), arrays)
    return figure


def _draw_gains(gains, kept, arrays: Arrays) -> None:
    sines = np.arange(len(ORDERS))
    others = np.arange(len(ORDERS), len(arrays["names"]))
    predicted = arrays["predicted"]
    for where, marker, words in ((sines, "o", "sines"), (others, "s", "other directions")):
        for k, colour in zip((1, 3, 4), COLOURS, strict=False):
            median = np.median(arrays["student/gain"][where, k], -1)
            label = f"{words}, {AMPLITUDES[k]:g} sd"
            gains.plot(predicted[where], median, marker, ms=3.5, mfc="none", ls="", color=colour, label=label)
    line = np.array([predicted.min(), predicted.max()])
    gains.plot(line, line, color="black", lw=0.8, label="Gaussian images")
    gains.set(
        xscale="log",
        yscale="log",
        xlabel=r"$\sqrt{S / (S + \sigma^2)}$, of Gaussian images",
        ylabel="gain",
        title="Size of the answer",
    )
    lines = {"sine 1,1": "-", "sine 4,3": "-", "sine 6,6": "-", "white": "--"}
    for (name, style), colour in zip(lines.items(), COLOURS, strict=False):
        values = arrays["student/kept"][list(arrays["names"]).index(name)]
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=1)
        kept.plot(AMPLITUDES, middle, style, color=colour, label=name)
        kept.fill_between(AMPLITUDES, low, high, color=colour, alpha=0.15, lw=0)
    kept.set(xscale="log", xlabel="amplitude (standard deviations)", ylabel="similarity to the undisturbed output")
    gains.legend(fontsize=5.5)
    kept.legend()
