"""Numbers for what a basis looks like: which part of an image it holds, and how harmonic and localised it is.

`vectors` are (k, H, W, C), orthonormal, in the order of falling shrinkage; `clean` is one image (H, W, C). Shapes that
do not fit are a ValueError.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import rankdata

from gahr.types import Array, Key


def coefficients(vectors: Array, clean: Array) -> Array:
    """<x, e_k>, (k,), image units times sqrt(d). Signs are arbitrary, as those of the vectors."""
    _check_image(clean, vectors)
    return _rows(vectors) @ clean.ravel()


def preserved_energy(vectors: Array, shrinkage: Array, clean: Array, *, above: float = 0.5) -> Array:
    """Share () of |x|^2 in the span of the e_k with shrinkage above a value.

    1 where the image lies in the preserved subspace; a random subspace of m of d dimensions holds m / d.
    """
    if shrinkage.shape != vectors.shape[:1]:
        raise ValueError(f"{len(vectors)} shrinkage factors are needed, got shape {shrinkage.shape}")
    kept = jnp.where(shrinkage > above, coefficients(vectors, clean) ** 2, 0)
    return kept.sum() / jnp.sum(clean**2)


def oracle_mse(vectors: Array, clean: Array, *, sigma: float) -> Array:
    """Mean squared error per pixel () of the best shrinkage in a complete basis, which knows the image.

    sum_k sigma^2 c_k^2 / (c_k^2 + sigma^2) / d with c_k = <x, e_k>.
    """
    energy = coefficients(vectors, clean) ** 2
    return jnp.sum(sigma**2 * energy / (energy + sigma**2)) / clean.size


def threshold_mse(vectors: Array, clean: Array, *, sigma: float) -> Array:
    """Mean squared error per pixel () of the best projection, sum_k min(c_k^2, sigma^2) / d.

    Between 1 and 2 times `oracle_mse`.
    """
    return jnp.sum(jnp.minimum(coefficients(vectors, clean) ** 2, sigma**2)) / clean.size


def principal_cosines(vectors: Array, others: Array) -> Array:
    """Cosines of the principal angles between two subspaces, descending, (min(k, l),).

    Their mean square is the overlap: 1 for equal subspaces, k / d for a fixed and a random one.

    Args:
      vectors, others: (k, H, W, C) and (l, H, W, C) that span them; they need not be orthonormal.
    """
    rows = [_rows(span) for span in (vectors, others)]
    if vectors.shape[1:] != others.shape[1:]:
        raise ValueError(f"vectors of one shape are needed, got {vectors.shape} and {others.shape}")
    with jax.default_matmul_precision("highest"):
        bases = [jnp.linalg.qr(span.T)[0] for span in rows]
        return jnp.minimum(jnp.linalg.svd(bases[0].T @ bases[1], compute_uv=False), 1)


def overlap(vectors: Array, others: Array) -> Array:
    """Mean squared cosine of the principal angles between two subspaces, in [0, 1]."""
    return jnp.mean(principal_cosines(vectors, others) ** 2)


def mean_frequency(vectors: Array) -> Array:
    """Power-weighted mean of |frequency| of each vector, (k,), cycles per pixel.

    A Fourier basis vector has its own frequency; white noise 0.383, the mean over the square [-1/2, 1/2)^2.
    """
    _rows(vectors)
    power = jnp.sum(jnp.abs(jnp.fft.fft2(vectors, axes=(1, 2))) ** 2, -1)
    rows, columns = (np.fft.fftfreq(side) for side in vectors.shape[1:3])
    return jnp.sum(power * np.hypot(rows[:, None], columns)[None], (1, 2)) / jnp.sum(power, (1, 2))


def rank_correlation(values: Array, others: Array) -> Array:
    """Spearman's rank correlation of two sequences (k,), equal values with their mean rank; NaN where all are equal.

    Of `mean_frequency` with k: 1 where frequency rises along the basis as in a Fourier basis ordered by it, 0 on
    average for white noise.
    """
    if values.ndim != 1 or values.shape != others.shape or len(values) < 2:
        raise ValueError(f"two sequences (k,) of one length, k >= 2, are needed, got {values.shape} and {others.shape}")
    return jnp.corrcoef(*(rankdata(sequence) for sequence in (values, others)))[0, 1]


def participation_ratio(vectors: Array) -> Array:
    """1 / (d sum_i v_i^4) of each vector scaled to norm 1, (k,): the share of pixels it occupies.

    1 for a constant, 2/3 for a wave along one axis or any other one real wave, 1/3 for white noise, 1/d for one
    pixel.
    """
    rows = _rows(vectors)
    return jnp.sum(rows**2, 1) ** 2 / (rows.shape[1] * jnp.sum(rows**4, 1))


def contour_mask(clean: Array, *, share: float = 0.2) -> Array:
    """Pixels (H, W) with the largest gradient of the image: the given share of them."""
    _check_image(clean)
    strength = jnp.hypot(*_gradient(clean.sum(-1)))
    return strength > jnp.quantile(strength, 1 - share)


def contour_share(vectors: Array, mask: Array) -> Array:
    """Share of |e_k|^2 on a mask of pixels (H, W), (k,); the mask's own share for a wave or white noise."""
    if vectors.ndim != 4 or vectors.shape[1:3] != mask.shape:
        raise ValueError(f"vectors (k, H, W, C) and a mask (H, W) are needed, got {vectors.shape} and {mask.shape}")
    energy = jnp.sum(vectors**2, -1)
    return jnp.sum(energy * mask[None], (1, 2)) / jnp.sum(energy, (1, 2))


def shifted_mask(key: Key, mask: Array) -> Array:
    """The mask moved by a random periodic shift: a control for `contour_share` with the same shape and size."""
    rows, columns = jax.random.randint(key, (2,), 0, jnp.array(mask.shape))
    return jnp.roll(mask, (rows, columns), (0, 1))


def orientation_agreement(vectors: Array, clean: Array) -> Array:
    """Mean of cos 2 (angle between the vector's and the image's gradient), (k,), weighted with both strengths.

    1 where a vector varies across the contours only (wave vector along the normal), -1 where it varies along them
    only (along the tangent), 0 for white noise and for a wave that crosses contours of all directions.
    """
    _check_image(clean, vectors)
    down, right = _gradient(clean.sum(-1))
    strength = jnp.hypot(down, right)
    cos_image = (right**2 - down**2) / jnp.where(strength > 0, strength, 1)  # |gradient| cos 2 angle
    sin_image = 2 * right * down / jnp.where(strength > 0, strength, 1)

    def agreement(vector: Array) -> Array:
        down, right = _gradient(vector.sum(-1))
        product = (right**2 - down**2) * cos_image + 2 * right * down * sin_image
        return jnp.sum(product) / jnp.sum((right**2 + down**2) * strength)

    return jax.vmap(agreement)(vectors)


def _gradient(image: Array) -> tuple[Array, Array]:
    """Central differences down and right, (H, W) each; 0 on the border, where there are none."""
    inner = (image[2:, 1:-1] - image[:-2, 1:-1]) / 2, (image[1:-1, 2:] - image[1:-1, :-2]) / 2
    return tuple(jnp.pad(difference, 1) for difference in inner)


def _check_image(clean: Array, vectors: Array | None = None) -> None:
    if clean.ndim != 3 or (vectors is not None and vectors.shape[1:] != clean.shape):
        others = "" if vectors is None else f" for vectors {vectors.shape}"
        raise ValueError(f"one image (H, W, C) is needed, got shape {clean.shape}{others}")


def _rows(vectors: Array) -> Array:
    if vectors.ndim != 4:
        raise ValueError(f"vectors (k, H, W, C) are needed, got shape {vectors.shape}; a single one needs vector[None]")
    return vectors.reshape(len(vectors), -1)
