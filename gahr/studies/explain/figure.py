"""The figure of `gahr.studies.explain`: each predictor at each noise level and N, and samples of one start."""

import textwrap
from typing import Any

import numpy as np

from gahr import metrics
from gahr.studies.explain.analysis import LINEAR, PRIORS, SWAPPED, TWIN
from gahr.studies.explain.check import nearer, nearer_samples
from gahr.studies.shared.families import nearest_size, repeats
from gahr.studies.shared.style import STYLE

_ROWS = (*PRIORS, SWAPPED, TWIN)
_ENDS = 12.0  # dB, of the colours
_SHOWN = ("network", TWIN, "memorizer", "patches of the place", "patches of any place", LINEAR)


def draw(arrays: dict[str, np.ndarray], *, title: str = "") -> Any:
    """Figure: above, dB by which predictors are nearer than the linear denoiser; below, samples at N near 100 and most.

    Of several families the last is drawn. The column "samples" is of samples from the same starts.
    """
    import matplotlib.pyplot as plt

    *_, names = repeats(arrays).values()
    family = names[-1]
    sizes, levels = arrays[f"{family}/set_sizes"], metrics.input_psnr(arrays["sigmas"])
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 5.4), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(3, 2.4))
        panels = above.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for k, (axes, number) in enumerate(zip(panels, sizes, strict=True)):
            outputs = np.stack([nearer(arrays, family, name)[k].mean(-1) for name in _ROWS])
            drawn = [nearer_samples(arrays, family, name)[k].mean() if name != SWAPPED else np.nan for name in _ROWS]
            values = np.concatenate([outputs, np.full((len(_ROWS), 1), np.nan), np.array(drawn)[:, None]], 1)
            image = axes.imshow(values, cmap="PuOr_r", vmin=-_ENDS, vmax=_ENDS, aspect="auto")
            ticks = [*range(len(levels)), len(levels) + 1]
            axes.set_xticks(ticks, [*(f"{level:.0f}" for level in levels), "samples"], rotation=90, fontsize=6.5)
            axes.set_yticks(range(len(_ROWS)), _ROWS)
            axes.set_title(f"N = {number:,}")
            axes.tick_params(length=0)
        above.supxlabel("input PSNR (dB)", fontsize=8)
        bar = above.colorbar(image, ax=panels, shrink=0.9, pad=0.02, extend="both")
        bar.set_label("nearer to the network than\nthe linear denoiser (dB)")
        chosen = list(dict.fromkeys((nearest_size(sizes), int(sizes[-1]))))
        for part, number in zip(np.atleast_1d(below.subfigures(1, len(chosen))), chosen, strict=True):
            part.suptitle(f"samples from the same starts, N = {number:,}", fontsize=8)
            rows = arrays[f"shown/{number}/network"]
            cells = part.subplots(len(rows), len(_SHOWN), squeeze=False)
            for column, name in enumerate(_SHOWN):
                for row, image in enumerate(arrays[f"shown/{number}/{name}"]):
                    cells[row, column].imshow(np.clip(image.mean(-1), 0, 1), cmap="gray", vmin=0, vmax=1)
                    cells[row, column].set_axis_off()
                cells[0, column].set_title(textwrap.fill(name, 11), fontsize=6)
    return figure
