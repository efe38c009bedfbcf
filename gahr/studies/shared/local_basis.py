"""What studies of bases share: bases at a few images, what is said of them, and figures that set them side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import noise
from gahr.analysis import geometry, jacobian
from gahr.denoiser import as_argument, at
from gahr.studies.shared.images import draw_stages, draw_vector
from gahr.studies.shared.measures import curve_of_told, denoise, whole_jacobian
from gahr.studies.shared.study import Arrays, Check, Estimate, Number
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_NUM_VECTORS = 10  # drawn, and compared with left singular vectors
_NUM_CONTROLS = 20  # shifts of the contours
_NUM_BINS = 60  # of the coefficients' curve

Measure = Callable[[jacobian.Eigenbasis, Array], dict[str, Any]]  # of one basis and its clean image, traced


def basis_arrays(
    name: str,
    noise_denoiser: NoiseDenoiser,
    key: Key,
    clean: Array,
    *,
    sigma: float,
    sigmas: Array,
    num_bases: int,
    progress: Progress,
    measure: Measure = lambda eigen, clean: {},
    sharding: Sharding | None = None,
) -> dict[str, Array]:
    """PSNR curve of a denoiser, and the basis that it shrinks in at each of some images.

    Args:
      name: of the denoiser; shown as what is being worked on.
      noise_denoiser: (noisy, sigma) -> denoised.
      key: random key of the noise.
      clean: images (N, H, W, C).
      sigma: noise level of the bases, image units.
      sigmas: those of the curve (S,).
      num_bases: n, images whose whole Jacobian is decomposed, the first of the N.
      progress: shows the state and asks for stops.
      measure: what else to find out about each basis.
      sharding: how images, and the columns of a Jacobian, are spread over devices.

    Returns:
      Arrays named "NAME/quantity". One value per image: psnr (N, S), shrinkage, singular_values, coefficients (n, d),
      vectors (n, 10, H, W, C), trace, preserved, oracle (dimension: least error of a shrinkage in the basis over
      sigma^2), asymmetry, overlap (of the 10 leading eigenvectors and left singular vectors) (n,), what `measure`
      finds; sigma; and the first image: clean, noisy, denoised (H, W, C).
    """
    denoiser, found = at(noise_denoiser, sigma), []
    noisy = noise.add_noise(key, clean[:num_bases], sigma)
    for i in range(len(noisy)):
        progress.check()
        matrix = whole_jacobian(denoiser, noisy[i], progress, sharding=sharding)
        found.append(_describe(as_argument(measure), matrix, clean[i], sigma))
        progress.update(f"{name}: bases", i + 1, len(noisy))
    progress.check()
    arrays = jax.tree.map(lambda *values: jnp.stack(values), *found) | {
        "psnr": curve_of_told(as_argument(noise_denoiser), key, clean, sigmas, sharding=sharding),
        "sigma": jnp.asarray(sigma),
        "clean": clean[0],
        "noisy": noisy[0],
        "denoised": denoise(denoiser, noisy[0]),
    }
    return {f"{name}/{quantity}": value for quantity, value in arrays.items()}


@jax.jit
def _describe(measure: Measure, matrix: Array, clean: Array, sigma: Array) -> dict[str, Array]:
    """What `basis_arrays` says of one image."""
    eigen, singular = (of(matrix, clean.shape) for of in (jacobian.eigenbasis_of, jacobian.singular_basis_of))
    return {
        "shrinkage": eigen.shrinkage,
        "singular_values": singular.values,
        "coefficients": jnp.abs(geometry.coefficients(eigen.vectors, clean)),
        "vectors": eigen.vectors[:_NUM_VECTORS],
        "trace": jnp.trace(matrix),
        "preserved": geometry.preserved_energy(eigen.vectors, eigen.shrinkage, clean),
        "oracle": geometry.oracle_mse(eigen.vectors, clean, sigma=sigma) * clean.size / sigma**2,
        "asymmetry": eigen.asymmetry,
        "overlap": geometry.overlap(eigen.vectors[:_NUM_VECTORS], singular.left[:_NUM_VECTORS]),
        **measure(eigen, clean),
    }


def localisation(vectors: Array, clean: Array, key: Key, *, where: Array) -> dict[str, Array]:
    """Where vectors have their energy: mean share on contours, the same on shifted contours, and mean extent.

    `where` (k,) says which vectors count.
    """
    mask = geometry.contour_mask(clean)
    share = lambda mask: geometry.contour_share(vectors, mask).mean(where=where)
    controls = jax.random.split(key, _NUM_CONTROLS)
    return {
        "contour": share(mask),
        "contour_control": jax.lax.map(lambda each: share(geometry.shifted_mask(each, mask)), controls).mean(),
        "participation": geometry.participation_ratio(vectors).mean(where=where),
    }


def basis_checks(arrays: Arrays, name: str) -> list[Check]:
    """What is said of every basis: how far from symmetric, and what the two decompositions differ in."""
    eigen, singular = (arrays[f"{name}/{quantity}"] for quantity in ("shrinkage", "singular_values"))
    number, equal = min(_NUM_VECTORS, singular.shape[1]), "equal where symmetric"
    both = lambda measure: {"eigenvalues": measure(eigen), "singular values": measure(singular)}
    kept, largest = both(lambda values: spread((values > 0.5).sum(1))), both(lambda values: float(values[:, 0].mean()))
    return [
        Check(f"{name}: asymmetry |J - J^T| / |J|", {"exact MMSE": 0}, spread(arrays[f"{name}/asymmetry"])),
        Check(f"{name}: eigenvalues, singular values above 1/2", equal, kept),
        Check(f"{name}: largest eigenvalue, singular value", equal, largest),
        Check(
            f"{name}: overlap of {number} leading eigen- and left singular vectors",
            {"symmetric": 1, "chance": number / singular.shape[1]},
            spread(arrays[f"{name}/overlap"]),
        ),
    ]


def spread(values: np.ndarray) -> Number:
    """Mean and its standard error over images; one value alone has none."""
    if len(values) < 2:
        return float(values[0])
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))))


def draw_bases(
    arrays: Arrays,
    labels: Mapping[str, str],
    draw_third: Callable[[Any], None],
    *,
    title: str = "",
    note: Mapping[str, str] | None = None,
):
    """Figure: a row of images and leading eigenvectors per network; decay of factors and coefficients, and one panel.

    Args:
      arrays: "NAME/quantity" from `basis_arrays`.
      labels: name of a network -> what to call it.
      draw_third: draws the third panel on its axes.
      title: of the figure.
      note: name of a network -> what to add above its row.
    """
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 2.9 + 1.55 * len(labels)), layout="constrained")
        figure.suptitle(title)
        *rows, below = figure.subfigures(len(labels) + 1, 1, height_ratios=[1.55] * len(labels) + [2.7])
        for row, (name, label) in zip(rows, labels.items(), strict=True):
            _draw_row(row, arrays, name, label + (note or {}).get(name, ""))
        factors, coefficients, third = below.subplots(1, 3)
        _draw_decay(factors, coefficients, arrays, labels)
        draw_third(third)
    return figure


def _draw_row(figure, arrays: Arrays, name: str, label: str) -> None:
    figure.suptitle(f"{label}: image, and leading eigenvectors with their eigenvalues", fontsize=8)
    images, vectors = figure.subfigures(1, 2, width_ratios=(3, 5.4))
    stages = {kind: arrays[f"{name}/{kind}"] for kind in ("clean", "noisy", "denoised")}
    draw_stages(images.subplots(1, 3), stages, rf"$\sigma$ = {arrays[f'{name}/sigma']:g}", fontsize=7)
    values = arrays[f"{name}/shrinkage"][0]
    for k, axes in enumerate(vectors.subplots(2, _NUM_VECTORS // 2).flat):
        draw_vector(axes, arrays[f"{name}/vectors"][0][k], f"{k + 1}: {values[k]:.2f}", fontsize=6.5, pad=1.5)


def _draw_decay(factors, coefficients, arrays: Arrays, labels: Mapping[str, str]) -> None:
    for (name, label), colour in zip(labels.items(), COLOURS * len(labels), strict=False):
        get = {kind: arrays[f"{name}/{kind}"].mean(0) for kind in ("shrinkage", "singular_values", "coefficients")}
        numbers = np.arange(1, len(get["shrinkage"]) + 1)
        factors.plot(numbers, get["shrinkage"], color=colour, label=label)
        factors.plot(numbers, get["singular_values"], ":", color=colour, lw=1)
        coefficients.plot(*_in_bins(numbers, get["coefficients"]), color=colour, label=label)
    factors.plot([], [], ":", color="grey", lw=1, label="singular values")
    factors.axhline(0, color="grey", lw=0.6)
    factors.set(xscale="log", xlabel="number $k$", title="Shrinkage factors")
    coefficients.set(xscale="log", yscale="log", xlabel="number $k$", title=r"Coefficients $|\langle x, e_k \rangle|$")
    factors.legend()


def _in_bins(numbers: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Geometric means in bins of equal width on a logarithmic axis, one value each at its start."""
    edges = np.unique(np.geomspace(1, len(numbers) + 1, _NUM_BINS).astype(int))
    parts = np.split(np.arange(len(numbers)), edges[1:-1] - 1)
    logarithms = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    return tuple(np.exp([each[part].mean() for part in parts]) for each in (np.log(numbers), logarithms))


def draw_curves(axes, levels: np.ndarray, curves: Sequence[tuple[np.ndarray, str, str, str | None]]) -> None:
    """PSNR curves (values, format, colour, label or None) on one pair of axes, with the noisy image's own."""
    for values, style, colour, label in curves:
        axes.plot(levels, values, style, ms=2.5, color=colour, label=label)
    axes.plot(levels, levels, color="grey", lw=0.8, label="noisy image")
    axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)", title="Denoising")
    axes.legend()
