"""How steep are spectra of images? Slopes of power by ring and direction, and whether power or amplitude has them.

Of photographs it is the power, |Fourier transform|^2, that falls about as f^-2 to f^-2.4, and the amplitude, its root,
about as f^-1 (Field, 1987; Tolhurst, Tadmor and Chao, 1992): "amplitude f^-2" would be power f^-4. An image of one
smooth contour has power f^-3, whatever its regularity; averages over 2 x 2 pixels make it steeper. The control are
Gaussian fields of known slopes, measured alike. Categories of scenes differ by direction (Torralba and Oliva, 2003);
the null are their images with labels shuffled.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr.classical import spectra
from gahr.data import calpha
from gahr.names import require
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.options import require_files, require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Estimate, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS, STYLE
from gahr.types import Array, Key, Progress, Sharding

ANGLES = (0.0, 45.0, 90.0, 135.0)  # of frequencies, degrees: 0 are waves across columns, vertical contours
_CLAIMED = -4.0  # slope of power where amplitude goes as f^-2
_NUM_SHUFFLES = 20
_FIELD, _CALPHA = "field f^{:g}", "C^{:g} images"


def analyze(
    *,
    slopes: Sequence[float] = (-1.0, -2.0, -2.4, -3.0),
    alphas: Sequence[float] = (1.0, 2.0, 3.0, 5.0),
    size: int = 64,
    num_images: int = 200,
    path: str = "",
    most: int = 3000,
) -> Callable:
    """Spectra of Gaussian fields, of C^alpha images and of the images of a file, with a Hann window.

    Args:
      slopes: of the fields' power; fields of slope -4 are measured beside, as a null.
      alphas: exponents of contours and backgrounds of the C^alpha images.
      size, num_images: side in pixels and number, of the fields and C^alpha images.
      path: .npz with square `images` (N, H, H), whole numbers to 255, and maybe a category `label` (N,) of each, whole
        numbers, whose names are `label_names`; none where empty.
      most: images of the file that are measured, evenly spread over it.

    Returns:
      Function (runs, key, *, progress, sharding=None), of no runs -> arrays: slopes, names of the sets, and of each
      "NAME/rings" (R,), mean power, "NAME/slope" (3,), that of power and the ends of its interval of 95 %,
      "NAME/amplitude" (3,), the same of the mean amplitude, "NAME/each" (n,), slopes of single images; categories, of
      each "CATEGORY/slope" and "CATEGORY/log_amplitude" (4,) at 0, 45, 90 and 135 degrees; "leaning" (N,), how much
      more of each image's power is at 90 than at 0 degrees, dB, labels (N,), and "shuffled" (20,), share of the
      variance of leanings between categories if labels are shuffled.

    Raises:
      ValueError: an option that cannot be used, or images that are not square.
    """
    require_least(num_images=(num_images, 2), most=(most, 2))
    require(all(slope < 0 for slope in slopes), "slopes", tuple(slopes), "negative")
    require_files(path=path)

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del runs, sharding
        draw = {
            **{_FIELD.format(s): functools.partial(spectra.field, size=size, slope=s) for s in (*slopes, _CLAIMED)},
            **{_CALPHA.format(a): functools.partial(calpha.sample, size=size, alpha=a) for a in alphas},
        }
        arrays: dict[str, Any] = {"slopes": slopes, "alphas": alphas, "source": Path(path).stem}
        for i, (name, one) in enumerate(draw.items()):
            progress.check()
            images = jax.jit(jax.vmap(one))(jax.random.split(jax.random.fold_in(key, i), num_images))
            arrays |= _measure(name, images)
            progress.update("sets", i + 1, len(draw))
        if path:
            images, labels, categories = _read(path, most)
            arrays |= _measure("file", images)
            if labels is not None:
                arrays |= _by_category(images, labels, categories, jax.random.fold_in(key, len(draw)))
        arrays["names"] = [*draw, *(["file"] if path else [])]
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _read(path: str, most: int) -> tuple[Array, np.ndarray | None, list[str]]:
    """Images (N, H, H, 1) in [0, 1], the numbers of their categories, and the names of all categories there are."""
    with np.load(path) as file:
        chosen = np.unique(np.linspace(0, len(file["images"]) - 1, most).astype(int))
        images = np.asarray(file["images"][chosen], np.float32)[..., None] / 255
        if "label" not in file:
            return jnp.asarray(images), None, []
        values, labels = np.unique(file["label"][chosen], return_inverse=True)
        names = file["label_names"][values] if "label_names" in file else values
    return jnp.asarray(images), labels, [str(name) for name in names]


def _measure(name: str, images: Array) -> dict[str, Any]:
    power = spectra.power(images)
    rings = spectra.radial(power)
    found = spectra.fit_slope(rings)
    amplitude = spectra.fit_slope(spectra.radial(jnp.sqrt(power)))
    return {
        f"{name}/rings": rings.mean(0),
        f"{name}/slope": [found.slope, *found.interval],
        f"{name}/amplitude": [amplitude.slope, *amplitude.interval],
        f"{name}/each": found.each,
    }


def _by_category(images: Array, labels: np.ndarray, names: list[str], key: Key) -> dict[str, Any]:
    arrays: dict[str, Any] = {"categories": names, "labels": labels}
    for i, name in enumerate(names):
        found = spectra.signature(images[labels == i], angles=ANGLES)
        arrays[f"{name}/slope"] = [found[angle].slope for angle in ANGLES]
        arrays[f"{name}/log_amplitude"] = [found[angle].log_amplitude for angle in ANGLES]
    power, side = spectra.power(images), images.shape[1]
    used = slice(2, int(0.4 * side) + 1)
    total = [jnp.nansum(spectra.radial(power, angle=angle)[:, used], 1) for angle in (90.0, 0.0)]
    arrays["leaning"] = leaning = np.asarray(10 * jnp.log10(total[0] / total[1]))
    shuffled = [jax.random.permutation(each, labels) for each in jax.random.split(key, _NUM_SHUFFLES)]
    arrays["shuffled"] = [share_between(leaning, np.asarray(each)) for each in shuffled]
    return arrays


def share_between(values: np.ndarray, labels: np.ndarray) -> float:
    """Share of the variance of values (N,) that is between the means of the categories 0, 1, ... of labels (N,)."""
    means = np.array([values[labels == label].mean() for label in range(labels.max() + 1)])
    return float(np.mean((means[labels] - values.mean()) ** 2) / np.var(values))


def _interval(triple: np.ndarray) -> Estimate:
    return Estimate(float(triple[0]), low=float(triple[1]), high=float(triple[2]))


def check(
    arrays: Arrays,
    *,
    slope_within: Limit = None,
    contour_within: Limit = None,
    amplitude_above: Limit = None,
    between_categories: Limit = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      slope_within: mark for |slope of power - that of the field|, over the fields. The null reads amplitude for power.
      contour_within: mark for |slope of power - that of a contour|, of C^alpha images whose backgrounds, of power
        f^(-2 alpha), are steeper than that. The null are fields of power f^-4.
      amplitude_above: mark for the slope of the amplitude of the file's images, which fields of amplitude f^-2 miss.
      between_categories: mark for the share of the variance, over images, of the power at 90 over that at 0 degrees,
        dB, that is between categories. The null has labels shuffled.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    known, claimed = [_FIELD.format(slope) for slope in arrays["slopes"]], _FIELD.format(_CLAIMED)
    contour = _of_contour(len(arrays[f"{claimed}/rings"]))
    far = lambda of: float(max(abs([arrays[f"{name}/{of}"][0] for name in known] - arrays["slopes"])))
    text, null = "fields: |slope of power - that of the field|, largest", {"slope of amplitude": far("amplitude")}
    checks = [Check(text, 0, far("slope"), AtMost(slope_within), null)]
    for alpha in arrays["alphas"].tolist():
        found, name = arrays[f"{_CALPHA.format(alpha)}/slope"], _CALPHA.format(alpha)
        checks.append(Check(f"{name}: slope of power", {"contour": contour}, _interval(found)))
        if alpha > 1.5:
            null = {"fields of power f^-4": float(abs(arrays[f"{claimed}/slope"][0] - contour))}
            far_off, mark = float(abs(found[0] - contour)), AtMost(contour_within)
            checks.append(Check(f"{name}: |slope of power - that of a contour|", 0, far_off, mark, null))
    if "file" in arrays["names"]:
        each, text = arrays["file/each"], f"file {arrays['source']}"
        ends = dict(low=float(np.quantile(each, 0.05)), high=float(np.quantile(each, 0.95)))
        measured = _interval(arrays["file/amplitude"])
        null = {"fields of amplitude f^-2": float(arrays[f"{claimed}/amplitude"][0])}
        checks += [
            Check(f"{text}: slope of power", "-2 to -2.4 of photographs", _interval(arrays["file/slope"])),
            Check(f"{text}: slopes of power of single images", None, Estimate(float(each.mean()), **ends)),
            Check(
                f"{text}: slope of amplitude", "-0.8 to -1.5 of photographs", measured, AtLeast(amplitude_above), null
            ),
        ]
    if "categories" in arrays:
        shuffled, text = arrays["shuffled"], "file: share between categories of power at 90 over 0 degrees"
        null = {"labels shuffled": Estimate(float(shuffled.mean()), low=shuffled.min(), high=shuffled.max())}
        share = share_between(arrays["leaning"], arrays["labels"])
        checks.append(Check(text, None, share, AtLeast(between_categories), null))
        for i, name in enumerate(arrays["categories"].tolist()):
            own = arrays["leaning"][arrays["labels"] == i]
            named = zip(("0", "45", "90", "135"), arrays[f"{name}/slope"].tolist(), strict=True)
            checks += [
                Check(f"{name}: power at 90 over 0 degrees, dB", {"alike": 0.0}, spread(own)),
                Check(f"{name}: slope of power at each angle", None, dict(named)),
            ]
    return checks


def _of_contour(length: int) -> float:
    """Slope that is fitted to power f^-3, of a sharp contour, after averages over two pixels across it."""
    f = np.arange(length)
    power = np.where(f > 0, np.maximum(f, 1.0) ** -3, 0) * np.cos(np.pi * f / (2 * length)) ** 2
    return float(spectra.fit_slope(jnp.asarray(np.stack([power] * 2), jnp.float32)).slope)


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: spectra; slopes of power with their intervals; and, where there are categories, their directions."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        columns = 3 if "categories" in arrays else 2
        figure, panels = plt.subplots(1, columns, figsize=(7.0, 3.4), layout="constrained")
        figure.suptitle(title)
        _draw_rings(panels[0], arrays)
        _draw_slopes(panels[1], arrays)
        if columns == 3:
            _draw_categories(panels[2], arrays)
    return figure


def _label(arrays: Arrays, name: str) -> str:
    if name == "file":
        return str(arrays["source"])
    head, _, exponent = name.replace(" images", "").partition("^")
    return rf"{head}$^{{{exponent}}}$".replace("field f", "field $f$")


def _draw_rings(axes, arrays: Arrays) -> None:
    shown = [name for name in arrays["names"].tolist() if not name.startswith("field")]
    styles = zip(shown, COLOURS * len(shown), ("-", "--", "-.", ":") * len(shown), strict=False)
    for name, colour, style in styles:  # of some the curves are one
        power = arrays[f"{name}/rings"]
        cycles = np.arange(1, len(power)) / (2 * len(power))
        look = dict(color="black", lw=2) if name == "file" else dict(color=colour, ls=style)
        axes.plot(cycles, power[1:] / np.interp(0.05, cycles, power[1:]), **look, label=_label(arrays, name))
    line = np.array([0.03, 0.4])
    for slope, style in ((-2, "-"), (-3, "--"), (_CLAIMED, ":")):
        label = rf"$f^{{{slope:g}}}$" + (", amplitude $f^{-2}$" if slope == _CLAIMED else "")
        axes.plot(line, (line / 0.05) ** slope, style, color="0.6", lw=1, label=label)
    axes.set(xscale="log", yscale="log", xlabel="frequency (cycles / pixel)", title="Mean spectra")
    axes.set_ylabel("power, 1 at 0.05 cycles / pixel")
    axes.set(xticks=(0.02, 0.05, 0.1, 0.2, 0.5), xticklabels=("0.02", "0.05", "0.1", "0.2", "0.5"))
    axes.minorticks_off()
    axes.legend(fontsize=5.5)


def _draw_slopes(axes, arrays: Arrays) -> None:
    names = arrays["names"].tolist()
    known = {_FIELD.format(slope): slope for slope in (*arrays["slopes"], _CLAIMED)}
    for i, name in enumerate(names):
        colour = "0.5" if name in known else "black" if name == "file" else COLOURS[0]
        _draw_bar(axes, i, arrays[f"{name}/each"], arrays[f"{name}/slope"], colour)
        if name in known:
            axes.plot(known[name], i, "|", color=COLOURS[1], ms=9, mew=1.3)
    contour = _of_contour(len(arrays[f"{names[0]}/rings"]))
    rows = [i for i, name in enumerate(names) if name in map(_CALPHA.format, arrays["alphas"])]
    axes.plot([contour] * len(rows), rows, "|", color=COLOURS[2], ms=9, mew=1.3, label="contour, averaged")
    axes.plot([], [], "|", color=COLOURS[1], ms=9, ls="", mew=1.3, label="known")
    axes.plot([], [], color="black", lw=3.5, label="95 % of the mean")
    axes.plot([], [], color="black", lw=0.7, label="90 % of images")
    axes.axvspan(-2.4, -2, color=COLOURS[5], alpha=0.25, lw=0, label="photographs, as published")
    axes.axvline(_CLAIMED, color="0.6", ls=":", lw=1)
    axes.set(yticks=range(len(names)), ylim=(len(names) + 3.5, -0.7), xlabel="slope of power", title="Slopes")
    axes.set_yticklabels([_label(arrays, name) for name in names])
    axes.legend(fontsize=5.5, loc="lower left")


def _draw_bar(axes, row: int, each: np.ndarray, found: Sequence[float], colour: str) -> None:
    """A mean and the ends of its interval, and as a thin line 90 % of the images."""
    mean, *ends = found
    axes.plot(np.quantile(each, (0.05, 0.95)), (row, row), color=colour, lw=0.7)
    axes.plot(ends, (row, row), color=colour, lw=3.5, solid_capstyle="butt")
    axes.plot(mean, row, "o", color=colour, ms=3.5)


def _draw_categories(axes, arrays: Arrays) -> None:
    names, leaning, labels = arrays["categories"].tolist(), arrays["leaning"], arrays["labels"]
    order = np.argsort([leaning[labels == i].mean() for i in range(len(names))])
    for row, i in enumerate(order):
        own = leaning[labels == i]
        half = 1.96 * own.std() / np.sqrt(len(own))
        _draw_bar(axes, row, own, own.mean() + half * np.array([0, -1, 1]), COLOURS[0])
    axes.axvline(leaning.mean(), **NULLS["linear"], label="mean, as with shuffled labels")
    axes.axvline(0, color="black", lw=0.5)
    axes.set(yticks=range(len(names)), xlabel="power at 90 degrees\nover that at 0 degrees (dB)", title="Categories")
    axes.set_yticklabels([names[i] for i in order])
    axes.set_ylim(-1.3)
    axes.legend(fontsize=5.5, loc="lower right")


STUDY = Study(analyze, check, draw)
