"""The figure of `gahr.studies.twins`."""

from collections.abc import Mapping

import numpy as np

from gahr.studies.common import COLOURS, STYLE
from gahr.studies.families import draw_against_size, label

_TWIN, _NEAREST = COLOURS[:2]  # blue and orange, as in the publication
_ROWS = {
    "nearest_a": "nearest in\nset a",
    "sample_a": "network a",
    "sample_b": "network b",
    "nearest_b": "nearest in\nset b",
}


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: samples between their nearest training images, histograms, medians against N, and a pair that parts."""
    import matplotlib.pyplot as plt

    shown = str(arrays["variants"][-1])
    sizes = arrays[f"{shown}/set_sizes"]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 7.6), layout="constrained")
        figure.suptitle(f"{title}; images: {label(shown)}" if len(arrays["variants"]) > 1 else title)
        images, histograms, below = figure.subfigures(3, 1, height_ratios=(3.2, 1.3, 2.9))
        _draw_samples(images, arrays, sizes)
        _draw_histograms(histograms, arrays, shown, sizes)
        medians, parting = below.subfigures(1, 2, width_ratios=(1.15, 1))
        _draw_medians(medians.subplots(), arrays)
        _draw_parting(parting, arrays, int(sizes[-1]))
    return figure


def _draw_samples(figure, arrays: Mapping[str, np.ndarray], sizes: np.ndarray) -> None:
    number = len(arrays[f"shown/{sizes[0]}/sample_a"])
    panels = figure.subplots(len(_ROWS), len(sizes) * number, squeeze=False, gridspec_kw=dict(wspace=0.05, hspace=0.05))
    for row, (kind, words) in zip(panels, _ROWS.items(), strict=True):
        for i, axes in enumerate(row):
            image = arrays[f"shown/{sizes[i // number]}/{kind}"][i % number]
            axes.imshow(np.clip(image.mean(-1), 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(words, fontsize=7)
    for k, size in enumerate(sizes):
        panels[0, k * number].set_title(f"N = {size:,}", fontsize=7, loc="left", pad=3)


def _draw_histograms(figure, arrays: Mapping[str, np.ndarray], variant: str, sizes: np.ndarray) -> None:
    bins = np.linspace(0, 1, 41)
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for k, (axes, size) in enumerate(zip(panels, sizes, strict=True)):
        for values, colour, words in (
            (arrays[f"{variant}/twin"][k], _TWIN, "twin"),
            (arrays[f"{variant}/nearest"][k, 0], _NEAREST, "nearest training image"),
        ):
            inside = np.clip(values, 0, 1)
            weights = np.full(len(inside), 1 / len(inside))
            axes.hist(inside, bins, weights=weights, color=colour, alpha=0.65, label=words)
        axes.set_title(f"N = {size:,}", fontsize=7)
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    panels[0].set_ylabel("share of samples")
    panels[len(sizes) // 2].set_xlabel("cosine similarity, means removed (below 0 drawn at 0)")
    panels[0].legend(loc="upper left", fontsize=5.5)


def _draw_medians(axes, arrays: Mapping[str, np.ndarray]) -> None:
    for values_of, style, words, colour in (
        (lambda variant: np.median(arrays[f"{variant}/twin"], -1), "o-", "twin", _TWIN),
        (lambda variant: np.median(arrays[f"{variant}/nearest"][:, 0], -1), "s--", "nearest image", _NEAREST),
        (lambda variant: arrays[f"{variant}/floor"], ":", "closest pairs of the sets", "grey"),
    ):
        draw_against_size(axes, arrays, values_of, style=style, name=words, colour=colour)
    axes.set(ylabel="cosine similarity, median", title="Twins and nearest training images", ylim=(None, 1.02))


def _draw_parting(figure, arrays: Mapping[str, np.ndarray], size: int) -> None:
    frames, steps = arrays["parting/frames"], arrays["parting/steps"]
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    above.suptitle(f"The pair least alike at N = {size:,}: denoised on the way", fontsize=8)
    panels = above.subplots(2, len(steps), squeeze=False)
    for row, network, images in zip(panels, ("a", "b"), frames, strict=True):
        for axes, image, step in zip(row, images, steps, strict=True):
            axes.imshow(np.clip(image.mean(-1), 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if network == "a":
                axes.set_title(f"{step}", fontsize=6, pad=2)
        row[0].set_ylabel(network, fontsize=7, rotation=0, labelpad=6)
    axes = below.subplots()
    axes.plot(steps, arrays["parting/similarity"], "o-", ms=3, color=_TWIN, label="similarity of the two")
    axes.plot(arrays["parting/sigma"][0], "--", color="black", lw=1, label=r"$\sigma$ of network a")
    axes.set(xlabel="step", ylim=(min(0.0, arrays["parting/similarity"].min()), 1.05))
    axes.legend(loc="center left")
