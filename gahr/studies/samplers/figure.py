"""The figure of the study of samplers."""

import numpy as np

from gahr.studies.samplers.analysis import GAUSSIAN, HELD_OUT, LINEAR, MIXTURE, SAME_LAW
from gahr.studies.samplers.plans import ORDERS
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, STYLE

_LOOKS = dict(  # sampler -> colour, marker
    zip(
        ("euler", "heun", "multistep", "ancestral", "reverse_diffusion", "edm", "annealed_langevin", "blind"),
        zip((*COLOURS, "black", "0.55"), "os^Dv<>P", strict=True),
        strict=True,
    )
)
_SETS = {HELD_OUT: ("black", "-"), "network": (COLOURS[1], "-"), SAME_LAW: ("0.5", "--"), LINEAR: ("0.5", ":")}


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: errors against calls on known priors and on the network; spectra; samples and their controls."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 7.4), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
        (ode, mixture), (network, spectra) = above.subplots(2, 2)
        _draw_errors(ode, arrays)
        floor = {"exact samples": ("black", "--", arrays[f"{MIXTURE}/floor"])}
        _draw_frechet(mixture, arrays, MIXTURE, "evaluations", floor, "Mixture of two Gaussians")
        lines = {name: (*_SETS[name], arrays[f"sets/{name}/frechet"]) for name in (HELD_OUT, SAME_LAW, LINEAR)}
        _draw_frechet(network, arrays, "network", "network_evaluations", lines, "Trained network")
        _draw_spectra(spectra, arrays)
        handles, labels = mixture.get_legend_handles_labels()
        for handle, label in zip(*network.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
        above.legend(handles, labels, loc="outside lower center", ncols=4)
        _draw_samples(below, arrays)
    return figure


def _draw_errors(axes, arrays: Arrays) -> None:
    calls = arrays["evaluations"]
    for name, order in ORDERS.items():
        if f"{GAUSSIAN}/{name}/error" in arrays:
            errors = arrays[f"{GAUSSIAN}/{name}/error"]
            colour, marker = _LOOKS[name]
            axes.plot(calls, errors, color=colour, marker=marker, ms=3)
            slope = errors[-1] * (calls[-1] / calls) ** order
            kept = slope < 3 * errors.max()
            axes.plot(calls[kept], slope[kept], "--", color=colour, lw=0.8)
            axes.annotate(f"-{order}", (calls[-1], errors[-1]), (4, -2), textcoords="offset points", fontsize=6.5)
    axes.plot([], [], "--", color="grey", lw=0.8, label="slope of the order")
    axes.set(xscale="log", yscale="log", ylabel="rms error to the exact end", title="Gaussian: the ODE and its solvers")
    axes.set_xlabel("calls of the denoiser")
    axes.set_xticks(calls, calls)
    axes.minorticks_off()
    axes.legend()


def _draw_frechet(axes, arrays: Arrays, of: str, counts: str, lines: dict, title: str) -> None:
    calls = arrays[counts]
    for name in map(str, arrays["samplers"]):
        if f"{of}/{name}/frechet" in arrays:
            colour, marker = _LOOKS[name]
            label = name.replace("_", " ")
            axes.plot(calls, arrays[f"{of}/{name}/frechet"], color=colour, marker=marker, ms=3, lw=1, label=label)
    for name, (colour, style, value) in lines.items():
        axes.axhline(float(value), color=colour, ls=style, lw=1, label=name)
    found = [
        arrays[f"{of}/{name}/frechet"] for name in map(str, arrays["samplers"]) if f"{of}/{name}/frechet" in arrays
    ]
    scale = "log" if np.max(found) > 10 * np.min(found) else "linear"
    axes.set(xscale="log", yscale=scale, xlabel="calls of the denoiser", ylabel="Frechet distance", title=title)
    if scale == "linear":
        axes.set_ylim(0, None)
    axes.set_xticks(calls, calls)
    axes.minorticks_off()


def _draw_spectra(axes, arrays: Arrays) -> None:
    for name, (colour, style) in _SETS.items():
        ratio = 10 * np.log10(arrays[f"sets/{name}/power"] / arrays[f"sets/{HELD_OUT}/power"])
        axes.plot(arrays["frequency"], ratio, color=colour, ls=style, lw=1.2, label=name if name == "network" else None)
    axes.set(xscale="log", xlabel="cycles per image", ylabel="power over that of\nheld-out images (dB)")
    axes.set_title("Spectra of the sets")
    octaves = 2 ** np.arange(int(np.log2(arrays["frequency"][-1])) + 1)
    axes.set_xticks(octaves, octaves)
    axes.minorticks_off()
    axes.legend()


def _draw_samples(figure, arrays: Arrays) -> None:
    names = [str(name) for name in arrays["sets"]]
    count = len(arrays[f"sets/{names[0]}/shown"])
    panels = figure.subplots(len(names), count + 1, width_ratios=(1.8, *[1] * count))
    for row, name in zip(panels, names, strict=True):
        label = "network, heun" if name == "network" else name
        kurtosis, near = float(arrays[f"sets/{name}/kurtosis"]), float(arrays[f"sets/{name}/nearest"])
        row[0].axis("off")
        text = f"{label}\nkurtosis {kurtosis:.1f}, nearest {near:.2f}"
        row[0].text(1, 0.5, text, ha="right", va="center", fontsize=6.5, transform=row[0].transAxes)
        for axes, image in zip(row[1:], arrays[f"sets/{name}/shown"], strict=True):
            draw_image(axes, image, "")
