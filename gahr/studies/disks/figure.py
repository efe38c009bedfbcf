"""The figure of `gahr.studies.disks`."""

import numpy as np

from gahr.studies.shared.images import draw_stages, draw_vector
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, NULLS, STYLE

_NAMES = ("foreground", "background", "radius", "row", "column")
_NETWORK, _EXACT = COLOURS[:2]


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: a disk, its tangent vectors and eigenvectors above; spectrum, overlap, dimension and PSNR below."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 7.4), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.35))
        left, right = above.subfigures(1, 2, width_ratios=(1, 1.9))
        kinds = {"clean": "clean", "noisy": "noisy", "network": "network", "exact posterior mean": "exact"}
        stages = {heading: arrays[f"shown_{kind}"] for heading, kind in kinds.items()}
        draw_stages(left.subplots(2, 2), stages, rf"$\sigma$ = {arrays['sigma']:g}", fontsize=7)
        _draw_vectors(right, arrays)
        (spectrum, overlap), (dimension, psnr) = below.subplots(2, 2)
        _draw_spectrum(spectrum, arrays)
        _draw_overlap(overlap, arrays)
        _draw_dimension(dimension, arrays)
        _draw_psnr(psnr, arrays)
    return figure


def _draw_vectors(figure, arrays: Arrays) -> None:
    shown = arrays["shown"]
    tangents, vectors, values = (arrays[name][shown] for name in ("tangents", "vectors", "shrinkage"))
    rows = figure.subplots(3, len(_NAMES))
    for axes, vector, name, share in zip(rows[0], tangents, _NAMES, arrays["captured"][shown], strict=True):
        draw_vector(axes, vector, f"{name}\n{100 * share:.1f}%", fontsize=7, pad=2)
    for k, (axes, vector) in enumerate(zip(rows[1:].flat, vectors, strict=False)):
        draw_vector(axes, vector, rf"$\lambda_{{{k + 1}}}$ = {values[k]:.2f}", fontsize=7, pad=2)
    for axes, label in zip(rows[:, 0], ("tangents", "eigenvectors 1-5", "6-10"), strict=True):
        axes.set_ylabel(label, fontsize=7)
    figure.suptitle("Tangent vectors, % of their energy in eigenvectors 1-5", fontsize=8)


def _draw_both(axes, network: np.ndarray, exact: np.ndarray, *, markers: str = "  ") -> np.ndarray:
    """Values (disks, k) of the network and the exact posterior against their numbers, which are returned."""
    numbers = np.arange(1, network.shape[1] + 1)
    axes.fill_between(numbers, network.min(0), network.max(0), color=_NETWORK, alpha=0.2, lw=0)
    axes.plot(numbers, network.mean(0), "-", marker=markers[0], ms=2.5, color=_NETWORK, label="network, mean and range")
    axes.plot(numbers, exact.mean(0), "--", marker=markers[1], ms=2.5, color=_EXACT, label="exact posterior, mean")
    return numbers


def _draw_spectrum(axes, arrays: Arrays) -> None:
    numbers = _draw_both(axes, arrays["shrinkage"], arrays["exact_shrinkage"], markers="os")
    axes.plot(numbers, arrays["singular_values"].mean(0), ":", color="grey", label="network, singular values, mean")
    axes.axvline(5.5, color="black", lw=0.8, ls=":", label="five dimensions")
    axes.axhline(0, color="grey", lw=0.6)
    axes.set(xlabel="number $k$", ylabel=r"eigenvalue $\lambda_k$", xlim=(0.5, 30.5), ylim=(-0.05, None))
    axes.set_title(rf"Shrinkage, $\sigma$ = {arrays['sigma']:g}, {len(arrays['shrinkage'])} disks")
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.3))


def _draw_overlap(axes, arrays: Arrays) -> None:
    numbers = _draw_both(axes, arrays["held"], arrays["exact_held"])
    for who in ("linear", "3x3 filter"):
        axes.plot(numbers, arrays[f"held/{who}"].mean(0), **NULLS[who], label=who)
    axes.plot(numbers, numbers / len(numbers), **NULLS["identity"], label="chance")
    axes.axvline(5, color="black", lw=0.8, ls=":")
    axes.set(xscale="log", xlabel="number of leading eigenvectors", ylabel="share of the tangent space", ylim=(0, 1.05))
    axes.set_title("Tangent space in the leading eigenvectors")
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.42))


def _draw_dimension(axes, arrays: Arrays) -> None:
    sigmas = arrays["sigmas"]
    for name, style, colour, label in (
        ("trace", "o-", _NETWORK, "network, tr $J$"),
        ("energy", "^--", COLOURS[2], "network, $|J|^2$"),
        ("exact_trace", "s--", _EXACT, "exact posterior, tr $J$"),
    ):
        values = arrays[name]
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        axes.errorbar(sigmas, values.mean(0), error, fmt=style, ms=3, color=colour, label=label)
    for who in ("linear", "3x3 filter"):
        axes.plot(sigmas, arrays[f"trace/{who}"], **NULLS[who], label=who)
    axes.axhline(5, color="black", lw=0.8, ls=":", label="five dimensions")
    axes.set(xscale="log", yscale="log", xlabel=r"noise level $\sigma$", ylabel="dimensions")
    axes.set_ylim(2, None)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("Effective dimension")
    axes.legend(loc="center right")


def _draw_psnr(axes, arrays: Arrays) -> None:
    levels, line = arrays["input_psnr"], 10 * np.log10(float(arrays["size"]) ** 2 / 5)
    axes.plot(levels, arrays["network"].mean(0), "o-", ms=2.5, color=_NETWORK, label="network")
    axes.plot(levels, arrays["exact"].mean(0), "s--", ms=2.5, color=_EXACT, label="exact posterior mean")
    axes.plot(levels, levels + line, ":", color="black", lw=1, label=rf"$5\sigma^2/d$: input + {line:.1f} dB")
    for who in ("linear", "3x3 filter", "identity"):
        axes.plot(levels, arrays[f"network/{who}"].mean(0), **NULLS[who], label=who)
    axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)")
    axes.set_title("Denoising performance")
    axes.legend()
