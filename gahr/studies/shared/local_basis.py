"""What studies of bases share: bases at a few images, every image in all of them, and what is said of both."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import noise
from gahr.analysis import adaptivity, geometry, jacobian
from gahr.classical import cosines, wavelets
from gahr.classical.analytic import fit_gaussian
from gahr.denoiser import as_argument, at
from gahr.studies.shared.measures import curve_of_told, denoise, whole_jacobian
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Estimate, Limit, Number
from gahr.studies.shared.style import NULLS
from gahr.types import Array, Denoiser, Key, NoiseDenoiser, Progress, Sharding

NUM_VECTORS = 10  # kept, and compared between the two decompositions
KINDS = {"left": "left singular vectors", "eigen": "eigenvectors", "right": "right singular vectors"}
_NUM_NULL_BASES = 2  # images whose Jacobian is decomposed for a null denoiser

# of both bases at one image and that image, traced
Measure = Callable[[jacobian.Eigenbasis, jacobian.SingularBasis, Array], dict[str, Any]]


def fixed_bases(shape: tuple[int, int, int], *, images: Array | None = None) -> dict[str, Array]:
    """Complete bases (d, H, W, C) that are the same for all images; the principal vectors of `images` (N, H, W, C)."""
    found = {} if images is None else {"PCA": _principal(images)}
    found["cosines"] = cosines.basis(shape)
    return found | ({"wavelets": wavelets.basis(shape)} if shape[0] % 2 == shape[1] % 2 == 0 else {})


@jax.jit
def _principal(images: Array) -> Array:
    return fit_gaussian(images, centred=False)[2]


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
    nulls: Mapping[str, NoiseDenoiser] | None = None,
    fixed: Mapping[str, Array] | None = None,
    measure: Measure = lambda eigen, singular, clean: {},
    sharding: Sharding | None = None,
) -> dict[str, Array]:
    """PSNR curve of a denoiser, the basis that it shrinks in at each of some images, and every image in all of them.

    Args:
      name: of the denoiser; shown as what is being worked on.
      noise_denoiser: (noisy, sigma) -> denoised.
      key: random key of the noise.
      clean: images (N, H, W, C).
      sigma: noise level of the bases, image units.
      sigmas: those of the curve (S,).
      num_bases: n, images whose whole Jacobian is decomposed, the first of the N.
      progress: shows the state and asks for stops.
      nulls: null denoisers by name.
      fixed: bases (d, H, W, C) that are the same for all images, by name.
      measure: what else to find out about each basis.
      sharding: how images, and the columns of a Jacobian, are spread over devices.

    Returns:
      Arrays named "NAME/quantity". One value per image: psnr (N, S), what `bases_at` finds, and the dimension of the
      image in a fixed basis, "fixed/BASIS" (n,); sigma; and the first image: clean, noisy, denoised (H, W, C). Of each
      null "nulls/WHO/psnr" and what `bases_at` finds at the first 2 images.
    """
    denoiser, images = at(noise_denoiser, sigma), clean[:num_bases]
    noisy = noise.add_noise(key, images, sigma)
    options = dict(sigma=sigma, progress=progress, measure=measure, sharding=sharding)
    curve = lambda each: curve_of_told(as_argument(each), key, clean, sigmas, sharding=sharding)
    arrays = bases_at(denoiser, images, noisy, note=name, **options) | {
        "psnr": curve(noise_denoiser),
        "sigma": jnp.asarray(sigma),
        "clean": clean[0],
        "noisy": noisy[0],
        "denoised": denoise(denoiser, noisy[0]),
    }
    for kind, vectors in (fixed or {}).items():
        arrays[f"fixed/{kind}"] = adaptivity.dimension(vectors, images, sigma=sigma)
    for who, null in (nulls or {}).items():
        arrays[f"nulls/{who}/psnr"] = curve(null)
        progress.check()
        found = bases_at(at(null, sigma), images, noisy, note=f"{name}, {who}", number=_NUM_NULL_BASES, **options)
        arrays |= {f"nulls/{who}/{quantity}": values for quantity, values in found.items()}
    return {f"{name}/{quantity}": value for quantity, value in arrays.items()}


def bases_at(
    denoiser: Denoiser,
    clean: Array,
    noisy: Array,
    *,
    sigma: float,
    progress: Progress,
    note: str = "",
    number: int | None = None,
    measure: Measure = lambda eigen, singular, clean: {},
    sharding: Sharding | None = None,
) -> dict[str, Array]:
    """Bases at images (n, H, W, C), and every image in all of them.

    `number` is that of the images, from the first, that are looked at; all where None. The other arguments are those of
    `basis_arrays`.

    Returns:
      Arrays with one value per image: shrinkage, singular_values, coefficients |<x, u_k>| in the left singular vectors,
      swapped_coefficients (those of the other images in the mean), eigen_coefficients (n, d), eigen_vectors,
      left_vectors (n, 10, H, W, C), linear (J y) and projection (of the first image on the leading d / 16 left singular
      vectors) (n, H, W, C), trace, preserved, oracle (dimension: least error of a shrinkage in the eigenbasis over
      sigma^2), asymmetry, overlap (of the 10 leading eigenvectors and left singular vectors), participation of the
      left singular vectors above 1/2 (n,), what `measure` finds. Of image i and the basis of image j, (n, n):
      "KIND/dimension", "KIND/beyond", of d / 16 vectors, and "KIND/mse", as `gahr.analysis.adaptivity`, and
      "KIND/contour", the share of the energy of vectors above 1/2 on the contours of image i.
    """
    images, found = slice(0, number), []
    for j in range(len(clean[images])):
        progress.check()
        matrix = whole_jacobian(denoiser, noisy[j], progress, sharding=sharding)
        found.append(_describe(as_argument(measure), matrix, clean, noisy, j, sigma))
        progress.update(f"{note}: bases", j + 1, len(clean[images]))
    own, columns = jax.tree.map(lambda *values: jnp.stack(values), *found)
    return own | {quantity: values.T[images] for quantity, values in columns.items()}


@jax.jit
def _describe(
    measure: Measure, matrix: Array, clean: Array, noisy: Array, j: Array, sigma: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What `bases_at` says of the basis at image j: of that image, and of all images (n,) in it."""
    shape, size = clean.shape[1:], clean[0].size
    eigen, singular = (of(matrix, shape) for of in (jacobian.eigenbasis_of, jacobian.singular_basis_of))
    energy = jax.vmap(lambda image: geometry.coefficients(singular.left, image) ** 2)(clean)  # (n, d)
    others = jnp.arange(len(clean)) != j
    leading = eigen.vectors[:NUM_VECTORS], singular.left[:NUM_VECTORS]
    rows = singular.left[: size // 16]
    projection = jnp.einsum("k,khwc->hwc", geometry.coefficients(rows, clean[0]), rows)
    own = {
        "shrinkage": eigen.shrinkage,
        "singular_values": singular.values,
        "coefficients": jnp.sqrt(energy[j]),
        "swapped_coefficients": jnp.sqrt(energy).mean(0, where=others[:, None]),
        "eigen_coefficients": jnp.abs(geometry.coefficients(eigen.vectors, clean[j])),
        "eigen_vectors": leading[0],
        "left_vectors": leading[1],
        "linear": (matrix @ noisy[j].ravel()).reshape(shape),
        "projection": projection,
        "trace": jnp.trace(matrix),
        "preserved": geometry.preserved_energy(eigen.vectors, eigen.shrinkage, clean[j]),
        "oracle": geometry.oracle_mse(eigen.vectors, clean[j], sigma=sigma) * size / sigma**2,
        "asymmetry": eigen.asymmetry,
        "overlap": geometry.overlap(*leading),
        "participation": geometry.participation_ratio(singular.left).mean(where=kept(singular.values)),
        **measure(eigen, singular, clean[j]),
    }
    columns = {}
    for kind, found in adaptivity.in_bases(eigen, singular, clean, noisy, sigma=sigma, k=size // 16).items():
        columns |= {f"{kind}/{field}": value for field, value in found._asdict().items()}
    for kind, vectors, values in (
        ("eigen", eigen.vectors, eigen.shrinkage),
        ("left", singular.left, singular.values),
        ("right", singular.right, singular.values),
    ):
        columns[f"{kind}/contour"] = on_contours(vectors, clean, where=kept(values))
    return own, columns


def kept(values: Array) -> Array:
    """Which factors (d,), descending, are above 1/2; the first in any case."""
    return (values > 0.5).at[0].set(True)


def on_contours(vectors: Array, clean: Array, *, where: Array) -> Array:
    """Mean share of vectors' energy on the contours of each image, (n,); `where` (d,) says which vectors count."""
    share = lambda image: geometry.contour_share(vectors, geometry.contour_mask(image)).mean(where=where)
    return jax.lax.map(share, clean)


def basis_checks(arrays: Arrays, name: str) -> list[Check]:
    """What is said of every basis: how far from symmetric, and what the two decompositions differ in."""
    eigen, singular = (arrays[f"{name}/{quantity}"] for quantity in ("shrinkage", "singular_values"))
    leading, equal = min(NUM_VECTORS, singular.shape[1]), "equal where symmetric"
    both = lambda measure: {"eigenvalues": measure(eigen), "singular values": measure(singular)}
    above, largest = both(lambda values: spread((values > 0.5).sum(1))), both(lambda values: float(values[:, 0].mean()))
    return [
        Check(f"{name}: asymmetry |J - J^T| / |J|", {"exact MMSE": 0}, spread(arrays[f"{name}/asymmetry"])),
        Check(f"{name}: eigenvalues, singular values above 1/2", equal, above),
        Check(f"{name}: largest eigenvalue, singular value", equal, largest),
        Check(
            f"{name}: overlap of {leading} leading eigen- and left singular vectors",
            {"symmetric": 1, "chance": leading / singular.shape[1]},
            spread(arrays[f"{name}/overlap"]),
        ),
    ]


def swap_checks(arrays: Arrays, name: str, *, swapped: Limit = None, contours: Limit = None) -> list[Check]:
    """What swapping images says of a basis: an image in another image's basis over the same in its own.

    Args:
      arrays: of `basis_arrays`.
      name: of the denoiser.
      swapped: mark for the dimension in left singular vectors, swapped over own, at least.
      contours: mark for the energy of left singular vectors on contours, swapped over own, at most.

    Returns:
      List of Check. A fixed linear denoiser has 1 in all that is swapped over own.
    """
    fixed = {key.split("/")[-1]: values for key, values in arrays.items() if key.startswith(f"{name}/fixed/")}
    nulls = {key.split("/")[2] for key in arrays if key.startswith(f"{name}/nulls/") and key.endswith("/dimension")}
    of = lambda quantity, who="": adaptivity.summary(arrays[f"{name}/{who}{quantity}"])

    def ratio(line: str, quantity: str, mark: AtLeast | None = None) -> Check:
        found = {who: number(of(quantity, f"nulls/{who}/").ratio) for who in NULLS if who in nulls}
        return Check(f"{name}: {line}", {"fixed": 1}, number(of(quantity).ratio), mark, found)

    checks = []
    for kind, title in KINDS.items():
        found = adaptivity.summary(arrays[f"{name}/{kind}/dimension"], fixed=fixed)
        beside = {"another's": number(found.swapped)}
        if kind == "left":
            beside |= {basis: number(mean) for basis, mean in found.fixed.items()}
        marks = (AtLeast(swapped), AtMost(contours)) if kind == "left" else (None, None)
        checks += [
            Check(f"{name}: dimension of an image in its own {title}", beside, number(found.own)),
            ratio(f"dimension in another's / own {title}", f"{kind}/dimension", marks[0]),
            ratio(f"energy on another's / own contours, {title}", f"{kind}/contour", marks[1]),
        ]
    beyond, first = of("left/beyond"), arrays[f"{name}/clean"].size // 16
    line = f"{name}: share of |x|^2 beyond {first} of its own left singular vectors"
    checks += [
        Check(line, {"another's": number(beyond.swapped)}, number(beyond.own)),
        ratio("error of D(y) with J of another's / own image", "left/mse"),
    ]
    return checks


def null_psnr(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """PSNR (N, S) of the nulls of a network by name."""
    found = {who: arrays.get(f"{name}/nulls/{who}/psnr") for who in NULLS}
    return {who: values for who, values in found.items() if values is not None}


def number(mean: adaptivity.Mean) -> Estimate:
    """What a check holds of a mean; two images are too few for an error."""
    return Estimate(float(mean.mean), float(mean.standard_error) if np.isfinite(mean.standard_error) else None)


def spread(values: np.ndarray) -> Number:
    """Mean and its standard error over images; one value alone has none."""
    if len(values) < 2:
        return float(values[0])
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))))
