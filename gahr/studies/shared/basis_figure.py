"""Figures that set the bases of several denoisers side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gahr.analysis import adaptivity
from gahr.studies.shared.images import draw_stages, draw_vector
from gahr.studies.shared.local_basis import NUM_VECTORS
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, NULLS, STYLE, draw_ticks

_NUM_BINS = 60  # of the coefficients' curve
_ASYMMETRIC = 0.1  # |J - J^T| / |J| from which left singular vectors are drawn beside eigenvectors


def draw_bases(
    arrays: Arrays,
    labels: Mapping[str, str],
    draw_last: Callable[[Any], None],
    *,
    title: str = "",
    note: Mapping[str, str] | None = None,
):
    """Figure: a row of images and leading vectors per network; decay of factors and coefficients, dimensions, and one
    panel more.

    Args:
      arrays: "NAME/quantity" from `gahr.studies.shared.local_basis.basis_arrays`.
      labels: name of a network -> what to call it.
      draw_last: draws the last panel on its axes.
      title: of the figure.
      note: name of a network -> what to add above its row.
    """
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 5.0 + 1.55 * len(labels)), layout="constrained")
        figure.suptitle(title)
        *rows, below = figure.subfigures(len(labels) + 1, 1, height_ratios=[1.55] * len(labels) + [4.8])
        for row, (name, label) in zip(rows, labels.items(), strict=True):
            _draw_row(row, arrays, name, label + (note or {}).get(name, ""))
        (factors, coefficients), (dimensions, last) = below.subplots(2, 2)
        _draw_decay(factors, coefficients, arrays, labels)
        draw_dimensions(dimensions, arrays, list(labels))
        draw_last(last)
    return figure


def _draw_row(figure, arrays: Arrays, name: str, label: str) -> None:
    """Images, and ten eigenvectors, or where J is not symmetric five and below them five left singular vectors."""
    get = lambda quantity: arrays[f"{name}/{quantity}"]
    images, vectors = figure.subfigures(1, 2, width_ratios=(3, 5.4))
    stages = {kind: get(kind) for kind in ("clean", "noisy", "denoised")}
    draw_stages(images.subplots(1, 3), stages, rf"$\sigma$ = {get('sigma'):g}", fontsize=7)
    columns = NUM_VECTORS // 2
    eigen = [(get("shrinkage")[0][k], get("eigen_vectors")[0][k]) for k in range(NUM_VECTORS)]
    shown, words = eigen, "leading eigenvectors with their eigenvalues"
    if get("asymmetry").mean() > _ASYMMETRIC:
        left = [(get("singular_values")[0][k], get("left_vectors")[0][k]) for k in range(columns)]
        shown = eigen[:columns] + left
        words = "leading eigenvectors (above) and left singular vectors (below) with their values"
    figure.suptitle(f"{label}: image, and {words}", fontsize=8)
    for k, (axes, (value, vector)) in enumerate(zip(vectors.subplots(2, columns).flat, shown, strict=True)):
        number = k % columns if shown is not eigen else k
        draw_vector(axes, vector, f"{number + 1}: {value:.2f}", fontsize=6.5, pad=1.5)


def _draw_decay(factors, coefficients, arrays: Arrays, labels: Mapping[str, str]) -> None:
    lines = {}
    for (name, label), colour in zip(labels.items(), COLOURS * len(labels), strict=False):
        get = lambda quantity, name=name: arrays[f"{name}/{quantity}"].mean(0)
        numbers = np.arange(1, len(get("shrinkage")) + 1)
        factors.plot(numbers, get("shrinkage"), color=colour, label=label)
        factors.plot(numbers, get("singular_values"), ":", color=colour, lw=1)
        lines[label] = get("coefficients"), dict(color=colour)
        lines[f"_{label}, others"] = get("swapped_coefficients"), dict(color=colour, ls="--", lw=1)
    lines["in other images' bases"] = np.full(2, np.nan), dict(color="grey", ls="--", lw=1)
    draw_coefficients(coefficients, lines)
    coefficients.set_title(r"Coefficients $|\langle x, u_k \rangle|$, left singular vectors")
    factors.plot([], [], ":", color="grey", lw=1, label="singular values")
    factors.axhline(0, color="grey", lw=0.6)
    factors.set(xscale="log", xlabel="number $k$", title="Shrinkage factors")
    factors.legend()


def draw_coefficients(axes, lines: Mapping[str, tuple[np.ndarray, dict[str, Any]]]) -> None:
    """Coefficients against their number, by label: values (d,) and look."""
    for label, (values, look) in lines.items():
        axes.plot(*_in_bins(np.arange(1, len(values) + 1), values), label=label, **look)
    axes.set(xscale="log", yscale="log", xlabel="number $k$", title=r"Coefficients $|\langle x, u_k \rangle|$")
    axes.legend(loc="best")


def draw_dimensions(axes, arrays: Arrays, names: Sequence[str]) -> None:
    """Dimension of images in their own, in each other's and in fixed bases, each network in its colour.

    Filled for left singular vectors and fixed bases, open for eigenvectors; nulls in grey by their line, which is level
    where a basis is the same for all images.
    """
    bases = [key.split("/")[-1] for key in arrays if key.startswith(f"{names[0]}/fixed/")]
    places, nulls = ["own", "another's", *bases], []
    for shift, (name, colour) in enumerate(zip(names, COLOURS * len(names), strict=False)):
        get = lambda quantity, name=name: arrays[f"{name}/{quantity}"]
        across = np.arange(len(places)) + 0.12 * (shift - (len(names) - 1) / 2)
        for kind, fill in (("left", colour), ("eigen", "white")):
            fixed = {basis: get(f"fixed/{basis}") for basis in bases} if kind == "left" else {}
            found = adaptivity.summary(get(f"{kind}/dimension"), fixed=fixed)
            means = [found.own, found.swapped, *(found.fixed[basis] for basis in fixed)]
            errors = [np.nan_to_num(mean.standard_error) for mean in means]
            look = dict(fmt="o", ms=4, color=colour, mfc=fill, capsize=2, lw=1)
            axes.errorbar(across[: len(means)], [mean.mean for mean in means], errors, **look)
        for who, look in NULLS.items():
            if f"{name}/nulls/{who}/left/dimension" in arrays:
                found = adaptivity.summary(get(f"nulls/{who}/left/dimension"))
                axes.plot(across[:2], [found.own.mean, found.swapped.mean], **look)
                nulls.append(who)
    for who in dict.fromkeys(nulls):
        axes.plot([], [], label=who, **NULLS[who])
    axes.plot([], [], "o", ms=4, color="black", label="left singular vectors")
    axes.plot([], [], "o", ms=4, color="black", mfc="white", label="eigenvectors")
    label = r"$\sum_k \min(\langle x, e_k \rangle^2 / \sigma^2, 1)$"
    axes.set(yscale="log", ylabel=label, title="Dimension of images in bases", xlim=(-0.5, len(places) - 0.5))
    draw_ticks(axes.yaxis)
    axes.set_xticks(range(len(places)), places)
    axes.legend(loc="upper right")  # fixed bases are far below the others of the networks


def _in_bins(numbers: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Geometric means in bins of equal width on a logarithmic axis, one value each at its start."""
    edges = np.unique(np.geomspace(1, len(numbers) + 1, _NUM_BINS).astype(int))
    parts = np.split(np.arange(len(numbers)), edges[1:-1] - 1)
    logarithms = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    return tuple(np.exp([each[part].mean() for part in parts]) for each in (np.log(numbers), logarithms))


def draw_curves(axes, levels: np.ndarray, curves: Sequence[tuple[np.ndarray, dict[str, Any]]]) -> None:
    """PSNR curves (values, look) on one pair of axes, with the noisy image's own."""
    for values, look in curves:
        axes.plot(levels, values, **look)
    axes.plot(levels, levels, color="grey", lw=0.8, label="noisy image")
    axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)", title="Denoising")
    axes.legend()
