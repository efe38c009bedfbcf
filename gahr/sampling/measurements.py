"""Linear measurements of images: what is measured, and back from it, as pairs of functions.

Each has orthonormal M (d, m): c = M^T x is measured, the projector on what is measured is P = M M^T. Those of
Kadkhodaie and Simoncelli (2020), arXiv:2007.13640, section 3, and any matrix.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.denoiser import as_argument
from gahr.names import require, require_whole
from gahr.types import Array, Key, with_options

Shape = tuple[int, int, int]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Measurement:
    """Two functions of images with any leading axes, and the size of the images; a pytree if the functions are."""

    measure: Callable[[Array], Array]  # images (..., H, W, C) -> c = M^T x, (..., *observation)
    adjoint: Callable[[Array], Array]  # c -> M c, (..., H, W, C): the pseudo-inverse
    shape: Shape = dataclasses.field(metadata=dict(static=True))  # (H, W, C)

    def project(self, images: Array) -> Array:
        """P x, shape of the images."""
        return self.adjoint(self.measure(images))

    def as_argument(self) -> "Measurement":
        """The same as a pytree, whatever its functions are."""
        return dataclasses.replace(self, measure=as_argument(self.measure), adjoint=as_argument(self.adjoint))

    def check(self, observed: Array) -> Array:
        """c (N, ...) of one image each; ValueError if it cannot be that of images of this size."""
        expected = jax.eval_shape(self.measure, jax.ShapeDtypeStruct(self.shape, jnp.float32)).shape
        if observed.shape[1:] != expected:
            sides = ", ".join(map(str, expected))
            raise ValueError(f"observed must be (N, {sides}) for images {self.shape}, got shape {observed.shape}")
        return observed


def nothing(shape: Shape) -> Measurement:
    """No value of the images (H, W, C) is known."""
    return pixels(np.zeros(shape, bool))


def pixels(mask: np.ndarray) -> Measurement:
    """The values where the mask (H, W, C) is true, (..., m); the others are zero in M c."""
    return _picked(_identity, mask)


def hole(shape: Shape, *, side: int, centre: tuple[int, int] | None = None) -> Measurement:
    """All values but those of a square of `side` pixels about `centre`, row and column; the middle where None.

    Raises:
      ValueError: a side that is longer than the images', or a centre outside of them.
    """
    height, width, _ = shape
    require_whole("side", side, most=min(height, width))
    middle = (height // 2, width // 2) if centre is None else tuple(centre)
    require(len(middle) == 2, "centre", middle, "a row and a column")
    for word, number, length in zip(("row", "column"), middle, (height, width), strict=True):
        require_whole(f"{word} of the centre", number, least=0, most=length - 1)
    rows, columns = (slice(max(0, number - side // 2), number - side // 2 + side) for number in middle)
    mask = np.ones(shape, bool)
    mask[rows, columns] = False
    return pixels(mask)


def random_pixels(key: Key, shape: Shape, *, fraction: float = 0.1) -> Measurement:
    """floor(fraction H W C) of the values (H, W, C), of each channel on its own, drawn without replacement."""
    number = _number(shape, fraction)
    chosen = np.asarray(jax.random.permutation(key, shape[0] * shape[1] * shape[2]))[:number]
    mask = np.zeros(shape, bool)
    mask.flat[chosen] = True
    return pixels(mask)


def block_means(shape: Shape, *, factor: int = 4) -> Measurement:
    """Super-resolution: sums over squares of factor x factor pixels, divided by factor.

    c is (..., H / factor, W / factor, C).
    """
    height, width, _ = shape
    require_whole("factor", factor)
    if height % factor or width % factor:
        raise ValueError(f"factor must divide the sides {height} and {width} of the images, got {factor}")
    return Measurement(with_options(_sums, factor=factor), with_options(_spread, factor=factor), tuple(shape))


def frequencies(mask: np.ndarray) -> Measurement:
    """Coefficients of the frequencies where the mask (H, W, C), in the order of `np.fft.fft2`, is true, (..., m).

    They are real, those of Hartley's transform Re F - Im F, which is orthonormal and its own inverse: with a frequency
    the mask must hold the opposite one, or P would not be that of Fourier coefficients.
    """
    opposite = np.roll(np.asarray(mask)[::-1, ::-1], 1, axis=(0, 1))
    require(np.array_equal(mask, opposite), "mask", "a mask that is not", "symmetric: with a frequency its opposite")
    return _picked(_hartley, mask)


def low_pass(shape: Shape, *, fraction: float = 0.1) -> Measurement:
    """The lowest frequencies |k| <= K of both axes, 2 K + 1 the odd number nearest to sqrt(fraction) of each side.

    Spectral super-resolution. The published mask lacks the frequencies +K and is no projector.
    """
    require(0 < fraction <= 1, "fraction", fraction, "above 0 and at most 1")
    near = [abs(np.fft.fftfreq(n, 1 / n)) <= round((n * fraction**0.5 - 1) / 2) for n in shape[:2]]
    return frequencies(np.broadcast_to((near[0][:, None] & near[1][None])[..., None], shape))


def random_basis(key: Key, shape: Shape, *, fraction: float = 0.1) -> Measurement:
    """Inner products (..., m) with m = floor(fraction H W C) random orthonormal images. Compressive sensing.

    The images take 4 d m bytes: 6.7 MB for 64 x 64 at a tenth, 1.7 GB for 256 x 256.
    """
    size = shape[0] * shape[1] * shape[2]
    columns = jnp.linalg.qr(jax.random.normal(key, (size, _number(shape, fraction))))[0]
    return _inner_products(columns, shape)


def matrix(rows: Array, shape: Shape, *, tolerance: float = 1e-5) -> tuple[Measurement, Partial]:
    """Any matrix A (m, d), d = H W C, also of low rank, and what makes c of its values b = A x.

    With A = U S V^T, M holds the columns of V of singular values above `tolerance` times the largest, and
    c = S^-1 U^T b. Noise of level s in b has the level s / S_k in c_k.

    Returns:
      Measurement, and function b (..., m) -> c.

    Raises:
      ValueError: rows of another length than the images have values.
    """
    size = shape[0] * shape[1] * shape[2]
    if rows.ndim != 2 or rows.shape[1] != size:
        raise ValueError(f"rows must be (m, {size}) for images {tuple(shape)}, got shape {rows.shape}")
    left, values, right = np.linalg.svd(np.asarray(rows, np.float64), full_matrices=False)
    kept = values > tolerance * values[0]
    inverse = jnp.asarray(left[:, kept] / values[kept], jnp.float32)
    return _inner_products(jnp.asarray(right[kept].T, jnp.float32), shape), Partial(_times, inverse)


def deblurring(shape: Shape, *, kernel: np.ndarray, threshold: float = 0.1) -> tuple[Measurement, Partial]:
    """The frequencies that a known blur keeps, and what makes c of blurred images (..., H, W, C).

    Args:
      shape: (H, W, C).
      kernel: of the periodic convolution, (H, W), its centre at [0, 0].
      threshold: frequencies where the kernel's spectrum is above it are kept; noise of level s in the blurred image
        is at most s / threshold in c.

    Raises:
      ValueError: a kernel of another shape, or one that keeps nothing.
    """
    require(np.shape(kernel) == tuple(shape[:2]), "kernel", np.shape(kernel), f"of shape {tuple(shape[:2])}")
    spectrum = np.fft.fft2(kernel)
    kept = np.abs(spectrum) > threshold
    require(kept.any(), "threshold", threshold, f"below the largest gain {np.abs(spectrum).max():g} of the kernel")
    measurement = frequencies(np.broadcast_to(kept[..., None], shape))
    gains = np.where(kept, 1 / np.where(kept, spectrum, 1), 0)[..., None]
    return measurement, Partial(_sharpened, measurement.measure, jnp.asarray(gains, jnp.complex64))


MEASUREMENTS = {  # name -> function of (H, W, C) and options, of those that draw also of a key before them
    "nothing": nothing,
    "hole": hole,
    "random_pixels": random_pixels,
    "block_means": block_means,
    "low_pass": low_pass,
    "random_basis": random_basis,
}


def _number(shape: Shape, fraction: float) -> int:
    number = int(shape[0] * shape[1] * shape[2] * fraction)
    require(0 < fraction <= 1 and number > 0, "fraction", fraction, "above 0 and at most 1, and of one value at least")
    return number


def _identity(images: Array) -> Array:
    return images


def _hartley(images: Array) -> Array:
    spectrum = jnp.fft.fft2(images, axes=(-3, -2), norm="ortho")
    return spectrum.real - spectrum.imag


def _picked(transform: Callable[[Array], Array], mask: np.ndarray) -> Measurement:
    """Some coefficients (H, W, C) of a transform that is orthonormal and its own inverse."""
    mask = np.asarray(mask)
    require(mask.ndim == 3 and mask.dtype == bool, "mask", f"{mask.dtype} {mask.shape}", "bool (H, W, C)")
    chosen, shape = jnp.asarray(np.flatnonzero(mask)), mask.shape
    place = with_options(_place, chosen, transform=transform, shape=shape)
    return Measurement(with_options(_pick, chosen, transform=transform), place, shape)


def _pick(chosen: Array, images: Array, *, transform: Callable[[Array], Array]) -> Array:
    return transform(images).reshape(*images.shape[:-3], -1)[..., chosen]


def _place(chosen: Array, observed: Array, *, transform: Callable[[Array], Array], shape: Shape) -> Array:
    lead = observed.shape[:-1]
    coefficients = jnp.zeros((*lead, shape[0] * shape[1] * shape[2]), observed.dtype).at[..., chosen].set(observed)
    return transform(coefficients.reshape(*lead, *shape))


def _sums(images: Array, *, factor: int) -> Array:
    *lead, height, width, channels = images.shape
    blocks = images.reshape(*lead, height // factor, factor, width // factor, factor, channels)
    return blocks.sum((-4, -2)) / factor


def _spread(observed: Array, *, factor: int) -> Array:
    return jnp.repeat(jnp.repeat(observed, factor, -3), factor, -2) / factor


def _inner_products(columns: Array, shape: Shape) -> Measurement:
    shape = tuple(shape)
    return Measurement(Partial(_along, columns), with_options(_combined, columns, shape=shape), shape)


def _along(columns: Array, images: Array) -> Array:
    return jnp.matmul(images.reshape(*images.shape[:-3], -1), columns, precision="highest")


def _combined(columns: Array, observed: Array, *, shape: Shape) -> Array:
    return jnp.matmul(observed, columns.T, precision="highest").reshape(*observed.shape[:-1], *shape)


def _times(matrix: Array, values: Array) -> Array:
    return jnp.matmul(values, matrix, precision="highest")


def _sharpened(measure: Partial, gains: Array, blurred: Array) -> Array:
    spectrum = jnp.fft.fft2(blurred, axes=(-3, -2))
    gains = jnp.broadcast_to(gains, spectrum.shape)
    return measure(jnp.fft.ifft2(spectrum * gains, axes=(-3, -2)).real)
