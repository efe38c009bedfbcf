"""What every study receives, what it says, and how its figures look."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gahr.analysis import performance
from gahr.types import Array, Denoiser

# Okabe and Ito's colours, distinguishable with any colour vision, and line styles that differ without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}


def check_levels(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of a study of PSNR curves leave a slope to fit: the `validate` of its module."""
    for field in ("num_levels", "num_images"):
        if analysis[field] < 2:
            raise ValueError(f"study.analysis.{field} must be at least 2, got {analysis[field]}")
    levels = np.linspace(analysis["lowest_db"], analysis["highest_db"], analysis["num_levels"])
    between = marks["fit_between"]
    if performance.levels_between(levels, between).sum() < 2:
        raise ValueError(
            f"study.marks.fit_between must hold at least two of the levels {', '.join(f'{x:.3g}' for x in levels)} dB, "
            f"got {tuple(between)}"
        )


class Run(NamedTuple):
    """A trained network and its images."""

    denoiser: Denoiser
    images: Callable[[str, int], Array]  # (subset, number) -> at most that many images (N, H, W, C)
    data: dict[str, Any]  # the data section of its config


class Check(NamedTuple):
    """One line of the table that a study prints."""

    name: str
    theory: str  # what theory says, or "-"
    measured: str
    mark: str  # what counts as met, or "-" where the value is only reported
    met: bool | None  # None where there is no mark
