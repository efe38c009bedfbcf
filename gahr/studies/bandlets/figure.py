"""The figure of `gahr.studies.bandlets`."""

import numpy as np

from gahr import metrics
from gahr.studies.bandlets.analysis import FIELDS, LABELS, SHIFTS, gain
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.study import Arrays
from gahr.studies.shared.style import COLOURS, STYLE, draw_ticks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: segmentation, noisy and denoised images above; approximation and gains of denoising below."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 4.9), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.35))
        panels = above.subplots(1, 4)
        _draw_squares(panels[0], arrays)
        stages = {
            "noisy": "noisy",
            **{f"{name}/example": LABELS[name] for name in ("wavelets, shifts", "bandlets, shifts")},
        }
        for axes, (name, label) in zip(panels[1:], stages.items(), strict=True):
            psnr = float(metrics.psnr(arrays["clean"], arrays[name]))
            draw_image(axes, arrays[name], f"{label}\n{psnr:.1f} dB")
        kept, gains = below.subplots(1, 2)
        _draw_kept(kept, arrays)
        _draw_gains(gains, arrays)
    return figure


def _draw_squares(axes, arrays: Arrays) -> None:
    from matplotlib.patches import Rectangle

    draw_image(axes, arrays["clean"], f"clean, and squares of\none band, T = {float(arrays['shown']):g}")
    for row, column, side, angle in arrays["squares"]:
        corner = column - 0.5, row - 0.5
        axes.add_patch(Rectangle(corner, side, side, fill=False, lw=0.4, ec=COLOURS[5]))
        if np.isfinite(angle):
            along = side / 2.6 * np.array([-1, 1])
            centre = corner[0] + side / 2, corner[1] + side / 2
            axes.plot(centre[0] + along * np.cos(angle), centre[1] + along * np.sin(angle), color=COLOURS[1], lw=1)


def _draw_kept(axes, arrays: Arrays) -> None:
    for name, colour, marker in (("wavelets", COLOURS[0], "o"), ("bandlets", COLOURS[1], "s")):
        number = arrays[f"{name}/number"] + (arrays["bandlets/geometry"] if name == "bandlets" else 0)
        label = name + (", with their geometry" if name == "bandlets" else "")
        axes.plot(number.mean(0), arrays[f"{name}/psnr"].mean(0), color=colour, marker=marker, ms=3, label=label)
    axes.set(xscale="log", xlabel="coefficients kept of the details", ylabel="PSNR of what is kept (dB)")
    axes.set_title("Approximation at equal thresholds")
    draw_ticks(axes.xaxis)
    axes.legend()


def _draw_gains(axes, arrays: Arrays) -> None:
    x = metrics.input_psnr(arrays["sigmas"])
    names = [str(name) for name in arrays["names"] if str(name) != "wavelets"]
    for name, colour, marker in zip(
        names, [*COLOURS[1:], COLOURS[0]] * len(names), "s^ovD*" * len(names), strict=False
    ):
        values = gain(arrays, name, "wavelets")
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        axes.errorbar(x, values.mean(0), error, color=colour, marker=marker, ms=3, label=LABELS.get(name, name))
    for name, style in (("bandlets", "-"), ("bandlets, shifts", "--")):
        other = name.replace("bandlets", "wavelets")
        values = gain(arrays, name, other, prefix=f"{FIELDS}/").mean(0)
        label = f"{FIELDS}: bandlets less wavelets{', 8 shifts' if name in SHIFTS else ''}"
        axes.plot(x, values, style, color="0.5", lw=0.9, label=label)
    axes.axhline(0, color="black", lw=0.5)
    axes.set(xlabel="input PSNR (dB)", ylabel="PSNR less that of wavelets (dB)", title="Denoising")
    axes.legend(fontsize=5.5, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
