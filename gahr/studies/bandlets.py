"""What following contours gains over wavelets: C^alpha images approximated and denoised in bandlets.

Mallat and Peyre (2008): bandlets need of order M = T^(-2 / (alpha + 1)) coefficients above T where wavelets need T^-1,
so that thresholds in them are nearly optimal denoisers. On images of the sizes studied here exponents do not tell them
apart; coefficients and errors do. The null are Gaussian fields, which have no contours to follow: at one threshold of
3 sigma they gain as much, because 3 sigma is too much for them and bandlets keep more; so both bases are also compared
at the threshold that is best for each.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.classical import bandlets, shrinkage, spectra, wavelets
from gahr.classical.bandlets import Design
from gahr.data import calpha
from gahr.denoiser import as_argument
from gahr.names import require
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, Progress, Sharding

_LABELS = {  # of the denoisers that need no training
    "wavelets": "wavelets",
    "bandlets": "bandlets",
    "told": "bandlets of the clean image",
    "wavelets, shifts": "wavelets, 8 shifts",
    "bandlets, shifts": "bandlets, 8 shifts",
}
_FIELDS = "Gaussian fields"
_SHIFTS = "wavelets, shifts", "bandlets, shifts"


def analyze(
    *,
    alpha: float = 3.0,
    size: int = 128,
    num_images: int = 8,
    levels: int = 3,
    sizes: Sequence[int] = (4, 8, 16),
    thresholds: Sequence[float] = (0.8, 0.4, 0.2, 0.1, 0.05, 0.025),
    sigmas: Sequence[float] = (0.0125, 0.025, 0.05, 0.1, 0.2),
    factors: Sequence[float] = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0),
    price: float = 1.0,
    field_slope: float = -2.0,
) -> Callable:
    """Approximation and denoising in wavelets and in bandlets, at equal thresholds T, 3 sigma for denoising.

    Args:
      alpha, size: of the C^alpha images.
      num_images: how many, and how many fields.
      levels, sizes, price: of the bandlets, `gahr.classical.bandlets.Design` and `best_basis`.
      thresholds: T of the approximations, image units.
      sigmas: noise levels, image units; the middle one is drawn.
      factors: thresholds in sigma at the middle level, of the denoisers over 8 shifts.
      field_slope: of the power of the Gaussian fields, as bright and as varied as the images.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays: thresholds, and of "wavelets" and "bandlets"
      "BASIS/number" and "BASIS/psnr" of the approximations (n, T), "bandlets/geometry": squares with a direction and
      splits / 7, "BASIS/cost": L; sigmas, and "NAME/denoised" (n, S), PSNR of each denoiser, also of the networks of
      the runs, "Gaussian fields/NAME/denoised" of the first ones on fields; of those over 8 shifts factors and
      "NAME/by_factor" (n, F), and the same on fields; of the first image clean, noisy, "NAME/example", and
      "squares" (m, 4): row, column, side, angle, pixels and radians, of the squares of one band, that with most
      directions, in the basis of the clean image, T the level that is drawn.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_images=(num_images, 2))
    for name, values in (("thresholds", thresholds), ("sigmas", sigmas), ("factors", factors)):
        require(all(value > 0 for value in values), name, tuple(values), "positive")
    design = Design(levels=levels, sizes=tuple(sizes))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del sharding
        clean, fields = _images(key, num_images, size, alpha, field_slope)
        arrays: dict[str, Any] = {"thresholds": thresholds, "sigmas": sigmas, "factors": factors, "clean": clean[0]}
        arrays |= _approximate(clean, thresholds, design, progress)
        denoisers = _denoisers(clean, design, price) | {name: run.noise_denoiser for name, run in runs.items()}
        arrays["names"] = np.array(list(denoisers))
        shown = sorted(sigmas)[len(sigmas) // 2]
        for name, denoiser in denoisers.items():
            on_fields = {} if name in runs or name == "told" else {f"{_FIELDS}/": fields}
            for prefix, images in {"": clean, **on_fields}.items():
                psnr = []
                for i, sigma in enumerate(sigmas):
                    progress.check()
                    noisy = noise.add_noise(jax.random.fold_in(key, 2), images, sigma)
                    denoised = _denoise(as_argument(denoiser), noisy, jnp.float32(sigma))
                    psnr.append(metrics.psnr(images, denoised))
                    if sigma == shown and not prefix:
                        arrays |= {"noisy": noisy[0], f"{name}/example": denoised[0]}
                    progress.update(f"{prefix}{name}", i + 1, len(sigmas))
                arrays[f"{prefix}{name}/denoised"] = jnp.stack(psnr, 1)
                if name in _SHIFTS:
                    noisy = noise.add_noise(jax.random.fold_in(key, 2), images, shown)
                    scaled = [jnp.float32(shown * factor / 3) for factor in factors]  # what they take 3 sigma of
                    psnr = [metrics.psnr(images, _denoise(as_argument(denoiser), noisy, each)) for each in scaled]
                    arrays[f"{prefix}{name}/by_factor"] = jnp.stack(psnr, 1)
        arrays |= {"shown": shown, "squares": _segmentation(clean[0], shown, design)}
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


_denoise = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))


def _images(key: Key, number: int, size: int, alpha: float, slope: float) -> tuple[Array, Array]:
    """C^alpha images, and Gaussian fields of their means and variances."""
    one = lambda key: calpha.sample(key, size=size, alpha=alpha)
    clean = jax.jit(jax.vmap(one))(jax.random.split(jax.random.fold_in(key, 0), number))
    field = lambda key: spectra.field(key, size=size, slope=slope)
    fields = jax.jit(jax.vmap(field))(jax.random.split(jax.random.fold_in(key, 1), number))
    mean, sd = clean.mean((1, 2, 3), keepdims=True), clean.std((1, 2, 3), keepdims=True)
    fields = (fields - fields.mean((1, 2, 3), keepdims=True)) / fields.std((1, 2, 3), keepdims=True)
    return clean, mean + sd * fields


def _denoisers(clean: Array, design: Design, price: float) -> dict[str, Callable[[Array, Array], Array]]:
    """Those of `_LABELS`, as pytrees."""
    wavelet = as_argument(functools.partial(wavelets.denoise, levels=design.levels))
    own = bandlets.denoiser(design=design, price=price)
    told = bandlets.denoiser(design=design, price=price, pilot=as_argument(lambda noisy, sigma: clean))
    spun = [shrinkage.cycle_spin(denoiser) for denoiser in (wavelet, own)]
    return dict(zip(_LABELS, (wavelet, own, told, *spun), strict=True))


def _approximate(clean: Array, thresholds: Sequence[float], design: Design, progress: Progress) -> dict[str, Any]:
    """What is kept of the images where coefficients above T are, in either basis."""
    details = jnp.broadcast_to(wavelets.bands(clean.shape, levels=design.levels) > 0, clean.shape)

    @jax.jit
    def both(threshold: Array) -> dict[str, Array]:
        geometry = bandlets.best_basis(clean, threshold=threshold, design=design)
        price = (geometry.num_directed + geometry.num_splits / 7)[:, 0]
        found = {
            "wavelets": wavelets.analysis(clean, wavelet=design.wavelet, levels=design.levels),
            "bandlets": bandlets.analysis(clean, geometry, design=design),
        }
        values = {"bandlets/geometry": price}
        for name, coefficients in found.items():
            is_lost = details & (abs(coefficients) <= threshold)
            number = jnp.sum(details & ~is_lost, (1, 2, 3))
            error = jnp.sum(coefficients**2, (1, 2, 3), where=is_lost)
            cost = error + threshold**2 * (number + (price if name == "bandlets" else 0))
            psnr = -10 * jnp.log10(error / clean[0].size)
            values |= {f"{name}/number": number, f"{name}/psnr": psnr, f"{name}/cost": cost}
        return values

    found = []
    for i, threshold in enumerate(thresholds):
        progress.check()
        found.append(both(jnp.float32(threshold)))
        progress.update("approximations", i + 1, len(thresholds))
    return jax.tree.map(lambda *values: jnp.stack(values, 1), *found)


def _segmentation(image: Array, threshold: float, design: Design) -> np.ndarray:
    """Squares (m, 4) in the basis of an image, of the band with most directions; at the borders images are periodic."""
    choose = jax.jit(functools.partial(bandlets.best_basis, design=design))
    scales = jax.tree.map(lambda mark: np.asarray(mark[0]), choose(image, threshold=threshold).squares)
    bands = [(2**level, [mark[k] for mark in marks]) for level, marks in enumerate(scales, 1) for k in range(3)]
    pixels, marks = max(bands, key=lambda band: sum((mark > 0).sum() for mark in band[1]))
    squares = []
    for side, mark in zip(design.sizes, marks, strict=False):
        theta = bandlets.angles(side, design.density)
        for row, column in np.argwhere(mark >= 0):
            angle = theta[mark[row, column] - 1] if mark[row, column] > 0 else np.nan
            squares.append((*(pixels * side * np.array([row, column])), pixels * side, angle))
    return np.array(squares).reshape(-1, 4)


def gain(arrays: Arrays, name: str, other: str, *, prefix: str = "") -> np.ndarray:
    """PSNR of one denoiser less that of another one on the same images, (n, S), dB."""
    return arrays[f"{prefix}{name}/denoised"] - arrays[f"{prefix}{other}/denoised"]


def best_gain(arrays: Arrays, *, prefix: str = "") -> np.ndarray:
    """Gain (n,) of bandlets over wavelets, dB, both over 8 shifts and at the threshold that is best for all images."""
    by_factor = [arrays[f"{prefix}{name}/by_factor"] for name in _SHIFTS]
    wavelet, bandlet = (psnr[:, np.argmax(psnr.mean(0))] for psnr in by_factor)
    return bandlet - wavelet


def check(
    arrays: Arrays, *, coefficients: Limit = None, gain_of_shifts: Limit = None, gain_of_geometry: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      coefficients: mark for the coefficients of bandlets over those of wavelets at equal T, geometry included.
      gain_of_shifts: mark for what 8 shifts gain wavelets, dB, at the noise level that is drawn.
      gain_of_geometry: mark for what bandlets gain over wavelets then, both over 8 shifts and at their best threshold.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    at = int(np.argmin(abs(arrays["sigmas"] - arrays["shown"])))
    said = lambda name, other, prefix="": spread(gain(arrays, name, other, prefix=prefix)[:, at])
    null = lambda name, other: {_FIELDS: said(name, other, f"{_FIELDS}/")}
    (plain, shifts), end = _SHIFTS, f", dB, at sigma = {float(arrays['shown']):g}"
    total = arrays["bandlets/number"] + arrays["bandlets/geometry"]
    number = dict(zip(arrays["thresholds"].tolist(), total.sum(0) / arrays["wavelets/number"].sum(0), strict=True))
    least = min(number, key=number.get)
    cost = float(np.max(arrays["bandlets/cost"] / arrays["wavelets/cost"]))
    checks = [
        Check("L of bandlets over that of wavelets, the largest", "at most 1", cost, AtMost(1.0)),
        Check(
            f"coefficients and geometry over coefficients of wavelets, T = {least:g}",
            "below 1",
            float(number[least]),
            AtMost(coefficients),
        ),
        Check(f"8 shifts over one, wavelets{end}", "above 0", said(plain, "wavelets"), AtLeast(gain_of_shifts)),
        Check(
            f"bandlets over wavelets{end}",
            "above 0",
            said("bandlets", "wavelets"),
            None,
            null("bandlets", "wavelets"),
        ),
        Check(
            f"the same, both over 8 shifts{end}",
            "above 0",
            said(shifts, plain),
            None,
            null(shifts, plain),
        ),
        Check(
            f"the same, each at its best threshold{end}",
            "above 0",
            spread(best_gain(arrays)),
            AtLeast(gain_of_geometry),
            {_FIELDS: spread(best_gain(arrays, prefix=f"{_FIELDS}/"))},
        ),
        Check(f"bandlets of the clean image over those of the noisy one{end}", "above 0", said("told", "bandlets")),
    ]
    networks = [str(name) for name in arrays["names"] if str(name) not in _LABELS]
    return checks + [Check(f"{name} over bandlets, 8 shifts{end}", None, said(name, shifts)) for name in networks]


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
            **{f"{name}/example": _LABELS[name] for name in ("wavelets, shifts", "bandlets, shifts")},
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
    axes.legend()


def _draw_gains(axes, arrays: Arrays) -> None:
    x = metrics.input_psnr(arrays["sigmas"])
    names = [str(name) for name in arrays["names"] if str(name) != "wavelets"]
    for name, colour, marker in zip(
        names, [*COLOURS[1:], COLOURS[0]] * len(names), "s^ovD*" * len(names), strict=False
    ):
        values = gain(arrays, name, "wavelets")
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        axes.errorbar(x, values.mean(0), error, color=colour, marker=marker, ms=3, label=_LABELS.get(name, name))
    for name, style in (("bandlets", "-"), ("bandlets, shifts", "--")):
        other = name.replace("bandlets", "wavelets")
        values = gain(arrays, name, other, prefix=f"{_FIELDS}/").mean(0)
        label = f"{_FIELDS}: bandlets less wavelets{', 8 shifts' if name in _SHIFTS else ''}"
        axes.plot(x, values, style, color="0.5", lw=0.9, label=label)
    axes.axhline(0, color="black", lw=0.5)
    axes.set(xlabel="input PSNR (dB)", ylabel="PSNR less that of wavelets (dB)", title="Denoising")
    axes.legend(fontsize=5.5, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)


STUDY = Study(analyze, check, draw)
