"""How near to the best is a network? One axis for networks, fixed and adapted bases, linear filters, patches.

On images of a network's own kind the least error is not known: what there is are oracles, which know the clean image
and say what is the most that factors in a basis can do. It is known for Gaussian fields, where the Wiener filter of
their spectrum is exact, and for a law that is a finite set of images, where the posterior mean of its points is. There
the gap to the optimum is measured, in dB and, as the integral of what a denoiser loses over all levels, in nats: the
divergence of the images from what the denoiser takes them for, between the levels (`gahr.analysis.integrals`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.classical import bandlets, patches, shrinkage, spectra, transforms, wavelets
from gahr.classical.analytic import points
from gahr.classical.bandlets import Design
from gahr.denoiser import as_argument
from gahr.names import require
from gahr.studies.shared import nulls
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.measures import counter, denoise
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Estimate, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding, with_options

_IMAGES, _FIELDS, _POINTS = "images", "Gaussian fields", "training images"
_OPTIMUM = "optimum"
_HIGHEST = 100.0  # dB; the optimum of a finite set may be off by nothing at all
_LINEAR = "linear, principal components"
_BANDLETS = "bandlets, 8 shifts"
_CLASSICAL = (_LINEAR, "linear, all places alike", "cosines", "wavelets, 8 shifts", _BANDLETS)
_LOOKS = {  # colour, line style, marker
    _LINEAR: ("0.5", "-", ""),
    "linear, all places alike": ("0.5", "--", ""),
    "cosines": (COLOURS[5], "-", ""),
    "wavelets, 8 shifts": (COLOURS[0], "-", ""),
    _BANDLETS: (COLOURS[1], "-", ""),
    "oracle, cosines": (COLOURS[5], ":", ""),
    "oracle, wavelets": (COLOURS[0], ":", ""),
    "oracle, bandlets": (COLOURS[1], ":", ""),
    "points": (COLOURS[3], "-", "o"),
    "patches": (COLOURS[4], "-", "s"),
    "patches of any place": (COLOURS[2], "-", "^"),
}


def analyze(
    *,
    num_images: int = 16,
    num_fit: int = 4000,
    num_points: int = 500,
    num_moved: int = 4,
    window: int = 7,
    sigmas: Sequence[float] = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8),
    levels: int = 2,
    sizes: Sequence[int] = (4, 8),
    field_slope: float = -2.0,
) -> Callable:
    """PSNR of all denoisers on three sets of images, in the same noise.

    Args:
      num_images: that are denoised, of each set.
      num_fit: that linear filters are fitted to: training images, and fields.
      num_points: training images that are points, and whose patches are known at their own places.
      num_moved: images whose patches are known at all places; these denoisers take much the longest.
      window: side of the patches, odd, pixels.
      sigmas: increasing noise levels, image units.
      levels, sizes: of wavelets and bandlets, `gahr.classical.bandlets.Design`.
      field_slope: of the power of the periodic Gaussian fields, with the mean and variance of training images.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays: sigmas (S,), networks, and for each of "images": test
      images of the first run, "Gaussian fields" and "training images", its num_points first ones, "SET/names", of each
      of them "SET/NAME" (n, S), PSNR, and but for "images" and oracles "SET/NAME/loss" (n, S): |D - D_optimum|^2 /
      sigma^2.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_images=(num_images, 2), num_fit=(num_fit, 10), num_points=(num_points, 2))
    require(num_points >= num_images, "num_points", num_points, f"at least num_images, {num_images}")
    require(len(sigmas) > 1 and all(np.diff([0, *sigmas]) > 0), "sigmas", tuple(sigmas), "two positive, increasing")
    design = Design(levels=levels, sizes=tuple(sizes))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del sharding
        first = next(iter(runs.values()))
        training = first.images(first.subset, max(num_fit, num_points))
        fields, spectrum, mean = _fields(jax.random.fold_in(key, 0), training, num_fit + num_images, field_slope)
        own, networks = training[:num_points], {name: run.noise_denoiser for name, run in runs.items()}
        optimal = {
            _FIELDS: shrinkage.wiener(transforms.fourier(), spectrum, mean=mean),
            _POINTS: points(own),
        }
        sets = {
            _IMAGES: (first.images("test", num_images), training[:num_fit]),
            _FIELDS: (fields[num_fit:], fields[:num_fit]),
            _POINTS: (own[:num_images], own),
        }
        arrays: dict[str, Any] = {"sigmas": sigmas, "networks": list(networks)}
        advance = counter(progress, len(sets) * (len(_LOOKS) + len(networks) + 1))
        for name, (clean, known) in sets.items():
            best = {_OPTIMUM: optimal[name]} if name in optimal else {}
            told = _oracles(clean, design)
            others = networks | _denoisers(known, design, num_points, num_moved, window)
            arrays[f"{name}/names"] = [*best, *others, *told]
            exact = None
            for label, denoiser in (best | others | told).items():
                noisy = [noise.add_noise(jax.random.fold_in(key, 1), clean, sigma) for sigma in sigmas]
                pairs = zip(noisy, sigmas, strict=True)
                denoised = [denoise(as_argument(denoiser), images, jnp.float32(sigma)) for images, sigma in pairs]
                exact = denoised if label == _OPTIMUM else exact
                arrays[f"{name}/{label}"] = jnp.stack([_psnr(clean, each) for each in denoised], 1)
                if exact is not None and label not in told:
                    loss = [metrics.mse(*pair) * clean[0].size for pair in zip(denoised, exact, strict=True)]
                    arrays[f"{name}/{label}/loss"] = jnp.stack(loss, 1) / jnp.square(jnp.asarray(sigmas))[None]
                advance(f"{name}: {label}")
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _psnr(clean: Array, denoised: Array) -> Array:
    return jnp.minimum(metrics.psnr(clean, denoised), _HIGHEST)


def _fields(key: Key, like: Array, number: int, slope: float) -> tuple[Array, Array, Array]:
    """Periodic fields, the spectrum (H, W, 1) they are drawn with, for Hartley's waves, and their mean image."""
    size, mean, variance = like.shape[1], like.mean(), like.var()
    one = lambda key: spectra.field(key, size=size, slope=slope, crop=False)
    fields = jax.jit(jax.vmap(one))(jax.random.split(key, number))
    frequency = np.fft.fftfreq(size)
    square = (frequency[:, None] ** 2 + frequency**2)[..., None]
    power = np.where(square > 0, np.where(square > 0, square, 1) ** (slope / 2), 0)
    spectrum = jnp.asarray(power / power.mean(), jnp.float32) * variance
    channels = like.shape[-1]
    image = jnp.full((size, size, channels), mean)
    return mean + jnp.sqrt(variance) * jnp.tile(fields, (1, 1, 1, channels)), spectrum, image


def _denoisers(known: Array, design: Design, num_points: int, num_moved: int, window: int) -> dict[str, NoiseDenoiser]:
    """Those of `_LOOKS` that do not know the clean image, fitted to images (N, H, W, C)."""
    own = known[:num_points]
    wavelet = shrinkage.hard(
        transforms.wavelets(levels=design.levels), bands=wavelets.bands(known.shape, levels=design.levels)
    )
    stationary = shrinkage.wiener(
        transforms.fourier(), spectra.stationary_spectrum(known), mean=jnp.full(known.shape[1:], known.mean())
    )
    return {
        _LINEAR: nulls.linear(known, centred=True),
        "linear, all places alike": stationary,
        "cosines": shrinkage.hard(transforms.cosines()),
        "wavelets, 8 shifts": shrinkage.cycle_spin(wavelet),
        _BANDLETS: shrinkage.cycle_spin(bandlets.denoiser(design=design, price=1.0)),
        "points": points(own),
        "patches": patches.local(own, window=window),
        "patches of any place": patches.equivariant(own[:num_moved], window=window, borders="matched"),
    }


def _oracles(clean: Array, design: Design) -> dict[str, NoiseDenoiser]:
    """Best factors in each basis for the clean images, the bandlets being those of the clean image."""
    return {
        "oracle, cosines": shrinkage.oracle(transforms.cosines(), clean),
        "oracle, wavelets": shrinkage.oracle(transforms.wavelets(levels=design.levels), clean),
        "oracle, bandlets": with_options(_oracle_of_bandlets, clean, design=design),
    }


def _oracle_of_bandlets(clean: Array, noisy: Array, sigma: Array, *, design: Design) -> Array:
    basis = bandlets.transform(bandlets.best_basis(clean, threshold=3 * sigma, design=design), design=design)
    return shrinkage.oracle(basis, clean)(noisy, sigma)


def gap(arrays: Arrays, images: str, name: str, other: str) -> np.ndarray:
    """PSNR of one denoiser less that of another one on the same images of a set, (n, S), dB."""
    return arrays[f"{images}/{name}"] - arrays[f"{images}/{other}"]


def over_best(arrays: Arrays, images: str, name: str) -> np.ndarray:
    """PSNR less that of the best of linear filters and bases at each level, those that know neither network nor image.

    (n,), mean over levels, dB.
    """
    known = np.stack([arrays[f"{images}/{other}"] for other in _CLASSICAL])
    best = np.argmax(known.mean(1), 0)
    return np.mean(arrays[f"{images}/{name}"] - np.take_along_axis(known, best[None, None], 0)[0], 1)


def divergence(arrays: Arrays, images: str, name: str) -> Estimate:
    """Integral over ln sigma of what a denoiser loses, nats, by the trapezoid rule between the levels."""
    found = np.trapezoid(arrays[f"{images}/{name}/loss"], np.log(arrays["sigmas"]), axis=1)
    return spread(found)


def check(
    arrays: Arrays, *, over_classical: Limit = None, optimum_within: Limit = None, above_optimum: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      over_classical: mark for the PSNR of a network less that of the best of linear filters and bases at each level,
        dB, mean over levels. The nulls are the same network on Gaussian fields, and the linear denoiser.
      optimum_within: mark for the loss of the linear denoiser on fields, dB, largest over levels. The null are
        bandlets.
      above_optimum: mark for the largest gain over the optimum, in standard errors, of denoisers that do not know the
        image. The null are oracles.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    checks = []
    mean = lambda images, name, other: spread(gap(arrays, images, name, other).mean(1))
    for network in arrays["networks"].tolist():
        null = {
            _FIELDS: spread(over_best(arrays, _FIELDS, network)),
            "linear denoiser": spread(over_best(arrays, _IMAGES, _LINEAR)),
        }
        measured, mark = spread(over_best(arrays, _IMAGES, network)), AtLeast(over_classical)
        checks.append(Check(f"{network}: PSNR over that of the best filter or basis, dB", None, measured, mark, null))
        told = {name: mean(_IMAGES, network, name) for name in _LOOKS if name.startswith("oracle")}
        checks.append(Check(f"{network}: PSNR over that of oracles, dB", None, told))
    losses = {name: -gap(arrays, _FIELDS, name, _OPTIMUM).mean(0) for name in (_LINEAR, _BANDLETS)}
    checks.append(
        Check(
            f"{_FIELDS}: PSNR of the linear denoiser below the optimum, dB, largest",
            0,
            float(losses[_LINEAR].max()),
            AtMost(optimum_within),
            {_BANDLETS: float(losses[_BANDLETS].max())},
        )
    )
    blind, told = (_largest_gain(arrays, is_oracle) for is_oracle in (False, True))
    text = "gain over the optimum, standard errors, largest"
    checks.append(Check(text, "at most 0", blind, AtMost(above_optimum), {"oracles": told}))
    for images in (_FIELDS, _POINTS):
        names = [str(name) for name in arrays[f"{images}/names"] if f"{images}/{name}/loss" in arrays]
        for name in names[1:]:
            lost = divergence(arrays, images, name)
            checks.append(Check(f"{images}: {name}, divergence between the levels, nats", {_OPTIMUM: 0.0}, lost))
            if images == _FIELDS:
                below = spread(-gap(arrays, images, name, _OPTIMUM).mean(1))
                checks.append(Check(f"{images}: {name}, PSNR below the optimum, dB", {_OPTIMUM: 0.0}, below))
    return checks


def _largest_gain(arrays: Arrays, is_oracle: bool) -> float:
    found = []
    for images in (_FIELDS, _POINTS):
        for name in arrays[f"{images}/names"].tolist():
            if name != _OPTIMUM and name.startswith("oracle") == is_oracle:
                gained = gap(arrays, images, name, _OPTIMUM)
                error = gained.std(0, ddof=1) / np.sqrt(len(gained))
                found.append(np.max(gained.mean(0) / np.maximum(error, 1e-3)))
    return float(np.max(found))


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: PSNR of all less that of the linear denoiser; and, where the optimum is known, less that of it."""
    import matplotlib.pyplot as plt

    x = metrics.input_psnr(arrays["sigmas"])
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 3, figsize=(7.0, 3.9), layout="constrained")
        figure.suptitle(title)
        networks = arrays["networks"].tolist()
        looks = {name: ("black", "-", marker) for name, marker in zip(networks, "DvP*" * 9, strict=False)} | _LOOKS
        for name, (colour, style, marker) in looks.items():
            look = dict(color=colour, ls=style, marker=marker, ms=3, lw=1.2)
            for axes, images, other in ((panels[0], _IMAGES, _LINEAR), (panels[1], _FIELDS, _OPTIMUM)):
                label = name if images == _IMAGES else None
                axes.plot(x, gap(arrays, images, name, other).mean(0), **look, label=label)
            if f"{_POINTS}/{name}/loss" in arrays and name != "points":
                panels[2].plot(x, arrays[f"{_POINTS}/{name}/loss"].mean(0), **look)
        for axes, heading in zip(panels, (_IMAGES, _FIELDS, f"{_POINTS}, all there are"), strict=True):
            axes.set(xlabel="input PSNR (dB)", title=heading)
        for axes, other in zip(panels, ("linear denoiser", _OPTIMUM), strict=False):
            axes.axhline(0, color="black", lw=0.5)
            axes.set_ylabel(f"PSNR less that of the {other} (dB)")
        high = max(gap(arrays, _IMAGES, name, _LINEAR).mean(0).max() for name in looks)
        panels[0].set_ylim(-6, 1.15 * high)
        panels[1].set_ylim(-6, 3)
        panels[2].set(yscale="log", ylim=(0.1, None))
        panels[2].set_ylabel(r"$|D - D_{optimum}|^2 / \sigma^2$ (nats)")
        figure.legend(fontsize=6, loc="outside lower center", ncols=4)
    return figure


STUDY = Study(analyze, check, draw)
