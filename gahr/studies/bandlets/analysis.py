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
from gahr.classical import bandlets, shrinkage, spectra, squares, wavelets
from gahr.classical.bandlets import Design
from gahr.data import calpha
from gahr.denoiser import as_argument
from gahr.names import require
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Key, Progress, Sharding

LABELS = {  # of the denoisers that need no training
    "wavelets": "wavelets",
    "bandlets": "bandlets",
    "told": "bandlets of the clean image",
    "wavelets, shifts": "wavelets, 8 shifts",
    "bandlets, shifts": "bandlets, 8 shifts",
}
FIELDS = "Gaussian fields"
SHIFTS = "wavelets, shifts", "bandlets, shifts"


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
            on_fields = {} if name in runs or name == "told" else {f"{FIELDS}/": fields}
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
                if name in SHIFTS:
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
    """Those of `LABELS`, as pytrees."""
    wavelet = as_argument(functools.partial(wavelets.denoise, levels=design.levels))
    own = bandlets.denoiser(design=design, price=price)
    told = bandlets.denoiser(design=design, price=price, pilot=as_argument(lambda noisy, sigma: clean))
    spun = [shrinkage.cycle_spin(denoiser) for denoiser in (wavelet, own)]
    return dict(zip(LABELS, (wavelet, own, told, *spun), strict=True))


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
    found = []
    for side, mark in zip(design.sizes, marks, strict=False):
        theta = squares.angles(side, design.density)
        for row, column in np.argwhere(mark >= 0):
            angle = theta[mark[row, column] - 1] if mark[row, column] > 0 else np.nan
            found.append((*(pixels * side * np.array([row, column])), pixels * side, angle))
    return np.array(found).reshape(-1, 4)


def gain(arrays: Arrays, name: str, other: str, *, prefix: str = "") -> np.ndarray:
    """PSNR of one denoiser less that of another one on the same images, (n, S), dB."""
    return arrays[f"{prefix}{name}/denoised"] - arrays[f"{prefix}{other}/denoised"]


def best_gain(arrays: Arrays, *, prefix: str = "") -> np.ndarray:
    """Gain (n,) of bandlets over wavelets, dB, both over 8 shifts and at the threshold that is best for all images."""
    by_factor = [arrays[f"{prefix}{name}/by_factor"] for name in SHIFTS]
    wavelet, bandlet = (psnr[:, np.argmax(psnr.mean(0))] for psnr in by_factor)
    return bandlet - wavelet
