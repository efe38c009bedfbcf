"""Images and vectors in figures, in grey and without axes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gahr import metrics


def draw_image(axes, image: np.ndarray, heading: str, *, low: float = 0.0, high: float = 1.0, **title: Any) -> None:
    """An image from black at `low` to white at `high`; `title` goes to the heading."""
    axes.imshow(image.mean(-1), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(heading, **title)


def draw_vector(axes, vector: np.ndarray, heading: str, **title: Any) -> None:
    """A vector as an image, grey where it is zero; `title` goes to the heading."""
    limit = np.quantile(np.abs(vector), 0.995) or 1.0  # a few peaks would leave the rest grey
    draw_image(axes, vector, heading, low=-limit, high=limit, **title)


def draw_stages(panels: np.ndarray, stages: Mapping[str, np.ndarray], first: str, **title: Any) -> None:
    """Images of one scene by their names, such as clean, noisy and denoised, one on each of the axes.

    Below the name of the clean image, which comes first, stands `first`, below the others their PSNR.
    """
    clean = next(iter(stages.values()))
    limits = dict(low=min(0.0, clean.min()), high=max(1.0, clean.max()))
    for axes, (name, image) in zip(panels.flat, stages.items(), strict=True):
        second = first if image is clean else f"{float(metrics.psnr(clean, image)):.1f} dB"
        draw_image(axes, image, f"{name}\n{second}", **limits, **title)
