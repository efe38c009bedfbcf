"""The figure of the study of inverse problems."""

import numpy as np

from gahr import metrics
from gahr.studies.inverse.analysis import (
    GUIDED,
    LINEAR_MEAN,
    LINEAR_SAMPLE,
    MEAN,
    METHODS,
    PLUG,
    PSEUDO,
    SAMPLE,
    WIENER,
)
from gahr.studies.inverse.check import mean_psnr
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, STYLE

_SHOWN = (PSEUDO, WIENER, PLUG, GUIDED, SAMPLE, MEAN, LINEAR_MEAN)
_LOOKS = {  # above the pseudo-inverse
    WIENER: ("0.5", "x"),
    PLUG: (COLOURS[2], "^"),
    GUIDED: (COLOURS[3], "v"),
    SAMPLE: (COLOURS[0], "o"),
    MEAN: (COLOURS[1], "s"),
    LINEAR_SAMPLE: ("0.5", "."),
    LINEAR_MEAN: ("0.5", "+"),
}


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: the first image by task and method with its PSNR above; PSNR above the pseudo-inverse below."""
    import matplotlib.pyplot as plt

    tasks = [str(name) for name in arrays["tasks"]]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 0.98 * len(tasks) + 2.9), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(0.98 * len(tasks) + 0.2, 2.4))
        panels = np.reshape(above.subplots(len(tasks), len(_SHOWN) + 1), (len(tasks), -1))
        for t, (row, task) in enumerate(zip(panels, tasks, strict=True)):
            draw_image(row[0], arrays["clean"], "" if t else "clean", fontsize=6.5, pad=2)
            row[0].set_ylabel(task.replace("_", "\n"), fontsize=6.5)
            for axes, method in zip(row[1:], _SHOWN, strict=True):
                image = arrays[f"shown/{task}"][METHODS.index(method)]
                value = f"{float(metrics.psnr(arrays['clean'], image)):.1f} dB"
                text = value if t else f"{method}\n{value}"
                draw_image(axes, image, text, fontsize=6.5, pad=2)
        _draw_gains(below.subplots(), arrays, tasks)
    return figure


def _draw_gains(axes, arrays: Arrays, tasks: list[str]) -> None:
    for m, (method, (colour, marker)) in enumerate(_LOOKS.items()):
        places = np.arange(len(tasks)) + 0.1 * (m - len(_LOOKS) / 2 + 0.5)
        start = [mean_psnr(arrays, t, PSEUDO) for t in range(len(tasks))]
        gains = np.array([mean_psnr(arrays, t, method) for t in range(len(tasks))]) - start
        axes.plot(places, gains, marker, color=colour, ms=4, label=method)
        if method == SAMPLE:
            singles = arrays["singles/psnr"] - arrays["psnr"][:, METHODS.index(PSEUDO)][..., None]
            axes.vlines(places, singles.min((1, 2)), singles.max((1, 2)), color=colour, lw=1)
    axes.axhline(0, color="grey", lw=0.6)
    axes.set(
        ylabel="PSNR above the\npseudo-inverse (dB)", title="Mean over images; the line is the range of single samples"
    )
    axes.set_xticks(range(len(tasks)), [task.replace("_", " ") for task in tasks])
    axes.legend(ncols=1, bbox_to_anchor=(1, 1), loc="upper left")
