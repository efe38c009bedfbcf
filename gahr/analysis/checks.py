"""What analyses refuse: images, denoisers, counts and noise levels they cannot use."""

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import require
from gahr.types import Array, Denoiser


def check_image(denoiser: Denoiser, noisy: Array, **counts: int | None) -> Array:
    """The image as a JAX array; ValueError unless it is floating-point (H, W, C) and the denoiser keeps its shape.

    NaN and infinite intensities are errors where the values are known, that is where no transformation varies them.
    `counts` are options by name, at least 1 or None.
    """
    if noisy.ndim != 3:
        raise ValueError(f"expected one image (H, W, C), got shape {noisy.shape}; use vmap for several")
    if not jnp.issubdtype(noisy.dtype, jnp.floating):
        raise ValueError(f"expected floating-point intensities in [0, 1], got dtype {noisy.dtype}")
    if not known_finite(noisy):
        raise ValueError("the image holds NaN or infinite intensities")
    out = jax.eval_shape(denoiser, noisy)
    if getattr(out, "shape", None) != noisy.shape:
        raise ValueError(f"the denoiser maps shape {noisy.shape} to {getattr(out, 'shape', out)}; it must keep it")
    for name, count in counts.items():
        require(count is None or count >= 1, name, count, "at least 1")
    return jnp.asarray(noisy)


def check_images(denoiser: Denoiser, images: Array, **counts: int | None) -> Array:
    """The images as a JAX array; ValueError unless they are floating-point (N, H, W, C) and kept in shape.

    NaN, infinite intensities and `counts`: as `check_image`, in all images.
    """
    if images.ndim != 4 or not len(images):
        raise ValueError(f"expected images (N, H, W, C), got shape {images.shape}; a single one needs image[None]")
    check_image(denoiser, images[0], **counts)
    if not known_finite(images):
        finite = np.isfinite(np.asarray(images)).all((1, 2, 3))
        raise ValueError(f"image {np.argmin(finite)} of {len(finite)} holds NaN or infinite intensities")
    return jnp.asarray(images)


def check_levels(sigmas: Array, *, increasing: bool = False) -> Array:
    """Noise levels (S,) as a JAX array; ValueError for fewer than two, or where they must increase and do not."""
    if np.ndim(sigmas) != 1 or len(sigmas) < 2:
        raise ValueError(f"two noise levels (S,) are needed at least, got shape {np.shape(sigmas)}")
    if increasing and not isinstance(sigmas, jax.core.Tracer) and not np.all(np.diff(np.asarray(sigmas)) > 0):
        raise ValueError("the noise levels must increase")
    return jnp.asarray(sigmas)


def known_finite(values: Array) -> bool:
    """Whether all are finite; True also where a transformation varies them, so that they are not known."""
    # by numpy: inside of jit, what jax.numpy makes of known values is traced
    return isinstance(values, jax.core.Tracer) or bool(np.isfinite(np.asarray(values)).all())
