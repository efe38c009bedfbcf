"""The figure of `gahr.studies.twins`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gahr.analysis.transition import Interval
from gahr.studies.shared.families import draw_against_size, draw_legend, looks, of_all, over_values, repeats
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, NULLS, STYLE
from gahr.studies.twins.analysis import BINS
from gahr.studies.twins.check import kurtosis, null_medians, pairs, summary

_TWIN, _NEAREST = COLOURS[:2]  # blue and orange, as in the publication
_ROWS = {
    "nearest_a": "nearest in\nset a",
    "sample_a": "network a",
    "sample_b": "network b",
    "nearest_b": "nearest in\nset b",
}


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: samples between their nearest training images, histograms, patch collages, medians against N, and a
    pair that parts; of repeats the histograms of all and the mean and range of the medians.
    """
    import matplotlib.pyplot as plt

    shown = list(repeats(arrays).values())[-1]
    sizes, several = arrays[f"{shown[-1]}/set_sizes"], len(arrays["families"]) > 1
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 10.8), layout="constrained")
        figure.suptitle(f"{title}; images: {shown[-1]}" if several else title)
        heights = (2.5, 0.95, 1.6, 0.95, 3.2, 1.6)
        images, nulls, histograms, collages, below, last = figure.subfigures(6, 1, height_ratios=heights)
        _draw_samples(images, arrays, sizes)
        _draw_nulls(nulls, arrays, shown)
        _draw_histograms(histograms, arrays, shown, sizes)
        _draw_collages(collages, arrays)
        medians, parting = below.subfigures(1, 2, width_ratios=(1.15, 1))
        _draw_medians(medians, arrays)
        _draw_parting(parting, arrays, int(sizes[-1]))
        _draw_subspaces(last, arrays)
    return figure


def _draw_samples(figure, arrays: Arrays, sizes: np.ndarray) -> None:
    number = len(arrays[f"shown/{sizes[0]}/sample_a"])
    panels = figure.subplots(len(_ROWS), len(sizes) * number, squeeze=False, gridspec_kw=dict(wspace=0.05, hspace=0.05))
    for row, (kind, words) in zip(panels, _ROWS.items(), strict=True):
        for i, axes in enumerate(row):
            draw_image(axes, arrays[f"shown/{sizes[i // number]}/{kind}"][i % number], "")
        row[0].set_ylabel(words, fontsize=7)
    for k, size in enumerate(sizes):
        panels[0, k * number].set_title(f"N = {size:,}", fontsize=7, loc="left", pad=3)


def _draw_nulls(figure, arrays: Arrays, names: Sequence[str]) -> None:
    of = lambda who: kurtosis(arrays, names, who).mean()
    size = int(arrays[f"{names[0]}/set_sizes"][-1])
    figure.suptitle(
        f"Samples of nulls at N = {size:,}, network a from the same noise; kurtosis of differences over test images'",
        fontsize=8,
    )
    found = {"network": (arrays[f"shown/{size}/sample_a"], of(""))}
    found |= {who: (arrays[f"shown/null/{who}"], of(f"/{who}")) for who in NULLS if f"shown/null/{who}" in arrays}
    for part, (who, (samples, value)) in zip(figure.subfigures(1, len(found), wspace=0.08), found.items(), strict=True):
        panels = part.subplots(1, len(samples), squeeze=False, gridspec_kw=dict(wspace=0.05))[0]
        for axes, image in zip(panels, samples, strict=True):
            draw_image(axes, image, "")
        panels[0].set_title(f"{who} {value:.2f}", fontsize=6, pad=2, loc="left")


def _draw_histograms(figure, arrays: Arrays, names: Sequence[str], sizes: np.ndarray) -> None:
    nearest, twin = (np.concatenate(values, -1) for values in pairs(arrays, names))  # (K, samples of all repeats)
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for k, (axes, size) in enumerate(zip(panels, sizes, strict=True)):
        for values, colour, words in (
            (twin[k], _TWIN, "twin"),
            (nearest[k], _NEAREST, "nearest training image"),
        ):
            inside = np.clip(values, 0, 1)
            weights = np.full(len(inside), 1 / len(inside))
            axes.hist(inside, BINS, weights=weights, color=colour, alpha=0.65, label=words)
        closest = of_all(arrays, names, "closest")[:, k].mean(0)
        axes.stairs(closest, BINS, color="black", lw=0.8, label="closest pairs of the two sets")
        axes.set_title(f"N = {size:,}", fontsize=7)
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    panels[0].set_ylabel("share of pairs")
    panels[len(sizes) // 2].set_xlabel("cosine similarity, means removed (below 0 drawn at 0)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _draw_collages(figure, arrays: Arrays) -> None:
    figure.suptitle(
        f"Samples of network a at N = {arrays['collage/set_size']:,}, and put together from the most similar patches "
        "of its own and of the other set",
        fontsize=8,
    )
    for i, part in enumerate(figure.subfigures(1, len(arrays["collage/sample"]), wspace=0.08)):
        panels = part.subplots(1, 3, gridspec_kw=dict(wspace=0.05))
        for axes, kind in zip(panels, ("sample", "own", "other"), strict=True):
            similarity = "" if kind == "sample" else f" {arrays[f'collage/{kind}_similarity'][i]:.2f}"
            draw_image(axes, arrays[f"collage/{kind}"][i], f"{kind}{similarity}", fontsize=6, pad=2)


def _draw_medians(figure, arrays: Arrays) -> None:
    axes, kinds = figure.subplots(), repeats(arrays)
    found = {kind: summary(arrays, names) for kind, names in kinds.items()}
    floor = {kind: over_values(of_all(arrays, names, "floor")) for kind, names in kinds.items()}
    draw_against_size(axes, arrays, floor, colour="grey")
    medians = {kind: null_medians(arrays, names, "/linear") for kind, names in kinds.items()}
    for part in range(2):
        draw_against_size(
            axes, arrays, {kind: over_values([each[part]]) for kind, each in medians.items()}, colour="0.75"
        )
    for quantity, colour in (("nearest", _NEAREST), ("twin", _TWIN)):
        draw_against_size(axes, arrays, {kind: getattr(found[kind], quantity) for kind in kinds}, colour=colour)
    low, high = axes.get_ylim()[0], 1.02
    step = 0.07 * (high - low)
    for row, (kind, look) in enumerate(zip(kinds, looks(), strict=False), start=1):
        _draw_overtaking(axes, found[kind].overtaking, low - row * step, look)
    band = "95 % intervals over pairs" if len(kinds) == len(arrays["families"]) else "mean, range of repeats"
    axes.set(
        ylabel="cosine similarity, median",
        title=f"Twins, nearest images; {band}",
        ylim=(low - (len(kinds) + 1) * step, high),
    )
    draw_legend(
        figure,
        kinds,
        {
            "twin": _TWIN,
            "nearest image": _NEAREST,
            "closest pairs of the sets": "grey",
            "linear, at the largest N": "0.75",
        },
    )


def _draw_subspaces(figure, arrays: Arrays) -> None:
    axes, kinds = figure.subplots(), repeats(arrays)
    lines = {"": COLOURS[0], "_swapped": COLOURS[2], "_linear": NULLS["linear"]["color"]}
    for which, colour in lines.items():
        found = {}
        for kind, names in kinds.items():
            values = of_all(arrays, names, f"subspaces{which}")
            found[kind] = over_values(values.reshape(*values.shape[:2], -1).mean(-1))
        draw_against_size(axes, arrays, found, colour=colour)
    for names in kinds.values():
        axes.axhline(arrays[f"{names[0]}/chance"][0], color="black", lw=0.7, ls=":")
    axes.set(ylim=(0, 1.02), ylabel="overlap", title="Subspaces of ten vectors")
    words = (
        "twins' left singular\nvectors, one image",
        "the same, two images",
        "principal components\nof the two sets",
        "chance",
    )
    looks_of = [dict(color=colour) for colour in lines.values()] + [dict(color="black", lw=0.7, ls=":")]
    for label, look in zip(words, looks_of, strict=True):
        axes.plot([], [], **look, label=label)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside center right")


def _draw_overtaking(axes, point: Interval, height: float, look: Mapping[str, Any]) -> None:
    """The N at which twins overtake, with its interval, as far as it lies among the sizes."""
    left, right = axes.get_xlim()
    if not left < point.value < right:
        return
    low, high = np.clip([point.low, point.high], left, right)
    axes.plot([low, high], [height, height], color="black", lw=1)
    axes.plot(point.value, height, **look, color="black")
    words = f"  overtake at {point.value:.3g}  "
    end, side = (low, "right") if low / left > right / high else (high, "left")  # where there is more room
    if max(low / left, right / high) < (right / left) ** 0.3:  # too little beside the line: above it
        end, side = np.sqrt(low * high), "center"
    axes.text(end, height, words, ha=side, va="bottom" if side == "center" else "center", fontsize=6.5, clip_on=True)
    axes.set_xlim(left, right)


def _draw_parting(figure, arrays: Arrays, size: int) -> None:
    frames, steps = arrays["parting/frames"], arrays["parting/steps"]
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    above.suptitle(f"The pair least alike at N = {size:,}: denoised on the way", fontsize=8)
    panels = above.subplots(2, len(steps), squeeze=False)
    for row, network, images in zip(panels, ("a", "b"), frames, strict=True):
        for axes, image, step in zip(row, images, steps, strict=True):
            draw_image(axes, image, f"{step}" if network == "a" else "", fontsize=6, pad=2)
        row[0].set_ylabel(network, fontsize=7, rotation=0, labelpad=6)
    axes = below.subplots()
    axes.plot(steps, arrays["parting/similarity"], "o-", ms=3, color=_TWIN, label="similarity of the two")
    axes.plot(arrays["parting/sigma"][0], "--", color="black", lw=1, label=r"$\sigma$ of network a")
    axes.set(xlabel="step", ylim=(min(0.0, arrays["parting/similarity"].min()), 1.05))
    below.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
